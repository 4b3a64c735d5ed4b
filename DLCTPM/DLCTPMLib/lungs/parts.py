"""What in a CT, seen in cells, is body, lung and gas of stomach or bowel: steps of ``segmentation``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.lungs.cells import FACES, CellGrid, ball, dilated, eroded

NO_LUNGS = "no lungs were found in the CT; give a lung mask with --lungs, or a CT of the chest."

POCKET_ML = 5.0
"""Smaller pockets of gas at a lung are left to it."""

POCKET_OF_LUNG = 0.3
"""A larger part of the lungs is no pocket: a whole lung of severe emphysema is as dark."""

SOME_WALL_HU = -750.0
"""A cell above holds some wall, or something else that is neither lung nor gas."""

WALL_HU, WALL_REACH_MM = -600.0, 11.0
"""Soft tissue that a surface ends at: a 3.5 mm cell with a wall of more than a millimetre, within this distance."""

WALLED = 0.75
"""At least this share of the surface of gas ends at soft tissue; a bulla has lung on one side or more."""

NO_AIR_HU = -930.0
"""What lies around the patient and is denser is no air, but lung that the field of view cuts, or cloth."""

STREAKS_HU = 45.0
"""So much above the limit of gas lies the mean of gas with streaks through it, or in noise; lung hardly ever."""

FREE_GAS_ML = 20.0
"""Less gas apart from the lungs is not worth a word."""

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


def air_level(means: np.ndarray, sides_with_body: np.ndarray) -> float:
    """HU of the air around the patient (its lower quartile), −1000 where too little of it is seen.

    The lowest value of all is left out: it is often the filling outside a field of view.

    Args:
        means: HU of every cell, 0 where it holds padding.
    """
    outside = means[(sides_with_body < 3) & (means < -800)]
    outside = outside[outside > outside.min()] if outside.size else outside
    level = float(np.percentile(outside, 25)) if outside.size > 1000 else -1000.0
    return float(np.clip(level, -1024, -960)) if level < NO_AIR_HU else -1000.0


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
        deep_hu: mean of those deep cells.
    """

    labels: np.ndarray
    sizes: np.ndarray
    enclosed: np.ndarray
    deep: np.ndarray
    darkness: np.ndarray
    dark: np.ndarray
    deep_hu: np.ndarray

    @classmethod
    def of(cls, core: np.ndarray, means: np.ndarray, dark: np.ndarray, inside: np.ndarray) -> Pieces:
        """Count the pieces of ``core``; ``means`` are the cells' HU, ``dark`` those that are as dark as air."""
        labels, count = ndimage.label(core)
        where = np.flatnonzero(labels)
        label = labels.ravel()[where]
        deep = eroded(core, FACES).ravel()[where]

        def per_piece(weights: np.ndarray | None = None) -> np.ndarray:
            return np.bincount(label, weights, minlength=count + 1)

        sizes, deep_sizes = per_piece(), per_piece(deep)
        darkness = per_piece(deep * dark.ravel()[where]) / np.maximum(deep_sizes, 1)
        deep_hu = per_piece(deep * means.ravel()[where]) / np.maximum(deep_sizes, 1)
        overall = per_piece(dark.ravel()[where]) / np.maximum(sizes, 1)
        mostly_inside = per_piece(inside.ravel()[where]) >= 0.5 * sizes
        return cls(labels, sizes, mostly_inside, deep_sizes, darkness, overall, deep_hu)


@dataclass
class Chosen:
    """What of the air inside the body is lung; boolean cells.

    Attributes:
        lung: lung.
        gas: gas of stomach and bowel, and what else of ``core`` is no lung.
        pocket_ml: gas that the air of a lung runs into, told from it by the wall between them.
        free_ml: gas apart from the lungs, but high in the chest: pneumothorax, or a bulla.
    """

    lung: np.ndarray
    gas: np.ndarray
    pocket_ml: float
    free_ml: float


def choose(
    core: np.ndarray,
    means: np.ndarray,
    gas_hu: float,
    inside: np.ndarray,
    grid: CellGrid,
    min_lungs_ml: float,
) -> Chosen:
    """Which cells of air are lung, and which are gas of stomach and bowel.

    Lung are the pieces of at least a twentieth of the largest that are no gas (gas: dark throughout), and at
    their height smaller ones behind a consolidation: with lung below them and hardly dark, or not dark at all inside.

    Args:
        core: cells that are mostly air, inside the body, not airway.
        means: HU of every cell, 0 where it holds padding.
        gas_hu: a cell below it is as dark as the air around the patient.
        inside: cells with the body on all four sides.

    Raises:
        InputError: nothing is large enough to be a lung.
    """
    dark = means < gas_hu
    pieces = Pieces.of(core, means, dark, inside)
    labels, ml = pieces.labels, grid.cell_ml
    is_gas = (pieces.deep > 0) & (pieces.darkness >= 0.7)
    streaked = (pieces.deep > 0) & (pieces.deep_hu < gas_hu + STREAKS_HU) & ~is_gas
    possible = np.where(pieces.enclosed & ~is_gas, pieces.sizes, 0)
    possible[0] = 0
    if possible.max() * ml < min_lungs_ml / 2:
        raise InputError(NO_LUNGS)
    is_lung = possible >= 0.05 * possible.max()
    for piece in np.flatnonzero(is_lung & streaked & (possible <= POCKET_OF_LUNG * possible[is_lung].sum())):
        is_lung[piece] = not _walled_in(labels == piece, means, grid)
    lung = is_lung[labels]
    with_lung_below = np.logical_or.accumulate(lung, axis=0) & core
    over_lung = np.bincount(labels[with_lung_below], minlength=len(is_lung)) >= 0.3 * pieces.sizes
    small = (possible * ml >= 1.0) & over_lung & (pieces.dark < 0.2)
    small |= (possible * ml >= 5.0) & (pieces.deep * ml >= 1.5) & ~streaked
    is_lung |= small & _reach_height_of(lung, labels)
    lung = is_lung[labels]
    free = is_gas & pieces.enclosed & over_lung & (pieces.sizes * ml >= FREE_GAS_ML)
    pockets = gas_pockets(lung, means, gas_hu, grid)
    lung &= ~dilated(pockets, FACES)  # the wall between is half gas, half tissue, so it may look like lung
    return Chosen(
        lung,
        core & ~lung,
        float(np.count_nonzero(pockets) * ml),
        float(pieces.sizes[free].sum() * ml),
    )


def _reach_height_of(lung: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Which pieces lie at the height of the lungs, at least in part; the mastoid cells above do not."""
    layers = np.flatnonzero(lung.any(axis=(1, 2)))
    there = np.zeros(labels.max() + 1, bool)
    if len(layers):
        there[np.unique(labels[layers[0] : layers[-1] + 1])] = True
    return there


def gas_pockets(lung: np.ndarray, means: np.ndarray, gas_hu: float, grid: CellGrid) -> np.ndarray:
    """Gas of stomach or bowel whose wall to a lung is so thin that cells of it look like lung (boolean cells).

    Such gas is a piece of its own where cells that hold some wall are left out; it is nearly as dark as air, and
    nearly everywhere it ends at soft tissue: the walls of diaphragm and stomach or bowel together are millimetres
    thick. A bulla is as dark, but its wall is less than a millimetre: too thin to make a cell soft tissue.
    """
    pockets = np.zeros(lung.shape, bool)
    dark_hu = gas_hu + STREAKS_HU
    if np.count_nonzero(lung & (means < dark_hu)) * grid.cell_ml < POCKET_ML / 2:
        return pockets
    labels, count = ndimage.label(lung & (means < SOME_WALL_HU))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    hu = np.bincount(labels.ravel(), means.ravel(), minlength=count + 1) / np.maximum(sizes, 1)
    possible = (sizes * grid.cell_ml >= POCKET_ML) & (hu < dark_hu)
    possible &= sizes <= POCKET_OF_LUNG * np.count_nonzero(lung)
    possible[0] = False
    for index in np.flatnonzero(possible):
        piece = labels == index
        if _walled_in(piece, means, grid):
            pockets |= piece
    return pockets


def _walled_in(piece: np.ndarray, means: np.ndarray, grid: CellGrid) -> bool:
    """Whether soft tissue lies straight ahead, within a reach, of nearly all faces of a piece.

    Where the array ends nothing is known, so that part of the surface does not count.
    """
    reach = [max(1, round(WALL_REACH_MM / size)) for size in grid.cell_mm]
    box = tuple(
        slice(max(s.start - r, 0), s.stop + r)
        for s, r in zip(ndimage.find_objects(piece.view(np.uint8))[0], reach, strict=True)
    )
    piece, means = piece[box], means[box]
    faces = walled = 0
    for axis in range(3):
        for step in (1, -1):
            own, hu = (np.moveaxis(array, axis, 0)[::step] for array in (piece, means))
            surface = own[:-1] & ~own[1:]
            densest = hu[1:].copy()
            for further in range(1, min(reach[axis], len(densest))):
                np.maximum(densest[:-further], hu[1 + further :], out=densest[:-further])
            faces += np.count_nonzero(surface)
            walled += np.count_nonzero(surface & (densest > WALL_HU))
    return walled >= WALLED * faces
