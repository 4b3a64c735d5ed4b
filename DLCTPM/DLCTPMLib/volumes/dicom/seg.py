"""DICOM segmentations (SEG): binary, fractional and label map, each segment as a mask on the file's own grid.

DICOM PS3.3 A.51 and C.8.20. Frames without a voxel are usually left out, so the grid is made from the places of those
that are there and the stated distance of slices.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.volumes.dicom.belonging import Belonging
from DLCTPMLib.volumes.dicom.header import dicom_dataset, header_numbers, values_understood
from DLCTPMLib.volumes.dicom.named_masks import DicomCode, NamedMask, NamedMasks
from DLCTPMLib.volumes.dicom.pixels import read_volume
from DLCTPMLib.volumes.formats.raw_volume import check_grid, check_size

SEGMENTATIONS = {"1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"}
"""SOP classes: segmentation, label map segmentation."""

_MOST_SLICES = 10_000


def is_segmentation_object(path: Path) -> bool:
    """Whether the file is a DICOM segmentation."""
    dataset = dicom_dataset(path, ("SOPClassUID",))
    return dataset is not None and str(dataset.get("SOPClassUID", "")) in SEGMENTATIONS


def segment_labels(path: Path) -> tuple[list[str], Belonging]:
    """The labels of a file's segments, in its order, and whose they are.

    Raises:
        InputError: no segmentation, or damaged.
    """
    header = _header(path)
    with values_understood(path):
        labels = [str(segment.get("SegmentLabel", "") or "") for segment in header.get("SegmentSequence", None) or []]
        return labels, Belonging.of_object(header)


def segment_masks(path: Path, labelled: str | None = None) -> NamedMasks:
    """The segments of a file as masks.

    Args:
        path: the file.
        labelled: only the segments with this label; all if None.

    Raises:
        InputError: no segmentation, damaged, compressed in a way that cannot be decoded, or with frames that do not
            say where they lie.
    """
    header = _header(path)
    with values_understood(path):
        return _segment_masks(header, path, labelled)


def _segment_masks(header: pydicom.Dataset, path: Path, labelled: str | None) -> NamedMasks:
    frames = header.get("PerFrameFunctionalGroupsSequence", None) or []
    shared = (header.get("SharedFunctionalGroupsSequence", None) or [pydicom.Dataset()])[0]
    segments = {int(one.get("SegmentNumber", 0) or 0): one for one in header.get("SegmentSequence", None) or []}
    if not frames or not segments:
        raise InputError(f"{path}: its header names no frames or no segments; export it again")
    grid, layers = _grid(frames, shared, header, path)
    stored = _stored_frames(path, len(frames), int(header.Rows), int(header.Columns))
    labels = str(header.get("SegmentationType", "")).upper() == "LABELMAP"
    fraction = float(header.get("MaximumFractionalValue", None) or 1) / 2
    wanted = {n: one for n, one in segments.items() if labelled in (None, str(one.get("SegmentLabel", "") or ""))}
    masks = {number: np.zeros(grid.GetSize()[::-1], bool) for number in wanted}
    for frame, layer, pixels in zip(frames, layers, stored, strict=True):
        if labels:
            for number in np.intersect1d(np.unique(pixels), list(masks)):
                masks[int(number)][layer] |= pixels == number
            continue
        number = _referenced_segment(frame, shared)
        if number not in segments:
            raise InputError(f"{path}: a frame belongs to no segment of the file; export it again")
        if number in masks:
            masks[number][layer] |= pixels > (fraction if pixels.max() > 1 else 0)
    named = [_named(one, masks[number]) for number, one in wanted.items() if number or not labels]
    return NamedMasks(grid, named, str(header.get("FrameOfReferenceUID", "") or ""))


def _header(path: Path) -> pydicom.Dataset:
    header = dicom_dataset(path)
    if header is None or str(header.get("SOPClassUID", "")) not in SEGMENTATIONS:
        raise InputError(f"{path}: is no DICOM segmentation, or is damaged; export it again")
    header.filename = path
    return header


def _item(frame: pydicom.Dataset, shared: pydicom.Dataset, group: str) -> pydicom.Dataset:
    return (frame.get(group, None) or shared.get(group, None) or [pydicom.Dataset()])[0]


def _referenced_segment(frame: pydicom.Dataset, shared: pydicom.Dataset) -> int:
    return int(_item(frame, shared, "SegmentIdentificationSequence").get("ReferencedSegmentNumber", 0) or 0)


def _grid(frames, shared: pydicom.Dataset, header: pydicom.Dataset, path: Path) -> tuple[sitk.Image, np.ndarray]:
    """An empty image of the file's grid, and the slice that each frame is."""

    def values(frame, group: str, keyword: str, count: int) -> list[float]:
        item = _item(frame, shared, group)
        item.filename = path
        return header_numbers(item, keyword, count, str(path))

    positions = np.array([values(frame, "PlanePositionSequence", "ImagePositionPatient", 3) for frame in frames])
    orientations = np.array(
        [values(frame, "PlaneOrientationSequence", "ImageOrientationPatient", 6) for frame in frames]
    )
    if np.ptp(orientations, axis=0).max() > 1e-3:
        raise InputError(f"{path}: its frames are not parallel; export it again")
    measures = _item(frames[0], shared, "PixelMeasuresSequence")
    row_spacing, column_spacing = values(frames[0], "PixelMeasuresSequence", "PixelSpacing", 2)
    row, column = orientations[0, :3], orientations[0, 3:]
    normal = np.cross(row, column)
    along = positions @ normal
    steps = np.diff(np.unique(np.round(along, 3)))
    step = float(steps.min()) if steps.size else float(measures.get("SliceThickness", None) or 1)
    stated = float(measures.get("SpacingBetweenSlices", None) or 0)
    if stated > 0 and steps.size and abs(step / stated - round(step / stated)) < 0.1:
        step = stated
    layers = np.round((along - along.min()) / step).astype(int)
    if np.abs(along - along.min() - layers * step).max() > 0.25 * step or layers.max() > _MOST_SLICES:
        raise InputError(f"{path}: its slices are unevenly spaced; export it again on the slices of the CT")
    size, spacing = (
        [int(header.Columns), int(header.Rows), int(layers.max()) + 1],
        [column_spacing, row_spacing, step],
    )
    directions, origin = np.column_stack([row, column, normal]), positions[along.argmin()]
    check_size(size, 1, path)
    check_grid(np.array(spacing), directions, origin, size, path)
    grid = sitk.Image(size, sitk.sitkUInt8)
    grid.SetSpacing(spacing)
    grid.SetOrigin(origin.tolist())
    grid.SetDirection(directions.ravel().tolist())
    return grid, layers


def _stored_frames(path: Path, count: int, rows: int, columns: int) -> np.ndarray:
    """The stored values, (frames, rows, columns)."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = pydicom.dcmread(path)
        if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
            return _decoded_frames(path, count, rows, columns)
        content, bits = dataset.PixelData, int(dataset.BitsAllocated)
        pixels = count * rows * columns
        if len(content) * 8 < pixels * bits or bits not in (1, 8, 16):
            raise ValueError
    except InputError:
        raise
    except Exception as error:  # on a damaged file pydicom raises whatever its parts raise
        raise InputError(f"{path}: its frames are damaged or cut off; export it again") from error
    if bits == 1:
        stored = np.unpackbits(np.frombuffer(content, np.uint8), count=pixels, bitorder="little")
    else:
        stored = np.frombuffer(content, f"<u{bits // 8}", pixels)
    return stored.reshape(count, rows, columns)


def _decoded_frames(path: Path, count: int, rows: int, columns: int) -> np.ndarray:
    stored = read_volume([str(path)], [(1.0, 0.0)], str(path))
    if stored.shape != (count, rows, columns):
        raise InputError(f"{path}: has {len(stored)} frames where {count} are promised; export it again")
    return stored


def _named(segment: pydicom.Dataset, voxels: np.ndarray) -> NamedMask:
    kind = (segment.get("SegmentedPropertyTypeCodeSequence", None) or [pydicom.Dataset()])[0]
    return NamedMask(
        str(segment.get("SegmentLabel", "") or ""),
        voxels,
        _code(segment, "SegmentedPropertyCategoryCodeSequence"),
        _code(segment, "SegmentedPropertyTypeCodeSequence"),
        _code(kind, "SegmentedPropertyTypeModifierCodeSequence"),
    )


def _code(item: pydicom.Dataset, sequence: str) -> DicomCode | None:
    code = (item.get(sequence, None) or [None])[0]
    if code is None or not code.get("CodeValue"):
        return None
    return DicomCode(
        str(code.CodeValue), str(code.get("CodingSchemeDesignator", "")), str(code.get("CodeMeaning", ""))
    )
