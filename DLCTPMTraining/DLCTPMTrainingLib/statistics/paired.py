"""Whether one network is better than another: the same patients under both, difference by difference.

The two lungs of a patient are not independent, so a patient is one value: the mean of the lungs. Validation and test
are kept apart: a network is chosen on the validation folds, and the test set's differences only tell what came of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import numpy as np

from DLCTPMLib.agreement.scores import BASELINE_NAMES
from DLCTPMTrainingLib.statistics.numbers import MEASURES, of_both, predictions_of, values_of
from DLCTPMTrainingLib.statistics.table import TidyTable
from DLCTPMTrainingLib.statistics.tests import StatisticsSettings, holm, paired_difference, patient_means

VALIDATION, TEST = "validation", "test"
COMPARED = {name: MEASURES[name] for name in ("r", "core", "ssim", "dsc_low")}
"""What the networks of a study are compared by."""
SIGNIFICANT = 0.05
SHOWN, NOT_SHOWN, UNDECIDED = ("better", "worse"), "not shown to differ", "not decided"


def paired_comparisons(
    networks: Mapping[str, Mapping[str, TidyTable]],
    baselines: Mapping[str, TidyTable],
    settings: StatisticsSettings,
) -> dict:
    """Every two networks, and each network with the best baseline, on the same patients.

    The best baseline of a metric is the one with the highest mean over the validation patients.

    Args:
        networks: by title, the tables of "validation" and "test"; one that has no validation is left out there.
        baselines: the tables of "validation" and "test" that the baselines stand in.
        settings: of the intervals.

    Returns:
        for "validation" and "test", by the names of ``COMPARED``, a list of comparisons: ``first`` and ``second``
        (titles), ``baseline`` (whether the second is one), what ``paired_difference`` gives, ``p_holm`` (corrected
        over the comparisons of this metric on this set), ``verdict`` (what the first is, in words), and ``shown``,
        whether a difference is.
    """
    return {
        which: {
            name: _comparisons(
                name,
                {title: tables[which] for title, tables in networks.items() if which in tables},
                baselines,
                which,
                settings,
            )
            for name in COMPARED
        }
        for which in (VALIDATION, TEST)
    }


def _comparisons(
    name: str,
    networks: Mapping[str, TidyTable],
    baselines: Mapping[str, TidyTable],
    which: str,
    settings: StatisticsSettings,
) -> list[dict]:
    """The comparisons of one metric on one set."""
    _, metric, part = COMPARED[name]
    values = {title: values_of(table, metric, part=part) for title, table in networks.items()}
    pairs = [(*titles, False, *(values[title] for title in titles)) for titles in combinations(values, 2)]
    baseline = best_baseline(baselines[VALIDATION], metric, part)
    if baseline is not None:
        title = BASELINE_NAMES.get(baseline, baseline)
        other = values_of(baselines[which], metric, baseline, part=part)
        pairs += [(network, title, True, found, other) for network, found in values.items()]
    comparisons = []
    for first, second, is_baseline, a, b in pairs:
        found = paired_patients(a, b, settings)
        comparisons.append({"first": first, "second": second, "baseline": is_baseline, **found})
    for comparison, p in zip(comparisons, holm([each["p"] for each in comparisons]), strict=True):
        comparison["p_holm"] = p
        comparison["verdict"] = verdict(comparison)
        comparison["shown"] = comparison["verdict"] in SHOWN
    return comparisons


def paired_patients(a: TidyTable, b: TidyTable, settings: StatisticsSettings) -> dict:
    """``paired_difference`` of one metric's lungs under two predictions, patient by patient; of nobody if none is in
    both.
    """
    first, second, patients = of_both(a, b)
    if not len(first):
        return paired_difference(np.zeros(0), np.zeros(0), settings)
    return paired_difference(patient_means(first, patients), patient_means(second, patients), settings)


def best_baseline(validation: TidyTable, metric: str, part: str) -> str | None:
    """The baseline with the highest mean of a metric over the validation patients; None where none has a value."""
    means = {}
    for name in predictions_of(validation)[1:]:
        found = values_of(validation, metric, name, part=part)
        if len(found):
            means[name] = patient_means(found.value, found.patient).mean()
    return max(means, key=means.get) if means else None


def verdict(comparison: dict) -> str:
    """What the first is beside the second, in words.

    A difference is shown where the mean's interval lies to one side of 0, and the ranks, corrected, say the same: a
    mean may be carried by a few patients, and a rank test knows nothing of how much.
    """
    if comparison["interval"] is None:
        return UNDECIDED
    low, high = comparison["interval"]
    if low <= 0 <= high:
        return NOT_SHOWN
    higher, p, p_holm = low > 0, comparison["p"], comparison["p_holm"]
    direction = "higher" if higher else "lower"
    if p is None or p >= SIGNIFICANT or (comparison["shift"] > 0) != higher:
        return f"{direction} mean, not confirmed by the ranks"
    if p_holm >= SIGNIFICANT:
        return f"{direction}, not shown after Holm"
    return SHOWN[not higher]
