"""Agreement of two images as numbers: arrays in, a number or a map out (METHOD.md §5, Eqs. 4–6).

A metric that has no value on its input (a constant image has no correlation) raises ``UndefinedMetricError``.
"""

from __future__ import annotations

import numpy as np

SSIM_SIGMA = 1.5
SSIM_RADIUS = 5
"""Window radius in voxels: 3.5 σ, rounded; the window is 11³."""
_K1, _K2, _RANGE = 0.01, 0.03, 1.0
_SAME = 1e-6  # values that differ by less, relatively, differ by single-precision rounding only

SSIM_CONVENTION = (
    "3D, Gaussian window σ 1.5 voxels truncated at 3.5 σ (11³), K1 0.01, K2 0.03, L 1, both images clipped to "
    "[0, 1] and 0 outside the lungs, population covariance, reflecting edges, averaged inside the lung mask"
)
"""How every SSIM here is computed; printed beside it, since the same pair scores differently by convention."""

SSIM_BOX_CONVENTION = "as ssim, but averaged over the whole SPECT image"


class UndefinedMetricError(ValueError):
    """A metric has no value on this input; the message says why, for a reader of the report."""


def pearson(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's correlation of prediction and reference, −1…1 (the formula of the paper's Eq. 4).

    Raises:
        UndefinedMetricError: fewer than two values, or one side is constant (in single precision).
    """
    a, b = _varying(a, "prediction"), _varying(b, "reference")
    a, b = a - a.mean(), b - b.mean()
    return float(np.clip(a @ b / np.sqrt((a @ a) * (b @ b)), -1, 1))


def average_ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1 upwards; equal values share the mean of their ranks. float64, shape (n,)."""
    _, group, counts = np.unique(np.ravel(values), return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[group]


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's rank correlation with average ranks for ties, −1…1: the paper's R.

    Raises:
        UndefinedMetricError: as for ``pearson``.
    """
    return pearson(average_ranks(_varying(a, "prediction")), average_ranks(_varying(b, "reference")))


def ssim_map(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Structural similarity of every voxel of two 3D images in [0, 1] (Wang 2004; the paper's Eq. 5).

    Equals ``skimage.metrics.structural_similarity(a, b, full=True, gaussian_weights=True, sigma=1.5,
    use_sample_covariance=False, data_range=1)[1]``. Where both images are 0 in the whole window it is 1, so
    only the box around what is not 0 is computed; each filter is one small matrix an axis, with the window's
    reflection at the image's edges folded into it.

    Returns:
        float64 array of the same shape, −1…1.
    """
    result = np.ones(a.shape)
    support = (a != 0) | (b != 0)
    if not support.any():
        return result
    matrices, inner, outer = [], [], []
    for axis, size in enumerate(a.shape):
        hit = np.flatnonzero(support.any(axis=tuple(other for other in range(3) if other != axis)))
        low, high = int(hit[0]), int(hit[-1]) + 1
        reach = slice(max(low - SSIM_RADIUS, 0), min(high + SSIM_RADIUS, size))
        matrices.append(_gaussian_matrix(size)[reach, low:high])
        inner.append(slice(low, high))
        outer.append(reach)

    def smooth(values: np.ndarray) -> np.ndarray:
        z, y, x = matrices
        values = np.matmul(y, values @ x.T)
        return (z @ values.reshape(len(values), -1)).reshape(len(z), *values.shape[1:])

    a, b = a[tuple(inner)].astype(float), b[tuple(inner)].astype(float)
    mean_a, mean_b = smooth(a), smooth(b)
    var_a, var_b = smooth(a * a) - mean_a**2, smooth(b * b) - mean_b**2
    covariance = smooth(a * b) - mean_a * mean_b
    c1, c2 = (_K1 * _RANGE) ** 2, (_K2 * _RANGE) ** 2
    result[tuple(outer)] = ((2 * mean_a * mean_b + c1) * (2 * covariance + c2)) / (
        (mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)
    )
    return result


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """Dice similarity of two boolean arrays, 0…1 (the paper's Eq. 6).

    Raises:
        UndefinedMetricError: if both are empty.
    """
    total = np.count_nonzero(a) + np.count_nonzero(b)
    if not total:
        raise UndefinedMetricError("neither image has such a voxel")
    return 2 * np.count_nonzero(a & b) / total


def cohen_kappa(a: np.ndarray, b: np.ndarray) -> float:
    """Cohen's κ of two boolean arrays: agreement beyond chance, −1…1 (Cohen 1960).

    Raises:
        UndefinedMetricError: no voxels, or both put every voxel into the same class (chance agreement is 1).
    """
    count = np.size(a)
    if not count:
        raise UndefinedMetricError("no voxels")
    observed = np.count_nonzero(a == b) / count
    share_a, share_b = np.count_nonzero(a) / count, np.count_nonzero(b) / count
    chance = share_a * share_b + (1 - share_a) * (1 - share_b)
    if chance == 1:
        raise UndefinedMetricError("both images put every voxel into the same class")
    return (observed - chance) / (1 - chance)


def _varying(values: np.ndarray, name: str) -> np.ndarray:
    values = np.asarray(values, float).ravel()
    if len(values) < 2:
        raise UndefinedMetricError("fewer than two voxels")
    if np.ptp(values) <= _SAME * np.abs(values).max():
        raise UndefinedMetricError(f"the {name} is the same in every voxel")
    return values


def _gaussian_matrix(size: int) -> np.ndarray:
    """Rows that smooth ``size`` voxels with the window of SSIM, mirrored about the outer faces of the image."""
    offsets = np.arange(-SSIM_RADIUS, SSIM_RADIUS + 1)
    kernel = np.exp(-0.5 * (offsets / SSIM_SIGMA) ** 2)
    mirrored = (np.arange(size)[:, None] + offsets) % (2 * size)  # index in the image followed by its mirror
    mirrored = np.where(mirrored < size, mirrored, 2 * size - 1 - mirrored)
    matrix = np.zeros((size, size))
    np.add.at(matrix, (np.arange(size)[:, None], mirrored), kernel / kernel.sum())
    return matrix
