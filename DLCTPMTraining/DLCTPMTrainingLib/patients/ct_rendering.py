"""The CT of a virtual patient on any grid: anatomy and tissue interpolated from the core grid, tubes drawn at full
resolution, then noise; slab by slab.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from DLCTPMLib.labels.chest_regions import ChestRegion, ChestType
from DLCTPMTrainingLib.common.grid import Grid, Resampler
from DLCTPMTrainingLib.common.parameters import draw
from DLCTPMTrainingLib.patients.chest_shape import LEFT, RIGHT
from DLCTPMTrainingLib.patients.lung_tissue import LungState
from DLCTPMTrainingLib.patients.tubes import COVER, Tubes, cover_of

SLAB = 16
"""Slices rendered at a time."""


def vessels_of(state: LungState) -> Tubes:
    """Arteries and veins with the calibre that their terminals' state leaves them."""
    sets = []
    for tree, scale in ((state.arteries, state.vessel_scale), (state.veins, state.vein_scale())):
        total = np.concatenate([[0.0], np.cumsum(scale)])
        mean = (total[tree.last] - total[tree.first]) / tree.size
        sets.append(Tubes(tree.start, tree.end, tree.radius_mm * mean))
    vessels = sets[0].join(sets[1])
    return vessels.join(Tubes.of(state.extra_tubes)) if state.extra_tubes else vessels


def airways_of(state: LungState, ratio: float) -> tuple[Tubes, dict[int, Tubes]]:
    """Bronchi inside the lungs, beside their arteries; and those outside by CIP region (trachea, main bronchi)."""
    anatomy, tree = state.anatomy, state.arteries
    s, points = anatomy.shape.scale, anatomy.points
    ends = {
        side: points[name] + np.array([0, 7.0, 2.0]) * s
        for side, name in ((RIGHT, "right hilum"), (LEFT, "left hilum"))
    }
    outside = {
        int(ChestRegion.TRACHEA): Tubes.of([(points["larynx"], points["carina"], 8.8 * s)]),
        int(ChestRegion.RIGHT_MAIN_BRONCHUS): Tubes.of([(points["carina"], ends[RIGHT], 6.6 * s)]),
        int(ChestRegion.LEFT_MAIN_BRONCHUS): Tubes.of([(points["carina"], ends[LEFT], 5.8 * s)]),
    }
    large = np.flatnonzero(tree.radius_mm > 1.5 * s)
    radius = np.minimum(ratio * tree.radius_mm[large], 5.0 * s)
    way = tree.end[large] - tree.start[large]
    aside = np.cross(way, [1.0, 0.2, 0.1])
    aside /= np.maximum(np.linalg.norm(aside, axis=1, keepdims=True), 1e-6)
    gap = (tree.radius_mm[large] + radius + 0.8)[:, None] * aside
    start, end = tree.start[large] + gap, tree.end[large] + gap
    index_of = {int(branch): i for i, branch in enumerate(large)}
    for i, branch in enumerate(large):  # a bronchus starts where its parent ends
        parent = index_of.get(int(tree.parent[branch]))
        if parent is not None:
            start[i] = end[parent]
        else:
            start[i] = ends[RIGHT if tree.lobe_of_branch[branch] <= 6 else LEFT]
    return Tubes(start, end, radius), outside


@dataclass
class RenderedCt:
    """HU (int16) and CIP labels (uint16) on ``grid``, both (z, y, x)."""

    hu: np.ndarray
    labels: np.ndarray
    grid: Grid


def render_ct(
    state: LungState, grid: Grid, rng: np.random.Generator, vessels: np.ndarray | None = None
) -> RenderedCt:
    """Draw the CT and its label map on a grid of any spacing.

    Args:
        state: the lung to draw.
        grid: where.
        rng: the CT's own stream.
        vessels: what ``cover_of`` gives for the vessels on this grid, if it is known already.
    """
    anatomy = state.anatomy
    noise_hu, blur_mm = draw(rng, "ct.noise_hu"), draw(rng, "ct.noise_blur_mm")
    offset, blood = draw(rng, "ct.offset_hu"), draw(rng, "ct.blood_hu")
    ratio = draw(rng, "airway.to_artery")
    padding = (-1024, -1024, -2000, -3024)[int(rng.integers(4))]
    vessels = cover_of(vessels_of(state), grid) if vessels is None else vessels
    bronchi, outside = airways_of(state, ratio)
    lumen = cover_of(bronchi, grid)
    wall = cover_of(bronchi, grid, thicken_mm=1.1)
    outer = {region: cover_of(tube, grid) for region, tube in outside.items()}
    fields = Resampler(anatomy.grid, grid)
    voxel = float(np.prod(grid.spacing_mm)) ** (1 / 3)
    hu = np.empty(grid.shape, np.int16)
    labels = np.empty(grid.shape, np.uint16)
    nearest = [
        np.clip(np.round(anatomy.grid.index_of(np.stack([c] * 3, -1))[:, a]).astype(int), 0, n - 1)
        for a, (c, n) in enumerate(zip((grid.axis(2), grid.axis(1), grid.axis(0)), anatomy.grid.shape, strict=True))
    ]
    noise = _Noise(rng, grid, noise_hu, blur_mm)
    field_of_view = _circle(grid)
    for first in range(0, grid.shape[0], SLAB):
        last = min(first + SLAB, grid.shape[0])
        lung_mm = fields.slab(anatomy.lung_mm, first, last)
        share = np.clip(0.5 - lung_mm / voxel, 0, 1)
        slab = fields.slab(anatomy.surroundings_hu, first, last)
        tissue = fields.slab(state.density, first, last)
        tissue -= 1
        tissue *= 1000
        fissure = fields.slab(anatomy.fissure_mm, first, last)
        tissue += np.float32(130 * min(1.0, 1.0 / voxel)) * np.exp(-((fissure / np.float32(0.7 * voxel)) ** 2))
        slab += share * (tissue - slab)
        full = np.float32(1 / COVER)
        slab += vessels[first:last] * full * np.maximum(np.float32(blood) - slab, 0) * (share > 0)
        slab += wall[first:last] * full * np.float32(0.6) * np.maximum(np.float32(20) - slab, 0) * (share > 0.5)
        sample = np.ix_(nearest[0][first:last], nearest[1], nearest[2])
        open_lumen = lumen[first:last] * ~state.airless[sample]
        slab += open_lumen * full * np.minimum(-985 - slab, 0) * (lung_mm < 8)
        for tube in outer.values():
            slab += tube[first:last] * full * (-990 - slab)
        slab += np.float32(offset) * (slab > -990)
        slab += noise.slices(last - first)
        np.clip(slab, -1024, 3071, out=slab)
        slab[:, ~field_of_view] = padding
        hu[first:last] = np.round(slab)
        inside = (lung_mm < 0) & (share > 0.5)
        inside &= ~state.not_lung[sample]
        region = np.where(inside, anatomy.lobe[sample], np.uint8(0)).astype(np.uint16)
        region[(open_lumen > COVER // 2) & inside] += 256 * int(ChestType.AIRWAY)
        for name, tube in outer.items():
            kind = ChestType.TRACHEA if name == ChestRegion.TRACHEA else ChestType.MAIN_BRONCHUS
            region[tube[first:last] > COVER // 2] = name + 256 * int(kind)
        labels[first:last] = region
    return RenderedCt(hu, labels, grid)


def _circle(grid: Grid) -> np.ndarray:
    """The scanner's round field of view (boolean (y, x))."""
    _, y, x = grid.zyx
    centre = 0.5 * (grid.axis(1)[0] + grid.axis(1)[-1])
    middle = 0.5 * (grid.axis(0)[0] + grid.axis(0)[-1])
    radius = 0.5 * max(np.ptp(grid.axis(0)), np.ptp(grid.axis(1))) + 1.5 * grid.spacing_mm[0]
    return ((x[0] - middle) ** 2 + (y[0] - centre) ** 2) <= radius**2


class _Noise:
    """CT noise slice after slice: white, blurred in the plane, correlated between neighbouring slices."""

    def __init__(self, rng: np.random.Generator, grid: Grid, sd_hu: float, blur_mm: float):
        self._rng, self._shape = rng, grid.shape[1:]
        spacing = np.array(grid.spacing_mm)
        self._sigma = tuple(blur_mm / spacing[[1, 0]])
        # a larger voxel averages more photons: SD falls with the root of its volume beyond the kernel's own
        volume = np.prod(np.hypot(spacing, 2.5 * blur_mm)) / np.prod(np.hypot([0.977, 0.977, 1.25], 2.5 * blur_mm))
        self._sd = sd_hu / np.sqrt(volume)
        self._carry = float(np.exp(-spacing[2] / 1.2))
        self._last = None

    def slices(self, count: int) -> np.ndarray:
        """The next ``count`` slices (float32)."""
        white = self._rng.standard_normal((count, *self._shape), dtype=np.float32)
        if max(self._sigma) > 0.25:
            white = ndimage.gaussian_filter(white, (0, *self._sigma), truncate=3.0)
            white *= 1 / _blurred_sd(self._sigma)
        for i in range(count):
            if self._last is not None:
                white[i] = self._carry * self._last + np.sqrt(1 - self._carry**2) * white[i]
            self._last = white[i]
        return white * np.float32(self._sd)


def _blurred_sd(sigma: tuple[float, float]) -> float:
    """SD of unit white noise after SciPy's Gaussian filter of these widths."""
    impulse = np.zeros((33, 33))
    impulse[16, 16] = 1
    return float(np.sqrt((ndimage.gaussian_filter(impulse, sigma, truncate=3.0) ** 2).sum()))
