"""OSEM (Hudson & Larkin, IEEE Trans Med Imaging 1994;13:601) with additive scatter, and the post-filter."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy import ndimage

from DLCTPMTrainingLib.spect.physics import FWHM_PER_SIGMA
from DLCTPMTrainingLib.spect.projector import Projector


def subset_views(views: int, subsets: int) -> list[list[int]]:
    """The views of each subset, evenly spaced, in an order that keeps successive subsets far apart.

    >>> subset_views(6, 3)
    [[0, 3], [1, 4], [2, 5]]
    """
    step = next(
        (s for s in range(max(1, round(0.38 * subsets)), subsets) if np.gcd(s, subsets) == 1),
        1,
    )
    return [list(range(index * step % subsets, views, subsets)) for index in range(subsets)]


def osem(
    projector: Projector,
    counts: torch.Tensor,
    iterations: int,
    subsets: int,
    scatter: torch.Tensor | None = None,
    after_iteration: Callable[[int, torch.Tensor], None] | None = None,
) -> torch.Tensor:
    """Ordered-subsets expectation maximisation.

        f ← f / (Hᵀ1) · Hᵀ( y / (H f + s) ),   for one subset of views after the other

    Args:
        projector: the model H.
        counts: measured y, (view, z, u), not negative.
        iterations: passes over all views.
        subsets: number of subsets; one is plain MLEM.
        scatter: additive estimate s on the same pixels, or None.
        after_iteration: called with the number of finished iterations and the estimate.

    Returns:
        (z, y, x) activity, in counts of one view per voxel, not negative. Voxels that no view sees stay 0.
    """
    order = subset_views(projector.geometry.views, subsets)
    ones = torch.ones_like(counts[: len(order[0])])
    sensitivities = [projector.adjoint(ones, views) for views in order]
    floor = 1e-6 * max(float(s.max()) for s in sensitivities)
    estimate = torch.ones_like(sensitivities[0]) * (sum(sensitivities) > floor)
    # Far below one count: keeps empty pixels finite and leaves every other ratio as it is.
    smallest = 1e-6 * float(counts.mean()) + torch.finfo(counts.dtype).tiny
    for iteration in range(iterations):
        for views, sensitivity in zip(order, sensitivities, strict=True):
            expected = projector.forward(estimate, views)
            if scatter is not None:
                expected = expected + scatter[views]
            update = projector.adjoint(counts[views] / expected.clamp_min_(smallest), views)
            estimate = torch.where(sensitivity > floor, estimate * update / sensitivity.clamp_min(floor), 0.0)
        if after_iteration is not None:
            after_iteration(iteration + 1, estimate)
    return estimate


def post_filter(volume: np.ndarray, fwhm_mm: float, voxel_mm: float) -> np.ndarray:
    """Gaussian smoothing of a (z, y, x) volume; outside it is empty. 0 mm returns the volume as it is."""
    if fwhm_mm <= 0:
        return volume
    return ndimage.gaussian_filter(volume, fwhm_mm / FWHM_PER_SIGMA / voxel_mm, mode="constant", truncate=5.0)
