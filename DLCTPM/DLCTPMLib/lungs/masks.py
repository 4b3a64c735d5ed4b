"""Lung masks of any source, brought to one form: CIP region values on the grid of the CT.

The parenchyma rule: a voxel is lung where its CIP region is lung (1…14, 20…22), whatever its type, so vessels
and airways inside the lungs count (as in CIP's own whole-lung masks); airways outside have no lung region, and
trachea and main bronchi never count. See ``labels.chest_regions.is_region``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

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
    SIDES,
    ChestRegion,
    is_region,
)
from DLCTPMLib.labels.conventions import check_convention, possible_conventions, present_values, to_cip
from DLCTPMLib.labels.seg_nrrd import is_segmentation, segments_of
from DLCTPMLib.labels.segments import cip_labels
from DLCTPMLib.lungs.dicom_masks import dicom_lungs, dicom_mask_file
from DLCTPMLib.lungs.mask_checks import MOST_UNCOVERED, AirOfCt, contradiction
from DLCTPMLib.lungs.sides import lateral_mm, split_sides
from DLCTPMLib.lungs.upright import LEFT_SIDE, RIGHT_SIDE, Box, UprightLungs, looked_up, lung_regions
from DLCTPMLib.volumes.boxes import bounding_box
from DLCTPMLib.volumes.formats.any_format import read_file
from DLCTPMLib.volumes.patient_axes import PatientAxes, patient_array, same_grid

MIN_INSIDE = 0.9
"""A mask with less than this share of its volume inside the CT is refused."""

AUTO = "auto"
"""In place of a convention: the values themselves tell."""

_R = ChestRegion


@dataclass(frozen=True)
class Lungs:
    """The lungs of one CT and what is to be said about them.

    Attributes:
        upright: the voxels: sides, lobes or thirds where lung is (types are dropped once the parenchyma rule is
            applied).
        ct: the CT; gives the grid of ``labels``.
        warnings: sentences for the user.
        source: where the lungs come from, in words.
    """

    upright: UprightLungs
    ct: sitk.Image
    warnings: list[str] = field(default_factory=list)
    source: str = ""

    @cached_property
    def labels(self) -> sitk.Image:
        """The label image for files and other programs, made when it is first asked for: uint16, the CT's grid."""
        return self.upright.labels(self.ct)


def side_masks(labels: sitk.Image) -> tuple[np.ndarray, np.ndarray]:
    """The right and the left lung of a CIP label image: boolean (z, y, x) arrays along the patient's axes."""
    array = patient_array(labels)
    return tuple(_in_box(array, lambda part, regions=regions: is_region(part, regions)) for regions in (RIGHT, LEFT))


def read_lungs(
    path: str | Path,
    ct: sitk.Image,
    values: str = AUTO,
    *,
    orientation: str | None = None,
    frame_of_reference: str = "",
) -> Lungs:
    """Read a lung mask file of any kind: label map, Slicer's ``.seg.nrrd``, DICOM RT structure set or segmentation.

    Args:
        path: any image file that SimpleITK reads, or a DICOM file (also alone in a folder).
        ct: the CT the mask belongs to; another grid is brought over with a warning.
        values: what plain label values mean, one of ``labels.conventions.CONVENTIONS``; "auto" tells from the values.
        orientation: where the array's axes run to (LPS, RAS, …), for a file that does not say.
        frame_of_reference: DICOM Frame of Reference UID of the CT, which structures and segmentations must share.

    Raises:
        InputError: the file is missing or not a label map, empty, ambiguous, contradicts the patient's sides or the
            numbering that its values follow, fits the CT better mirrored or turned, or less than 90 % of it lies
            inside the CT.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file; give the lung mask as one image file.")
    drawn = dicom_mask_file(path)
    if drawn is not None:
        image, notes = dicom_lungs(drawn, ct, frame_of_reference)
        named = True
    else:
        image, notes = read_file(path, orientation)
        named = is_segmentation(image)
        if named:
            image = cip_labels(segments_of(image, str(path)), str(path))
    if named and values != AUTO:
        raise InputError(f"{path}: names what it holds; leave out --lungs-values {values}, which is for label maps")
    values = "cip" if named else values
    lungs = lungs_from_labels(image, ct, source=str(path), values=values)
    return replace(lungs, warnings=notes + lungs.warnings)


def lungs_from_labels(image: sitk.Image, ct: sitk.Image, source: str = "", values: str = AUTO) -> Lungs:
    """Lungs from a label image in memory; see ``read_lungs``."""
    name = source or "the lung mask"
    image = _as_labels(image, name)
    cip = _read_by_its_convention(image, name, values)
    box = bounding_box(sitk.GetArrayViewFromImage(cip))
    if box is None or not lung_regions(sitk.GetArrayViewFromImage(cip)[box]).any():
        raise InputError(f"{name} is empty: no voxel is labelled as lung; give another lung mask, or none.")
    warnings: list[str] = []
    cip = _on_ct_grid(cip, ct, name, warnings)
    axes, labels = PatientAxes.of(ct), patient_array(cip)
    box = bounding_box(labels) or (slice(0, 0),) * 3
    regions = _with_sides(lung_regions(labels[box]), box, axes, ct)
    lungs = _of_the_patient(UprightLungs.of_regions(axes, box, regions), ct, name, warnings)
    _check_against_air(lungs, ct, name, warnings)
    return Lungs(lungs, ct, warnings, source)


def _read_by_its_convention(image: sitk.Image, name: str, values: str) -> sitk.Image:
    """The labels as CIP values, by a numbering that nothing in their shape contradicts."""
    check_convention(values)
    array = sitk.GetArrayViewFromImage(image)
    present = present_values(array)
    if present.size == 0:
        raise InputError(f"{name} is empty: no voxel is labelled; give another lung mask, or none.")
    axes, reasons = PatientAxes.of(image), {}
    for convention in possible_conventions(present, name) if values == AUTO else [values]:
        cip = to_cip(array, name, convention)
        reason = contradiction(axes.view(cip), axes)
        if reason is None:
            translated = sitk.GetImageFromArray(cip)
            translated.CopyInformation(image)
            return translated
        reasons[convention] = reason
    told = "; ".join(f"read as '{convention}', {reason}" for convention, reason in reasons.items())
    raise InputError(
        f"{name} is not what its label values say: {told}; keep lung labels only, say what the values mean with "
        "--lungs-values (mask: every value is lung), or give a .seg.nrrd with named segments."
    )


def _check_against_air(lungs: UprightLungs, ct: sitk.Image, name: str, warnings: list[str]) -> None:
    """Refuse a mask that lies on the CT the wrong way round; say where it leaves lung out."""
    air = AirOfCt(ct)
    lung = np.zeros(lungs.axes.shape, bool)
    lung[lungs.box] = lungs.sides > 0
    turn = air.better_turn(lung)
    if turn is not None:
        raise InputError(
            f"{name} fits the air of the CT better {turn}: the mask or the direction of its axes is wrong; give a "
            "mask made on this CT, in its orientation."
        )
    share, ml = air.uncovered(lung)
    if share > MOST_UNCOVERED:
        warnings.append(
            f"{name} covers part of the lungs only: {ml:.0f} ml of aerated lung ({share:.0%}) lie beside it."
        )


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


def _with_sides(regions: np.ndarray, box: Box, axes: PatientAxes, ct: sitk.Image) -> np.ndarray:
    """CIP regions in a box of the view, those of lung without a side (1 and 20…22) given one."""
    sideless = {_R.WHOLE_LUNG: (_R.RIGHT_LUNG, _R.LEFT_LUNG)}
    sideless |= dict(zip(SIDELESS_THIRDS, zip(RIGHT_THIRDS, LEFT_THIRDS, strict=True), strict=True))
    of_side = np.tile(np.arange(256, dtype=np.uint8), (3, 1))
    unknown = np.zeros(256, bool)
    for region, (right, left) in sideless.items():
        unknown[region], of_side[RIGHT_SIDE, region], of_side[LEFT_SIDE, region] = True, right, left
    if not looked_up(unknown, regions).any():
        return regions
    lung = np.zeros(axes.shape, bool)
    lung[box] = regions > 0
    sides = split_sides(lung, axes, body_midline_mm(ct))[box]
    for side in (RIGHT_SIDE, LEFT_SIDE):
        regions = np.where(sides == side, looked_up(of_side[side], regions), regions)
    return regions


def body_midline_mm(ct: sitk.Image) -> float | None:
    """Lateral position (LPS x, mm) of the middle of what is soft tissue or bone in the CT; None if nothing is."""
    axes = PatientAxes.of(ct)
    step = tuple(max(1, round(4 / spacing)) for spacing in axes.spacing_mm)
    view = patient_array(ct)[tuple(slice(s // 2, None, s) for s in step)]
    body = (view > -150) & (view < 1500)
    return lateral_mm(axes, body, step) if body.any() else None


def _of_the_patient(lungs: UprightLungs, ct: sitk.Image, name: str, warnings: list[str]) -> UprightLungs:
    """Compare claimed sides with the patient's own; whole sides and thirds are swapped with a warning."""
    places = {side: _crop_lateral_mm(lungs.axes, *crop) for side, crop in lungs.crops().items()}
    if len(places) == 1:
        (lung, place), midline = *places.items(), body_midline_mm(ct)
        side, other = ("right", "left") if lung == SIDES[0] else ("left", "right")
        warnings.append(f"{name} holds one lung only, the {side} one; the {other} lung is missing.")
        away = 0.0 if midline is None else place - midline
        if away > 20 if side == "right" else away < -20:
            warnings.append(f"the lung that {name} calls the {side} one lies in the {other} half of the body.")
    if len(places) < 2 or places["right lung"] <= places["left lung"]:
        return lungs
    regions = lungs.regions()
    if looked_up(np.isin(np.arange(256), [int(lobe) for lobe in LOBES]), regions).any():
        raise InputError(
            f"{name} has its right lobes on the patient's left; the mask or the direction of its axes is wrong, "
            "give a mask made on this CT."
        )
    table = np.arange(256, dtype=np.uint8)
    for a, b in zip((_R.RIGHT_LUNG, *RIGHT_THIRDS), (_R.LEFT_LUNG, *LEFT_THIRDS), strict=True):
        table[[a, b]] = b, a
    warnings.append(
        f"{name} has right and left the other way round than the patient (by the direction of the axes); "
        "the patient's sides were taken."
    )
    return UprightLungs.of_regions(lungs.axes, lungs.box, looked_up(table, regions))


def _crop_lateral_mm(axes: PatientAxes, box: Box, mask: np.ndarray) -> float:
    """Lateral position of a mask in a box of the view; see ``lateral_mm``."""
    corner = axes.points_mm(np.array([[part.start for part in box]]))[0]
    return lateral_mm(replace(axes, origin_mm=tuple(corner)), mask)
