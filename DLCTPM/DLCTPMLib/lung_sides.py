"""Right lung, left lung: splitting a mask of both, and checking what a mask claims against the patient."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from skimage.segmentation import watershed

from DLCTPMLib.patient_axes import PatientAxes

COARSE_MM = 4.0
"""Lungs are told apart on cells of about this size."""
MIN_PART = 0.05
"""The smaller lung holds at least this share of the larger one's volume (a hypoplastic lung does)."""


def coarse_factors(axes: PatientAxes, size_mm: float = COARSE_MM) -> tuple[int, int, int]:
    """How many voxels (z, y, x) make one coarse cell of at most about ``size_mm``."""
    return tuple(max(1, round(size_mm / spacing)) for spacing in axes.spacing_mm)


def block_mean(array: np.ndarray, factors: tuple[int, int, int]) -> np.ndarray:
    """Mean of a (z, y, x) array over blocks, float32; blocks that stick out at the ends are filled with 0."""
    for axis, factor in enumerate(factors):
        if factor == 1:
            continue
        starts = np.arange(0, array.shape[axis], factor)
        array = np.add.reduceat(array, starts, axis=axis, dtype=np.float32) / np.float32(factor)
    return array.astype(np.float32, copy=False)


def lateral_mm(axes: PatientAxes, mask: np.ndarray, factors: tuple[int, int, int] = (1, 1, 1)) -> float:
    """Patient-lateral (LPS x, mm; the patient's left is positive) position of a mask's centroid."""
    centre = [
        float((np.arange(mask.shape[axis]) * counts).sum() / max(counts.sum(), 1))
        for axis, counts in enumerate(
            mask.sum(axis=tuple(other for other in range(3) if other != axis), dtype=np.int64) for axis in range(3)
        )
    ]
    index = [(c + 0.5) * factor - 0.5 for c, factor in zip(centre, factors, strict=True)]
    steps = axes.directions[0] * np.array(axes.spacing_mm[::-1])
    return float(axes.origin_mm[0] + (steps * np.array(index[::-1])).sum())


def split_sides(mask: np.ndarray, axes: PatientAxes, midline_mm: float | None = None) -> np.ndarray:
    """Tell right from left in a mask of both lungs, also where they touch.

    The mask is eroded until two large parts lie side by side; they grow back over the mask, deepest voxels
    first, and meet at the neck between them (the anterior junction line). The part on the patient's right is
    the right lung.

    Args:
        mask: boolean (z, y, x), patient axes.
        midline_mm: lateral position of the body's middle; it decides the side where only one lung is found
            (without it a lone lung is measured against the middle of the grid).

    Returns:
        uint8 (z, y, x): 0 outside the mask, 1 right lung, 2 left lung.
    """
    factors = coarse_factors(axes)
    spacing = tuple(f * s for f, s in zip(factors, axes.spacing_mm, strict=True))
    coarse = block_mean(mask, factors) >= 0.5
    if not coarse.any():
        coarse = block_mean(mask, factors) > 0
    depth = ndimage.distance_transform_edt(np.pad(coarse, 1), sampling=spacing)[1:-1, 1:-1, 1:-1]
    seeds = _seeds(coarse, depth, axes, factors)
    if seeds is None:
        if midline_mm is None:
            midline_mm = lateral_mm(axes, np.ones(coarse.shape, bool), factors)
        side = 1 if lateral_mm(axes, coarse, factors) < midline_mm else 2
        return mask.astype(np.uint8) * np.uint8(side)
    grown = watershed(-depth, seeds, mask=coarse, connectivity=3)
    nearest = ndimage.distance_transform_edt(
        grown == 0, sampling=spacing, return_distances=False, return_indices=True
    )
    sides = grown[tuple(nearest)].astype(np.uint8)
    for axis, factor in enumerate(factors):
        sides = np.repeat(sides, factor, axis=axis)
    sides = sides[tuple(slice(n) for n in mask.shape)]
    return sides * mask


def _seeds(coarse: np.ndarray, depth: np.ndarray, axes: PatientAxes, factors: tuple) -> np.ndarray | None:
    """Markers of the two lungs (1 right, 2 left) on the coarse grid, or None where there is one lung only."""
    columns = np.flatnonzero(coarse.any(axis=(0, 1)))
    width_mm = (columns[-1] - columns[0] + 1) * factors[2] * axes.spacing_mm[2]
    step = min(f * s for f, s in zip(factors, axes.spacing_mm, strict=True))
    radius = 0.0
    while radius < depth.max():
        parts, count = ndimage.label(depth > radius, structure=np.ones((3, 3, 3)))
        if count > 1:
            sizes = np.bincount(parts.ravel(), minlength=count + 1)
            sizes[0] = 0
            first, second = np.argsort(-sizes, kind="stable")[:2]
            place = [lateral_mm(axes, parts == part, factors) for part in (first, second)]
            if sizes[second] >= MIN_PART * sizes[first] and abs(place[0] - place[1]) > width_mm / 4:
                right, left = (first, second) if place[0] < place[1] else (second, first)
                return (parts == right) + np.int32(2) * (parts == left)
        radius += step
    return None
