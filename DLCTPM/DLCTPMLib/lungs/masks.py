"""Lung masks of any source, brought to one form: CIP region values on the grid of the CT.

The parenchyma rule: a voxel is lung where its CIP region is lung (1…14, 20…22), whatever its type, so vessels
and airways inside the lungs count (as in CIP's own whole-lung masks); airways outside have no lung region, and
trachea and main bronchi never count. See ``labels.chest_regions.is_region``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import SimpleITK as sitk

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.labels.chest_regions import (
    LEFT,
    LEFT_THIRDS,
    LOBES,
    LUNG,
    RIGHT,
    RIGHT_THIRDS,
    SIDELESS_THIRDS,
    ChestRegion,
    is_region,
)
from DLCTPMLib.labels.conventions import to_cip
from DLCTPMLib.labels.seg_nrrd import is_segmentation, segments_of
from DLCTPMLib.labels.segments import cip_labels
from DLCTPMLib.lungs.sides import lateral_mm, split_sides
from DLCTPMLib.volumes.boxes import bounding_box
from DLCTPMLib.volumes.formats.any_format import read_file
from DLCTPMLib.volumes.patient_axes import PatientAxes, file_image, patient_array, same_grid

if TYPE_CHECKING:
    from DLCTPMLib.lungs.box import LungBox

MIN_INSIDE = 0.9
"""A mask with less than this share of its volume inside the CT is refused."""

_R = ChestRegion


@dataclass(frozen=True)
class Lungs:
    """The lungs of one CT.

    Attributes:
        labels: uint16 CIP regions on the CT's grid: sides, lobes or thirds where lung is, 0 elsewhere (types
            are dropped once the parenchyma rule is applied, so ``labels > 0`` is the lungs).
        warnings: sentences for the user.
        source: where the lungs come from, in words.
        found: the same voxels as ``LungBox`` holds them, where they were found so; saves reading the labels.
    """

    labels: sitk.Image
    warnings: list[str] = field(default_factory=list)
    source: str = ""
    found: LungBox | None = None


def side_masks(labels: sitk.Image) -> tuple[np.ndarray, np.ndarray]:
    """The right and the left lung of a CIP label image: boolean (z, y, x) arrays along the patient's axes."""
    array = patient_array(labels)
    return tuple(_in_box(array, lambda part, regions=regions: is_region(part, regions)) for regions in (RIGHT, LEFT))


def read_lungs(path: str | Path, ct: sitk.Image, values: str = "auto", *, orientation: str | None = None) -> Lungs:
    """Read a lung mask file of any kind: CIP or plain label map, or a Slicer ``.seg.nrrd`` segmentation.

    Args:
        path: any image file SimpleITK reads.
        ct: the CT the mask belongs to; another grid is brought over with a warning.
        values: what plain label values mean, one of ``labels.conventions.CONVENTIONS``; "auto" tells from the values.
        orientation: where the array's axes run to (LPS, RAS, …), for a file that does not say.

    Raises:
        InputError: the file is missing or not a label map, empty, ambiguous, contradicts the patient's sides, or
            less than 90 % of it lies inside the CT.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; give the lung mask as one image file.")
    image, notes = read_file(path, orientation)
    if is_segmentation(image):
        image, values = cip_labels(segments_of(image, str(path)), str(path)), "cip"
    lungs = lungs_from_labels(image, ct, source=str(path), values=values)
    return replace(lungs, warnings=notes + lungs.warnings)


def lungs_from_labels(image: sitk.Image, ct: sitk.Image, source: str = "", values: str = "auto") -> Lungs:
    """Lungs from a label image in memory; see ``read_lungs``."""
    name = source or "the lung mask"
    image = _as_labels(image, name)
    array, _ = to_cip(sitk.GetArrayViewFromImage(image), name, values)
    if not _in_box(array, lambda part: is_region(part, LUNG)).any():
        raise InputError(f"{name} is empty: no voxel is labelled as lung; give another lung mask, or none.")
    cip = sitk.GetImageFromArray(array)
    cip.CopyInformation(image)
    warnings: list[str] = []
    cip = _on_ct_grid(cip, ct, name, warnings)
    axes = PatientAxes.of(ct)
    labels = patient_array(cip)
    labels = np.where(_in_box(labels, lambda part: is_region(part, LUNG)), labels & 255, 0).astype(np.uint16)
    _give_sides(labels, axes, ct, warnings)
    _check_sides(labels, axes, ct, name, warnings)
    return Lungs(file_image(labels, like=ct), warnings, source)


def with_thirds(labels: sitk.Image) -> sitk.Image:
    """Divide lungs that are labelled as a whole side into CIP's thirds (9…14); lobes and thirds stay.

    As CIP does it: the two planes across the patient's long axis that cut **both lungs together** into three
    parts of equal volume (not of equal height, and the same planes for both sides). A plane lies between
    slices, so the volumes are equal to about a slice; on a tilted grid voxels are ranked by height.
    """
    values = patient_array(labels)
    third = _third_of(labels, _in_box(values, lambda part: is_region(part, LUNG)))
    out = np.array(values, np.uint16)
    for side, names in ((_R.RIGHT_LUNG, RIGHT_THIRDS), (_R.LEFT_LUNG, LEFT_THIRDS)):
        whole = _in_box(values, lambda part, side=side: is_region(part, {side}))
        out[whole] = np.array(names, np.uint16)[third[whole]]
    return file_image(out, like=labels)


def thirds(labels: sitk.Image) -> sitk.Image:
    """All of the lungs as CIP's thirds (9…14), whatever their labels; see ``with_thirds``."""
    right, left = side_masks(labels)
    whole = right * np.uint16(_R.RIGHT_LUNG) + left * np.uint16(_R.LEFT_LUNG)
    return with_thirds(file_image(whole, like=labels))


def _third_of(labels: sitk.Image, lung: np.ndarray) -> np.ndarray:
    """0, 1 or 2 (upper, middle, lower) for every voxel of the view, uint8, by height in the patient."""
    axes = PatientAxes.of(labels)
    if axes.is_oblique:
        steps = axes.directions[2] * np.array(axes.spacing_mm[::-1])  # height gained a voxel along x, y, z
        z, y, x = (np.arange(n, dtype=np.float32) for n in lung.shape)
        height = z[:, None, None] * steps[2] + y[None, :, None] * steps[1] + x[None, None, :] * steps[0]
        level = np.round((height - height.min()) / (abs(steps[2]) / 4)).astype(np.int32)
        counts = np.bincount(level[lung], minlength=int(level.max()) + 1)
    else:
        counts = np.count_nonzero(lung, axis=(1, 2))
    below = np.cumsum(counts) - counts / 2  # volume below the middle of a level decides its third
    third = np.clip(2 - (3 * below / max(counts.sum(), 1)).astype(int), 0, 2).astype(np.uint8)
    return third[level] if axes.is_oblique else np.broadcast_to(third[:, None, None], lung.shape)


def _in_box(array: np.ndarray, function) -> np.ndarray:
    """A voxel-wise boolean function of an array that is False at 0, worked out in the box of what is not 0."""
    out = np.zeros(array.shape, bool)
    box = bounding_box(array)
    if box is not None:
        out[box] = function(array[box])
    return out


def _as_labels(image: sitk.Image, name: str) -> sitk.Image:
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise InputError(f"{name} is not a three-dimensional label map; give one label value a voxel.")
    if image.GetPixelID() == sitk.sitkUInt16:
        return image
    array = sitk.GetArrayViewFromImage(image)
    if not np.isfinite(array).all() if array.dtype.kind == "f" else False:
        raise InputError(f"{name} has voxels that are not numbers; a label map holds whole numbers.")
    if array.min() < 0 or array.max() > 65535 or (array.dtype.kind == "f" and (array != np.round(array)).any()):
        raise InputError(f"{name} is not a label map: its values are not whole numbers from 0 to 65535.")
    return sitk.Cast(image, sitk.sitkUInt16)


def _on_ct_grid(cip: sitk.Image, ct: sitk.Image, name: str, warnings: list[str]) -> sitk.Image:
    if same_grid(cip, ct):
        return cip
    inside = _share_inside(cip, ct)
    if inside < MIN_INSIDE:
        raise InputError(
            f"only {inside:.0%} of the lungs in {name} lie inside the CT; give the mask that belongs to this CT."
        )
    if not _on_its_lattice(cip, ct):
        warnings.append(f"{name} is on another grid than the CT and was brought over (nearest neighbour).")
    return sitk.Resample(cip, ct, sitk.Transform(), sitk.sitkNearestNeighbor, 0, sitk.sitkUInt16)


def _on_its_lattice(cip: sitk.Image, ct: sitk.Image) -> bool:
    """Whether the mask's voxels are voxels of the CT, as in a cropped mask: bringing it over moves nothing."""
    corners = [[0, 0, 0], [n - 1 for n in cip.GetSize()]]
    index = [ct.TransformPhysicalPointToContinuousIndex(cip.TransformIndexToPhysicalPoint(c)) for c in corners]
    axes, ct_axes = PatientAxes.of(cip), PatientAxes.of(ct)
    return bool(
        np.allclose(index, np.round(index), atol=0.01)
        and np.allclose(axes.spacing_mm, ct_axes.spacing_mm, rtol=1e-4)
        and np.allclose(axes.directions, ct_axes.directions, atol=1e-4)
    )


def _share_inside(cip: sitk.Image, ct: sitk.Image) -> float:
    """The share of the mask's lung voxels whose centre lies inside the CT's volume."""
    array = sitk.GetArrayViewFromImage(cip)
    points = np.argwhere(_in_box(array, lambda part: is_region(part, LUNG)))[:, ::-1]
    points = points[:: max(1, len(points) // 500_000)]

    def index_to_point(image: sitk.Image) -> tuple[np.ndarray, np.ndarray]:
        matrix = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
        return matrix, np.array(image.GetOrigin())

    matrix, origin = index_to_point(cip)
    ct_matrix, ct_origin = index_to_point(ct)
    index = (points @ matrix.T + origin - ct_origin) @ np.linalg.inv(ct_matrix).T
    size = np.array(ct.GetSize())
    return float(np.mean(np.all((index >= -0.5) & (index <= size - 0.5), axis=1)))


def _give_sides(labels: np.ndarray, axes: PatientAxes, ct: sitk.Image, warnings: list[str]) -> None:
    """Put a side to what is labelled as lung without one (1 and 20…22), in place."""
    sideless = {_R.WHOLE_LUNG: (_R.RIGHT_LUNG, _R.LEFT_LUNG)}
    sideless |= dict(zip(SIDELESS_THIRDS, zip(RIGHT_THIRDS, LEFT_THIRDS, strict=True), strict=True))
    unknown = _in_box(labels, lambda part: is_region(part, set(sideless)))
    if not unknown.any():
        return
    sides = split_sides(labels > 0, axes, body_midline_mm(ct))
    for region, (right, left) in sideless.items():
        here = labels == region
        labels[here & (sides == 1)] = right
        labels[here & (sides == 2)] = left


def body_midline_mm(ct: sitk.Image) -> float | None:
    """Lateral position (LPS x, mm) of the middle of what is soft tissue or bone in the CT; None if nothing is."""
    axes = PatientAxes.of(ct)
    step = tuple(max(1, round(4 / spacing)) for spacing in axes.spacing_mm)
    view = patient_array(ct)[tuple(slice(s // 2, None, s) for s in step)]
    body = (view > -150) & (view < 1500)
    return lateral_mm(axes, body, step) if body.any() else None


def _check_sides(labels: np.ndarray, axes: PatientAxes, ct: sitk.Image, name: str, warnings: list[str]) -> None:
    """Compare claimed sides with the patient's own; whole sides and thirds are swapped with a warning."""
    right = _in_box(labels, lambda part: is_region(part, RIGHT))
    left = _in_box(labels, lambda part: is_region(part, LEFT))
    if right.any() and left.any():
        reversed_sides = lateral_mm(axes, right) > lateral_mm(axes, left)
    else:
        midline = body_midline_mm(ct)
        present, side = (right, "right") if right.any() else (left, "left")
        other = "left" if side == "right" else "right"
        warnings.append(f"{name} holds one lung only, the {side} one; the {other} lung is missing.")
        away = 0.0 if midline is None else lateral_mm(axes, present) - midline
        reversed_sides = away > 20 if side == "right" else away < -20
        if reversed_sides:
            warnings.append(f"the lung that {name} calls the {side} one lies in the {other} half of the body.")
        return
    if not reversed_sides:
        return
    if _in_box(labels, lambda part: is_region(part, LOBES)).any():
        raise InputError(
            f"{name} has its right lobes on the patient's left; the mask or the direction of its axes is wrong, "
            "give a mask made on this CT."
        )
    table = np.arange(256, dtype=np.uint16)
    for a, b in zip((_R.RIGHT_LUNG, *RIGHT_THIRDS), (_R.LEFT_LUNG, *LEFT_THIRDS), strict=True):
        table[[a, b]] = b, a
    labels[:] = table[labels]
    warnings.append(
        f"{name} has right and left the other way round than the patient (by the direction of the axes); "
        "the patient's sides were taken."
    )
