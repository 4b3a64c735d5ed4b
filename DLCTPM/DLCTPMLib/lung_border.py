"""From lungs found in cells to lungs in voxels: the border drawn at full resolution.

Cells deep inside a lung are lung as a whole. In the cells along the border every voxel is asked for itself: it
is lung if it is air, or if the closed lung, interpolated between the cells, holds it well (vessels).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from DLCTPMLib.lung_cells import CellGrid

HELD = 0.6
"""A voxel that is not air is lung where the interpolated share of closed lung is above this."""

_NEIGHBOURS = np.stack(np.meshgrid(*[(-1, 0, 1)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)


def draw_lungs(
    out: np.ndarray,
    values: tuple[int, int],
    grid: CellGrid,
    air: np.ndarray,
    closed: np.ndarray,
    is_air: Callable[[slice, slice, slice], np.ndarray],
) -> None:
    """Write both lungs into an array of voxels.

    Args:
        out: (z, y, x) array of zeros along the patient's axes; gets ``values``.
        values: what to write for the right and for the left lung.
        grid: how voxels are grouped in cells.
        air: share of every cell that is air of the right and of the left lung, float32 (2, z, y, x).
        closed: the cells of the two lungs with vessels and holes filled in, boolean (2, z, y, x).
        is_air: gives the air voxels of a box of voxels, boolean.
    """
    held = np.maximum(air, closed & (air < 0.5))  # what the closing added counts as filled
    lung = (air > 0).any(axis=0) | closed.any(axis=0)
    if not lung.any():
        return
    box = tuple(
        slice(int(i[0]), int(i[-1]) + 1)
        for i in (np.flatnonzero(lung.any(axis=other)) for other in ((1, 2), (0, 2), (0, 1)))
    )
    side = np.where(held[0] >= held[1], np.uint8(1), np.uint8(2)) * lung
    solid = np.zeros(side.shape, np.uint8)
    for index in (0, 1):
        inner = closed[index].copy()
        for axis in range(3):
            inner &= _both_neighbours(inner, axis)
        solid[inner] = index + 1
    padded = [np.pad(h, 1, mode="edge") for h in held]
    weights = _interpolation(grid.factors)
    table = np.array([0, *values], out.dtype)
    rows, columns = box[1:]
    for layer in range(box[0].start, box[0].stop):
        cells = (slice(layer, layer + 1), rows, columns)
        voxels = grid.voxel_box(cells)
        inside = solid[layer, rows, columns]
        border = lung[layer, rows, columns] & (inside == 0)
        shape = (voxels[0].stop - voxels[0].start, inside.shape[0], grid.factors[1], inside.shape[1], grid.factors[2])
        drawn = np.empty(shape, out.dtype)
        drawn[:] = table[inside][None, :, None, :, None]
        at = np.argwhere(border)
        if len(at):
            found = is_air(*voxels)
            full = np.zeros((shape[0], shape[1] * shape[2], shape[3] * shape[4]), bool)
            full[:, : found.shape[1], : found.shape[2]] = found
            by_cell = full.reshape(shape).transpose(1, 3, 0, 2, 4)[at[:, 0], at[:, 1]]
            corner = np.array([rows.start, columns.start])
            whole = _shares(padded, at + corner, layer, weights)
            whole = [w.reshape(-1, *grid.factors)[:, : shape[0]] for w in whole]
            pick = np.where(whole[0] >= whole[1], np.uint8(1), np.uint8(2))
            nothing = (whole[0] == 0) & (whole[1] == 0)
            own = side[layer, rows, columns][at[:, 0], at[:, 1]]
            pick = np.where(nothing, own[:, None, None, None], pick)
            lung_voxel = by_cell | (np.maximum(*whole) > HELD)
            drawn.transpose(1, 3, 0, 2, 4)[at[:, 0], at[:, 1]] = table[pick * lung_voxel]
        flat = drawn.reshape(shape[0], shape[1] * shape[2], shape[3] * shape[4])
        target = out[voxels]
        target[:] = flat[:, : target.shape[1], : target.shape[2]]


def _both_neighbours(mask: np.ndarray, axis: int) -> np.ndarray:
    """Where both neighbours along an axis are set; the array's end does not count against a cell."""
    moved = np.moveaxis(mask, axis, 0)
    both = np.ones_like(moved)
    both[1:] &= moved[:-1]
    both[:-1] &= moved[1:]
    return np.moveaxis(both, 0, axis)


def _interpolation(factors: tuple[int, int, int]) -> np.ndarray:
    """Trilinear weights of a cell's 27 neighbours for each of its voxels: (27, voxels a cell), float32."""
    tables = []
    for factor in factors:
        t = (np.arange(factor) + 0.5) / factor - 0.5
        tables.append(np.stack([np.maximum(-t, 0), 1 - np.abs(t), np.maximum(t, 0)]))
    weights = np.einsum("az,by,cx->abczyx", *tables)
    return weights.reshape(27, -1).astype(np.float32)


def _shares(padded: list[np.ndarray], at: np.ndarray, layer: int, weights: np.ndarray) -> list[np.ndarray]:
    """Interpolated shares in every voxel of some cells of a layer, one array (cells, voxels) a lung."""
    z, y, x = _NEIGHBOURS.T
    index = (layer + 1 + z)[None, :], at[:, :1] + 1 + y, at[:, 1:] + 1 + x
    return [field[index] @ weights for field in padded]
