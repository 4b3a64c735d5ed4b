"""Is this CT, with these lungs, what the method was made for? Checks that a report shows beside its result.

WARN means: check before interpreting the map. FAIL means: the map cannot be right.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import SimpleITK as sitk

from DLCTPMLib.labels.chest_regions import SIDES
from DLCTPMLib.lungs.field_of_view import Padding
from DLCTPMLib.lungs.left_out import left_out
from DLCTPMLib.lungs.upright import UprightLungs
from DLCTPMLib.quality.anatomy import Landmarks, orientation_checks
from DLCTPMLib.quality.coverage import whole_chest
from DLCTPMLib.quality.rib_cage import filled_rib_cage
from DLCTPMLib.volumes.patient_axes import patient_array

PASS, WARN, FAIL = "PASS", "WARN", "FAIL"

CONTRAST_HU = 80.0
"""Upper quartile of the tissue between the lungs above which blood carries contrast medium."""
_FACES = (("bottom", "top"), ("front", "back"), ("right", "left"))  # first and last plane of the view axes z, y, x


def check_input(ct: sitk.Image, lungs: sitk.Image | UprightLungs, bundle_metadata: dict | None = None) -> list[dict]:
    """Check a CT and its lungs: ``quality`` of ``result.json``.

    Args:
        ct: HU.
        lungs: upright, or as a label image of CIP values on the CT's grid.
        bundle_metadata: the model's; its ``training_ranges`` (``lung_volume_ml`` and ``lung_mean_hu`` of a single
            lung, each [lowest, highest]) are checked too.

    Returns:
        dicts of ``check`` (its name), ``status`` (PASS, WARN or FAIL), ``value`` (a number, or None where it could
        not be measured) and ``message`` (one sentence).
    """
    lungs = UprightLungs.of(lungs)
    chest = ChestMeasurements(ct, lungs)
    checks = [
        _intensities(chest),
        _slice_spacing(chest),
        _in_plane_spacing(chest),
        _tilt(chest),
        _field_of_view(chest),
        whole_chest(chest.hu, chest.lung, chest.box[0].start, float(np.prod(chest.axes.spacing_mm[1:]))),
        _lung_volume(chest),
        filled_rib_cage(left_out(chest.hu, lungs)),
        _balance(chest),
        _lung_density(chest),
        _dense_lung(chest),
        _contrast(chest),
        *orientation_checks(chest.landmarks),
        *_training_ranges(chest, (bundle_metadata or {}).get("training_ranges", {})),
    ]
    return [dict(zip(("check", "status", "value", "message"), check, strict=True)) for check in checks]


def failures(quality: list[dict]) -> list[dict]:
    """Those of the checks by which the map cannot be right."""
    return [check for check in quality if check["status"] == FAIL]


class ChestMeasurements:
    """What the checks look at: HU and lungs in the box of the lungs, along the patient's axes."""

    def __init__(self, ct: sitk.Image, lungs: UprightLungs):
        self.axes, self.box = lungs.axes, lungs.box
        self.hu = patient_array(ct)
        self.lowest = float(self.hu.min())
        self.hu_box = self.hu[self.box]
        self.masks = {side: lungs.sides == value for value, side in enumerate(SIDES, start=1)}
        self.lung = lungs.sides > 0
        self.volume_ml = {side: float(np.count_nonzero(m)) * self.axes.voxel_ml for side, m in self.masks.items()}
        self.mean_hu = {
            side: float(self.hu_box[m].mean(dtype=float)) if m.any() else None for side, m in self.masks.items()
        }
        self.total_ml = sum(self.volume_ml.values())
        ends = self.box[0].start == 0, self.box[0].stop == self.hu.shape[0]
        self.landmarks = Landmarks.of(self.hu_box, lungs.sides, self.axes, ends)


Check = tuple[str, str, float | None, str]


def _intensities(chest: ChestMeasurements) -> Check:
    name, lowest = "intensities", chest.lowest
    if lowest > -200:
        return (
            name,
            FAIL,
            lowest,
            f"The lowest value is {lowest:g}: these are not Hounsfield units, in which air is −1000.",
        )
    return name, PASS, lowest, "The values reach down to air, as Hounsfield units do."


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


def _lung_volume(chest: ChestMeasurements) -> Check:
    volume = chest.total_ml
    message = f"The lungs hold {volume / 1000:.1f} litres"
    if volume < 500:
        return "lung volume", FAIL, volume, f"{message}: the mask cannot be that of both lungs."
    if not 1500 <= volume <= 10000:
        return "lung volume", WARN, volume, f"{message}; 1.5 to 10 are usual in adults, so look at the mask."
    return "lung volume", PASS, volume, f"{message}."


def _balance(chest: ChestMeasurements) -> Check:
    if not chest.total_ml:
        return "lung balance", FAIL, None, "There is no lung in the mask."
    share = 100 * chest.volume_ml["right lung"] / chest.total_ml
    message = f"The right lung has {share:.0f} % of the volume"
    if share in (0, 100):
        return "lung balance", WARN, share, f"{message}: the mask holds one lung only."
    if not 40 <= share <= 68:
        return "lung balance", WARN, share, f"{message}; 50 to 58 % is usual, so look at the mask and for collapse."
    return "lung balance", PASS, share, f"{message}."


def _lung_density(chest: ChestMeasurements) -> Check:
    if not chest.total_ml:
        return "mean lung density", FAIL, None, "There is no lung in the mask."
    mean = float(chest.hu_box[chest.lung].mean(dtype=float))
    message = f"The lungs have {mean:.0f} HU on average"
    if not -1000 <= mean <= -350:
        return "mean lung density", FAIL, mean, f"{message}: this is not aerated lung, or not Hounsfield units."
    if mean > -650:
        return (
            "mean lung density",
            WARN,
            mean,
            f"{message}: breathed out, or consolidation or vessels in the mask.",
        )
    if mean < -920:
        return "mean lung density", WARN, mean, f"{message}: strongly inflated or emphysematous."
    return "mean lung density", PASS, mean, f"{message}."


def _dense_lung(chest: ChestMeasurements) -> Check:
    if not chest.total_ml:
        return "dense lung", FAIL, None, "There is no lung in the mask."
    share = 100 * float(np.count_nonzero(chest.hu_box[chest.lung] > -400)) / np.count_nonzero(chest.lung)
    message = f"{share:.0f} % of the mask is denser than −400 HU"
    if share > 60:
        return "dense lung", FAIL, share, f"{message}: this is not a mask of the lungs on this CT."
    if share > 20:
        return "dense lung", WARN, share, f"{message}: consolidation, effusion or soft tissue in the mask."
    return "dense lung", PASS, share, f"{message}."


def _contrast(chest: ChestMeasurements) -> Check:
    name = "intravenous contrast"
    level = _mediastinum_hu(chest)
    if level is None:
        return name, WARN, None, "Contrast medium could not be looked for: there is no tissue between two lungs."
    message = f"A quarter of the tissue between the lungs has more than {level:.0f} HU"
    if level > CONTRAST_HU:
        return (
            name,
            WARN,
            level,
            f"{message}: contrast medium in the blood, which makes lung denser; the method is meant for CT without.",
        )
    return name, PASS, level, f"{message}: no sign of contrast medium."


def _mediastinum_hu(chest: ChestMeasurements) -> float | None:
    """Upper quartile of the HU of heart, great vessels and muscle between the lungs; None where there is too little.

    What lies between the two lungs on a line from right to left, at 15 to 55 % of the lungs' depth: behind the
    sternum and in front of the spine. Blocks of about 6 mm are averaged first, so that noise counts for little;
    those with lung, fat or air are left out. The quartile, since contrast may fill the right heart alone.
    """
    step = tuple(max(1, round(6 / spacing)) for spacing in chest.axes.spacing_mm)
    shape = [n // s * s for n, s in zip(chest.lung.shape, step, strict=True)]
    if not all(shape):
        return None

    def blocks(array: np.ndarray) -> np.ndarray:
        cut = array[: shape[0], : shape[1], : shape[2]].astype(np.float32)
        sizes = [part for n, s in zip(shape, step, strict=True) for part in (n // s, s)]
        return cut.reshape(sizes).mean(axis=(1, 3, 5))

    right, left = (blocks(chest.masks[side]) for side in SIDES)
    depth = right.shape[1]
    heart = np.s_[:, round(0.15 * depth) : round(0.55 * depth)]
    right, left, hu = right[heart], left[heart], blocks(chest.hu_box)[heart]
    after_right = np.maximum.accumulate(right, axis=2) > 0.5  # x runs to the patient's left
    before_left = np.maximum.accumulate(left[:, :, ::-1], axis=2)[:, :, ::-1] > 0.5
    tissue = hu[after_right & before_left & (right + left == 0) & (hu > 0) & (hu < 500)]
    return float(np.percentile(tissue, 75)) if len(tissue) >= 100 else None


def _training_ranges(chest: ChestMeasurements, ranges: dict) -> Iterator[Check]:
    """Each lung against the lungs that the model has learned from."""
    for key, values, what, unit in (
        ("lung_volume_ml", chest.volume_ml, "volume", "ml"),
        ("lung_mean_hu", chest.mean_hu, "mean density", "HU"),
    ):
        if key not in ranges:
            continue
        low, high = ranges[key]
        for side in SIDES:
            value = values[side]
            if not chest.volume_ml[side]:
                continue
            inside = low <= value <= high
            yield (
                f"{side}: {what} in training",
                PASS if inside else WARN,
                value,
                f"The {side}'s {what} is {value:.0f} {unit}; the model learned from lungs of {low:.0f} to {high:.0f} "
                f"{unit}{'.' if inside else ', so it is outside what the model knows.'}",
            )
