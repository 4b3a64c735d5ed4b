"""Sensitivity and learning curve: differences by hand, on made-up patients."""

import numpy as np
import pytest

from DLCTPMTrainingLib.statistics.table import TidyTable
from DLCTPMTrainingLib.statistics.tests import StatisticsSettings
from DLCTPMTrainingLib.statistics.variants import METRICS, compared
from DLCTPMTrainingLib.study.results import LEARNING_CURVE, SENSITIVITY
from DLCTPMTrainingLib.study_report.variants import (
    learning_figure,
    sensitivity_figure,
    variants_tables,
    variants_words,
)

PATIENTS = tuple("abcdefgh")
CHOSEN = np.array([0.5, 0.6, 0.7, 0.8] * 2)


def table(values, sides: float = 0.05) -> TidyTable:
    """One patient a value, its lungs a step to either side of it; geometry has 0.4 and all high 0.3 everywhere."""
    return TidyTable.of(
        (name, "", side, "whole", prediction, metric, of)
        for name, value in zip(PATIENTS, values, strict=False)
        for side, step in (("right lung", sides), ("left lung", -sides))
        for prediction, of in (("model", value + step), ("geometry", 0.4), ("all_high", 0.3))
        for metric in METRICS
    )


@pytest.fixture
def found() -> dict:
    less = np.array([0.01, 0.03, 0.02, 0.02] * 2)
    sensitivity = {"as chosen": table(CHOSEN), "6 levels": table(CHOSEN + less)}
    learning = {"8": table(CHOSEN - less), "31": table(CHOSEN)}
    return {
        SENSITIVITY: compared(sensitivity, "as chosen", StatisticsSettings()),
        LEARNING_CURVE: compared(learning, "31", StatisticsSettings()),
    }


def test_differences_are_those_of_each_patient_from_the_chosen_settings_and_from_all_patients(found):
    assert found[SENSITIVITY]["reference"] == "as chosen"
    assert found[LEARNING_CURVE]["reference"] == "31"
    more = found[SENSITIVITY]["variants"]["6 levels"]["r_spearman"]
    fewer = found[LEARNING_CURVE]["variants"]["8"]["ssim"]
    assert more["less_reference"]["difference"] == pytest.approx(0.02)
    assert fewer["less_reference"]["difference"] == pytest.approx(-0.02)
    assert more["less_reference"]["pairs"] == 8
    low, high = more["less_reference"]["interval"]
    assert 0.01 <= low < 0.02 < high <= 0.03  # of the differences, far narrower than the patients' 0.5 to 0.8
    assert more["patients_mean"] == pytest.approx(0.67)
    assert found[LEARNING_CURVE]["variants"]["31"]["ssim"]["less_reference"]["interval"] == [0, 0]


def test_the_baseline_is_the_best_of_them(found):
    assert all(found[LEARNING_CURVE]["baselines"][m]["patients_mean"] == pytest.approx(0.4) for m in METRICS)
    assert {found[SENSITIVITY]["baselines"][m]["name"] for m in METRICS} == {"baseline: geometry only"}


def test_tables_name_the_reference_and_leave_its_own_difference_out(found):
    sensitivity, learning = variants_tables(found)
    assert (sensitivity.name, sensitivity.emphasis, learning.name, learning.emphasis) == (
        "sensitivity", (0,), "learning_curve", (1,),
    )  # fmt: skip
    assert sensitivity.rows[0][3] == "–"
    assert sensitivity.rows[1][3].startswith("+0.020 [+0.0")
    assert learning.rows[0][:2] == ["8", "16"]  # patients trained on, lungs looked at
    assert all(len(row) == len(sensitivity.columns) for row in sensitivity.rows)


def test_the_learning_curve_lies_at_its_patients_and_its_means(found):
    axis = learning_figure(found[LEARNING_CURVE]).axes[0]
    x, y = axis.lines[0].get_data()
    assert list(x) == [8, 31]
    assert list(y) == pytest.approx([0.63, 0.65])
    dashed = [line for line in axis.lines if line.get_linestyle() == "--"]
    assert [line.get_ydata()[0] for line in dashed] == pytest.approx([0.4])


def test_the_sensitivity_figure_shows_changes_and_not_the_reference(found):
    axis = sensitivity_figure(found[SENSITIVITY]).axes[0]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["6 levels"]
    dots = [line.get_xdata()[0] for line in axis.lines if line.get_marker() == "o"]
    assert dots == pytest.approx([0.02])


def test_what_was_not_asked_for_is_nowhere():
    numbers = {SENSITIVITY: None, LEARNING_CURVE: None}
    assert variants_tables(numbers) == variants_words(numbers) == []


def test_words_say_what_fewer_patients_cost(found):
    (sentence,) = variants_words(found)
    assert "8 patients instead of 31" in sentence
    assert "−0.020" in sentence
