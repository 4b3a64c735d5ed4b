"""Eq. 1 and Eq. 2 against a plain reading of them in SciPy and NumPy."""

import numpy as np
import pytest
from scipy import ndimage

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.preprocessing.enhancement import enhance_ct, high_intensity_reference, median_filter, standardise_spect
from DLCTPMLib.preprocessing.settings import PreprocessingSettings


@pytest.fixture(scope="module")
def lung():
    """A small lung on a grid: HU with outliers on both sides, and its mask."""
    rng = np.random.default_rng(3)
    z, y, x = np.ogrid[-1:1:32j, -1:1:24j, -1:1:24j]
    mask = z**2 + y**2 + x**2 < 1
    hu = -850 + 120 * y + 90 * ndimage.gaussian_filter(rng.normal(size=mask.shape), 1) / 0.2 + 0 * (x + z)
    hu[mask & (rng.random(mask.shape) < 0.01)] = -1024.0
    hu[mask & (rng.random(mask.shape) < 0.01)] = 60.0
    return hu, mask


def plainly_enhanced(hu, mask):
    """Eq. 1 word by word: a count of lung voxels for every HU, outliers replaced, median of 10, mean of 5."""
    values = np.rint(np.clip(hu, -1000, -300))
    chf = {level: np.count_nonzero(values[mask] <= level) for level in range(-1000, -299)}
    equalised = np.zeros(hu.shape)
    for position in np.argwhere(mask):
        level = values[tuple(position)]
        equalised[tuple(position)] = (chf[level] - chf[-1000]) / (chf[-300] - chf[-1000])
    return ndimage.uniform_filter(ndimage.median_filter(equalised, size=10), size=5)


def test_enhancement_is_equation_1(lung):
    hu, mask = lung
    enhanced = enhance_ct(hu, mask, PreprocessingSettings(grid_shape=(32, 24, 24)))
    assert np.abs(enhanced - plainly_enhanced(hu, mask)).max() < 1e-6
    assert enhanced.dtype == np.float32


@pytest.mark.parametrize("size", [1, 2, 5, 10])
@pytest.mark.parametrize("shape", [(17, 13, 11), (6, 30, 9), (1, 12, 12)])
@pytest.mark.parametrize("levels", [3, 701])
def test_the_median_is_scipys_bit_for_bit(size, shape, levels):
    bins = np.random.default_rng(size).integers(0, levels, shape).astype(np.uint16)
    assert np.array_equal(median_filter(bins, size), ndimage.median_filter(bins, size=size, mode="reflect"))


def test_a_masked_filter_never_looks_outside(lung):
    hu, mask = lung
    settings = PreprocessingSettings(grid_shape=(32, 24, 24), edges="masked")
    enhanced = enhance_ct(hu, mask, settings)
    elsewhere = enhance_ct(np.where(mask, hu, 3000), mask, settings)
    assert np.array_equal(enhanced, elsewhere)
    flat = enhance_ct(np.where(mask, np.where(np.arange(24) % 2, -900, -700), 0), mask, settings)
    assert flat[mask].min() > 0.2  # zero edges would pull the rim down to 0
    assert not enhanced[~mask].any()


def test_the_masked_median_is_the_median_of_the_lung_cells_of_each_window(lung):
    hu, mask = lung
    settings = PreprocessingSettings(grid_shape=(32, 24, 24), edges="masked", uniform_size=1)
    enhanced = enhance_ct(hu, mask, settings)
    zero_edges = enhance_ct(hu, mask, PreprocessingSettings(grid_shape=(32, 24, 24), median_size=1, uniform_size=1))
    for z, y, x in [(16, 12, 12), (5, 12, 12), (16, 4, 12), (16, 12, 21)]:
        window = tuple(slice(max(i - 5, 0), i + 5) for i in (z, y, x))
        inside = np.sort(zero_edges[window][mask[window]])
        assert enhanced[z, y, x] == inside[len(inside) // 2]


def test_one_single_value_gives_zero_and_no_warning():
    mask = np.ones((8, 8, 8), dtype=bool)
    assert not enhance_ct(np.full(mask.shape, -1000.0), mask, PreprocessingSettings()).any()


def test_standardisation_is_equation_2():
    counts = np.array([0.0, 100.0, 240.0, 260.0, 390.0, 400.0, 900.0])
    assert high_intensity_reference(counts, 75) == np.percentile(counts, 75) == 395
    standard = standardise_spect(counts, 400.0, PreprocessingSettings())
    assert np.allclose(standard, [0, 0.2, 0.6, 0.6, 1, 1, 1])  # 0.25 and 0.65 round to even, as NumPy does
    fine = standardise_spect(counts, 400.0, PreprocessingSettings(levels=0, clip_at=2.0))
    assert np.allclose(fine, np.clip(counts / 800, 0, 1))


@pytest.mark.parametrize("values", [np.zeros(10), np.array([]), -np.ones(5)])
def test_a_spect_without_activity_is_refused(values):
    with pytest.raises(InputError, match="SPECT"):
        high_intensity_reference(values)


@pytest.mark.parametrize(
    "wrong",
    [{"edges": "open"}, {"grid_shape": (128, 60, 64)}, {"levels": 1}, {"hir_scope": "volume"}, {"hu_low": -300}],
)
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(InputError, match="preprocessing settings"):
        PreprocessingSettings(**wrong)


def test_settings_survive_json_and_unknown_names_do_not():
    settings = PreprocessingSettings(edges="masked", levels=0)
    assert PreprocessingSettings.from_dict(settings.to_dict()) == settings
    with pytest.raises(InputError, match="median"):
        PreprocessingSettings.from_dict({"median": 3})
