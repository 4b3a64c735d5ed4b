"""What the anatomy says of front and back, head and feet: measured beside the header, never guessed.

Each landmark gives one signed figure: above 0 where the image lies as its header says, below where it lies the
other way round, near 0 or None where it does not tell. All is measured on samples about 4 mm apart.

1. *Spine*: bone in the midline lies behind the middle of the lungs, not in front of it, at a side, above or below; it
   alone is looked for beside a single lung.
2. *Liver and heart*: among the lungs there is more tissue in their lower half (heart, domes of the diaphragm)
   than in the upper one.
3. *Heart*: it lies to the left of the spine; ``left_right`` goes on from there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from DLCTPMLib.quality.chest import FAIL, PASS, Check, ChestMeasurements

SAMPLE_MM = 4.0
BONE_HU, TISSUE_HU = 250.0, (-100.0, 250.0)

SPINE_TELLS = 0.4
"""Balance of bone behind and in front from which it tells (virtual and real patients: 0.77 to 1.0)."""

ASIDE_TELLS = 0.7
"""The same at two other ends, where it is neither behind nor in front: then axes are exchanged, and what an ordinary
patient has behind (0.77 to 1.0) is there."""

LIVER_TELLS = 0.15
"""Balance of tissue in the lower and the upper half from which it tells (virtual and real ones: −0.04 to 0.32)."""

LEAST_BONE_ML = 15.0
MOST_CUT_CM2 = 40.0
"""Lung on the first or last slice above which an end of the lungs is missing and no longer tells head from feet."""


@dataclass(frozen=True)
class Landmarks:
    """What was measured; None where the landmark could not be seen.

    Attributes:
        spine: (bone behind − bone in front) / their sum, in the midline within the lungs' depth: −1 … 1.
        aside: where the spine lies if it is neither behind nor in front: "left", "right", "head" or "feet".
        liver: (tissue among the lungs in their lower half − in the upper one) / their sum: −1 … 1.
        heart_mm: how far the tissue between the lungs lies to the left of the spine.
    """

    spine: float | None = None
    aside: str | None = None
    liver: float | None = None
    heart_mm: float | None = None

    @classmethod
    def of(cls, chest: ChestMeasurements) -> Landmarks:
        """Measure."""
        step = tuple(max(1, round(SAMPLE_MM / mm)) for mm in chest.axes.spacing_mm)
        sample = tuple(slice(s // 2, None, s) for s in step)
        hu, lung = chest.hu_box[sample], chest.sides[sample]
        mm = np.multiply(chest.axes.spacing_mm, step)
        if min(hu.shape, default=0) < 8:
            return cls()
        if chest.right_percent in (0, 100):
            across = chest.hu[chest.box[:2]][sample]
            middle = _middle_of_body(across)
            spine, _ = _spine(across, middle, mm)
            return cls(spine, _aside(across, middle, mm, spine))
        open_ends = chest.box[0].start == 0, chest.box[0].stop == chest.hu.shape[0]
        cut = [
            end and np.count_nonzero(lung[index]) * mm[1] * mm[2] / 100 > MOST_CUT_CM2
            for index, end in ((0, open_ends[0]), (-1, open_ends[1]))
        ]
        middle = _midline(lung)
        spine, column = _spine(hu, middle, mm)
        liver = None if any(cut) else _liver(hu, lung)
        return cls(spine, _aside(hu, middle, mm, spine), liver, _heart(hu, lung, column, mm))


def _midline(lung: np.ndarray) -> float:
    """The column halfway between the centres of the two lungs."""
    columns = np.arange(lung.shape[2])
    counts = (np.count_nonzero(lung == side, axis=(0, 1)) for side in (1, 2))
    return float(np.mean([(c @ columns) / c.sum() for c in counts]))


def _middle_of_body(hu: np.ndarray) -> float:
    """The column in the middle of what is no air."""
    counts = np.count_nonzero(hu > TISSUE_HU[0], axis=(0, 1))
    return float(counts @ np.arange(len(counts)) / max(counts.sum(), 1))


def _spine(hu: np.ndarray, middle: float, mm: np.ndarray) -> tuple[float | None, float | None]:
    """The balance of bone behind and in front, and the column of the spine where there is one."""
    columns = _around(middle, mm[2])
    bone = hu[:, :, columns] > BONE_HU
    balance = _balance(bone, 1, mm)
    if balance is None:
        return None, None
    third = round(0.35 * hu.shape[1])
    where = bone[:, -third:] if balance > 0 else bone[:, :third]
    counts = np.count_nonzero(where, axis=(0, 1))
    return balance, columns.start + float(counts @ np.arange(len(counts)) / counts.sum())


def _aside(hu: np.ndarray, middle: float, mm: np.ndarray, spine: float | None) -> str | None:
    """Where the spine lies if it is neither behind nor in front, though there is bone."""
    if spine is None or abs(spine) >= SPINE_TELLS:
        return None
    rows, columns = _around(hu.shape[1] / 2, mm[1]), _around(middle, mm[2])
    for part, axis, (first, last) in ((hu[:, rows], 2, ("right", "left")), (hu[:, :, columns], 0, ("feet", "head"))):
        balance = _balance(part > BONE_HU, axis, mm)
        if balance is not None and abs(balance) >= ASIDE_TELLS:
            return last if balance > 0 else first
    return None


def _around(place: float, mm: float) -> slice:
    """Samples up to 30 mm from a place."""
    reach = round(30 / mm)
    return slice(max(round(place) - reach, 0), round(place) + reach + 1)


def _balance(bone: np.ndarray, axis: int, mm: np.ndarray) -> float | None:
    """(Bone in the last third along an axis − bone in the first) / their sum; None where there is too little."""
    along = np.moveaxis(bone, axis, 0)
    third = round(0.35 * len(along))
    first, last = (int(np.count_nonzero(part)) for part in (along[:third], along[-third:]))
    if (first + last) * mm.prod() / 1000 < LEAST_BONE_ML:
        return None
    return (last - first) / (last + first)


def _liver(hu: np.ndarray, lung: np.ndarray) -> float | None:
    """The balance of tissue within the lungs' outline in their lower and in their upper half."""
    half = len(lung) // 2
    tissue = (hu > TISSUE_HU[0]) & (hu < TISSUE_HU[1]) & (lung == 0)

    def within(part: slice) -> int:
        total = 0
        for plane, there in zip(tissue[part], lung[part] > 0, strict=True):
            rows, columns = np.flatnonzero(there.any(axis=1)), np.flatnonzero(there.any(axis=0))
            if len(rows):
                total += np.count_nonzero(plane[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
        return total

    low, high = within(slice(0, half)), within(slice(-half, None))
    return (low - high) / (low + high) if low + high else None


def _heart(hu: np.ndarray, lung: np.ndarray, column: float | None, mm: np.ndarray) -> float | None:
    """How far the tissue between the two lungs, in their middle third, lies to the left of the spine."""
    if column is None:
        return None
    third = len(lung) // 3
    slab = slice(third, 2 * third)
    after_right = np.maximum.accumulate(lung[slab] == 1, axis=2)
    before_left = np.maximum.accumulate((lung[slab] == 2)[:, :, ::-1], axis=2)[:, :, ::-1]
    heart = after_right & before_left & (lung[slab] == 0) & (hu[slab] > TISSUE_HU[0])
    counts = np.count_nonzero(heart, axis=(0, 1))
    if counts.sum() * mm.prod() / 1000 < 50:
        return None
    return float((counts @ np.arange(len(counts)) / counts.sum() - column) * mm[2])


def orientation_checks(landmarks: Landmarks) -> tuple[Check, Check]:
    """Whether front and back, head and feet are where the header says."""
    return _front_and_back(landmarks.spine, landmarks.aside), _head_and_feet(landmarks.liver)


def _front_and_back(spine: float | None, aside: str | None) -> Check:
    name = "front and back"
    if aside is not None:
        turned = "rows and columns are exchanged, or the slices turned"
        why = {"left": turned, "right": turned}.get(aside, "the slices are coronal ones, called axial")
        message = f"The spine lies where the header says that the {aside} is: {why}; correct the orientation."
        return name, FAIL, spine, message
    if spine is None or abs(spine) < SPINE_TELLS:
        return name, PASS, spine, "No spine was found that would tell the back from the front: look at it yourself."
    if spine > 0:
        return name, PASS, spine, "The spine lies at the back, where the header says that it is."
    message = (
        "The spine lies where the header says that the front is: the rows are stored back to front, or the patient "
        "lay face down and was registered as lying on the back; correct the orientation."
    )
    return name, FAIL, spine, message


def _head_and_feet(liver: float | None) -> Check:
    name = "head and feet"
    if liver is None:
        return (
            name,
            PASS,
            None,
            "An end of the lungs is missing, so nothing tells head from feet: look yourself.",
        )
    if liver < -LIVER_TELLS:
        message = (
            "Heart and liver lie where the header says that the head is: the slices are stored upside down; correct "
            "the orientation."
        )
        return name, FAIL, liver, message
    if liver < LIVER_TELLS:
        return name, PASS, liver, "Heart and liver do not tell head from feet clearly: look at it yourself."
    return name, PASS, liver, "Heart and liver lie towards the feet, where the header says that they are."
