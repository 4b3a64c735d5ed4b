"""CT enhancement (Eq. 1) and SPECT standardisation (Eq. 2) on the network's grid."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from scipy import ndimage
from skimage.filters import rank

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.preprocessing.fast.window_median import window_median
from DLCTPMLib.preprocessing.settings import PreprocessingSettings

DENSE_HU = 100
"""HU of the densest lung that the image "dense" tells apart: soft tissue."""
LEAST_DENSITY = 1 / 255
"""Density of the emptiest lung cell, one step of the 8-bit samples: lung stays apart from the background's 0."""


def network_inputs(
    hu: np.ndarray, mask: np.ndarray, settings: PreprocessingSettings, lung_part: np.ndarray | None = None
) -> np.ndarray:
    """The images of one lung, or of both on one grid, that the network gets; ``inputs`` names them.

    Args:
        hu: CT on the network's grid in HU, (z, y, x).
        mask: the cells that are lung.
        settings: ``inputs`` and what makes them.
        lung_part: the lung's part of each cell, for the image "lung"; without it a cell is lung or not.

    Returns:
        float32 array, 0…1, (channels, z, y, x).
    """
    part = mask if lung_part is None else lung_part
    images = {
        "enhanced": lambda: enhance_ct(hu, mask, settings),
        "density": lambda: lung_density(hu, mask),
        "aerated": lambda: np.where(mask, _share_of_range(hu, settings.hu_low, settings.hu_high), 0),
        "dense": lambda: np.where(mask, _share_of_range(hu, settings.hu_high, DENSE_HU), 0),
        "lung": lambda: np.where(mask, part, 0),
    }
    return np.stack([images[name]() for name in settings.inputs]).astype(np.float32, copy=False)


def _share_of_range(hu: np.ndarray, low: float, high: float) -> np.ndarray:
    """Where HU lie between two limits, 0…1. Of a cell's mean, which a CT's kernel and voxels hardly move."""
    return np.clip((hu - low) / (high - low), 0, 1)


def lung_density(hu: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Lung density from air (−1000 HU) to water (0 HU) as 0…1, neither equalised nor filtered.

    What Eq. 1 leaves out: vessels, and density that can be compared between patients.

    Returns:
        float32 array; lung cells lie in ``LEAST_DENSITY``…1, the background is 0.
    """
    return np.where(mask, np.clip(hu / 1000 + 1, LEAST_DENSITY, 1), 0).astype(np.float32)


def enhance_ct(hu: np.ndarray, mask: np.ndarray, settings: PreprocessingSettings) -> np.ndarray:
    """Eq. 1: CT' = filtering((chf[CT] − chf[−1000]) / (chf[−300] − chf[−1000])).

    The cumulative histogram is monotone, so the median of equalised values is the equalised median of HU
    bins, bit for bit: the median runs on small integers and the table is looked up afterwards.

    Args:
        hu: CT on the network's grid in HU, (z, y, x).
        mask: the cells that are lung; only they make up the histogram. Background is 0 before the filters.

    Returns:
        float32 array, 0…1, of the same shape.
    """
    bins = hu_bins(hu, mask, settings)
    table = equalisation_table(bins[mask], settings).astype(np.float32)
    if settings.edges == "masked":
        equalised = table[masked_median(bins, mask, settings.median_size)]
        return masked_uniform(np.where(mask, equalised, 0), mask, settings.uniform_size)
    return ndimage.uniform_filter(table[median_filter(bins, settings.median_size)], settings.uniform_size)


def hu_bins(hu: np.ndarray, mask: np.ndarray, settings: PreprocessingSettings) -> np.ndarray:
    """HU in bins of 1 HU from the lower limit, outliers set to the limits, background in bin 0; uint16."""
    clipped = np.clip(np.rint(hu), settings.hu_low, settings.hu_high) - settings.hu_low
    return np.where(mask, clipped, 0).astype(np.uint16)


def equalisation_table(lung_bins: np.ndarray, settings: PreprocessingSettings) -> np.ndarray:
    """The fraction of Eq. 1 for every HU bin: 0 at the lower limit, 1 at the upper, monotone.

    A lung with one single value has no contrast to stretch: the table is 0.
    """
    counts = np.bincount(lung_bins, minlength=settings.hu_high - settings.hu_low + 1)
    chf = np.cumsum(counts)
    spread = chf[-1] - chf[0]
    return (chf - chf[0]) / spread if spread else np.zeros(len(chf))


def median_filter(bins: np.ndarray, size: int) -> np.ndarray:
    """``scipy.ndimage.median_filter(bins, size)`` for small unsigned integers, many times faster, bit for bit.

    Args:
        bins: unsigned 16-bit integers, three-dimensional. Few different values make it fast.
        size: width of the cubic window.
    """
    return window_median(bins, size)


def masked_median(bins: np.ndarray, mask: np.ndarray, size: int) -> np.ndarray:
    """Median over the lung cells of each window only; 0 outside the lung. Same window as ``median_filter``."""
    present = np.zeros(int(bins.max()) + 1, dtype=bool)
    present[bins.ravel()] = True
    values = np.flatnonzero(present).astype(bins.dtype)
    rank_of = np.cumsum(present) - 1  # the filter walks a histogram of the present values only
    ranks = rank_of.astype(np.uint8 if len(values) <= 256 else np.uint16)[bins]

    before, after = size // 2, (size - 1) // 2
    inner = (slice(before, -after or None),) * 3
    ranks, inside = (np.pad(array, (before, after)) for array in (ranks, mask))
    window = np.ones((size,) * 3, dtype=bool)

    def part(z: np.ndarray) -> np.ndarray:
        slab = slice(z[0], z[-1] + before + after + 1)
        return rank.median(ranks[slab], window, mask=inside[slab])[inner]

    parts = np.array_split(np.arange(bins.shape[0]), min(2, bins.shape[0]))
    with ThreadPoolExecutor(len(parts)) as pool, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Bad rank filter performance", UserWarning)  # still far ahead of SciPy
        return np.where(mask, values[np.concatenate(list(pool.map(part, parts)))], 0)


def masked_uniform(values: np.ndarray, mask: np.ndarray, size: int) -> np.ndarray:
    """Mean over the lung cells of each window only; 0 outside the lung."""
    total = ndimage.uniform_filter(values.astype(np.float32), size, mode="constant")
    share = ndimage.uniform_filter(mask.astype(np.float32), size, mode="constant")
    return np.divide(total, share, out=np.zeros_like(total), where=mask)


def high_intensity_reference(values: np.ndarray, percentile: float = 75.0) -> float:
    """HIR = P75(SPECT): the percentile of the lung's SPECT values, linearly interpolated (Eq. 2).

    Raises:
        InputError: if it is not positive, since nothing can be divided by it.
    """
    if not len(values):
        raise InputError("the SPECT sees no lung: check that SPECT and lungs lie in the same place")
    reference = float(np.percentile(values, percentile))
    if not reference > 0:
        raise InputError(
            f"the SPECT's {percentile:g}th percentile in the lungs is {reference:g}, so it cannot be normalised: "
            "check that it is a perfusion SPECT and lies on the lungs"
        )
    return reference


def standardise_spect(values: np.ndarray, reference: float, settings: PreprocessingSettings) -> np.ndarray:
    """Eq. 2: SPECT' = discretize(SPECT / HIR), the training target.

    Clipped to 0…``clip_at`` × ``top`` before rounding; ``levels`` uniformly spaced values from 0 to 1.

    Returns:
        float32 array, 0…1.
    """
    relative = np.clip(values / (reference * settings.clip_at * settings.top), 0, 1)
    if settings.levels:
        relative = np.rint(relative * (settings.levels - 1)) / (settings.levels - 1)
    return relative.astype(np.float32)
