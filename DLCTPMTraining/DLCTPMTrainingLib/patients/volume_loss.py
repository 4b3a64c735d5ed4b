"""Lobes that shrink or are gone: fissures, mediastinum and diaphragm move towards them, the other lobes expand.

A chest is reshaped before it is built, so that the neighbours' displacement comes from the same anatomy as everything
else; the lung that takes up the room keeps its tissue and becomes less dense (``stretch``).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from DLCTPMLib.labels.chest_regions import ChestRegion
from DLCTPMTrainingLib.common.parameters import draw, value
from DLCTPMTrainingLib.patients.chest_shape import LEFT, RIGHT, ChestShape, lung_volumes_ml

RIGHT_UPPER, RIGHT_MIDDLE, RIGHT_LOWER = (
    int(ChestRegion.RIGHT_SUPERIOR_LOBE),
    int(ChestRegion.RIGHT_MIDDLE_LOBE),
    int(ChestRegion.RIGHT_INFERIOR_LOBE),
)
LEFT_UPPER, LEFT_LOWER = int(ChestRegion.LEFT_SUPERIOR_LOBE), int(ChestRegion.LEFT_INFERIOR_LOBE)
LOBES = (RIGHT_UPPER, RIGHT_MIDDLE, RIGHT_LOWER, LEFT_UPPER, LEFT_LOWER)
"""CIP values of the five lobes."""


def side_of(lobe: int) -> int:
    """``RIGHT`` or ``LEFT``."""
    return RIGHT if lobe in (RIGHT_UPPER, RIGHT_MIDDLE, RIGHT_LOWER) else LEFT


def shares_of(shape: ChestShape) -> dict[int, float]:
    """Share of its own lung that each lobe has, by CIP value."""
    lower, middle = shape.lobe_shares["right lower"], shape.lobe_shares["right middle"]
    left = shape.lobe_shares["left lower"]
    return {
        RIGHT_UPPER: 1 - lower - middle,
        RIGHT_MIDDLE: middle,
        RIGHT_LOWER: lower,
        LEFT_UPPER: 1 - left,
        LEFT_LOWER: left,
    }


def without_volume(shape: ChestShape, lobe: int, left: float, by: str) -> ChestShape:
    """A chest in which a lobe has shrunk to ``left`` of its volume (0: it is gone).

    Half of what is lost (``volume_loss.chest_share``) the chest makes up for: the mediastinum shifts to that side,
    its diaphragm rises, its ribs come closer; the other half the lobes beside it, which expand.

    Args:
        shape: the chest before.
        lobe: CIP value.
        left: 0…1.
        by: "collapse", "scar" or "resection".
    """
    side = side_of(lobe)
    mine = [other for other in LOBES if side_of(other) == side]
    before = shares_of(shape)
    lost = before[lobe] * (1 - left)
    taken = value("volume_loss.chest_share") * lost
    after = {other: before[other] / (1 - taken) for other in mine}
    after[lobe] *= left
    total = sum(after.values())
    after = {other: share / total for other, share in after.items()}
    shares = dict(shape.lobe_shares)
    if side == RIGHT:
        shares |= {"right lower": after[RIGHT_LOWER], "right middle": after[RIGHT_MIDDLE]}
    else:
        shares["left lower"] = after[LEFT_LOWER]
    width = list(shape.width_of_side)
    dome = list(shape.dome)
    index = 0 if side == RIGHT else 1
    width[index] *= 1 - 0.15 * taken
    dome[index] += 54 * taken
    changed = replace(
        shape,
        width_of_side=tuple(width),
        dome=tuple(dome),
        mediastinal_shift=shape.mediastinal_shift + side * 33 * taken,
        lobe_shares=shares,
        lost_lobe=lobe,
        lost_by=by,
    )
    volumes = [np.array(lung_volumes_ml(one)) for one in (shape, changed)]
    stretch = list(volumes[1] / volumes[0])
    stretch[index] *= (1 - after[lobe]) / (1 - before[lobe])
    return replace(changed, stretch=tuple(float(v) for v in stretch))


def collapsed(shape: ChestShape, lobe: int, rng: np.random.Generator) -> ChestShape:
    """A chest with an airless lobe behind a closed bronchus."""
    return without_volume(shape, lobe, draw(rng, "collapse.volume_left"), "collapse")


def resected(shape: ChestShape, lobe: int) -> ChestShape:
    """A chest after lobectomy."""
    return without_volume(shape, lobe, 0.0, "resection")
