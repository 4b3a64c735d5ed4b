"""What in a CT, seen in cells, is body, lung and gas of stomach or bowel: steps of ``segmentation``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.lungs.cells import FACES, CellGrid, ball, dilated, eroded

NO_LUNGS = "no lungs were found in the CT; give a lung mask with --lungs, or a CT of the chest."

Box = tuple[slice, slice, slice]


def body_of(tissue: np.ndarray, grid: CellGrid) -> np.ndarray:
    """The largest piece of tissue that is more than thin: the patient without table, tubes and arms.

    Raises:
        InputError: there is none.
    """
    core = eroded(tissue, ball(4.0, grid.cell_mm, flat=True))
    labels, count = ndimage.label(core)
    if not count:
        raise InputError(NO_LUNGS)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return dilated(labels == sizes.argmax(), ball(8.0, grid.cell_mm, flat=True)) & tissue


def sides_with(body: np.ndarray) -> np.ndarray:
    """On how many of four sides (left, right, front, back) a cell has the body in its slice: uint8, 0…4."""
    count = np.zeros(body.shape, np.uint8)
    for axis in (1, 2):
        size = body.shape[axis]
        place = np.arange(size, dtype=np.int16).reshape((size, 1) if axis == 1 else size)
        first = np.where(body.any(axis, keepdims=True), body.argmax(axis, keepdims=True), size).astype(np.int16)
        last = np.where(first < size, size - 1 - np.flip(body, axis).argmax(axis, keepdims=True), -1).astype(np.int16)
        count += place >= first
        count += place <= last
    return count


def enclosed(core: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """The pieces of ``core`` of whose cells most are ``inside``, boolean cells."""
    labels, count = ndimage.label(core)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    mostly = np.bincount(labels[inside], minlength=count + 1) >= 0.5 * sizes
    mostly[0] = False
    return mostly[labels]


def air_level(centres: np.ndarray, sides_with_body: np.ndarray, padding_hu: float) -> float:
    """HU of the air around the patient (its lower quartile), −1000 where none is seen.

    The lowest value of the scan is left out: it is often the filling outside a round field of view.

    Args:
        centres: HU of the voxel in the middle of every cell; the last cell of an axis may have none.
    """
    around = sides_with_body[tuple(slice(n) for n in centres.shape)] < 3
    outside = centres[around & (centres >= padding_hu) & (centres < -800)]
    outside = outside[outside > outside.min()] if outside.size else outside
    return float(np.clip(np.percentile(outside, 25), -1024, -960)) if outside.size > 1000 else -1000.0


@dataclass
class Pieces:
    """The pieces of air inside the body (six-connected cells) and what is counted of each; index 0 is unused.

    Attributes:
        labels: the number of the piece each cell belongs to.
        sizes: cells of each piece.
        enclosed: whether most of a piece has the body on all four sides.
        deep: cells all of whose neighbours belong to the piece.
        darkness: the share of those that is as dark as the air around the patient.
        dark: the same share of the whole piece.
    """

    labels: np.ndarray
    sizes: np.ndarray
    enclosed: np.ndarray
    deep: np.ndarray
    darkness: np.ndarray
    dark: np.ndarray

    @classmethod
    def of(cls, core: np.ndarray, dark: np.ndarray, inside: np.ndarray) -> Pieces:
        """Count the pieces of ``core``; ``dark`` is the share of every cell that is as dark as air."""
        labels, count = ndimage.label(core)
        where = np.flatnonzero(labels)
        label = labels.ravel()[where]
        deep = eroded(core, FACES).ravel()[where]

        def per_piece(weights: np.ndarray | None = None) -> np.ndarray:
            return np.bincount(label, weights, minlength=count + 1)

        sizes, deep_sizes = per_piece(), per_piece(deep)
        darkness = per_piece(deep * dark.ravel()[where]) / np.maximum(deep_sizes, 1)
        overall = per_piece(dark.ravel()[where]) / np.maximum(sizes, 1)
        mostly_inside = per_piece(inside.ravel()[where]) >= 0.5 * sizes
        return cls(labels, sizes, mostly_inside, deep_sizes, darkness, overall)


def choose(
    core: np.ndarray,
    air: np.ndarray,
    dark: np.ndarray,
    inside: np.ndarray,
    grid: CellGrid,
    min_lungs_ml: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Which cells of air are lung, and which are gas of stomach and bowel.

    Lung are the pieces of at least a twentieth of the largest that are no gas (gas: dark throughout), and
    smaller ones behind a consolidation: with lung below them and hardly dark, or not dark at all inside.

    Args:
        core: cells that are mostly air, inside the body, not airway.
        air: share of air of every cell.
        dark: share of every cell that is as dark as the air around the patient.
        inside: cells with the body on all four sides.

    Returns:
        Boolean cells of lung, and of gas.

    Raises:
        InputError: nothing is large enough to be a lung.
    """
    pieces = Pieces.of(core, dark, inside)
    labels, ml = pieces.labels, grid.cell_ml
    is_gas = (pieces.deep > 0) & (pieces.darkness >= 0.7)
    possible = np.where(pieces.enclosed & ~is_gas, pieces.sizes, 0)
    possible[0] = 0
    if possible.max() * ml < min_lungs_ml / 2:
        raise InputError(NO_LUNGS)
    is_lung = possible >= 0.05 * possible.max()
    lung = is_lung[labels]
    with_lung_below = np.logical_or.accumulate(lung, axis=0) & core
    over_lung = np.bincount(labels[with_lung_below], minlength=len(is_lung)) >= 0.3 * pieces.sizes
    is_lung |= (possible * ml >= 1.0) & over_lung & (pieces.dark < 0.2)
    is_lung |= (possible * ml >= 5.0) & (pieces.deep * ml >= 1.5) & (pieces.darkness < 0.05)
    lung = is_lung[labels]
    pockets = gas_pockets(lung, dark, air, grid)
    return lung & ~pockets, (core & ~lung) | pockets


def gas_pockets(lung: np.ndarray, dark: np.ndarray, air: np.ndarray, grid: CellGrid) -> np.ndarray:
    """Gas of stomach or bowel that thick slices have joined to a lung: dark, tissue around it and below it.

    Lung may lie above (the wall between is thinner than a slice). A bulla has lung beside it or below.
    """
    labels, count = ndimage.label(lung & (dark >= 0.7))
    pockets = np.zeros(lung.shape, bool)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0
    near = ball(max(grid.cell_mm[1:]), grid.cell_mm, flat=True)
    boxes = ndimage.find_objects(labels)
    for index in np.flatnonzero(sizes * grid.cell_ml >= 5.0):
        box = tuple(slice(max(s.start - 3, 0), s.stop + 3) for s in boxes[index - 1])
        pocket = labels[box] == index
        rim = dilated(dilated(pocket, near), [(1, 0, 0), (-1, 0, 0)])  # also slices half gas, half wall
        beside = dilated(rim, near) & ~rim & pocket.any(axis=(1, 2))[:, None, None]
        under = dilated(rim, [(-1, 0, 0)]) & ~rim
        tissue = air[box] < 0.25
        if all(not where.any() or tissue[where].mean() >= 0.75 for where in (beside, under)):
            pockets[box] |= rim
    return pockets
