"""DICOM RT structure sets: closed planar contours, and the masks that they make on a CT's slices.

DICOM PS3.3 C.8.8.6: contours of one structure in one plane are combined by exclusive or, so a hole is a contour
within a contour; a keyhole (one contour that runs in to the hole and out again) comes out the same by the even-odd
rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.volumes.dicom.belonging import Belonging
from DLCTPMLib.volumes.dicom.header import dicom_dataset, values_understood
from DLCTPMLib.volumes.dicom.named_masks import NamedMask, NamedMasks

STRUCTURE_SET = "1.2.840.10008.5.1.4.1.1.481.3"
"""SOP class of RT structure sets."""

FLAT_WITHIN = 0.25
"""A contour that leaves its plane by more than this share of a slice does not lie on the CT's slices."""

SAME_PLANE_MM = 0.1
"""Contours no further apart than this lie in one plane: a hole's height may be rounded otherwise than its rim's."""


@dataclass(frozen=True)
class Structure:
    """One structure.

    Attributes:
        name: as a person typed it.
        contours: the closed ones, (n, 3) each, LPS mm; none where nothing was drawn.
        frame_of_reference: that it was drawn in.
        interpreted_type: RT ROI Interpreted Type (GTV, PTV, ORGAN …), empty where it does not stand.
    """

    name: str
    contours: list[np.ndarray]
    frame_of_reference: str
    interpreted_type: str = ""


@dataclass(frozen=True)
class StructureSet:
    """The structures of one file, drawn or not, and whose they are."""

    structures: list[Structure]
    belonging: Belonging


def is_structure_set(path: Path) -> bool:
    """Whether the file is a DICOM RT structure set."""
    dataset = dicom_dataset(path, ("SOPClassUID",))
    return dataset is not None and str(dataset.get("SOPClassUID", "")) == STRUCTURE_SET


def read_structure_set(path: Path) -> StructureSet:
    """The structures of a file, also those without contours, in the order of the file.

    Raises:
        InputError: no structure set, damaged, or without any contour.
    """
    dataset = dicom_dataset(path)
    if dataset is None or str(dataset.get("SOPClassUID", "")) != STRUCTURE_SET:
        raise InputError(f"{path}: is no DICOM RT structure set, or is damaged; export it again")
    with values_understood(path):
        structures = _structures(dataset, path)
        belonging = Belonging.of_object(dataset)
    if not any(structure.contours for structure in structures):
        raise InputError(f"{path}: holds no closed contours; export the structures that are drawn")
    return StructureSet(structures, belonging)


def _structures(dataset: pydicom.Dataset, path: Path) -> list[Structure]:
    listed = dataset.get("StructureSetROISequence", None) or []
    rois = {_number(one, "ROINumber", path): one for one in listed}
    if len(rois) < len(listed):
        raise InputError(
            f"{path}: several structures have one number, so whose contours are whose is not known; export it again"
        )
    drawn: dict[int, list[np.ndarray]] = {}
    for item in dataset.get("ROIContourSequence", None) or []:
        own = drawn.setdefault(_number(item, "ReferencedROINumber", path), [])
        own += [_points(one, path) for one in item.get("ContourSequence", None) or [] if _is_closed(one)]
    types = {
        _number(item, "ReferencedROINumber", path): str(item.get("RTROIInterpretedType", "") or "").upper()
        for item in dataset.get("RTROIObservationsSequence", None) or []
    }
    common = str(dataset.get("FrameOfReferenceUID", "") or "")
    return [
        Structure(
            str(roi.get("ROIName", "") or ""),
            drawn.get(number, []),
            str(roi.get("ReferencedFrameOfReferenceUID", "") or common),
            types.get(number, ""),
        )
        for number, roi in rois.items()
    ]


def structure_masks(path: Path, image: sitk.Image) -> NamedMasks:
    """The structures of a file as masks on the slices of the image that they were drawn on.

    Raises:
        InputError: as ``read_structure_set``; contours that do not lie on the image's slices, structures of several
            frames of reference.
    """
    structures = [one for one in read_structure_set(path).structures if one.contours]
    frames = {structure.frame_of_reference for structure in structures}
    if len(frames) > 1:
        raise InputError(f"{path}: its structures lie in {len(frames)} frames of reference; export those of one CT")
    masks = [NamedMask(one.name, contour_mask(one.contours, image, str(path))) for one in structures]
    return NamedMasks(image, masks, frames.pop())


def contour_mask(contours: list[np.ndarray], image: sitk.Image, name: str) -> np.ndarray:
    """The voxels whose centres closed planar contours hold, by the even-odd rule.

    A slice takes the contours of the plane nearest to it, if that is no further than half the distance between
    planes: contours drawn on every other slice fill the slices between them too.

    Args:
        contours: (n, 3) each, LPS mm.
        image: gives the grid.
        name: the file, for messages.

    Returns:
        boolean (z, y, x), file order.

    Raises:
        InputError: a contour that does not lie along the image's slices.
    """
    matrix = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    origin, inverse = np.array(image.GetOrigin()), np.linalg.inv(matrix)
    size = image.GetSize()
    heights_of: list[float] = []
    flat: list[np.ndarray] = []
    for contour in _without_copies(contours):
        index = (contour - origin) @ inverse.T
        if np.ptp(index[:, 2]) > 2 * FLAT_WITHIN:
            raise InputError(
                f"{name}: its contours do not lie on the slices of this CT; give the one they are drawn on"
            )
        heights_of.append(float(index[:, 2].mean()))
        flat.append(index[:, :2])
    planes = _planes(heights_of, flat, SAME_PLANE_MM / image.GetSpacing()[2])
    heights = np.array(sorted(planes))
    gaps = np.diff(heights)
    reach = max(0.5, float(np.median(gaps)) / 2 if gaps.size else 0.5)
    mask = np.zeros(size[::-1], bool)
    for z in range(size[2]):
        nearest = heights[np.abs(heights - z).argmin()]
        if -reach + 1e-6 < z - nearest <= reach + 1e-6:  # a slice midway belongs to one plane only
            mask[z] = _inside(planes[nearest], size[1], size[0])
    return mask


def _planes(heights: list[float], contours: list[np.ndarray], within: float) -> dict[float, list[np.ndarray]]:
    """Contours by the height of their plane; those no further apart than ``within`` lie in one."""
    planes: dict[float, list[np.ndarray]] = {}
    at = -np.inf
    for k in np.argsort(heights, kind="stable"):
        if heights[k] - at > within:
            at = heights[k]
        planes.setdefault(at, []).append(contours[k])
    return planes


def _without_copies(contours: list[np.ndarray]) -> list[np.ndarray]:
    """A contour that stands twice counts once: by exclusive or it would be nothing."""
    return list({contour.tobytes(): contour for contour in contours}.values())


def _inside(polygons: list[np.ndarray], rows: int, columns: int) -> np.ndarray:
    """Pixels (row, column) whose centres lie within an odd number of turns of the polygons, (n, 2) x and y each."""
    turns = np.zeros((rows, columns + 1), np.int32)
    for polygon in polygons:
        start, end = polygon, np.roll(polygon, -1, axis=0)
        down = start[:, 1] > end[:, 1]
        start, end = np.where(down[:, None], end, start), np.where(down[:, None], start, end)
        first, last = np.ceil(start[:, 1]).clip(0, rows), np.ceil(end[:, 1]).clip(0, rows)
        crossed = (last - first).astype(int)
        edge = np.repeat(np.arange(len(polygon)), crossed)
        row = first[edge].astype(int) + np.arange(len(edge)) - np.repeat(np.cumsum(crossed) - crossed, crossed)
        slope = (end[edge, 0] - start[edge, 0]) / (end[edge, 1] - start[edge, 1])
        x = start[edge, 0] + (row - start[edge, 1]) * slope
        np.add.at(turns, (row, np.ceil(x).clip(0, columns).astype(int)), 1)
    return np.cumsum(turns[:, :columns], axis=1) % 2 == 1


def _is_closed(contour: pydicom.Dataset) -> bool:
    kind = str(contour.get("ContourGeometricType", "CLOSED_PLANAR") or "CLOSED_PLANAR").upper()
    return kind in ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR") and len(contour.get("ContourData", None) or []) >= 9


def _points(contour: pydicom.Dataset, path: Path) -> np.ndarray:
    try:
        points = np.array([float(value) for value in contour.ContourData]).reshape(-1, 3)
    except ValueError as error:
        raise InputError(f"{path}: a contour holds something else than points; export it again") from error
    if not np.isfinite(points).all() or np.abs(points).max() > 1e5:
        raise InputError(f"{path}: a contour has points that lie nowhere (not finite); export it again")
    return points


def _number(item: pydicom.Dataset, keyword: str, path: Path) -> int:
    try:
        return int(item[keyword].value)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: a structure has no number, so the file is damaged; export it again") from error
