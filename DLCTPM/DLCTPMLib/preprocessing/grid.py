"""From one lung's crop of the CT to the network's grid, and back (Fig. 2a: crop, down-sample).

Everything is linear and separable, so each way is three small matrix products, one an axis. Both ways are
normalised by the mask that went through the same operator: what lies outside the lung never bleeds in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.ndimage import binary_erosion, map_coordinates
from scipy.spatial import cKDTree

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.preprocessing.settings import GRID_SHAPE
from DLCTPMLib.volumes.boxes import bounding_box

SLAB = 16
"""Slices that are worked on at a time."""

LEAST_WEIGHT = 1e-4
"""Interpolated mask below which a voxel counts as out of reach of any lung cell."""


def area_weights(voxels: int, cells: int) -> np.ndarray:
    """Rows that average ``voxels`` equal voxels over ``cells`` equal cells of the same extent.

    Entry (i, j) is the share of cell i that voxel j fills; rows sum to 1. Shape (cells, voxels), float32.
    """
    edges = np.arange(cells + 1) * (voxels / cells)
    voxel = np.arange(voxels)
    overlap = np.minimum(edges[1:, None], voxel + 1) - np.maximum(edges[:-1, None], voxel)
    return (np.clip(overlap, 0, None) * (cells / voxels)).astype(np.float32)


def linear_weights(nodes: int, points: int) -> np.ndarray:
    """Rows that interpolate ``nodes`` equal cells linearly at the centres of ``points`` equal cells.

    Both divide the same extent; outside the first and last centre the end value is held. Rows sum to 1.
    Shape (points, nodes), float32.
    """
    position = np.clip((np.arange(points) + 0.5) * (nodes / points) - 0.5, 0, nodes - 1)
    lower = np.minimum(position.astype(int), max(nodes - 2, 0))
    upper = np.minimum(lower + 1, nodes - 1)
    weights = np.zeros((points, nodes))
    weights[np.arange(points), upper] += position - lower
    weights[np.arange(points), lower] += 1 - (position - lower)
    return weights.astype(np.float32)


def down_weights(voxels: int, cells: int) -> np.ndarray:
    """The way down on one axis: area averaging where the crop is finer than the grid, else interpolation."""
    return area_weights(voxels, cells) if voxels > cells else linear_weights(voxels, cells)


def _slabs(slices: int) -> list[slice]:
    """The slabs of so many slices: worked on one by one, their temporary arrays stay small."""
    return [slice(z, min(z + SLAB, slices)) for z in range(0, slices, SLAB)]


@dataclass(frozen=True)
class LungGrid:
    """One lung between its box in the CT and the network's grid.

    Attributes:
        box: the crop in the (z, y, x) patient-axes view of the CT: the lung's bounding box, no margin.
        inside: boolean lung mask of the crop.
        shape: cells of the grid (z, y, x).
    """

    box: tuple[slice, slice, slice]
    inside: np.ndarray
    shape: tuple[int, int, int] = GRID_SHAPE

    @classmethod
    def of(cls, mask: np.ndarray, shape: tuple[int, int, int] = GRID_SHAPE) -> LungGrid:
        """Crop a lung: ``mask`` is one lung's boolean (z, y, x) view of the whole CT.

        Raises:
            InputError: if the mask is empty.
        """
        box = bounding_box(mask)
        if box is None:
            raise InputError("the lung mask is empty: give a mask in which both lungs are labelled")
        return cls(box=box, inside=np.ascontiguousarray(mask[box]), shape=shape)

    @cached_property
    def lung_part(self) -> np.ndarray:
        """The lung's share of every cell, 0…1, float32."""
        return self._averaged(lambda slab: self.inside[slab].astype(np.float32))

    @cached_property
    def mask(self) -> np.ndarray:
        """The cells of which at least half is lung."""
        return self.lung_part >= 0.5 - 1e-6

    def down(self, values: np.ndarray) -> np.ndarray:
        """Average a volume over the lung part of each cell.

        Args:
            values: (z, y, x) view of the whole CT grid, any real type.

        Returns:
            float32 array of ``shape``; 0 in cells that are not lung.
        """
        return self.down_crop(values[self.box])

    def down_crop(self, values: np.ndarray) -> np.ndarray:
        """The same from values of the crop alone."""

        def lung_only(slab: slice) -> np.ndarray:
            part = values[slab].astype(np.float32, order="C")  # one memory layout: the same bits in any orientation
            part[~self.inside[slab]] = 0  # not a product: padding may hold anything, NaN too
            return part

        return np.divide(
            self._averaged(lung_only), self.lung_part, out=np.zeros(self.shape, np.float32), where=self.mask
        )

    def _averaged(self, part: Callable[[slice], np.ndarray]) -> np.ndarray:
        """Cell sums of the crop, whose slabs ``part`` gives: x, then y in each slab, then z."""
        z, y, x = self._down
        planes = np.empty((self.inside.shape[0], *self.shape[1:]), np.float32)
        for slab in _slabs(len(planes)):
            planes[slab] = np.matmul(y, part(slab) @ x.T)
        return (z @ planes.reshape(len(planes), -1)).reshape(self.shape)

    def up(self, cells: np.ndarray) -> np.ndarray:
        """Bring cell values back to the voxels of the crop.

        Trilinear, normalised by the interpolated mask. A lung voxel none of whose neighbouring cells is lung
        (a thin recess) takes the nearest lung cell's value.

        Args:
            cells: float array of ``shape``; only lung cells are read.

        Returns:
            float32 array of the crop's shape, 0 outside the lung.
        """
        values = np.zeros(self.inside.shape, np.float32)
        self.up_into(cells, values)
        return values

    def up_into(self, cells: np.ndarray, crop: np.ndarray) -> None:
        """The same, written into the lung voxels of a crop-shaped float32 array; other voxels are left alone."""
        z, y, x = self._up
        # numerator and denominator side by side; y first, where it costs least
        pair = np.stack([np.where(self.mask, cells, 0), self.mask]).astype(np.float32)
        pair = np.matmul(y, pair).reshape(2, self.shape[0], -1)
        missed = [np.empty((0, 3), int)]
        for slab in _slabs(len(crop)):
            near = np.flatnonzero(z[slab].any(axis=0))  # the few layers of cells that these slices lie between
            near = slice(near[0], near[-1] + 1)
            total, weight = ((z[slab, near] @ part[near]).reshape(-1, y.shape[0], x.shape[1]) @ x.T for part in pair)
            inside = self.inside[slab]
            reached = weight > LEAST_WEIGHT
            reached &= inside
            np.divide(total, weight, out=crop[slab], where=reached)
            lost = inside > reached
            if lost.any():
                missed.append(np.argwhere(lost) + np.array([slab.start, 0, 0]))
        lost = np.concatenate(missed)
        if len(lost) and self.mask.any():
            crop[tuple(lost.T)] = self._nearest_cell(cells, lost)

    def sample(self, cells: np.ndarray, index: np.ndarray) -> np.ndarray:
        """Interpolate cell values, as ``up`` does, at any points.

        Args:
            cells: float array of ``shape``; only lung cells are read.
            index: (n, 3) continuous (z, y, x) voxel indices in the view that ``box`` crops.

        Returns:
            (n,) float32.
        """
        start = np.array([part.start for part in self.box])
        scale = np.array(self.shape) / self.inside.shape
        position = ((index - start + 0.5) * scale - 0.5).T
        weight = map_coordinates(self.mask.astype(np.float32), position, order=1, mode="nearest")
        total = map_coordinates(np.where(self.mask, cells, 0).astype(np.float32), position, order=1, mode="nearest")
        reached = weight > LEAST_WEIGHT
        values = np.divide(total, weight, out=np.zeros_like(total), where=reached)
        if not reached.all():
            values[~reached] = self._nearest_cell(cells, index[~reached] - start)
        return values

    @cached_property
    def _down(self) -> tuple[np.ndarray, ...]:
        return tuple(down_weights(n, m) for n, m in zip(self.inside.shape, self.shape, strict=True))

    @cached_property
    def _up(self) -> tuple[np.ndarray, ...]:
        return tuple(linear_weights(m, n) for n, m in zip(self.inside.shape, self.shape, strict=True))

    def _nearest_cell(self, cells: np.ndarray, voxels: np.ndarray) -> np.ndarray:
        """Values of the lung cells nearest to voxel indices, in cells: the grid is the network's space.

        Of cells equally near the first in (z, y, x) order is taken.
        """
        rim = self.mask & ~binary_erosion(self.mask)  # the nearest lung cell of a point elsewhere lies on the rim
        lung_cells = np.argwhere(rim)
        scale = np.array(self.shape) / self.inside.shape
        neighbours = min(8, len(lung_cells))
        away, index = cKDTree(lung_cells + 0.5).query((voxels + 0.5) * scale, k=neighbours)
        away, index = away.reshape(-1, neighbours), index.reshape(-1, neighbours)
        first = np.where(away <= away[:, :1] * (1 + 1e-9), index, len(lung_cells)).min(axis=1)
        return cells[tuple(lung_cells[first].T)]
