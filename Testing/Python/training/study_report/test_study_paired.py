"""Paired differences between networks: against enumeration, hand computation and made-up patients."""

import itertools
from typing import NamedTuple

import numpy as np
import pytest
from scipy import stats

from DLCTPMTrainingLib.statistics.paired import paired_comparisons, verdict
from DLCTPMTrainingLib.statistics.table import TidyTable
from DLCTPMTrainingLib.statistics.tests import StatisticsSettings, holm, paired_difference
from DLCTPMTrainingLib.study_report.paired import paired_figure, paired_table, paired_words

SETTINGS = StatisticsSettings()
ARNN, UNET, FOLDS = "attention residual network", "plain 3D U-Net", "mean of the 2 folds' networks"


def test_wilcoxons_p_is_that_of_every_change_of_signs():
    """With ten patients the null distribution is all 1024 ways to give the ranks their signs."""
    rng = np.random.default_rng(5)
    a, b = rng.normal(0.70, 0.1, 10), rng.normal(0.66, 0.1, 10)
    ranks = stats.rankdata(np.abs(a - b))
    sums = np.array([np.dot(ranks, signs) for signs in itertools.product((0, 1), repeat=10)])
    observed = ranks[a > b].sum()
    by_hand = min(1.0, 2 * min((sums >= observed).mean(), (sums <= observed).mean()))
    assert paired_difference(a, b, SETTINGS)["p"] == pytest.approx(by_hand)
    assert paired_difference(b, a, SETTINGS)["p"] == pytest.approx(by_hand)


def test_the_interval_of_a_mean_difference_is_scipys_bootstrap():
    rng = np.random.default_rng(6)
    a = rng.normal(0.70, 0.1, 40)
    b = a - rng.normal(0.01, 0.03, 40)
    found = paired_difference(a, b, SETTINGS)
    expected = stats.bootstrap((a - b,), np.mean, n_resamples=20_000, method="percentile", rng=1).confidence_interval
    assert found["difference"] == pytest.approx((a - b).mean())
    assert found["interval"] == pytest.approx([expected.low, expected.high], abs=5e-4)
    assert found == paired_difference(a, b, SETTINGS)  # seeded


def test_holm_by_hand():
    # 0.01 × 4 = 0.04, 0.02 × 3 = 0.06, 0.03 × 2 = 0.06, and 0.04 × 1 must not fall below those before
    assert holm([0.03, 0.01, None, 0.04, 0.02]) == pytest.approx([0.06, 0.04, None, 0.06, 0.06])
    assert holm([0.4, 0.9]) == [0.8, 0.9]
    assert holm([0.7, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_nothing_is_said_of_one_patient_and_no_test_of_equal_maps():
    assert paired_difference([0.7], [0.6], SETTINGS) | {"difference": None, "shift": None} == {
        "pairs": 1, "difference": None, "shift": None, "interval": None, "p": None,
    }  # fmt: skip
    same = paired_difference([0.7, 0.6] * 4, [0.7, 0.6] * 4, SETTINGS)
    assert (same["interval"], same["p"]) == ([0, 0], None)


def test_no_interval_is_drawn_from_seven_patients():
    seven, eight = (paired_difference(np.arange(n) / 10, np.zeros(n), SETTINGS) for n in (7, 8))
    assert seven["interval"] is None
    assert seven["difference"] == pytest.approx(0.3)
    assert eight["interval"] is not None


@pytest.mark.parametrize(
    ("interval", "p", "p_holm", "shift", "words"),
    [
        ([0.01, 0.03], 0.001, 0.002, 0.02, "better"),
        ([-0.03, -0.01], 0.001, 0.002, -0.02, "worse"),
        ([-0.001, 0.03], 0.001, 0.002, 0.02, "not shown to differ"),  # the interval decides, whatever the ranks say
        ([0.0, 0.0], None, None, 0.0, "not shown to differ"),
        ([0.01, 0.03], 0.02, 0.05, 0.02, "higher, not shown after Holm"),
        ([-0.03, -0.01], 0.04, 0.2, -0.02, "lower, not shown after Holm"),
        ([0.01, 0.03], 0.06, 0.12, 0.02, "higher mean, not confirmed by the ranks"),
        ([0.01, 0.03], 0.001, 0.002, -0.01, "higher mean, not confirmed by the ranks"),
        ([-0.03, -0.01], 0.001, 0.002, 0.01, "lower mean, not confirmed by the ranks"),
        (None, None, None, 0.02, "not decided"),
    ],
)
def test_verdicts(interval, p, p_holm, shift, words):
    assert verdict({"interval": interval, "p": p, "p_holm": p_holm, "shift": shift}) == words


def test_a_mean_that_few_patients_carry_against_the_ranks_is_no_verdict():
    """Of 42 patients 35 are worse under the first, 7 far better: the mean is up, the ranks are down."""
    difference = np.r_[-0.02 + np.linspace(-0.005, 0.005, 35), np.full(7, 0.35)]
    found = paired_difference(0.5 + difference, np.full(42, 0.5), SETTINGS)
    assert found["interval"][0] > 0 > found["shift"]
    assert found["p"] < 0.05
    assert verdict(found | {"p_holm": found["p"]}) == "higher mean, not confirmed by the ranks"


def test_the_shift_is_hodges_and_lehmanns():
    # pairs of 1, 2, 6 with themselves and each other: 1, 1.5, 3.5, 2, 4, 6
    assert paired_difference([1.0, 2.0, 6.0], [0.0, 0.0, 0.0], SETTINGS)["shift"] == pytest.approx(2.75)


def some_patients(names, model, **baselines) -> TidyTable:
    """Values are R by patient of the model and of baselines, the lungs ± 0.05 of it; the other metrics are as R."""
    return TidyTable.of(
        (name, "", side, part, prediction, metric, values[number] + step)
        for number, name in enumerate(names)
        for prediction, values in {"model": model, **baselines}.items()
        for side, step in (("right lung", 0.05), ("left lung", -0.05))
        for part in ("whole", "core")
        for metric in ("r_spearman", "ssim", "dsc_low")
    )


class Compared(NamedTuple):
    """Arguments of ``paired_comparisons``, and by how much the U-Net is better, patient by patient."""

    networks: dict
    baselines: dict
    better: np.ndarray

    def found(self) -> dict:
        return paired_comparisons(self.networks, self.baselines, SETTINGS)


@pytest.fixture
def compared():
    """Twelve validation and ten test patients; the U-Net is better by 0.01 to 0.021 on validation, worse on test."""
    rng = np.random.default_rng(7)
    v, t = rng.uniform(0.5, 0.8, 12), rng.uniform(0.5, 0.8, 10)
    better = 0.010 + 0.001 * rng.permutation(12)
    weak, strong = {"geometry": v - 0.3, "enhanced_ct": v - 0.1}, {"geometry": t + 0.1, "enhanced_ct": t - 0.1}
    validation, test = [f"V{n}" for n in range(12)], [f"T{n}" for n in range(10)]
    main = {"validation": some_patients(validation, v, **weak), "test": some_patients(test, t, **strong)}
    unet = {
        "validation": some_patients(validation[::-1], (v + better)[::-1]),  # in another order
        "test": some_patients(test, t - 0.02 * np.arange(1, 11)),
    }
    ensemble = {"test": some_patients(test, t + rng.normal(0, 0.01, 10))}
    return Compared({ARNN: main, UNET: unet, FOLDS: ensemble}, main, better)


def find(comparisons: list[dict], first: str, second: str) -> dict:
    return next(c for c in comparisons if (c["first"], c["second"]) == (first, second))


def test_a_patient_is_the_unit_and_counts_once(compared):
    found = find(compared.found()["validation"]["r"], ARNN, UNET)
    assert found["pairs"] == 12  # of 24 lungs
    assert found["difference"] == pytest.approx(-compared.better.mean())
    assert found["p"] == pytest.approx(2 / 2**12)  # all twelve differences have one sign
    assert found["verdict"] == "worse"


def test_the_ensemble_has_no_validation_and_holm_counts_each_set_by_itself(compared):
    found = compared.found()
    assert {c["first"] for c in found["validation"]["r"]} | {c["second"] for c in found["validation"]["r"]} == {
        ARNN, UNET, "baseline: enhanced CT (Eq. 1)",
    }  # fmt: skip
    assert [len(found[which]["r"]) for which in ("validation", "test")] == [1 + 2, 3 + 3]
    p = [c["p"] for c in found["test"]["core"]]
    smallest = int(np.argmin(p))
    assert found["test"]["core"][smallest]["p_holm"] == pytest.approx(6 * p[smallest])


def test_the_best_baseline_is_chosen_on_validation(compared):
    """On the test set geometry is better than the model; it must not become the best baseline by that."""
    found = find(compared.found()["test"]["ssim"], ARNN, "baseline: enhanced CT (Eq. 1)")
    assert found["baseline"]
    assert found["difference"] == pytest.approx(0.1)


def test_a_lung_without_a_value_is_left_out_on_both_sides(compared):
    test = compared.networks[UNET]["test"]
    gone = (test.patient == "T3") & (test.scope == "left lung") & (test.part == "whole")
    test.value[gone & (test.metric == "r_spearman")] = np.nan
    found = find(compared.found()["test"]["r"], ARNN, UNET)
    assert found["pairs"] == 10
    assert found["difference"] == pytest.approx(0.02 * np.mean(np.arange(1, 11)))


def test_the_words_follow_validation_and_say_so(compared):
    numbers = {
        "paired": compared.found(),
        "side_by_side": {"best": "unet", "rows": {"main": {"title": ARNN}, "unet": {"title": UNET}}},
    }
    sentences = " ".join(paired_words(numbers))
    assert f"Difference in R of the {UNET}, patient by patient on the validation folds: +0.0" in sentences
    assert f"against the {ARNN} (better)" in sentences
    assert f"against the {ARNN} (worse)" in sentences  # on the test set
    assert "made on the validation folds alone, never on the test set" in sentences
    table = paired_table(numbers, "validation")
    assert len(table.rows) == 4 * 3
    assert table.rows[0] == [f"{ARNN} less {UNET}", "R", "12", table.rows[0][3], "p = 0.0005", "p = 0.0015", "worse"]
    assert "Nothing is chosen by this table" in paired_table(numbers, "test").note
    drawn = paired_figure(numbers)
    assert [axis.get_title() for axis in drawn.axes] == ["R", "R, core", "SSIM", "DSC low"]
