"""The voxels of DICOM files: stored values times the rescale, whatever the display says.

Photometric Interpretation is about showing (MONOCHROME1: low values bright) and never changes a value here; general
readers invert. Uncompressed and RLE pixels are decoded in this process; JPEG and its kin by GDCM in another one, as
that library can die of a damaged file.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.uid import RLELossless

from DLCTPMLib.common.ending.temporary_files import private_folder
from DLCTPMLib.common.errors import InputError
from DLCTPMLib.volumes.dicom.geometry import StackGeometry
from DLCTPMLib.volumes.formats.apart import decode_with_gdcm
from DLCTPMLib.volumes.formats.raw_volume import check_grid

_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_NOT_STORED = (
    "RescaleSlope",
    "RescaleIntercept",
    "PixelValueTransformationSequence",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
)
_INT16 = np.iinfo(np.int16)


def read_volume(paths: Sequence[str], rescales: Sequence[tuple[float, float]], name: str) -> np.ndarray:
    """The rescaled voxels of DICOM files, one after the other: (frames of all files, rows, columns).

    Whole numbers stay so where the rescale is whole in every file (int16 where they fit, else int32); otherwise
    float32.

    Args:
        paths: single- or multi-frame files of the same number of rows and columns.
        rescales: (slope, intercept) of each file.
        name: what is read, for messages.

    Raises:
        InputError: pixels that cannot be decoded, with the transfer syntax; colour; files of different sizes.
    """
    whole = all(float(v).is_integer() for rescale in rescales for v in rescale)
    volume: np.ndarray | None = None
    at = 0
    for path, stored, (slope, intercept) in zip(paths, _stored(paths, name), rescales, strict=True):
        if volume is None:
            shape = (len(stored) if len(paths) == 1 else len(paths), *stored.shape[1:])
            volume = np.empty(shape, np.int16 if whole and stored.dtype.kind in "iu" else np.float32)
        if stored.shape[1:] != volume.shape[1:] or at + len(stored) > len(volume):
            raise InputError(f"{name}: {Path(path).name} has other sizes than the rest; export the series again")
        values = _rescaled(stored, slope, intercept, volume.dtype.kind == "i")
        if values.dtype.kind == "f" and volume.dtype.kind == "i":
            volume = volume.astype(np.float32)
        elif volume.dtype == np.int16 and (values.min() < _INT16.min or values.max() > _INT16.max):
            volume = volume.astype(np.int32)
        volume[at : at + len(values)] = values
        at += len(values)
    return volume


def _rescaled(stored: np.ndarray, slope: float, intercept: float, whole: bool) -> np.ndarray:
    if whole and stored.dtype.kind in "iu":
        reach = max(abs(int(stored.min())), abs(int(stored.max()))) * abs(slope) + abs(intercept)
        if reach < 1 << 31:
            return stored.astype(np.int32) * np.int32(slope) + np.int32(intercept)
    return (stored.astype(np.float64) * slope + intercept).astype(np.float32)


def _stored(paths: Sequence[str], name: str) -> Iterator[np.ndarray]:
    """The stored values of each file in turn, (frames, rows, columns); what GDCM must decode goes to it together."""
    packed = [path for path in paths if _needs_gdcm(path)]
    with private_folder() if packed else contextlib.nullcontext() as folder:
        decoded = dict(zip(packed, _decoded(packed, Path(folder), name), strict=True)) if packed else {}
        for path in paths:
            yield _frames(Path(path), decoded.get(path), name)


def _needs_gdcm(path: str) -> bool:
    try:
        syntax = pydicom.filereader.read_file_meta_info(path).TransferSyntaxUID
        return bool(syntax.is_compressed and syntax != RLELossless)
    except Exception:  # no meta information, or a damaged one: the reading of the file says so
        return False


def _decoded(paths: list[str], folder: Path, name: str) -> list[Path]:
    """Files of the decoded pixels (.npy) of compressed files, as stored: without rescale and display."""
    plain = []
    for number, path in enumerate(paths):
        dataset = _dataset(Path(path), name)
        _check_gray(dataset, Path(path), name)
        for keyword in _NOT_STORED:
            dataset.pop(keyword, None)
        dataset.PhotometricInterpretation = "MONOCHROME2"
        plain.append(folder / f"{number:06d}.dcm")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                dataset.save_as(plain[-1])
        except Exception as error:  # as everywhere on damaged files
            raise InputError(f"{name}: {Path(path).name} is damaged; copy the series again") from error
    decode_with_gdcm(folder)
    decoded = [path.with_suffix(".npy") for path in plain]
    for path, result in zip(paths, decoded, strict=True):
        if not result.exists():
            syntax = pydicom.filereader.read_file_meta_info(path).TransferSyntaxUID
            raise InputError(
                f"{name}: the pixels of {Path(path).name} ({syntax.name}) cannot be decoded; copy the series again, "
                "or decompress it first (gdcmconv --raw)"
            )
    return decoded


def _dataset(path: Path, name: str) -> pydicom.Dataset:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = pydicom.dcmread(path, force=True)
            _ = int(dataset.Rows), int(dataset.Columns), dataset.file_meta
        return dataset
    except MemoryError:
        raise
    except Exception as error:  # on a damaged file pydicom raises whatever its parts raise
        raise InputError(f"{name}: {path.name} is damaged; copy the series again") from error


def _check_gray(dataset: pydicom.Dataset, path: Path, name: str) -> None:
    if int(dataset.get("SamplesPerPixel", 1) or 1) != 1:
        raise InputError(f"{name}: its images are in colour (screenshots?); give the original series")
    if not any(keyword in dataset for keyword in _PIXELS):
        raise InputError(f"{name}: {path.name} has no pixel data; copy the series again")


def _frames(path: Path, decoded: Path | None, name: str) -> np.ndarray:
    dataset = _dataset(path, name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _check_gray(dataset, path, name)
            frames = max(1, int(dataset.get("NumberOfFrames", None) or 1))
            shape = (frames, int(dataset.Rows), int(dataset.Columns))
            if decoded is not None:
                return np.load(decoded, allow_pickle=False).reshape(shape)
            if dataset.file_meta.get("TransferSyntaxUID", "") == RLELossless:
                return np.asarray(dataset.pixel_array).reshape(shape)
            return _plain(dataset, shape, path, name)
    except (InputError, MemoryError):
        raise
    except Exception as error:  # as above
        raise InputError(f"{name}: the pixels of {path.name} are damaged; copy the series again") from error


def _plain(dataset: pydicom.Dataset, shape: tuple[int, int, int], path: Path, name: str) -> np.ndarray:
    """Uncompressed pixels, sign extended and cleaned of what lies beside the stored bits."""
    keyword = next(keyword for keyword in _PIXELS if keyword in dataset)
    allocated = int(dataset.BitsAllocated)
    if allocated not in (8, 16, 32, 64):
        raise InputError(f"{name}: {path.name} has pixels of {allocated} bits, which are not read; export it again")
    order = "<" if dataset.original_encoding[1] else ">"
    signed = int(dataset.get("PixelRepresentation", 0) or 0) == 1
    kind = "f" if keyword != "PixelData" else ("i" if signed else "u")
    dtype = np.dtype(f"{order}{kind}{allocated // 8}")
    content = dataset[keyword].value
    count = int(np.prod(shape, dtype=object))
    if not isinstance(content, bytes) or len(content) < count * dtype.itemsize:
        raise InputError(f"{name}: the pixels of {path.name} are cut off; copy the series again")
    stored = np.frombuffer(content, dtype, count).reshape(shape).astype(dtype.newbyteorder("="), copy=False)
    return _of_stored_bits(stored, dataset) if kind != "f" else stored


def _of_stored_bits(stored: np.ndarray, dataset: pydicom.Dataset) -> np.ndarray:
    """Values of the stored bits alone: overlays and padding may lie in the others."""
    allocated = stored.dtype.itemsize * 8
    bits = int(dataset.get("BitsStored", allocated) or allocated)
    high = int(dataset.get("HighBit", bits - 1) or bits - 1)
    if not 0 < bits <= high + 1 <= allocated or bits == allocated:
        return stored
    up = stored << stored.dtype.type(allocated - 1 - high)
    return up >> up.dtype.type(allocated - bits)


def placed_image(volume: np.ndarray, geometry: StackGeometry, name: str) -> sitk.Image:
    """An image of (z, y, x) voxels in the order of their files, on a ``StackGeometry``.

    Raises:
        InputError: a grid that cannot be used; see ``check_grid``.
    """
    directions = np.array(geometry.direction).reshape(3, 3)
    check_grid(np.array(geometry.spacing_mm), directions, np.array(geometry.origin_mm), volume.shape[::-1], name)
    order = np.asarray(geometry.order)
    ordered = volume if np.array_equal(order, np.arange(len(order))) else volume[order]
    image = sitk.GetImageFromArray(ordered)
    image.SetSpacing(geometry.spacing_mm)
    image.SetOrigin(geometry.origin_mm)
    image.SetDirection(geometry.direction)
    return image
