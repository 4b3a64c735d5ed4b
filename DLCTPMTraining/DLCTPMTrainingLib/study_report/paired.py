"""Whether one network is better than another: the same patients under both, difference by difference.

The two lungs of a patient are not independent, so a patient is one value: the mean of the lungs. Validation and test
are kept apart: a network is chosen on the validation folds, and the test set's differences only tell what came of it.
"""

from __future__ import annotations

from itertools import combinations

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from DLCTPMLib.agreement.scores import BASELINE_NAMES
from DLCTPMLib.networks.settings import ARCHITECTURES
from DLCTPMTrainingLib.common.drawing import GRAY, PURPLE, panels
from DLCTPMTrainingLib.statistics.tests import StatisticsSettings, holm, paired_difference, patient_means
from DLCTPMTrainingLib.study.results import StudyResults
from DLCTPMTrainingLib.study_report.numbers import CORE, WHOLE, of_both, predictions_of, values_of
from DLCTPMTrainingLib.study_report.tables import Table, difference_text, p_text

VALIDATION, TEST = "validation", "test"
COMPARED = {
    "r": ("R", "r_spearman", WHOLE),
    "core": ("R, core", "r_spearman", CORE),
    "ssim": ("SSIM", "ssim", WHOLE),
    "dsc_low": ("DSC low", "dsc_low", WHOLE),
}
"""What networks are compared by: title, metric, part of the lung. Of each, more is better."""
SIGNIFICANT = 0.05
SHOWN, NOT_SHOWN, UNDECIDED = ("better", "worse"), "not shown to differ", "not decided"


def paired_comparisons(results: StudyResults) -> dict:
    """Every two networks, and each network with the best baseline, on the same patients.

    The best baseline of a metric is the one with the highest mean over the validation patients.

    Returns:
        for "validation" and "test", by the names of ``COMPARED``, a list of comparisons: ``first`` and ``second``
        (titles), ``baseline`` (whether the second is one), what ``paired_difference`` gives, ``p_holm`` (corrected
        over the comparisons of this metric on this set), ``verdict`` (what the first is, in words), and ``shown``,
        whether a difference is.
    """
    settings = results.plan.statistics
    validation = [patient for fold in results.validation for patient in fold]
    networks = {_title(results.chosen): {VALIDATION: validation, TEST: results.test}}
    for arm in results.alternatives.values():
        watched = [patient for fold in arm.validation for patient in fold]
        networks[_title(arm.choice)] = {VALIDATION: watched, TEST: arm.test}
    ensemble = {f"mean of the {len(results.split.folds)} folds' networks": {TEST: results.ensemble}}
    return {
        VALIDATION: {
            name: _comparisons(name, networks, validation, results.test, VALIDATION, settings) for name in COMPARED
        },
        TEST: {
            name: _comparisons(name, networks | ensemble, validation, results.test, TEST, settings)
            for name in COMPARED
        },
    }


def _title(choice) -> str:
    return ARCHITECTURES[choice.network.ARCHITECTURE].title


def _comparisons(
    name: str,
    networks: dict[str, dict[str, list[dict]]],
    validation: list[dict],
    test: list[dict],
    which: str,
    settings: StatisticsSettings,
) -> list[dict]:
    """The comparisons of one metric on one set."""
    _, metric, part = COMPARED[name]
    values = {title: values_of(figures[which], metric, part=part) for title, figures in networks.items()}
    pairs = [(*titles, False, *(values[title] for title in titles)) for titles in combinations(values, 2)]
    baseline = best_baseline(validation, metric, part)
    if baseline is not None:
        title = BASELINE_NAMES.get(baseline, baseline)
        other = values_of(validation if which == VALIDATION else test, metric, baseline, part=part)
        pairs += [(network, title, True, found, other) for network, found in values.items()]
    comparisons = []
    for first, second, is_baseline, a, b in pairs:
        a, b, patients = of_both(a, b)
        found = paired_difference(patient_means(a, patients), patient_means(b, patients), settings)
        comparisons.append({"first": first, "second": second, "baseline": is_baseline, **found})
    for comparison, p in zip(comparisons, holm([each["p"] for each in comparisons]), strict=True):
        comparison["p_holm"] = p
        comparison["verdict"] = verdict(comparison)
        comparison["shown"] = comparison["verdict"] in SHOWN
    return comparisons


def best_baseline(validation: list[dict], metric: str, part: str) -> str | None:
    """The baseline with the highest mean of a metric over the validation patients; None where none has a value."""
    means = {}
    for name in predictions_of(validation)[1:]:
        found = values_of(validation, metric, name, part=part)
        if len(found.values):
            means[name] = patient_means(found.values, found.patients).mean()
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


def paired_table(numbers: dict, which: str) -> Table:
    """The comparisons on "validation" or "test"."""
    rows, shown = [], []
    for name, (title, *_) in COMPARED.items():
        for found in numbers["paired"][which][name]:
            if found["shown"]:
                shown.append(len(rows))
            rows.append(
                [_words(found), title, str(found["pairs"]), difference_text(found), p_text(found["p"]),
                 p_text(found["p_holm"]), found["verdict"]]
            )  # fmt: skip
    where = "validation folds" if which == VALIDATION else "test set"
    columns = [
        "first less second",
        "metric",
        "patients",
        "mean [95 % interval]",
        "Wilcoxon",
        "Holm",
        "the first is",
    ]
    note = NOTE_VALIDATION if which == VALIDATION else NOTE_TEST
    return Table(f"paired-{which}", f"Paired differences, {where}", columns, rows, tuple(shown), f"{note} {NOTE}")


NOTE = (
    "A patient counts once, with the mean of the two lungs, since these are not independent. Interval: bootstrap "
    "over patients, somewhat too narrow for few of them (with 11 it holds the mean in about 90 of 100 cases). "
    "Wilcoxon's signed-rank test, two-sided; Holm's correction over the comparisons of the same metric in this "
    "table. A difference is shown where the interval does not hold 0, the corrected p is below 0.05, and mean and "
    "ranks point the same way. Best baseline: the highest mean of that metric on the validation folds. The interval "
    "is that of other patients, not of another training: another seed is not in it."
)
NOTE_VALIDATION = (
    "A choice between networks is made by this table alone, by R. Settings that were searched were searched on the "
    "main network and on some of these patients."
)
NOTE_TEST = "Nothing is chosen by this table: a choice between networks is made on the validation folds."


def paired_words(numbers: dict) -> list[str]:
    """The best network on validation against each other, and what may be concluded."""
    found = numbers["side_by_side"]
    if found["best"] is None:
        return []
    best = found["rows"][found["best"]]["title"]
    sentences = []
    for which, where in ((VALIDATION, "the validation folds"), (TEST, "the test set")):
        rivals = [
            f"{difference_text(each)} against the {each['second']} ({each['verdict']})"
            for each in (_seen_from(best, each) for each in numbers["paired"][which]["r"])
            if each["first"] == best and not each["baseline"]
        ]
        if rivals:
            found_there = "; ".join(rivals)
            sentences.append(f"Difference in R of the {best}, patient by patient on {where}: {found_there}.")
    if sentences:
        sentences.append("A choice between networks is made on the validation folds alone, never on the test set.")
    return sentences


def _seen_from(title: str, comparison: dict) -> dict:
    """A comparison turned round where that brings this network first."""
    if comparison["second"] != title or comparison["difference"] is None:
        return comparison
    interval = comparison["interval"]
    turned = comparison | {
        "first": title,
        "second": comparison["first"],
        "difference": -comparison["difference"],
        "shift": -comparison["shift"],
        "interval": None if interval is None else [-interval[1], -interval[0]],
    }
    return turned | {"verdict": verdict(turned)}


def paired_figure(numbers: dict) -> Figure:
    """Mean differences with their intervals, validation purple, test gray; filled where a difference is shown."""
    found = numbers["paired"]
    names = list(dict.fromkeys(_row(each) for which in (VALIDATION, TEST) for each in found[which]["r"]))
    figure, axes = panels(len(COMPARED), width=2.6, height=1.3 + 0.36 * len(names))
    for axis, (name, (title, *_)) in zip(axes, COMPARED.items(), strict=True):
        for which, colour, shift in ((VALIDATION, PURPLE, -0.14), (TEST, GRAY, 0.14)):
            for each in found[which][name]:
                if each["difference"] is None:
                    continue
                place = names.index(_row(each)) + shift
                if each["interval"]:
                    axis.plot(each["interval"], [place, place], color=colour, linewidth=1)
                fill = colour if each["shown"] else "white"
                axis.plot([each["difference"]], [place], "o", color=colour, markerfacecolor=fill, markersize=4.5)
        axis.axvline(0, color="black", linewidth=0.6)
        axis.set(title=title, ylim=(len(names) - 0.5, -0.5), xlabel="first less second")
        axis.set_yticks(range(len(names)), names if axis is axes[0] else [""] * len(names), fontsize=6.5)
        axis.tick_params(axis="x", labelsize=6.5)
    handles = [Line2D([], [], marker="o", linestyle="", color=colour, label=which)
               for which, colour in ((VALIDATION, PURPLE), (TEST, GRAY))]  # fmt: skip
    figure.legend(handles=handles, loc="outside upper right", ncols=2)
    return figure


def _row(comparison: dict) -> str:
    """A comparison's row of the figure: the best baseline may be another for every metric."""
    second = "best baseline" if comparison["baseline"] else comparison["second"]
    return f"{comparison['first']}\nless {second}"


def _words(comparison: dict) -> str:
    second = comparison["second"]
    if comparison["baseline"]:
        second = f"best baseline, {second.removeprefix('baseline: ')}"
    return f"{comparison['first']} less {second}"
