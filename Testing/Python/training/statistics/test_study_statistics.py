"""A study's statistics against hand computation, SciPy's own tests, and brute force."""

import itertools

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import trapezoid

from DLCTPMLib.common.errors import InputError
from DLCTPMTrainingLib.statistics.tests import (
    StatisticsSettings,
    bland_altman,
    cluster_interval,
    fences,
    paired_test,
    patient_means,
    summary,
    unpaired_test,
)

SETTINGS = StatisticsSettings()


def pairs(n=30, seed=1, shift=0.0):
    rng = np.random.default_rng(seed)
    patient = rng.normal(0.67, 0.15, n)
    return patient + rng.normal(shift, 0.03, n), patient + rng.normal(0, 0.03, n)


def test_students_t_is_the_textbook_formula():
    a, b = np.array([0.61, 0.72, 0.55, 0.80, 0.69]), np.array([0.70, 0.58, 0.64, 0.77])
    pooled = (((a - a.mean()) ** 2).sum() + ((b - b.mean()) ** 2).sum()) / (5 + 4 - 2)
    t = (a.mean() - b.mean()) / np.sqrt(pooled * (1 / 5 + 1 / 4))
    found = unpaired_test(a, b)
    assert found["t"] == pytest.approx(t, abs=1e-12)
    assert found["degrees"] == 7
    # the two-tailed p as the area of the density beyond |t|
    grid = np.linspace(abs(t), 400, 400_001)
    assert found["p"] == pytest.approx(2 * trapezoid(stats.t(7).pdf(grid), grid), abs=1e-6)


def test_students_t_agrees_with_a_permutation_of_the_labels():
    a, b = np.array([0.61, 0.72, 0.55, 0.80, 0.69, 0.66]), np.array([0.70, 0.58, 0.81, 0.77, 0.85, 0.79])
    joint, observed = np.concatenate([a, b]), abs(a.mean() - b.mean())
    differences = []
    for chosen in itertools.combinations(range(12), 6):
        inside = np.isin(np.arange(12), chosen)
        differences.append(abs(joint[inside].mean() - joint[~inside].mean()))
    exact = np.mean(np.array(differences) >= observed - 1e-12)
    assert unpaired_test(a, b)["p"] == pytest.approx(exact, abs=0.02)


def test_welchs_degrees_of_freedom_are_satterthwaites():
    a, b = np.array([1.0, 2, 3, 4, 9]), np.array([2.0, 2.1, 2.2])
    va, vb = a.var(ddof=1) / 5, b.var(ddof=1) / 3
    assert unpaired_test(a, b, False)["degrees"] == pytest.approx((va + vb) ** 2 / (va**2 / 4 + vb**2 / 2))


def test_the_paired_test_is_scipys_on_the_differences():
    right, left = pairs(shift=0.01)
    found = paired_test(right, left, 0.05)
    reference = stats.ttest_rel(right, left)
    assert (found["t"], found["p"]) == pytest.approx((reference.statistic, reference.pvalue))
    assert found["difference"] == pytest.approx(np.mean(right - left))


def test_equivalence_is_two_one_sided_tests():
    right, left = pairs(shift=0.01)
    found = paired_test(right, left, 0.05)
    low = stats.ttest_1samp(right - left, -0.05, alternative="greater").pvalue
    high = stats.ttest_1samp(right - left, 0.05, alternative="less").pvalue
    assert found["p_equivalence"] == pytest.approx(max(low, high))
    interval = stats.ttest_1samp(right - left, 0).confidence_interval(0.90)
    assert found["interval_90"] == pytest.approx([interval.low, interval.high])


@pytest.mark.parametrize("shift", [0.0, 0.02, 0.045, 0.049, 0.06])
def test_equivalent_means_the_90_percent_interval_lies_within_the_margin(shift):
    found = paired_test(*pairs(shift=shift), 0.05)
    low, high = found["interval_90"]
    assert found["equivalent"] == (low > -0.05 and high < 0.05)


def test_a_large_p_is_not_called_equivalence():
    rng = np.random.default_rng(0)
    right, left = rng.normal(0.65, 0.2, 5), rng.normal(0.65, 0.2, 5)
    found = paired_test(right, left, 0.02)
    assert found["p"] > 0.05
    assert found["equivalent"] is False


def test_tests_without_spread_or_values_give_none_and_no_warning():
    for found in (unpaired_test([0.5], [0.6, 0.7]), unpaired_test([1, 1], [1, 1]), paired_test([0.5], [0.4], 0.05)):
        assert found["p"] is None
    assert paired_test([0.5, 0.6], [0.4, 0.5], 0.05)["t"] is None  # the same difference twice
    assert unpaired_test([], [])["difference"] is None


def test_the_interval_of_one_value_a_patient_is_the_ordinary_bootstrap():
    values = np.random.default_rng(3).normal(0.7, 0.15, 31)
    reference = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=20_000, rng=1)
    found = cluster_interval(values, np.arange(31), StatisticsSettings(resamples=20_000))
    assert found == pytest.approx(list(reference.confidence_interval), abs=0.003)


def test_two_lungs_of_one_patient_do_not_count_twice():
    """Values doubled by copying each lung must not narrow the interval; bootstrapping lungs would."""
    values = np.random.default_rng(3).normal(0.7, 0.15, 31)
    once = cluster_interval(values, np.arange(31), SETTINGS)
    twice = cluster_interval(np.repeat(values, 2), np.repeat(np.arange(31), 2), SETTINGS)
    naive = cluster_interval(np.repeat(values, 2), np.arange(62), SETTINGS)
    assert twice == pytest.approx(once)
    assert np.ptp(naive) < 0.8 * np.ptp(twice)


def test_a_patient_with_one_lung_weighs_half():
    """The statistic is the mean over the drawn lungs, not of the patients' means: drawn one by one."""
    lungs = [[0.2, 0.4]] * 5 + [[0.9]] * 5
    values = np.concatenate(lungs)
    patients = np.repeat(np.arange(10), [len(one) for one in lungs])
    rng = np.random.default_rng(0)
    means = [np.mean(np.concatenate([lungs[i] for i in rng.integers(10, size=10)])) for _ in range(4000)]
    found = cluster_interval(values, patients, StatisticsSettings(resamples=20_000))
    assert found == pytest.approx(list(np.percentile(means, [2.5, 97.5])), abs=0.02)
    assert np.mean(found) < 0.55  # the mean of the patients' means would be 0.6


def test_a_summary_says_how_many_lie_above():
    values = np.array([0.5, 0.55, 0.65, 0.72, 0.8])
    found = summary(values, np.array(["A", "A", "B", "B", "C"]), SETTINGS)
    assert (found["n"], found["patients"]) == (5, 3)
    assert found["above"] == {"0.5": 80, "0.6": 60, "0.7": 40}
    assert found["mean"] == pytest.approx(0.644)
    assert found["sd"] == pytest.approx(np.sqrt(((values - 0.644) ** 2).sum() / 4))


def test_a_summary_of_nothing_has_no_figures():
    found = summary(np.array([]), np.array([]), SETTINGS)
    assert (found["n"], found["mean"], found["interval"]) == (0, None, None)


def test_outliers_are_those_beyond_tukeys_fences():
    values = np.array([0.1, 0.6, 0.62, 0.65, 0.7, 0.72, 0.75, 1.5])
    found = fences(values)
    assert (found.lower_quartile, found.median, found.upper_quartile) == pytest.approx((0.615, 0.675, 0.7275))
    assert (found.low, found.high) == pytest.approx((0.615 - 1.5 * 0.1125, 0.7275 + 1.5 * 0.1125))
    assert found.outliers == (0, 7)


def test_bland_altman_by_hand():
    spect, model = np.array([50.0, 54, 60, 40]), np.array([52.0, 53, 57, 44])
    found = bland_altman(model, spect)
    difference = np.array([2.0, -1, -3, 4])
    assert found["bias"] == 0.5
    assert found["limits"] == pytest.approx(
        [0.5 - 1.96 * difference.std(ddof=1), 0.5 + 1.96 * difference.std(ddof=1)]
    )


def test_a_compressed_map_shows_as_a_negative_slope():
    spect = np.linspace(30, 70, 20)
    found = bland_altman(50 + 0.5 * (spect - 50), spect)
    assert found["bias"] == pytest.approx(0)
    assert found["slope"] == pytest.approx((0.5 - 1) / 0.75)  # difference over the mean of both


def test_means_of_patients():
    assert patient_means([0.2, 0.4, 0.9], np.array(["B", "B", "A"])) == pytest.approx([0.9, 0.3])


def test_a_margin_of_nothing_is_refused():
    with pytest.raises(InputError, match="margin"):
        StatisticsSettings(margin=0)
