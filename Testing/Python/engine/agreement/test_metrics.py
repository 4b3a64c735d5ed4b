"""The agreement metrics equal those of SciPy and scikit-image, and hand counts."""

import numpy as np
import pytest
from scipy import ndimage, stats
from skimage.metrics import structural_similarity

from DLCTPMLib.agreement.metrics import (
    UndefinedMetricError,
    average_ranks,
    cohen_kappa,
    dice,
    pearson,
    spearman,
    ssim_map,
)


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def a_pair(rng, shape, lung):
    """A smooth image and a noisy copy of it, both 0 outside the slices ``lung``."""
    image = np.zeros(shape)
    image[lung] = np.clip(ndimage.gaussian_filter(rng.random(shape), 2) * 6 - 2.5, 0, 1)[lung]
    other = np.zeros(shape)
    other[lung] = np.clip(image + 0.2 * rng.standard_normal(shape), 0, 1)[lung]
    return image, other


def scikit_image_map(a, b):
    return structural_similarity(
        a, b, full=True, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1
    )[1]


def test_spearman_equals_scipys_on_tied_values(rng):
    a, b = np.round(rng.random(5000), 2), np.round(rng.random(5000), 1)
    assert spearman(a, b) == pytest.approx(stats.spearmanr(a, b).statistic, abs=1e-12)
    assert spearman(a, a**3) == pytest.approx(1)
    assert spearman(a, -a) == pytest.approx(-1)


def test_ranks_equal_scipys(rng):
    values = np.round(rng.standard_normal(1000), 1).astype(np.float32)
    assert np.array_equal(average_ranks(values), stats.rankdata(values))


def test_pearson_equals_scipys(rng):
    a, b = rng.random(3000).astype(np.float32), rng.random(3000).astype(np.float32)
    assert pearson(a, a + b) == pytest.approx(
        stats.pearsonr(a.astype(float), (a + b).astype(float)).statistic, abs=1e-12
    )


@pytest.mark.parametrize(
    "lung",
    [
        (slice(12, 30), slice(14, 20), slice(9, 25)),  # far from every edge
        (slice(0, 30), slice(2, 40), slice(9, 36)),  # at edges on both ends: the window is reflected
        (slice(0, 40), slice(0, 40), slice(0, 36)),  # the whole image
    ],
)
def test_ssim_map_equals_scikit_images_to_the_edges(rng, lung):
    a, b = a_pair(rng, (40, 40, 36), lung)
    assert np.abs(ssim_map(a, b) - scikit_image_map(a, b)).max() < 1e-11


def test_ssim_of_single_precision_images_equals_scikit_images(rng):
    a, b = a_pair(rng, (40, 40, 36), (slice(4, 36),) * 3)
    single = ssim_map(a.astype(np.float32), b.astype(np.float32))
    assert abs(single.mean() - scikit_image_map(a, b).mean()) < 1e-6


def test_ssim_of_an_image_with_itself_and_of_two_empty_images_is_one(rng):
    a, _ = a_pair(rng, (20, 20, 20), (slice(5, 15),) * 3)
    assert ssim_map(a, a) == pytest.approx(np.ones(a.shape))
    assert np.array_equal(ssim_map(np.zeros((12, 12, 12)), np.zeros((12, 12, 12))), np.ones((12, 12, 12)))


def test_dice_and_kappa_equal_hand_counts():
    #  both high: 4, only a: 2, only b: 1, neither: 3
    a = np.array([1, 1, 1, 1, 1, 1, 0, 0, 0, 0], bool)
    b = np.array([1, 1, 1, 1, 0, 0, 1, 0, 0, 0], bool)
    assert dice(a, b) == pytest.approx(2 * 4 / (6 + 5))
    assert dice(~a, ~b) == pytest.approx(2 * 3 / (4 + 5))
    chance = 0.6 * 0.5 + 0.4 * 0.5
    assert cohen_kappa(a, b) == pytest.approx((0.7 - chance) / (1 - chance))


def test_a_rater_who_always_says_the_same_has_no_kappa_beyond_chance():
    a = np.array([1, 0, 1, 0, 0], bool)
    assert cohen_kappa(a, np.ones(5, bool)) == pytest.approx(0)


@pytest.mark.parametrize(
    ("metric", "a", "b", "reason"),
    [
        (spearman, np.ones(5), np.arange(5), "prediction is the same in every voxel"),
        (pearson, np.arange(5), np.ones(5), "reference is the same in every voxel"),
        (pearson, np.ones(1), np.ones(1), "fewer than two"),
        (dice, np.zeros(4, bool), np.zeros(4, bool), "neither"),
        (cohen_kappa, np.ones(4, bool), np.ones(4, bool), "same class"),
        (cohen_kappa, np.ones(0, bool), np.ones(0, bool), "no voxels"),
    ],
)
def test_a_metric_without_a_value_says_why(metric, a, b, reason):
    with pytest.raises(UndefinedMetricError, match=reason):
        metric(a, b)
