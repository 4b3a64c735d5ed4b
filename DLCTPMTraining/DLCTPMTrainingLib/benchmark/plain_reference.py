"""The same method written plainly, to measure the engine against (``dlctpm benchmark``) and to check it with.

Full resolution, double precision where one would write it without a second thought, SciPy's own filters, eager
PyTorch with gradients on. It shares no code with the engine.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage


def axis_overlap(voxels: int, cells: int) -> np.ndarray:
    """Dense float64 matrix (cells, voxels) of the share of each cell that each voxel fills."""
    matrix = np.zeros((cells, voxels))
    for cell in range(cells):
        start, stop = cell * voxels / cells, (cell + 1) * voxels / cells
        for voxel in range(int(start), min(int(np.ceil(stop)), voxels)):
            matrix[cell, voxel] = (min(stop, voxel + 1) - max(start, voxel)) * cells / voxels
    return matrix


def axis_interpolation(nodes: int, positions: np.ndarray) -> np.ndarray:
    """Dense float64 matrix that interpolates ``nodes`` values linearly at positions, end values held."""
    matrix = np.zeros((len(positions), nodes))
    for row, position in enumerate(np.clip(positions, 0, nodes - 1)):
        lower = min(int(position), nodes - 2) if nodes > 1 else 0
        upper = min(lower + 1, nodes - 1)
        matrix[row, upper] += position - lower
        matrix[row, lower] += 1 - (position - lower)
    return matrix


def apply_axes(values: np.ndarray, matrices: list[np.ndarray]) -> np.ndarray:
    """Apply one matrix an axis, z then y then x."""
    z, y, x = matrices
    values = (z @ values.reshape(values.shape[0], -1)).reshape(len(z), *values.shape[1:])
    return np.matmul(y, values) @ x.T


def bounding_box(mask: np.ndarray) -> tuple[slice, ...]:
    """The box around a mask."""
    return ndimage.find_objects(mask.astype(np.uint8))[0]


def downsample(ct: np.ndarray, mask: np.ndarray, shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Crop and down-sample one lung. Returns HU (0 outside) and the mask on the grid."""
    box = bounding_box(mask)
    crop, inside = ct[box].astype(np.float64), mask[box].astype(np.float64)
    matrices = [
        axis_overlap(n, m) if n > m else axis_interpolation(n, (np.arange(m) + 0.5) * n / m - 0.5)
        for n, m in zip(inside.shape, shape, strict=True)
    ]
    part = apply_axes(inside, matrices)
    total = apply_axes(crop * inside, matrices)
    lung = part >= 0.5 - 1e-6
    return np.where(lung, total / np.maximum(part, 1e-12), 0), lung


def equalise(hu: np.ndarray, mask: np.ndarray, low: int = -1000, high: int = -300) -> np.ndarray:
    """The fraction of Eq. 1 for every cell, background 0."""
    values = np.clip(np.rint(hu), low, high)
    edges = np.arange(low, high + 1)
    chf = np.searchsorted(np.sort(values[mask]), edges, side="right").astype(float)
    equalised = (chf[(values - low).astype(int)] - chf[0]) / (chf[-1] - chf[0])
    return np.where(mask, equalised, 0).astype(np.float32)


def median(equalised: np.ndarray, size: int = 10) -> np.ndarray:
    """SciPy's median filter."""
    return ndimage.median_filter(equalised, size=size)


def uniform(values: np.ndarray, size: int = 5) -> np.ndarray:
    """SciPy's uniform filter."""
    return ndimage.uniform_filter(values, size=size)


def network(model: torch.nn.Module, enhanced: np.ndarray) -> np.ndarray:
    """Eager PyTorch, as one would call a model."""
    return model(torch.from_numpy(enhanced)[None, None])[0, 0].detach().numpy()


def upsample(cells: np.ndarray, lung: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Trilinear interpolation over the whole CT grid, normalised by the interpolated mask, float32.

    Lung voxels that no lung cell reaches take the nearest lung cell's value.
    """
    box = bounding_box(mask)
    matrices = [
        axis_interpolation(m, (np.arange(n) - b.start + 0.5) * m / (b.stop - b.start) - 0.5).astype(np.float32)
        for n, m, b in zip(mask.shape, lung.shape, box, strict=True)
    ]
    weight = apply_axes(lung.astype(np.float32), matrices)
    total = apply_axes(np.where(lung, cells, 0).astype(np.float32), matrices)
    reached = weight > 1e-4
    out = np.where(mask & reached, total / np.maximum(weight, 1e-4), 0).astype(np.float32)
    start = np.array([b.start for b in box])
    scale = np.array([m / (b.stop - b.start) for m, b in zip(lung.shape, box, strict=True)])
    centres = np.argwhere(lung) + 0.5
    for voxel in np.argwhere(mask & ~reached):
        away = np.linalg.norm(centres - (voxel - start + 0.5) * scale, axis=1)
        nearest = np.flatnonzero(away <= away.min() * (1 + 1e-9))[0]
        out[tuple(voxel)] = cells[lung][nearest]
    return out


def perfusion(ct: np.ndarray, masks: list[np.ndarray], model: torch.nn.Module) -> np.ndarray:
    """The whole way from a CT and its two lung masks to the map on the CT grid."""
    out = np.zeros(ct.shape, dtype=np.float32)
    for mask in masks:
        hu, lung = downsample(ct, mask, (128, 64, 64))
        out += upsample(network(model, uniform(median(equalise(hu, lung)))), lung, mask)
    return out
