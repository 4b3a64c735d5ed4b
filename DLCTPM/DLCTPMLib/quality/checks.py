"""Is this CT, with these lungs, what the method was made for? Checks that a report shows beside its result.

WARN means: check before interpreting the map. FAIL means: the map cannot be right.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import SimpleITK as sitk

from DLCTPMLib.lungs.field_of_view import Padding
from DLCTPMLib.lungs.left_out import left_out
from DLCTPMLib.lungs.upright import UprightLungs
from DLCTPMLib.quality.anatomy import Landmarks, orientation_checks
from DLCTPMLib.quality.chest import FAIL, PASS, WARN, Check, ChestMeasurements
from DLCTPMLib.quality.contrast import contrast_check
from DLCTPMLib.quality.coverage import whole_chest
from DLCTPMLib.quality.left_right import SideSigns, left_and_right
from DLCTPMLib.quality.lung_checks import lung_checks, training_ranges
from DLCTPMLib.quality.position import Position, position_check
from DLCTPMLib.quality.rib_cage import filled_rib_cage
from DLCTPMLib.volumes.hounsfield import hounsfield_fault

_FACES = (("bottom", "top"), ("front", "back"), ("right", "left"))  # first and last plane of the view axes z, y, x


def check_input(
    ct: sitk.Image,
    lungs: sitk.Image | UprightLungs,
    bundle_metadata: dict | None = None,
    header: Mapping | None = None,
) -> list[dict]:
    """Check a CT and its lungs: ``quality`` of ``result.json``.

    Args:
        ct: HU.
        lungs: upright, or as a label image of CIP values on the CT's grid.
        bundle_metadata: the model's; its ``training_ranges`` (``lung_volume_ml`` and ``lung_mean_hu`` of a single
            lung, each [lowest, highest]) are checked too.
        header: what the CT's DICOM header says (``Scan.description["dicom"]``): position and contrast agent are
            held against the image; None where there is none.

    Returns:
        dicts of ``check`` (its name), ``status`` (PASS, WARN or FAIL), ``value`` (a number, or None where it could
        not be measured) and ``message`` (one sentence).
    """
    lungs = UprightLungs.of(lungs)
    chest = ChestMeasurements(ct, lungs, header)
    landmarks = Landmarks.of(chest)
    checks = [
        _intensities(chest),
        _slice_spacing(chest),
        _in_plane_spacing(chest),
        _tilt(chest),
        _field_of_view(chest),
        whole_chest(chest.hu, chest.lung, chest.box[0].start, float(np.prod(chest.axes.spacing_mm[1:]))),
        *lung_checks(chest),
        filled_rib_cage(left_out(chest.hu, lungs)),
        contrast_check(chest),
        *orientation_checks(landmarks),
        left_and_right(SideSigns.of(chest, landmarks)),
        position_check(Position.of(chest, landmarks.spine)),
        *training_ranges(chest, (bundle_metadata or {}).get("training_ranges", {})),
    ]
    return [dict(zip(("check", "status", "value", "message"), check, strict=True)) for check in checks]


def _intensities(chest: ChestMeasurements) -> Check:
    fault = hounsfield_fault(chest.hu)
    if fault:
        return "intensities", FAIL, chest.lowest, f"The CT {fault}."
    return "intensities", PASS, chest.lowest, "Air, soft tissue and bone lie where Hounsfield units have them."


def _slice_spacing(chest: ChestMeasurements) -> Check:
    spacing = chest.axes.spacing_mm[0]
    if spacing > 3.0 + 1e-3:
        return (
            "slice spacing",
            WARN,
            spacing,
            f"Slices lie {spacing:.3g} mm apart: fine vessels and small defects are lost; take 3 mm or less.",
        )
    return "slice spacing", PASS, spacing, f"Slices lie {spacing:.3g} mm apart."


def _in_plane_spacing(chest: ChestMeasurements) -> Check:
    spacing = max(chest.axes.spacing_mm[1:])
    status = WARN if spacing > 1.5 else PASS
    more = "; an ordinary chest CT has less than 1 mm." if status == WARN else "."
    return "pixel spacing", status, spacing, f"Pixels are {spacing:.3g} mm wide{more}"


def _tilt(chest: ChestMeasurements) -> Check:
    cosine = np.clip(np.diag(chest.axes.directions), -1, 1).min()
    degrees = float(np.degrees(np.arccos(cosine)))
    if chest.axes.is_oblique:
        return (
            "tilt",
            WARN,
            degrees,
            f"The CT's grid is tilted by {degrees:.1f}° against the patient; it was resampled.",
        )
    return "tilt", PASS, degrees, "The CT's grid lies along the patient's axes."


def _field_of_view(chest: ChestMeasurements) -> Check:
    """Lung on the outermost planes of the volume, or beside padding, has been cut off."""
    cut_cm2 = {}
    for axis, faces in enumerate(_FACES):
        pixel_cm2 = np.prod([s for a, s in enumerate(chest.axes.spacing_mm) if a != axis]) / 100
        ends = ((0, chest.box[axis].start == 0), (-1, chest.box[axis].stop == chest.hu.shape[axis]))
        for face, (index, reached) in zip(faces, ends, strict=True):
            if reached and chest.lung.size:
                cut_cm2[face] = float(np.count_nonzero(np.take(chest.lung, index, axis=axis)) * pixel_cm2)
    if padding := _beside_padding_cm2(chest):
        cut_cm2["edge of the reconstruction"] = padding
    cut_cm2 = {face: area for face, area in cut_cm2.items() if area >= 1}
    total = float(sum(cut_cm2.values()))
    if not cut_cm2:
        return "field of view", PASS, total, "The lungs lie wholly inside the CT."
    where = ", ".join(f"{face} ({area:.0f} cm²)" for face, area in cut_cm2.items())
    return (
        "field of view",
        WARN,
        total,
        f"The lungs are cut off: {where}; volumes and percentages miss what lies outside.",
    )


def _beside_padding_cm2(chest: ChestMeasurements) -> float:
    """Area of lung that touches padding within the slices: what the scanner's round field of view cuts."""
    padded = Padding.of(chest.hu)
    if not padded or not chest.lung.size:
        return 0.0
    z, y, x = chest.axes.spacing_mm
    wider = tuple(slice(max(part.start - 1, 0), part.stop + 1) for part in chest.box)
    padding = padded.within(chest.hu, wider)
    inside = tuple(
        slice(part.start - out.start, part.stop - out.start) for part, out in zip(chest.box, wider, strict=True)
    )
    grown = np.zeros(padding.shape, bool)
    grown[inside] = chest.lung
    area = 0.0
    for axis, face_mm2 in ((1, z * x), (2, z * y)):
        lung, beyond = np.moveaxis(grown, axis, 0), np.moveaxis(padding, axis, 0)
        touching = np.count_nonzero(lung[1:] & beyond[:-1]) + np.count_nonzero(lung[:-1] & beyond[1:])
        area += touching * face_mm2 / 100
    return float(area)
