"""Parallel-hole SPECT projector: rotation, attenuation and collimator–detector response, with exact adjoints.

A projection is three linear operators in a row and a sum along the rays:

    volume ── Rotation ──► planes ── Attenuation ──► planes ── CollimatorResponse ──► planes ── Σ depth ──► view

Each has ``forward`` and ``adjoint`` for one view, and the adjoint is the transpose of the same matrix, not an
approximation of it. Volumes at the border are (z, y, x) tensors along the patient's axes with square (y, x);
projections are (view, z, u). Inside, a volume is (y, x, z) and *planes* are (depth, u, z): planes parallel to
the detector, the last one nearest to it.

The detector of view angle θ lies along (x, y) = (sin θ, −cos θ) — 0° in front of the patient, 90° on the
patient's left — and u runs along (cos θ, sin θ).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Protocol

import numpy as np
import torch

from DLCTPMLib.common.errors import InputError
from DLCTPMTrainingLib.spect.physics import Collimator


@dataclass(frozen=True)
class ViewGeometry:
    """The voxel grid and the detector's path around it.

    Attributes:
        shape: (z, y, x) of the volume, y equal to x; the rotation axis runs through its centre along z.
        voxel_mm: edge of the cubic voxels and of the detector's pixels.
        angles_deg: one angle for each view.
        radii_mm: distance from the rotation axis to the collimator's face for each view.
    """

    shape: tuple[int, int, int]
    voxel_mm: float
    angles_deg: tuple[float, ...]
    radii_mm: tuple[float, ...]

    def __post_init__(self):
        if self.shape[1] != self.shape[2]:
            raise InputError(f"a projector's grid must be square in y and x, not {self.shape}: pad it.")
        if not self.angles_deg or len(self.angles_deg) != len(self.radii_mm):
            raise InputError("a projector needs one radius for every view angle, and at least one view.")
        if self.voxel_mm <= 0 or min(self.radii_mm) <= 0:
            raise InputError("a projector's voxel size and radii must be positive lengths in mm.")

    @property
    def views(self) -> int:
        """Number of views."""
        return len(self.angles_deg)

    @property
    def depth_mm(self) -> np.ndarray:
        """Position of each plane along the ray, 0 at the rotation axis, positive towards the detector."""
        side = self.shape[1]
        return (np.arange(side) - (side - 1) / 2) * self.voxel_mm


class Operator(Protocol):
    """A linear operator of one view, and its transpose."""

    def forward(self, volume: torch.Tensor, view: int) -> torch.Tensor:
        """Apply the operator for that view."""
        ...

    def adjoint(self, planes: torch.Tensor, view: int) -> torch.Tensor:
        """Apply its transpose."""
        ...


class Rotation:
    """Bilinear resampling of a volume on planes that face the detector; nothing enters from outside the grid.

    The interpolation of each view is kept as a sparse matrix, so the adjoint is its transpose.
    """

    def __init__(self, geometry: ViewGeometry, device: torch.device | str = "cpu"):
        self._geometry = geometry
        self._device = torch.device(device)
        self._matrices: dict[tuple[int, bool, torch.dtype], torch.Tensor] = {}

    def forward(self, volume: torch.Tensor, view: int) -> torch.Tensor:
        """(y, x, z) → (depth, u, z)."""
        return self._apply(volume, view, transposed=False)

    def adjoint(self, planes: torch.Tensor, view: int) -> torch.Tensor:
        """(depth, u, z) → (y, x, z)."""
        return self._apply(planes, view, transposed=True)

    def _apply(self, array: torch.Tensor, view: int, transposed: bool) -> torch.Tensor:
        matrix = self._matrices.get((view, transposed, array.dtype))
        if matrix is None:
            weights, rows, columns = self._interpolation(view)
            if transposed:
                rows, columns = columns, rows
            side = self._geometry.shape[1]
            matrix = _compressed(weights, rows, columns, side * side, array.dtype, self._device)
            self._matrices[view, transposed, array.dtype] = matrix
        return (matrix @ array.reshape(-1, array.shape[-1])).reshape(array.shape)

    def _interpolation(self, view: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        side = self._geometry.shape[1]
        centre = (side - 1) / 2
        angle = math.radians(self._geometry.angles_deg[view])
        depth, u = np.meshgrid(np.arange(side) - centre, np.arange(side) - centre, indexing="ij")
        # Rounded so that a quarter turn falls on voxel centres instead of a rounding error beside them.
        x = np.round(depth * math.sin(angle) + u * math.cos(angle) + centre, 9).ravel()
        y = np.round(-depth * math.cos(angle) + u * math.sin(angle) + centre, 9).ravel()
        x_low, y_low = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
        x_part, y_part = x - x_low, y - y_low
        weights, rows, columns = [], [], []
        for step_y, step_x in np.ndindex(2, 2):
            column_x, column_y = x_low + step_x, y_low + step_y
            weight = (x_part if step_x else 1 - x_part) * (y_part if step_y else 1 - y_part)
            inside = (column_x >= 0) & (column_x < side) & (column_y >= 0) & (column_y < side) & (weight > 0)
            weights.append(weight[inside])
            rows.append(np.flatnonzero(inside))
            columns.append((column_y * side + column_x)[inside])
        return np.concatenate(weights), np.concatenate(rows), np.concatenate(columns)


class Attenuation:
    """The share of photons that leave each voxel towards the detector unabsorbed: exp(−∫ μ), half of the own voxel.

    Args:
        rotation: brings the map in front of each view's detector.
        mu_per_mm: (z, y, x) linear attenuation in 1/mm.
        keep: hold every view's factors (reconstruction uses each many times) instead of computing them anew.
    """

    def __init__(self, geometry: ViewGeometry, rotation: Rotation, mu_per_mm: torch.Tensor, keep: bool = False):
        side = geometry.shape[1]
        self._rotation = rotation
        self._optical_depth = _inside(mu_per_mm * geometry.voxel_mm)
        # Row d sums the planes between d and the detector, and half of plane d itself.
        path = torch.triu(torch.ones(side, side)) - 0.5 * torch.eye(side)
        self._path = path.to(self._optical_depth)
        self._kept: dict[int, torch.Tensor] | None = {} if keep else None

    def factors(self, view: int) -> torch.Tensor:
        """Transmission from every voxel to the detector of that view, 0…1, as planes (depth, u, z)."""
        if self._kept is not None and view in self._kept:
            return self._kept[view]
        planes = self._rotation.forward(self._optical_depth, view)
        factors = (self._path @ planes.reshape(len(planes), -1)).neg_().exp_().reshape(planes.shape)
        if self._kept is not None:
            self._kept[view] = factors
        return factors

    def forward(self, planes: torch.Tensor, view: int) -> torch.Tensor:
        """Attenuate each voxel on its way to the detector."""
        factors = self.factors(view)
        return planes * factors if self._kept is not None else factors.mul_(planes)

    def adjoint(self, planes: torch.Tensor, view: int) -> torch.Tensor:
        """The same: the operator is diagonal."""
        return self.forward(planes, view)


class CollimatorResponse:
    """Gaussian blur of every plane with the resolution of its distance to the collimator.

    Kernels are sampled at voxel centres and sum to 1 over an endless plane, so what falls beside the detector is
    lost, as in the scanner. Both axes of a plane are blurred by matrices (small, dense: faster than convolution).
    """

    def __init__(self, geometry: ViewGeometry, collimator: Collimator, device: torch.device | str = "cpu"):
        self._geometry = geometry
        # Views at one radius share their kernels; an orbit that follows the body needs no more than a few at a time.
        # The cache holds no reference to self: a cycle would keep gigabytes until the next garbage collection.
        self._kernels = lru_cache(maxsize=4)(partial(_blur_kernels, geometry, collimator, torch.device(device)))

    def forward(self, planes: torch.Tensor, view: int) -> torch.Tensor:
        """Blur (depth, u, z) planes."""
        across, along = self._kernels(self._geometry.radii_mm[view], planes.dtype)
        return across @ planes @ along

    def adjoint(self, planes: torch.Tensor, view: int) -> torch.Tensor:
        """The transposed blur."""
        across, along = self._kernels(self._geometry.radii_mm[view], planes.dtype)
        return across.transpose(1, 2) @ planes @ along.transpose(1, 2)


def _blur_kernels(
    geometry: ViewGeometry, collimator: Collimator, device: torch.device, radius_mm: float, dtype: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor]:
    """Matrices that blur across and along the detector, one for each plane."""
    distance_mm = np.clip(radius_mm - geometry.depth_mm, 0.0, None)
    sigma = collimator.sigma_mm(distance_mm) / geometry.voxel_mm
    return tuple(_toeplitz(sigma, length, device, dtype) for length in (geometry.shape[2], geometry.shape[0]))


def _toeplitz(sigma: np.ndarray, length: int, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    reach = max(length, math.ceil(8 * sigma.max()))
    offsets = np.arange(-reach, reach + 1)
    kernels = np.exp(-0.5 * (offsets / sigma[:, None]) ** 2)
    kernels /= kernels.sum(axis=1, keepdims=True)
    rows = torch.from_numpy(kernels[:, reach - length + 1 : reach + length]).to(device, dtype)
    return rows.unfold(1, length, 1).flip(1)


class Projector:
    """The operators in a row, summed along the rays: a volume to its views, and exactly back.

    Args:
        geometry: the grid and the views.
        operators: the first turns a volume into planes (``Rotation``), the others act on planes.
    """

    def __init__(self, geometry: ViewGeometry, operators: Sequence[Operator], device: torch.device | str = "cpu"):
        self.geometry = geometry
        self.operators = tuple(operators)
        self.device = torch.device(device)

    @classmethod
    def of(
        cls,
        geometry: ViewGeometry,
        mu_per_mm: torch.Tensor | None = None,
        collimator: Collimator | None = None,
        device: torch.device | str = "cpu",
        keep_attenuation: bool = False,
    ) -> Projector:
        """A projector with or without attenuation (a (z, y, x) map in 1/mm) and collimator response."""
        rotation = Rotation(geometry, device)
        operators: list[Operator] = [rotation]
        if mu_per_mm is not None:
            operators.append(Attenuation(geometry, rotation, mu_per_mm.to(device), keep_attenuation))
        if collimator is not None:
            operators.append(CollimatorResponse(geometry, collimator, device))
        return cls(geometry, operators, device)

    def forward(self, volume: torch.Tensor, views: Sequence[int] | None = None) -> torch.Tensor:
        """Project a (z, y, x) volume; returns (view, z, u), all views or those named."""
        inside = _inside(volume)
        return torch.stack([self._project(inside, view) for view in self._views(views)])

    def adjoint(self, projections: torch.Tensor, views: Sequence[int] | None = None) -> torch.Tensor:
        """Back-project (view, z, u) with the transposed matrix; returns a (z, y, x) volume."""
        depth = self.geometry.shape[1]
        total = None
        for projection, view in zip(projections, self._views(views), strict=True):
            planes = projection.t().contiguous().expand(depth, -1, -1)
            for operator in reversed(self.operators):
                planes = operator.adjoint(planes, view)
            total = planes if total is None else total.add_(planes)
        return total.permute(2, 0, 1).contiguous()

    def _project(self, planes: torch.Tensor, view: int) -> torch.Tensor:
        for operator in self.operators:
            planes = operator.forward(planes, view)
        return planes.sum(dim=0).t()

    def _views(self, views: Sequence[int] | None) -> Sequence[int]:
        return range(self.geometry.views) if views is None else views


def _inside(volume: torch.Tensor) -> torch.Tensor:
    """(z, y, x) → (y, x, z): the axis that rotation leaves alone comes last, where the matrices want it."""
    return volume.permute(1, 2, 0).contiguous()


def _compressed(
    weights: np.ndarray, rows: np.ndarray, columns: np.ndarray, size: int, dtype: torch.dtype, device: torch.device
) -> torch.Tensor:
    """A square sparse matrix in compressed rows. 32-bit indices: they run three times as fast on a processor."""
    order = np.lexsort((columns, rows))
    starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=size))])
    with warnings.catch_warnings():
        # PyTorch says once that compressed rows are in beta; the adjoint and SciPy tests watch what is used here.
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta", category=UserWarning)
        return torch.sparse_csr_tensor(
            torch.from_numpy(starts.astype(np.int32)).to(device),
            torch.from_numpy(columns[order].astype(np.int32)).to(device),
            torch.from_numpy(weights[order]).to(device, dtype),
            size=(size, size),
            check_invariants=False,
        )
