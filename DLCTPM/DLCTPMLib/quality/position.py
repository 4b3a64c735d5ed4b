"""How the patient lay: told by what gravity does in the CT and by DICOM's Patient Position, never assumed.

In falling order of what they prove: the couch, a long thing that runs along the patient in every slice; levels of
fluid under gas in stomach and bowel; lung that is denser towards one side, which disease can imitate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from DLCTPMLib.lungs.upright import UprightLungs
from DLCTPMLib.quality.anatomy import SPINE_TELLS, Landmarks
from DLCTPMLib.quality.chest import PASS, WARN, Check, ChestMeasurements

SIDES = {"back": (1, 1), "front": (1, -1), "left": (2, 1), "right": (2, -1)}
"""Sides of the patient: the view's axis, and its direction there."""

LYING = {
    "back": "on the back (supine)",
    "front": "face down (prone)",
    "right": "on the right side (decubitus)",
    "left": "on the left side (decubitus)",
}
TURNED = {"back": 0.0, "right": 90.0, "front": 180.0, "left": -90.0}
"""Degrees by which the patient is turned from lying on the back."""

_CODES = {"S": "back", "P": "front", "DR": "right", "DL": "left"}
"""What DICOM's Patient Position (0018,5100) says after head, feet, left or right first: HFS, FFDR …"""

DENSITY = "the denser side of the lungs"

COUCH_HU = -850.0
"""Shell and cover of a couch lie above; the air around it, and a blanket's folds from slice to slice, do not."""

COUCH_SHARE = 0.4
"""Share of the body's breadth that has the couch beyond it before it tells (virtual and real ones: 1.0)."""

DENSER_HU_PER_CM = 3.0
"""Slope of the lungs' density before it tells (supine ones: −1 to 6 towards the back, −1 to 2 sideways)."""

LEVEL_CM2 = 4.0
LEVEL_FLAT = 0.7
"""Share of the ends of a bubble of gas on one side that lie in one plane, at least, and clearly more than on the
other side: round bubbles are alike on both."""


@dataclass(frozen=True)
class Position:
    """On which side of the body the patient lay.

    Attributes:
        seen: that side as the CT shows it, by the anatomy where the header has front and back exchanged; None where
            nothing shows it.
        sign: what showed it, in words.
        proves: whether that sign proves it; density does not.
        stated: that side by the DICOM header; None where it says nothing.
        code: DICOM's Patient Position, empty without.
    """

    seen: str | None
    sign: str
    proves: bool
    stated: str | None
    code: str

    @classmethod
    def of(cls, chest: ChestMeasurements, spine: float | None) -> Position:
        """Look.

        Args:
            chest: the CT and its lungs.
            spine: ``Landmarks.spine``: where the spine lies in front, front and back are exchanged.
        """
        code = str((chest.header or {}).get("PatientPosition", "")).strip().upper()
        seen, sign = None, ""
        for looks, words in _SIGNS if chest.lung.any() else ():
            seen, sign = looks(chest), words
            if seen is not None:
                break
        if spine is not None and spine < -SPINE_TELLS:
            seen = {"back": "front", "front": "back"}.get(seen, seen)
        return cls(seen, sign, sign != DENSITY, _CODES.get(code[2:]), code)

    @property
    def lies_on(self) -> str | None:
        """The side of the body the patient lay on: as proved, else as stated, else as seen; None where unknown."""
        return (self.proves and self.seen) or self.stated or self.seen


def position_of(ct: sitk.Image, lungs: sitk.Image | UprightLungs, header: Mapping | None = None) -> Position:
    """How the patient lay, of a CT (HU), its lungs and what its DICOM header says."""
    chest = ChestMeasurements(ct, UprightLungs.of(lungs), header)
    return Position.of(chest, Landmarks.of(chest).spine)


def position_check(position: Position) -> Check:
    """Whether the patient lay on the back, as those did from whom models learn; and whether the header agrees."""
    name, lies_on, seen, stated = "patient position", position.lies_on, position.seen, position.stated
    if lies_on is None:
        return name, PASS, None, "Nothing shows how the patient lay: the model expects one who lies on the back."
    agree = not (seen and stated) or seen == stated
    if agree:
        by = f"By {position.sign}" if seen else f"By the header's Patient Position ({position.code})"
        said = f"{by} the patient lies {LYING[lies_on]}"
    else:
        why = "the header or the image's orientation is wrong" + ("" if position.proves else ", or disease does that")
        said = (
            f"By {position.sign} the patient lies {LYING[seen]}, by the header's Patient Position ({position.code}) "
            f"{LYING[stated]}: {why}"
        )
    if {seen, stated} <= {None, "back"}:
        return name, PASS, 0.0, f"{said}."
    message = (
        f"{said}; the model has learned from patients who lie on the back, whose lower lung is denser and better "
        "perfused: in another position the map may be wrong from front to back and from side to side, and so are the "
        "baselines that expect gravity."
    )
    return name, WARN, TURNED[lies_on], message


def _couch(chest: ChestMeasurements) -> str | None:
    """The side of the body along which something runs through all slices of the lungs."""
    box, spacing = chest.box, np.array(chest.axes.spacing_mm[1:])
    slices = np.unique(np.linspace(box[0].start, box[0].stop - 1, 16).round().astype(int))
    hu = np.sort(chest.hu[slices].astype(np.float32), axis=0)
    filling = (hu[0] == hu[-1]) & (hu[0] == hu[0, 0, 0])  # around a round field of view: one value throughout
    steady, middle = hu[len(hu) // 5], hu[len(hu) // 2]
    lung = np.zeros(middle.shape, bool)
    lung[box[1:]] = chest.lung.any(axis=0)
    step = [max(1, round(2 / mm)) for mm in spacing]
    mm = spacing * step
    body = _body(_coarse((middle > -500) & ~filling | lung, step), mm)
    if not body.any():
        return None
    beyond = _coarse((steady > COUCH_HU) & ~filling, step) & ~ndimage.binary_dilation(body, _disk(8, mm))
    share = {}
    for side, (axis, direction) in SIDES.items():
        patient, thing = (np.moveaxis(a, axis - 1, 0)[::direction] for a in (body, beyond))
        lines = np.flatnonzero(patient.any(axis=0))
        tenth = round(0.1 * len(lines))
        lines = lines[tenth : len(lines) - tenth]
        last = len(patient) - 1 - patient[::-1].argmax(axis=0)
        depth = (np.arange(len(patient))[:, None] - last) * mm[axis - 1]
        share[side] = np.mean((thing & (depth > 0) & (depth < 100)).any(axis=0)[lines])
    first, second = sorted(share, key=share.get)[:-3:-1]
    return first if share[first] >= max(COUCH_SHARE, 1.5 * share[second]) else None


def _body(solid: np.ndarray, mm: np.ndarray) -> np.ndarray:
    """The largest piece that is more than thin, its holes filled: the patient without couch and covers."""
    pieces, count = ndimage.label(ndimage.binary_opening(solid, _disk(6, mm)))
    if not count:
        return np.zeros(solid.shape, bool)
    return ndimage.binary_fill_holes(pieces == 1 + np.bincount(pieces.ravel())[1:].argmax())


def _disk(radius_mm: float, mm: np.ndarray) -> np.ndarray:
    rows, columns = (int(radius_mm // size) for size in mm)
    y, x = np.ogrid[-rows : rows + 1, -columns : columns + 1]
    return (y * mm[0]) ** 2 + (x * mm[1]) ** 2 <= radius_mm**2


def _coarse(array: np.ndarray, step: list[int]) -> np.ndarray:
    """Whether any pixel of each block is set."""
    rows, columns = (n // s for n, s in zip(array.shape, step, strict=True))
    cut = array[: rows * step[0], : columns * step[1]]
    return cut.reshape(rows, step[0], columns, step[1]).any(axis=(1, 3))


def _fluid_levels(chest: ChestMeasurements) -> str | None:
    """The side towards which gas outside the lungs ends in flat levels over fluid."""
    step = [max(1, round(2.5 / spacing)) for spacing in chest.axes.spacing_mm]
    more = min(chest.box[0].start, round(80 / chest.axes.spacing_mm[0]))
    box = (slice(chest.box[0].start - more, chest.box[0].stop), *chest.box[1:])
    hu = chest.hu[box][:: step[0], :: step[1], :: step[2]]
    lung = np.pad(chest.lung, ((more, 0), (0, 0), (0, 0)))[:: step[0], :: step[1], :: step[2]]
    pieces, _ = ndimage.label((hu < -800) & ~lung)
    edges = np.unique(np.concatenate([np.take(pieces, end, axis).ravel() for axis in (1, 2) for end in (0, -1)]))
    pieces[np.isin(pieces, edges)] = 0  # air around the patient
    fluid = (hu > -30) & (hu < 400)
    mm = np.multiply(chest.axes.spacing_mm, step)
    level_cm2 = dict.fromkeys(SIDES, 0.0)
    for number, place in enumerate(ndimage.find_objects(pieces), start=1):
        if place is None or np.count_nonzero(pieces[place] == number) * mm.prod() < 3000:
            continue
        wider = tuple(slice(max(part.start - 2, 0), part.stop + 2) for part in place)
        gas, wet = pieces[wider] == number, fluid[wider]
        for side, (axis, direction) in SIDES.items():
            above, below = (np.moveaxis(a, axis, 0)[::direction] for a in (gas, wet))
            wet_ends = above[:-2] & ~above[1:-1] & below[2:]  # a layer between them may hold both
            opposite_ends = above[1:-1] & ~above[:-2]
            area, flat = _flatness(wet_ends)
            if flat >= max(LEVEL_FLAT, _flatness(opposite_ends)[1] + 0.2):
                level_cm2[side] += float(area * mm.prod() / mm[axis] / 100)
    best = max(level_cm2, key=level_cm2.get)
    others = sum(level_cm2.values()) - level_cm2[best]
    return best if level_cm2[best] >= max(LEVEL_CM2, 2 * others) else None


def _flatness(ends: np.ndarray) -> tuple[int, float]:
    """How many of a bubble's ends lie in two neighbouring layers, at most, and which share of all that is."""
    layers = np.count_nonzero(ends, axis=(1, 2))
    pairs = layers[:-1] + layers[1:]
    most = int(pairs.max(initial=0))
    return most, most / max(int(layers.sum()), 1)


def _denser_side(chest: ChestMeasurements) -> str | None:
    """The side towards which both lungs get denser, by least squares over blocks that are aerated lung."""
    blocks = chest.blocks(8.0)
    if blocks is None:
        return None
    slopes = []
    for lung in (blocks.right, blocks.left):
        inside = (lung > 0.999) & (blocks.hu < -600)
        _, y, x = np.nonzero(inside)
        if len(y) < 50:
            return None
        place = np.stack([np.ones(len(y)), y * blocks.mm[1] / 10, x * blocks.mm[2] / 10], axis=1)
        slopes.append(np.linalg.lstsq(place, blocks.hu[inside], rcond=None)[0][1:])
    back, left = np.mean(slopes, axis=0)
    slope = {"back": back, "front": -back, "left": left, "right": -left}
    best = max(slope, key=slope.get)
    return best if slope[best] >= DENSER_HU_PER_CM else None


_SIGNS = ((_couch, "the couch"), (_fluid_levels, "levels of fluid under gas"), (_denser_side, DENSITY))
