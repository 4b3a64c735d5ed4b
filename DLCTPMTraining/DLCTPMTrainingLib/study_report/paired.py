"""Paired differences between networks as tables, words and a figure; the numbers are ``statistics.paired``'s."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from DLCTPMTrainingLib.common.drawing import GRAY, PURPLE, panels
from DLCTPMTrainingLib.statistics.paired import COMPARED, TEST, VALIDATION, verdict
from DLCTPMTrainingLib.study_report.table import Table, difference_text, p_text


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
