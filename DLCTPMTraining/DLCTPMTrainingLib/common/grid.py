"""Regular grids in the virtual patient's own frame, and smooth random fields evaluated on any of them.

The chest frame is LPS in millimetres: x towards the patient's left, y towards the back, z towards the head;
x = 0 is the mid-sagittal plane, z = 0 about the level of the deepest costophrenic recess.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk


@dataclass(frozen=True)
class Grid:
    """Voxel centres along the patient's axes.

    Attributes:
        origin_mm: chest-frame position (x, y, z) of the first voxel centre.
        spacing_mm: (x, y, z).
        shape: (z, y, x) as arrays have it.
    """

    origin_mm: tuple[float, float, float]
    spacing_mm: tuple[float, float, float]
    shape: tuple[int, int, int]

    def axis(self, index: int) -> np.ndarray:
        """Coordinates (mm, float32) of the voxel centres along x (0), y (1) or z (2)."""
        steps = np.arange(self.shape[2 - index], dtype=np.float64) * self.spacing_mm[index]
        return (self.origin_mm[index] + steps).astype(np.float32)

    @property
    def zyx(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Open coordinate arrays z, y, x (mm) that broadcast to ``shape``."""
        return self.axis(2)[:, None, None], self.axis(1)[None, :, None], self.axis(0)[None, None, :]

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in millilitres."""
        return float(np.prod(self.spacing_mm)) / 1000.0

    def index_of(self, points_mm: np.ndarray) -> np.ndarray:
        """Continuous (z, y, x) indices of chest-frame points (…, x y z)."""
        return ((np.asarray(points_mm) - self.origin_mm) / self.spacing_mm)[..., ::-1]

    def box(self, low_mm: np.ndarray, high_mm: np.ndarray) -> tuple[slice, slice, slice]:
        """The slices (z, y, x) of the voxels inside a box of chest-frame corners, clipped to the grid."""
        first = np.ceil(self.index_of(low_mm)).astype(int)
        last = np.floor(self.index_of(high_mm)).astype(int) + 1
        return tuple(slice(max(0, a), max(0, min(b, n))) for a, b, n in zip(first, last, self.shape, strict=True))

    def part(self, slices: tuple[slice, slice, slice]) -> Grid:
        """The grid of a sub-array."""
        starts = [s.indices(n)[0] for s, n in zip(slices, self.shape, strict=True)]
        shape = tuple(len(range(*s.indices(n))) for s, n in zip(slices, self.shape, strict=True))
        origin = tuple(
            o + starts[2 - i] * d for i, (o, d) in enumerate(zip(self.origin_mm, self.spacing_mm, strict=True))
        )
        return Grid(origin, self.spacing_mm, shape)

    def image(self, array: np.ndarray, offset_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> sitk.Image:
        """An image of a (z, y, x) array on this grid, the chest frame lying at ``offset_mm`` in LPS."""
        image = sitk.GetImageFromArray(np.ascontiguousarray(array))
        image.SetSpacing([float(s) for s in self.spacing_mm])
        image.SetOrigin([float(o + d) for o, d in zip(self.origin_mm, offset_mm, strict=True)])
        return image


def linear_weights(source: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lower indices and weights that interpolate from even positions ``source`` to ``target`` (ends held)."""
    position = (target.astype(np.float64) - float(source[0])) / (float(source[1]) - float(source[0]))
    position = np.clip(position, 0, len(source) - 1)
    lower = np.minimum(position.astype(np.intp), len(source) - 2)
    return lower, (position - lower).astype(np.float32)


class Resampler:
    """Trilinear interpolation of fields on one grid to slabs of another, axis by axis."""

    def __init__(self, source: Grid, target: Grid):
        self._same = source == target
        self._z, self._y, self._x = (linear_weights(source.axis(i), target.axis(i)) for i in (2, 1, 0))

    def slab(self, field: np.ndarray, first: int, last: int) -> np.ndarray:
        """Slices ``first`` … ``last − 1`` of a (z, y, x) field on the target grid, float32."""
        if self._same:
            return np.array(field[first:last], np.float32)
        result = field
        for axis, (lower, weight) in enumerate((self._z, self._y, self._x)):
            if axis == 0:
                lower, weight = lower[first:last], weight[first:last]
            shape = [1, 1, 1]
            shape[axis] = -1
            low = np.take(result, lower, axis=axis)
            step = np.take(result, lower + 1, axis=axis)
            step = np.subtract(step, low, dtype=np.float32)
            step *= weight.reshape(shape)
            result = step
            result += low
        return result


def _spline_matrix(coordinates: np.ndarray, start: float, step: float, count: int) -> np.ndarray:
    """Cubic B-spline weights (coordinate, knot) of an even lattice."""
    distance = np.abs((coordinates[:, None] - start) / step - np.arange(count)[None, :])
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = np.clip(2 - distance, 0, None) ** 3 / 6
    return np.where(distance < 1, near, far).astype(np.float32)


EXTENT_MM = ((-260.0, 260.0), (-220.0, 220.0), (-120.0, 420.0))
"""The part of the chest frame (x, y, z) that random fields cover."""


class RandomField:
    """A smooth Gaussian random field of zero mean and unit variance, fixed in the chest frame.

    White noise on a lattice of step ``length_mm`` is joined by cubic B-splines; its autocorrelation falls to a half
    at about one step. The same field can be evaluated on any grid.
    """

    _UNIT = (151 / 315) ** -1.5  # mean variance of a B-spline interpolant of unit white noise is (151/315)³

    def __init__(self, rng: np.random.Generator, length_mm: float):
        self._step = float(length_mm)
        counts = [int(np.ceil((high - low) / length_mm)) + 4 for low, high in EXTENT_MM]
        self._knots = rng.standard_normal(counts[::-1], dtype=np.float32) * np.float32(self._UNIT)

    def on(self, grid: Grid) -> np.ndarray:
        """The field (float32) on a grid, shape (z, y, x)."""
        wz, wy, wx = (
            _spline_matrix(grid.axis(i), EXTENT_MM[i][0] - 1.5 * self._step, self._step, self._knots.shape[2 - i])
            for i in (2, 1, 0)
        )
        field = np.tensordot(wz, self._knots, axes=(1, 0))
        field = np.matmul(wy, field)
        return np.matmul(field, wx.T)
