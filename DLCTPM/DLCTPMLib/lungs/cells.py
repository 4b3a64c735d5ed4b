"""A CT seen in cells of a few millimetres: what share of each cell is air, and morphology on such cells.

Finding the lungs needs no fine detail, so it is done on cells (about a fiftieth as many as voxels); only the
border is drawn at full resolution. Everything works on the (z, y, x) patient-axes view, so an image stored
flipped or permuted gives the very same cells.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from DLCTPMLib.volumes.patient_axes import PatientAxes

Offsets = list[tuple[int, int, int]]
"""Steps (z, y, x) from a cell to its neighbours."""

FACES: Offsets = [(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)]
"""The six neighbours across a face."""


@dataclass(frozen=True)
class CellGrid:
    """How voxels (z, y, x) are grouped in cells; the last cell of an axis may hold fewer.

    Attributes:
        voxels: shape of the voxel array.
        factors: voxels a cell, each axis.
        spacing_mm: size of a voxel, each axis.
    """

    voxels: tuple[int, int, int]
    factors: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]

    @classmethod
    def of(cls, axes: PatientAxes, size_mm: float) -> CellGrid:
        """Cells of about ``size_mm``: the nearest whole number of voxels on every axis, at least one."""
        factors = tuple(max(1, round(size_mm / spacing)) for spacing in axes.spacing_mm)
        return cls(axes.shape, factors, axes.spacing_mm)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of cells, each axis."""
        return tuple(-(-n // f) for n, f in zip(self.voxels, self.factors, strict=True))

    @property
    def cell_mm(self) -> tuple[float, float, float]:
        """Size of a cell, each axis."""
        return tuple(f * s for f, s in zip(self.factors, self.spacing_mm, strict=True))

    @property
    def cell_ml(self) -> float:
        """Volume of a whole cell."""
        return float(np.prod(self.cell_mm)) / 1000.0

    def capacity(self) -> np.ndarray:
        """Voxels in every cell (uint16)."""
        held = [
            np.minimum(f, n - f * np.arange(cells))
            for n, f, cells in zip(self.voxels, self.factors, self.shape, strict=True)
        ]
        return (held[0][:, None, None] * held[1][:, None] * held[2]).astype(np.uint16)

    def slab(self, layer: int) -> slice:
        """The slices of voxels that one layer of cells holds."""
        start = layer * self.factors[0]
        return slice(start, min(start + self.factors[0], self.voxels[0]))

    def share(self, view: np.ndarray, condition) -> np.ndarray:
        """The share of every cell's voxels that meet a condition, float32.

        Args:
            view: the voxels.
            condition: function of a slab of voxels and an output array for its booleans.
        """
        _, fy, fx = self.factors
        _, ny, nx = self.shape
        _, height, width = self.voxels
        out = np.empty(self.shape, np.float32)
        capacity = self.capacity()
        small = np.uint8 if np.prod(self.factors) < 256 else np.uint32

        counts = np.zeros((ny * fy, nx * fx), small)
        for layer in range(self.shape[0]):
            slab = self.slab(layer)
            part = view[slab]
            hits = np.empty(part.shape, bool)
            condition(part, hits)
            np.add.reduce(hits.view(np.uint8), axis=0, dtype=small, out=counts[:height, :width])
            rows = np.add.reduce(counts.reshape(ny, fy, nx * fx), axis=1, dtype=small)
            cells = sum(rows[:, x::fx] for x in range(fx))  # reduce is slow where it sums so few
            np.divide(cells, capacity[layer], out=out[layer], casting="unsafe")
        return out

    def means(self, view: np.ndarray) -> np.ndarray:
        """The mean of every cell's voxels in the middle slice of its layer, float32."""
        _, fy, fx = self.factors
        _, ny, nx = self.shape
        _, height, width = self.voxels
        out = np.empty(self.shape, np.float32)
        whole = np.zeros((ny * fy, nx * fx), np.float32)
        held = [np.minimum(f, n - f * np.arange(cells)) for n, f, cells in ((height, fy, ny), (width, fx, nx))]
        scale = (1 / (held[0][:, None] * held[1])).astype(np.float32)
        for layer in range(self.shape[0]):
            slab = self.slab(layer)
            whole[:height, :width] = view[slab.start + (slab.stop - slab.start - 1) // 2]
            rows = np.add.reduce(whole.reshape(ny, fy, nx * fx), axis=1)
            np.multiply(sum(rows[:, x::fx] for x in range(fx)), scale, out=out[layer])
        return out

    def voxel_box(self, cells: tuple[slice, slice, slice]) -> tuple[slice, slice, slice]:
        """The voxels that a box of cells holds."""
        return tuple(
            slice(c.start * f, min(c.stop * f, n)) for c, f, n in zip(cells, self.factors, self.voxels, strict=True)
        )


def ball(radius_mm: float, cell_mm: tuple[float, float, float], flat: bool = False) -> Offsets:
    """Steps to every cell whose centre is within a radius, without the cell itself; ``flat`` keeps to the layer."""
    reach = [int(radius_mm / size + 1e-6) for size in cell_mm]
    if flat:
        reach[0] = 0
    steps = np.stack(np.meshgrid(*(np.arange(-r, r + 1) for r in reach), indexing="ij"), axis=-1).reshape(-1, 3)
    distance = np.linalg.norm(steps * np.array(cell_mm), axis=1)
    return [tuple(int(i) for i in step) for step in steps[(distance <= radius_mm + 1e-6) & (distance > 0)]]


def dilated(mask: np.ndarray, offsets: Offsets) -> np.ndarray:
    """A boolean array and its neighbours; what would come from outside the array counts as empty."""
    out = mask.copy()
    for offset in offsets:
        to, source = _shifted(mask.shape, offset)
        out[to] |= mask[source]
    return out


def eroded(mask: np.ndarray, offsets: Offsets) -> np.ndarray:
    """A boolean array without what has an empty neighbour; what lies outside the array counts as full."""
    return ~dilated(~mask, offsets)


def closed(mask: np.ndarray, offsets: Offsets) -> np.ndarray:
    """Dilated, then eroded, as if what the array's end cuts went on beyond it just as it is there."""
    reach = [max((abs(offset[axis]) for offset in offsets), default=0) for axis in range(3)]
    cut = [
        tuple(r if end.any() else 0 for end in (mask.take(0, axis), mask.take(-1, axis)))
        for axis, r in enumerate(reach)
    ]
    out = eroded(dilated(np.pad(mask, cut, mode="edge"), offsets), offsets)
    return out[tuple(slice(low, n - high) for (low, high), n in zip(cut, out.shape, strict=True))]


def spread(labels: np.ndarray, into: np.ndarray, steps: int) -> np.ndarray:
    """Grow labels (uint8, 0 = none) face by face over the free cells of a mask, ``steps`` times at most.

    Where two labels meet in one step the higher one gets the cell.
    """
    labels = labels.copy()
    free = into & (labels == 0)
    for _ in range(steps):
        grown = np.zeros_like(labels)
        for offset in FACES:
            to, source = _shifted(labels.shape, offset)
            np.maximum(grown[to], labels[source], out=grown[to])
        grown *= free
        if not grown.any():
            break
        labels |= grown
        free &= grown == 0
    return labels


def _shifted(shape: tuple[int, ...], offset: tuple[int, int, int]) -> tuple[tuple, tuple]:
    to = tuple(slice(max(d, 0), n + min(d, 0)) for d, n in zip(offset, shape, strict=True))
    source = tuple(slice(max(-d, 0), n - max(d, 0)) for d, n in zip(offset, shape, strict=True))
    return to, source
