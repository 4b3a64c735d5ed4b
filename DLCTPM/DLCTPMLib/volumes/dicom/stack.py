"""The volume that the single-slice images of a DICOM series make."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.errors import InvalidDicomError

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.volumes.dicom.geometry import stack_geometry
from DLCTPMLib.volumes.dicom.series import MIN_SLICES, DicomSeries


def read_stack(series: DicomSeries, name: str) -> tuple[sitk.Image, list[str]]:
    """The volume of a series of single-slice images, in rescaled units (HU for CT), with warnings.

    Integers stay integers where the rescale is the same whole number in every slice; otherwise float32.

    Raises:
        InputError: slices that make no even, straight stack of one size; unreadable or colour pixels.
    """
    name = f"{name}, series {series.number or series.uid}"
    headers, notes = _without_copies(_without_localizers(series.headers))
    if len(headers) < MIN_SLICES:
        raise InputError(f"{name}: has only {len(headers)} slices; a perfusion map needs a volume of the whole lungs")
    _one_value(headers, lambda h: f"{h.Columns}×{h.Rows}", "sizes", name)
    spacing = _one_value(headers, lambda h: tuple(header_numbers(h, "PixelSpacing", 2, name)), "pixel spacings", name)
    if any(int(h.get("SamplesPerPixel", 1) or 1) != 1 for h in headers):
        raise InputError(f"{name}: its images are in colour (screenshots?); give the original series")
    geometry = stack_geometry(
        np.array([header_numbers(h, "ImagePositionPatient", 3, name) for h in headers]),
        np.array([header_numbers(h, "ImageOrientationPatient", 6, name) for h in headers]),
        spacing,
        name,
    )
    ordered = [headers[i] for i in geometry.order]
    image = read_pixels([str(h.filename) for h in ordered], _is_whole(ordered), name)
    image.SetSpacing(geometry.spacing_mm)
    image.SetOrigin(geometry.origin_mm)
    image.SetDirection(geometry.direction)
    return image, notes


def read_pixels(paths: list[str], whole_numbers: bool, name: str) -> sitk.Image:
    """The pixels of DICOM files, one after the other, each with its own rescale, without their geometry.

    Raises:
        InputError: pixels that cannot be decoded, with the transfer syntax.
    """
    if len(paths) == 1:  # a series reader would take one frame of a multi-frame file
        reader = sitk.ImageFileReader()
        reader.SetFileName(paths[0])
    else:
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames(paths)
    reader.SetImageIO("GDCMImageIO")
    if not whole_numbers:
        reader.SetOutputPixelType(sitk.sitkFloat32)
    try:
        return reader.Execute()
    except RuntimeError as error:
        if "allocat" in str(error):
            raise MemoryError(str(error)) from error
        raise InputError(f"{name}: {_why_unreadable(paths)}") from error


def _why_unreadable(paths: list[str]) -> str:
    for path in paths:
        try:
            dataset = pydicom.dcmread(path, defer_size="1 KB")
            if "PixelData" not in dataset:
                return f"{Path(path).name} has no pixel data; copy the series again"
            syntax = dataset.file_meta.TransferSyntaxUID
        except (OSError, EOFError, ValueError, AttributeError, InvalidDicomError):
            return f"{Path(path).name} is damaged; copy the series again"
        image_reader = sitk.ImageFileReader()
        image_reader.SetImageIO("GDCMImageIO")
        image_reader.SetFileName(path)
        try:
            image_reader.Execute()
        except RuntimeError:
            return (
                f"the pixels of {Path(path).name} ({syntax.name}) cannot be decoded; copy the series again, "
                "or decompress it first (gdcmconv --raw)"
            )
    return "its files do not fit together; export the series again"


def _without_localizers(headers: list[pydicom.Dataset]) -> list[pydicom.Dataset]:
    """Scouts that share the series with the volume are left out, unless there is nothing else."""
    slices = [h for h in headers if "LOCALIZER" not in [str(v).upper() for v in h.get("ImageType", None) or []]]
    return slices or headers


def _without_copies(headers: list[pydicom.Dataset]) -> tuple[list[pydicom.Dataset], list[str]]:
    """The same image (SOP Instance UID) stored twice counts once."""
    unique = {str(h.get("SOPInstanceUID", "") or h.filename): h for h in headers}
    copies = len(headers) - len(unique)
    return list(unique.values()), [f"{copies} files are copies of other slices and were left out"] if copies else []


def _one_value(headers: list[pydicom.Dataset], value: Callable, what: str, name: str):
    """What is the same in every slice."""
    counts = Counter(value(h) for h in headers)
    if len(counts) > 1:
        found = ", ".join(f"{v} ({n} slices)" for v, n in counts.most_common(4))
        raise InputError(f"{name}: mixes slices of different {what}: {found}; give one volume")
    return next(iter(counts))


def header_numbers(header: pydicom.Dataset, keyword: str, count: int, name: str) -> list[float]:
    """A numeric attribute with a known number of values."""
    try:
        values = [float(v) for v in header.get(keyword, None) or []]
    except (TypeError, ValueError):
        values = []
    if len(values) != count or not np.isfinite(values).all():
        words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", keyword)
        raise InputError(
            f"{name}: {Path(str(header.filename)).name} has no usable {words}, so its place in the patient is "
            "unknown; export the series again"
        )
    return values


def _is_whole(headers: list[pydicom.Dataset]) -> bool:
    """Whether every slice has the same whole-number rescale, so that integers hold all values."""
    rescales = {(float(h.get("RescaleSlope", 1) or 1), float(h.get("RescaleIntercept", 0) or 0)) for h in headers}
    return len(rescales) == 1 and all(v.is_integer() for v in next(iter(rescales)))
