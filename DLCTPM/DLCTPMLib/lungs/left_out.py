"""What fills the rib cage beside the lungs of a mask: effusion, consolidation, mass, collapse, free air.

Lungs found by their air end where they hold none, so a dense part makes a lung small without a word. Two measures on
samples about 4 mm apart, for each side:

1. *Beside*: from the middle of the lung in its slice outwards, what lies between the last lung and the first rib. The
   ribs are slanted, so the nearest ones above and below count too. Towards heart and mediastinum nothing is sought.
2. *In place of*: slices in which this lung has nothing and the other has something, as much as the other has.

A lower lobe that is dense as a whole is measured where lung lies in front of it; what the heart hides is not seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from DLCTPMLib.labels.chest_regions import SIDES
from DLCTPMLib.lungs.upright import UprightLungs

SAMPLE_MM, STEP_MM = 4.0, 2.0
BONE_HU, AERATED_HU, FAT_HU = 200.0, -400.0, -30.0
"""Bone lies above the first, gas and aerated lung below the second; what is denser than the last is no fat."""

WALL_MM = 8.0
"""Pleura and muscle between a lung and its ribs, and half a sample: no part of what was left out."""

RAY_MM = 200.0
"""How far from the middle of a lung ribs are sought."""

RIBS_MM = 16.0
"""Above and below a slice, ribs within this height tell where the cage is (they lie about 25 mm apart)."""

ANGLES = np.deg2rad(np.arange(-60.0, 141.0, 5.0))
"""Directions from straight outwards (0) to the front (−90) and to the back (90)."""


@dataclass(frozen=True)
class LeftOut:
    """What lies inside the rib cage of one side, but outside its lung.

    Attributes:
        dense_ml: denser than fat: fluid, consolidation, tumour.
        aerated_ml: gas or aerated lung.
        share: both, as a part of what they and the lung take up.
    """

    dense_ml: float
    aerated_ml: float
    share: float


def left_out(hu: np.ndarray, lungs: UprightLungs) -> dict[str, LeftOut]:
    """Measure both sides (a side without any lung too, where the other has one).

    Args:
        hu: the CT, (z, y, x) along the patient's axes.
        lungs: on it.
    """
    if not lungs.sides.size:
        return {}
    spacing = np.array(lungs.axes.spacing_mm)
    step = np.maximum(1, np.round(SAMPLE_MM / spacing)).astype(int)
    layers, rows, columns = lungs.box
    whole = np.zeros((layers.stop - layers.start, *hu.shape[1:]), np.uint8)
    whole[:, rows, columns] = lungs.sides
    sample = tuple(slice(s // 2, None, s) for s in step)
    hu, sides, mm = hu[layers][sample], whole[sample], spacing * step
    ml = float(mm.prod()) / 1000
    found = {}
    for value, side in enumerate(SIDES, start=1):
        own, other = sides == value, sides == 3 - value
        dense, aerated = np.add(_beside(hu, own, other, value, mm), np.multiply(_in_place(hu, own, other), ml))
        cage = np.count_nonzero(own) * ml + dense + aerated
        found[side] = LeftOut(float(dense), float(aerated), float((dense + aerated) / cage) if cage else 0.0)
    return found


def _beside(hu: np.ndarray, own: np.ndarray, other: np.ndarray, side: int, mm: np.ndarray) -> tuple[float, float]:
    """Dense and aerated ml between a lung and its ribs."""
    layers = np.flatnonzero(own.any(axis=(1, 2)))
    if not len(layers):
        return 0.0, 0.0
    centres = np.array([np.argwhere(own[z]).mean(axis=0) for z in layers])
    radii = np.arange(0.0, RAY_MM, STEP_MM)
    outwards = -1 if side == 1 else 1  # x runs to the patient's left
    away = np.stack([np.sin(ANGLES) / mm[1], outwards * np.cos(ANGLES) / mm[2]])[..., None] * radii
    rows, columns = (
        np.round(centres[:, i, None, None] + away[i]).astype(int) for i in (0, 1)
    )  # (layer, angle, radius)
    seen = (rows >= 0) & (rows < hu.shape[1]) & (columns >= 0) & (columns < hu.shape[2])
    at = layers[:, None, None], np.where(seen, rows, 0), np.where(seen, columns, 0)
    ray = hu[at]
    lung = own[at] & seen
    last = np.where(lung.any(axis=2), len(radii) - 1 - lung[..., ::-1].argmax(axis=2), len(radii))
    bone = (np.arange(len(radii)) > last[..., None]) & (ray > BONE_HU) & seen
    rib = np.where(bone.any(axis=2), bone.argmax(axis=2) * STEP_MM, np.inf)
    near = 1 + 2 * int(RIBS_MM / mm[0])
    cage = ndimage.minimum_filter(rib, (near, 3), mode="constant", cval=np.inf)
    cage[np.isinf(cage)] = 0
    gap = (radii > last[..., None] * STEP_MM) & (radii < cage[..., None] - WALL_MM) & seen & ~other[at]
    ml = radii * STEP_MM * (ANGLES[1] - ANGLES[0]) * mm[0] / 1000
    dense, aerated = (float((gap & kind).sum(axis=(0, 1)) @ ml) for kind in _kinds(ray))
    return dense, aerated


def _in_place(hu: np.ndarray, own: np.ndarray, other: np.ndarray) -> tuple[int, int]:
    """Dense and aerated samples where the other lung would lie, were it on this side, in slices without this one."""
    without = other & ~own.any(axis=(1, 2))[:, None, None]
    z, y, x = np.nonzero(without)
    if not len(z):
        return 0, 0
    bone = np.nonzero(hu > BONE_HU)[2]
    middle = bone.mean() if len(bone) else (hu.shape[2] - 1) / 2
    mirrored = np.clip(np.round(2 * middle - x).astype(int), 0, hu.shape[2] - 1)
    dense, aerated = _kinds(hu[z, y, mirrored])
    return np.count_nonzero(dense), np.count_nonzero(aerated)


def _kinds(hu: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return (hu > FAT_HU) & (hu < BONE_HU), hu < AERATED_HU
