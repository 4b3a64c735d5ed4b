"""Right lung, left lung: telling them apart in a mask of both, also where they touch."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from DLCTPMLib.lungs.border import draw_lungs
from DLCTPMLib.lungs.cells import CellGrid, spread
from DLCTPMLib.volumes.patient_axes import PatientAxes

CELL_MM = 3.5
"""Lungs are told apart on cells of about this size."""
MIN_PART = 0.05
"""The smaller lung holds at least this share of the larger one's volume (a hypoplastic lung does)."""


def lateral_mm(axes: PatientAxes, mask: np.ndarray, factors: tuple[int, int, int] = (1, 1, 1)) -> float:
    """Patient-lateral (LPS x, mm; the patient's left is positive) position of a mask's centroid.

    ``factors`` tells how many voxels of ``axes`` make one cell of the mask; an empty mask lies at the origin.
    """
    index = []
    for axis, factor in enumerate(factors):
        counts = np.count_nonzero(mask, axis=tuple(other for other in range(3) if other != axis))
        centre = (np.arange(len(counts)) * counts).sum() / max(counts.sum(), 1)
        index.append((centre + 0.5) * factor - 0.5)
    steps = axes.directions[0] * np.array(axes.spacing_mm[::-1])
    return float(axes.origin_mm[0] + (steps * np.array(index[::-1])).sum())


def split_sides(mask: np.ndarray, axes: PatientAxes, midline_mm: float | None = None) -> np.ndarray:
    """Tell right from left in a mask of both lungs; see ``split_cells`` for how.

    Args:
        mask: boolean (z, y, x), patient axes.
        midline_mm: lateral position of the body's middle, which decides where only one lung is found.

    Returns:
        uint8 (z, y, x): 0 outside the mask, 1 right lung, 2 left lung.
    """
    grid = CellGrid.of(axes, CELL_MM)
    share = grid.share(mask, lambda part, out: np.copyto(out, part))
    core = share >= 0.5
    if not core.any():
        core = share > 0
    sides = nearest_label(split_cells(core, grid, axes, midline_mm), share > 0, grid)
    out = np.zeros(mask.shape, np.uint8)
    both = np.stack([(sides == side) * share for side in (1, 2)])
    box, drawn = draw_lungs(grid, both, np.zeros(both.shape, bool), lambda z, y, x: mask[z, y, x])
    out[box] = drawn
    return out


def nearest_label(labels: np.ndarray, where: np.ndarray, grid: CellGrid) -> np.ndarray:
    """Labels (uint8, 0 = none) carried to the nearest unlabelled cells of a mask."""
    if not ((labels == 0) & where).any():
        return labels
    index = ndimage.distance_transform_edt(
        labels == 0, sampling=grid.cell_mm, return_distances=False, return_indices=True
    )
    return labels[tuple(index)] * where


def split_cells(lung: np.ndarray, grid: CellGrid, axes: PatientAxes, midline_mm: float | None = None) -> np.ndarray:
    """Tell right from left in cells of lung.

    Two large parts that lie side by side are the lungs. Where there is only one, it is eroded, a cell at a
    time, until it falls into two; these grow back over the mask, deepest cells first, and meet at the neck
    between them: the anterior (or posterior) junction line. The part on the patient's right is the right lung.
    If it never falls apart there is one lung, whose side its position tells: against ``midline_mm``, or the
    middle of the grid. Small pieces join the nearest lung.

    Args:
        lung: boolean cells (z, y, x).

    Returns:
        uint8 cells: 0 outside ``lung``, 1 right, 2 left.
    """
    seeds = _two_parts(lung, lung, grid, axes)
    if seeds is None:
        depth = ndimage.distance_transform_edt(np.pad(lung, 1), sampling=grid.cell_mm)[1:-1, 1:-1, 1:-1]
        radius = step = min(grid.cell_mm)
        while seeds is None and radius < depth.max():
            seeds = _two_parts(depth > radius, lung, grid, axes)
            radius += step
        if seeds is not None:
            from skimage.segmentation import watershed  # slow to import, and few lungs touch

            seeds = watershed(-depth, seeds.astype(np.int32), mask=lung).astype(np.uint8)
    if seeds is None:
        if midline_mm is None:
            midline_mm = lateral_mm(axes, np.ones(lung.shape, bool), grid.factors)
        side = 1 if lateral_mm(axes, lung, grid.factors) < midline_mm else 2
        return lung.astype(np.uint8) * np.uint8(side)
    return nearest_label(spread(seeds, lung, 50), lung, grid)


def _two_parts(parts: np.ndarray, lung: np.ndarray, grid: CellGrid, axes: PatientAxes) -> np.ndarray | None:
    """The two largest pieces, marked 1 (right) and 2 (left), if they are large and lie side by side."""
    labels, count = ndimage.label(parts)
    if count < 2:
        return None
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    first, second = np.argsort(-sizes, kind="stable")[:2]
    if sizes[second] < MIN_PART * sizes[first]:
        return None
    spans = [np.flatnonzero((labels == part).any(axis=(0, 1))) for part in (first, second)]
    shared = min(span[-1] for span in spans) - max(span[0] for span in spans) + 1
    if shared > 0.5 * min(span[-1] - span[0] + 1 for span in spans):
        return None  # above each other or one behind the other
    columns = np.flatnonzero(lung.any(axis=(0, 1)))
    width_mm = (columns[-1] - columns[0] + 1) * grid.cell_mm[2]
    places = [lateral_mm(axes, labels == part, grid.factors) for part in (first, second)]
    if abs(places[0] - places[1]) < width_mm / 4:
        return None
    right, left = (first, second) if places[0] < places[1] else (second, first)
    return (labels == right) * np.uint8(1) + (labels == left) * np.uint8(2)
