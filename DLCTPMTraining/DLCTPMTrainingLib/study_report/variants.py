"""Trainings that change one thing: the sensitivity to the preprocessing, and the learning curve.

All are trained on the first fold's training patients, or on a part of them, and looked at on its validation patients;
the test set takes no part. The numbers are ``statistics.variants``'s; here they become tables, figures and words.
"""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from DLCTPMLib.common.templates import MISSING
from DLCTPMTrainingLib.common.drawing import GRAY, PURPLE, panels
from DLCTPMTrainingLib.statistics.variants import METRICS
from DLCTPMTrainingLib.study.results import LEARNING_CURVE, SENSITIVITY
from DLCTPMTrainingLib.study_report.table import Table, difference_text, summary_text
from DLCTPMTrainingLib.training.evaluation import TITLES


def variants_tables(numbers: dict) -> list[Table]:
    """One table for each kind that there are figures of."""
    return [
        _table(name, title, first, note, numbers[name])
        for name, title, first, note in (
            (SENSITIVITY, "Sensitivity to the preprocessing", "variant", NOTE_SENSITIVITY),
            (LEARNING_CURVE, "Learning curve", "training patients", NOTE_LEARNING),
        )
        if numbers[name]
    ]


def _table(name: str, title: str, first: str, note: str, found: dict) -> Table:
    reference = found["reference"]
    against = "less the chosen settings" if name == SENSITIVITY else "less all patients"
    columns = [first, "lungs", *(f"{TITLES[m]}{part}" for m in METRICS for part in ("", f", {against}"))]
    rows = []
    for variant, figures in found["variants"].items():
        row = [variant, str(figures["ssim"]["n"])]
        for metric in METRICS:
            less = MISSING if variant == reference else difference_text(figures[metric]["less_reference"])
            row += [summary_text(figures[metric], interval=False), less]
        rows.append(row)
    emphasis = (list(found["variants"]).index(reference),)
    return Table(name, title, columns, rows, emphasis, f"{note} {NOTE}")


NOTE = (
    "Mean ± SD over the lungs of the first validation fold; differences patient by patient (mean of the lungs) with "
    "95 % bootstrap intervals over the patients (somewhat too narrow for so few), not corrected for their number, "
    "and of one training each: another seed is not in them."
)
NOTE_SENSITIVITY = (
    "Every variant trained anew with the search's epochs. The HIR's percentile also moves what SSIM and DSC are "
    "measured on: the standardised SPECT itself."
)
NOTE_LEARNING = "The same number of training steps each, so that a part of the patients is seen more often."


def sensitivity_figure(found: dict) -> Figure:
    """What each variant changes, as dots with their intervals; 0 is the chosen settings."""
    others = [name for name in found["variants"] if name != found["reference"]]
    figure, axes = panels(len(METRICS), width=2.7, height=0.9 + 0.32 * max(len(others), 4))
    for axis, metric in zip(axes, METRICS, strict=True):
        for place, name in enumerate(others):
            less = found["variants"][name][metric]["less_reference"]
            if less["difference"] is None:
                continue
            axis.plot([less["difference"]], [place], "o", color=PURPLE, markersize=4)
            if less["interval"]:
                axis.plot(less["interval"], [place, place], color=PURPLE, linewidth=1)
        axis.axvline(0, color="black", linewidth=0.6)
        axis.set(title=TITLES[metric], ylim=(len(others) - 0.5, -0.5), xlabel=f"less {found['reference']}")
        axis.locator_params(axis="x", nbins=4)
        axis.set_yticks(range(len(others)), others if axis is axes[0] else [""] * len(others), fontsize=7)
    return figure


def learning_figure(found: dict) -> Figure:
    """The metrics by number of training patients, with the best baseline, which learns nothing."""
    figure, axes = panels(len(METRICS), width=2.6, height=2.7)
    for axis, metric in zip(axes, METRICS, strict=True):
        _learning_panel(axis, found, metric)
    axes[0].set_ylabel("mean over the patients")
    return figure


def _learning_panel(axis: Axes, found: dict, metric: str) -> None:
    level = found["variants"][found["reference"]][metric]["patients_mean"]
    figures = {int(name): of[metric] for name, of in found["variants"].items()}
    known = {number: of for number, of in figures.items() if of["patients_mean"] is not None}
    axis.plot(list(known), [of["patients_mean"] for of in known.values()], "o-", color=PURPLE, markersize=4)
    for number, of in known.items():
        if of["less_reference"]["interval"]:
            axis.plot(
                [number] * 2, [level + end for end in of["less_reference"]["interval"]], color=PURPLE, linewidth=1
            )
    baseline = found["baselines"].get(metric)
    if baseline:
        axis.axhline(baseline["patients_mean"], color=GRAY, linestyle="--", linewidth=0.8)
        axis.annotate(
            baseline["name"].removeprefix("baseline: "),
            (0.98, baseline["patients_mean"]),
            xycoords=("axes fraction", "data"),
            xytext=(0, 2),
            textcoords="offset points",
            ha="right",
            va="bottom",
            color=GRAY,
            fontsize=6.5,
        )
    axis.set(title=TITLES[metric], xlabel="training patients", xlim=(0, None))


def variants_words(numbers: dict) -> list[str]:
    """What fewer patients cost, in R."""
    found = numbers[LEARNING_CURVE]
    if not found or len(found["variants"]) < 2:
        return []
    fewest = next(iter(found["variants"]))
    less = difference_text(found["variants"][fewest]["r_spearman"]["less_reference"])
    patients = f"{fewest} patients instead of {found['reference']}"
    return [f"Trained on {patients}, the network changes by {less} in R on the first validation fold."]
