"""The anatomy of a virtual patient on its core grid: lungs with lobes and fissures, and what surrounds them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from DLCTPMLib.labels.chest_regions import ChestRegion
from DLCTPMTrainingLib.common.grid import Grid, RandomField
from DLCTPMTrainingLib.patients.chest_shape import (
    LEFT,
    RIGHT,
    ChestShape,
    body,
    cage,
    chest_grid,
    diaphragm_height,
    landmarks,
    lung,
    mediastinum,
)
from DLCTPMTrainingLib.patients.surroundings import surroundings_hu


@dataclass
class Anatomy:
    """A chest on a core grid.

    Attributes:
        shape: the measures it was built from.
        grid: the core grid, real millimetres.
        lung_mm: signed distance (first order, negative inside, capped) to the pleura of the nearer lung.
        side: −1 where the right lung is the nearer, 1 the left (int8).
        lobe: CIP lobe values 4…8 inside the lungs and just beyond (uint8), 0 far away.
        fissure_mm: distance to the nearest fissure between lobes (float32, capped at 20).
        surroundings_hu: everything that is not lung, in HU (float32), continued beneath the lungs.
        points: landmarks in real millimetres (x, y, z).
    """

    shape: ChestShape
    grid: Grid
    lung_mm: np.ndarray
    side: np.ndarray
    lobe: np.ndarray
    fissure_mm: np.ndarray
    surroundings_hu: np.ndarray
    points: dict[str, np.ndarray]

    @property
    def lung(self) -> np.ndarray:
        """Boolean mask of both lungs."""
        return self.lung_mm < 0


def build_anatomy(shape: ChestShape, spacing_mm: float, margin_mm: tuple[float, float]) -> Anatomy:
    """Evaluate a chest on its core grid."""
    grid = chest_grid(shape, (spacing_mm,) * 3, margin_mm)
    s = np.float32(shape.scale)
    z, y, x = (axis / s for axis in grid.zyx)
    rng = np.random.default_rng(shape.seed)
    uneven = RandomField(rng, 34.0 * shape.scale).on(grid) * np.float32(1.6)

    between = mediastinum(shape, z, y, x)
    middle = between["all"]
    cages = {side: cage(shape, side, z, y, x) for side in (RIGHT, LEFT)}
    domes = {side: diaphragm_height(shape, side, y, x) for side in (RIGHT, LEFT)}
    fields = {side: lung(shape, side, z, cages[side], domes[side], middle, x) for side in (RIGHT, LEFT)}
    side = np.where(fields[RIGHT] < fields[LEFT], np.int8(RIGHT), np.int8(LEFT))
    implicit = np.minimum(fields[RIGHT], fields[LEFT]) * s + uneven
    lung_mm = _first_order_distance(implicit.astype(np.float32), spacing_mm)
    surroundings = surroundings_hu(shape, grid, between, cages, domes, body(shape, z, y, x), rng)
    lobe, fissure = lobes_by_fissures(shape, grid, lung_mm, side, rng)
    points = {name: point * shape.scale for name, point in landmarks(shape).items()}
    return Anatomy(shape, grid, lung_mm, side, lobe, fissure, surroundings, points)


def _first_order_distance(implicit: np.ndarray, spacing_mm: float) -> np.ndarray:
    """Divide an implicit function by its gradient's length: millimetres near the surface."""
    gradient = np.gradient(implicit, spacing_mm)
    length = np.sqrt(sum(g * g for g in gradient))
    return np.clip(implicit / np.clip(length, 0.35, 3.0), -25, 25).astype(np.float32)


def lobes_by_fissures(
    shape: ChestShape, grid: Grid, lung_mm: np.ndarray, side: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Lobes by the oblique and horizontal fissures, placed so that each lobe has its share of the lung.

    Returns:
        ``Anatomy.lobe`` and ``Anatomy.fissure_mm``.
    """
    z, y, x = grid.zyx
    wavy = RandomField(rng, 45.0 * shape.scale).on(grid) * np.float32(4.0)
    # The oblique fissure falls from about T4 at the back to the front third of the diaphragm.
    oblique = (z - 1.0 * y + 0.12 * np.abs(x) + wavy) / np.float32(np.sqrt(2.0))
    horizontal = z + 0.10 * y + 0.12 * np.abs(x) + 0.8 * wavy[::-1]
    lobe = np.zeros(grid.shape, np.uint8)
    fissure = np.full(grid.shape, 20, np.float32)
    for which, names in ((RIGHT, ("right lower", "right middle")), (LEFT, ("left lower",))):
        here = side == which
        inside = here & (lung_mm < 0)
        if not inside.any():
            continue
        level = _level(oblique[inside][::7], shape.lobe_shares[names[0]])
        below = oblique - np.float32(level)
        upper = ChestRegion.RIGHT_SUPERIOR_LOBE if which == RIGHT else ChestRegion.LEFT_SUPERIOR_LOBE
        lower = ChestRegion.RIGHT_INFERIOR_LOBE if which == RIGHT else ChestRegion.LEFT_INFERIOR_LOBE
        label = np.where(below < 0, np.uint8(lower), np.uint8(upper))
        distance = np.abs(below)
        if which == RIGHT:
            front = inside & (below >= 0)
            share = shape.lobe_shares["right middle"] / (1 - shape.lobe_shares["right lower"])
            across = horizontal - np.float32(_level(horizontal[front][::7], share))
            label[(below >= 0) & (across < 0)] = ChestRegion.RIGHT_MIDDLE_LOBE
            distance = np.where(below >= 0, np.minimum(distance, np.abs(across)), distance)
        keep = here & (lung_mm < 6)
        lobe[keep] = label[keep]
        fissure[keep] = np.minimum(distance[keep], 20)
    return lobe, fissure


def _level(values: np.ndarray, share: float) -> float:
    """The height below which ``share`` of the values lie; far away where a lobe has been removed."""
    if 0.001 < share < 0.999 and len(values):
        return float(np.quantile(values, share))
    return -1e6 if share < 0.5 else 1e6
