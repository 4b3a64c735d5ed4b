"""From lungs found in cells to lungs in voxels: the border drawn at full resolution.

Cells deep inside a lung are lung as a whole. In the cells along the border every voxel is asked for itself: it
is lung if it is air, or if the closed lung, interpolated between the cells, holds it well (vessels).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from DLCTPMLib.lung_cells import CellGrid
from DLCTPMLib.lung_parts import Box
from DLCTPMLib.threads import in_parallel

HELD = 0.6
"""A voxel that is not air is lung where the interpolated share of closed lung is above this."""

_NEIGHBOURS = np.stack(np.meshgrid(*[(-1, 0, 1)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)


def draw_lungs(
    grid: CellGrid,
    air: np.ndarray,
    closed: np.ndarray,
    is_air: Callable[[slice, slice, slice], np.ndarray],
) -> tuple[Box, np.ndarray]:
    """Draw both lungs in the box of voxels that their cells take up.

    Args:
        grid: how voxels are grouped in cells.
        air: share of every cell that is air of the right and of the left lung, float32 (2, z, y, x).
        closed: the cells of the two lungs with vessels and holes filled in, boolean (2, z, y, x).
        is_air: gives the air voxels of a box of voxels, boolean.

    Returns:
        The box in the voxel array, and its voxels, uint8: 0 no lung, 1 right lung, 2 left lung.
    """
    held = np.maximum(air, closed & (air < 0.5))  # what the closing added counts as filled
    lung = (air > 0).any(axis=0) | closed.any(axis=0)
    if not lung.any():
        return (slice(0, 0),) * 3, np.zeros((0, 0, 0), np.uint8)
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
    rows, columns = box[1:]
    whole = grid.voxel_box(box)
    out = np.empty([voxels.stop - voxels.start for voxels in whole], np.uint8)
    _, fy, fx = grid.factors

    def draw(layers: range) -> None:
        for layer in layers:
            voxels = grid.voxel_box((slice(layer, layer + 1), rows, columns))
            inside = solid[layer, rows, columns]
            at = np.argwhere(lung[layer, rows, columns] & (inside == 0))
            shape = (voxels[0].stop - voxels[0].start, inside.shape[0], fy, inside.shape[1], fx)
            drawn = np.empty(shape, np.uint8)
            drawn[:] = inside[:, None, :, None]
            if len(at):
                found = is_air(*voxels)
                full = np.zeros((shape[0], shape[1] * fy, shape[3] * fx), bool)
                full[:, : found.shape[1], : found.shape[2]] = found
                found = full.reshape(shape).transpose(1, 3, 0, 2, 4)[at[:, 0], at[:, 1]]
                at_all = np.add(at, (rows.start, columns.start))
                right, left = (share[:, : shape[0]] for share in _shares(padded, at_all, layer, weights, grid))
                own = side[layer][at_all[:, 0], at_all[:, 1]][:, None, None, None]
                pick = np.where(right == left, own, np.where(right > left, np.uint8(1), np.uint8(2)))
                found |= np.maximum(right, left) > HELD
                drawn.transpose(1, 3, 0, 2, 4)[at[:, 0], at[:, 1]] = pick * found
            target = out[voxels[0].start - whole[0].start : voxels[0].stop - whole[0].start]
            drawn = drawn.reshape(shape[0], shape[1] * fy, shape[3] * fx)
            target[:] = drawn[:, : target.shape[1], : target.shape[2]]

    in_parallel(draw, range(box[0].start, box[0].stop))
    return whole, out


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


def _shares(
    padded: list[np.ndarray], at: np.ndarray, layer: int, weights: np.ndarray, grid: CellGrid
) -> list[np.ndarray]:
    """Interpolated shares in every voxel of some cells of a layer, one array (cells, z, y, x) a lung."""
    z, y, x = _NEIGHBOURS.T
    index = (layer + 1 + z)[None, :], at[:, :1] + 1 + y, at[:, 1:] + 1 + x
    return [(field[index] @ weights).reshape(-1, *grid.factors) for field in padded]
