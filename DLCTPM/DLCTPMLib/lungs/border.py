"""From lungs found in cells to lungs in voxels: the border drawn at full resolution.

Cells deep inside a lung are lung as a whole. In the cells along the border every voxel is asked for itself: it
is lung if it is air, or if the closed lung, interpolated between the cells, holds it well (vessels).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from DLCTPMLib.lungs.cells import CellGrid
from DLCTPMLib.lungs.parts import Box

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
    solid = np.zeros(lung.shape, np.uint8)
    for index in (0, 1):
        inner = closed[index].copy()
        for axis in range(3):
            inner &= _both_neighbours(inner, axis)
        solid[inner] = index + 1
    fields = [_Field(share, grid.factors) for share in held]
    border = lung & (solid == 0)
    reach = (fields[0].reach + np.uint8(2) * fields[1].reach) * border  # 1 the right lung, 2 the left one, 3 both
    side = np.where(held[0] >= held[1], np.uint8(1), np.uint8(2))
    rows, columns = box[1:]
    whole = grid.voxel_box(box)
    out = np.empty([voxels.stop - voxels.start for voxels in whole], np.uint8)
    _, fy, fx = grid.factors

    for layer in range(box[0].start, box[0].stop):
        voxels = grid.voxel_box((slice(layer, layer + 1), rows, columns))
        target = out[voxels[0].start - whole[0].start : voxels[0].stop - whole[0].start]
        inside = solid[layer, rows, columns]
        by_cell = (len(target), inside.shape[0], fy, inside.shape[1], fx)
        drawn = np.empty((len(target), inside.shape[0] * fy, inside.shape[1] * fx), np.uint8)
        drawn[:] = inside.repeat(fy, axis=0).repeat(fx, axis=1)
        found = np.zeros(drawn.shape, bool)
        found[:, : target.shape[1], : target.shape[2]] = is_air(*voxels)
        cells, found = (array.reshape(by_cell).transpose(1, 3, 0, 2, 4) for array in (drawn, found))
        for lungs in (1, 2, 3):
            at = np.nonzero(reach[layer, rows, columns] == lungs)
            if not len(at[0]):
                continue
            y, x = at[0] + rows.start, at[1] + columns.start
            right, left = (
                field.shares(layer, y, x)[:, : len(target)] if lungs & bit else 0.0
                for bit, field in zip((1, 2), fields, strict=True)
            )
            own = np.uint8(lungs)
            if lungs == 3:
                higher = np.where(right > left, np.uint8(1), np.uint8(2))
                own = np.where(right == left, side[layer, y, x][:, None, None, None], higher)
            cells[at] = (found[at] | (np.maximum(right, left) > HELD)) * own
        target[:] = drawn[:, : target.shape[1], : target.shape[2]]
    return whole, out


class _Field:
    """The share of one lung in every cell, interpolated between the cells' centres."""

    def __init__(self, share: np.ndarray, factors: tuple[int, int, int]):
        padded = np.pad(share, 1, mode="edge")
        self._flat, self._shape, self._factors = padded.ravel(), padded.shape, factors
        self._around = np.ravel_multi_index((_NEIGHBOURS + 1).T, padded.shape)  # from a cell's first neighbour
        self._weights = _interpolation(factors)

    @property
    def reach(self) -> np.ndarray:
        """The cells in which it may lie above 0: uint8, 0 or 1."""
        full = (self._flat > 0).reshape(self._shape)
        for axis in range(3):
            full = np.moveaxis(full, axis, 0)
            full = np.moveaxis(full[:-2] | full[1:-1] | full[2:], 0, axis)
        return full.view(np.uint8)

    def shares(self, layer: int, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Its values in the voxels of some cells of a layer, float32 (cells, z, y, x)."""
        first = np.ravel_multi_index((np.full_like(y, layer), y, x), self._shape)
        return (self._flat[first[:, None] + self._around] @ self._weights).reshape(-1, *self._factors)


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
