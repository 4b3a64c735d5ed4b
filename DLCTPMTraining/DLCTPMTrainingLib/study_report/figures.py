"""The diagrams of a study: Figs. 4 and 6 of the paper, and what goes beyond it. Each function returns a figure."""

from __future__ import annotations

from itertools import groupby

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from DLCTPMLib.agreement.comparison import MODEL
from DLCTPMLib.agreement.scores import BASELINE_NAMES
from DLCTPMLib.function.settings import FUNCTIONAL_THRESHOLD
from DLCTPMTrainingLib.common.drawing import BLUE, FOLD_COLOURS, GRAY, ORANGE, PURPLE, RED, panels
from DLCTPMTrainingLib.statistics.numbers import LUNG, case, values_of
from DLCTPMTrainingLib.statistics.table import WHOLE, TidyTable
from DLCTPMTrainingLib.statistics.tests import fences
from DLCTPMTrainingLib.study.evaluation import JOINT_TOP
from DLCTPMTrainingLib.study.results import StudyResults
from DLCTPMTrainingLib.training.evaluation import TITLES

METRICS = ("r_spearman", "ssim")
SEEN_OFTEN = 1e-3
"""A bin of the calibration with a smaller share of the voxels is not drawn: its mean is of a few voxels."""
_DASHES = {
    "all_high": ":",
    "geometry": "--",
    "blurred_mask": (0, (5, 1)),
    "density_median": "-.",
    "enhanced_ct": (0, (1, 3)),
    "blurred_density": (0, (3, 1, 1, 1, 1, 1)),
}


def curves(results: StudyResults) -> Figure:
    """Fig. 4 (a) and (b): R and SSIM by epoch of every validation fold, and of the test set (computed afterwards)."""
    figure, axes = panels(2)
    lines = [(f"fold {k + 1}", rows, FOLD_COLOURS[k % 8], 1.1) for k, rows in enumerate(results.validation_curves)]
    lines.append(("test set", results.test_curve, "black", 1.8))
    for axis, metric, letter in zip(axes, METRICS, "ab", strict=True):
        for name, rows, colour, width in lines:
            epochs, means = epoch_means(rows, metric)
            axis.plot(epochs, means, color=colour, linewidth=width, marker="o", markersize=2.5, label=name)
        axis.set(xlabel="epoch", ylabel=f"mean {TITLES[metric]} of the lungs", title=f"({letter}) {TITLES[metric]}")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center")
    return figure


def epoch_means(rows: list[dict], metric: str) -> tuple[list[int], list[float]]:
    """Mean of a metric over the lungs at every kept epoch."""
    ordered = sorted((row for row in rows if row[metric] is not None), key=lambda row: row["epoch"])
    grouped = {epoch: [row[metric] for row in group] for epoch, group in groupby(ordered, lambda row: row["epoch"])}
    return list(grouped), [float(np.mean(values)) for values in grouped.values()]


def boxes(results: StudyResults) -> Figure:
    """Fig. 4 (c) and (d): box plots of every fold and the test set, outliers named."""
    figure, axes = panels(2, width=4.8, height=3.8)
    groups = [(f"fold {k + 1}", fold.table) for k, fold in enumerate(results.validation)]
    groups.append(("test", results.test.table))
    for axis, metric, letter in zip(axes, METRICS, "cd", strict=True):
        found = [(name, values_of(table, metric)) for name, table in groups]
        for place, (name, values) in enumerate(found):
            _box(axis, place, values, "black" if name == "test" else FOLD_COLOURS[place % 8])
        axis.set_xticks(range(len(found)), [f"{name}\n{len(v)} lungs" for name, v in found], fontsize=7)
        axis.set(ylabel=TITLES[metric], title=f"({letter}) {TITLES[metric]}", xlim=(-0.6, len(found) - 0.1))
    return figure


def _box(axis: Axes, place: int, found: TidyTable, colour: str) -> None:
    if not len(found):
        return
    box = fences(found.value)
    inside = found.value[(found.value >= box.low) & (found.value <= box.high)]
    stats = {"med": box.median, "q1": box.lower_quartile, "q3": box.upper_quartile, "fliers": []}
    stats |= {"whislo": min(inside.min(), box.lower_quartile), "whishi": max(inside.max(), box.upper_quartile)}
    line = {"color": colour, "linewidth": 1.1}
    axis.bxp([stats], positions=[place], widths=0.5, showfliers=False, boxprops=line, whiskerprops=line,
             capprops=line, medianprops={"color": colour, "linewidth": 2})  # fmt: skip
    spread = np.random.default_rng(0).uniform(-0.13, 0.13, len(found))
    axis.plot(place + spread, found.value, ".", color=colour, alpha=0.35, markersize=4, markeredgewidth=0)
    for index in box.outliers:
        outlier = case(found, index)
        axis.plot([place], [outlier["value"]], "o", color=RED, markersize=4, markerfacecolor="none")
        axis.annotate(f"{outlier['patient_id']} {outlier['scope'][0].upper()}", (place, outlier["value"]), (4, 0),
                      textcoords="offset points", fontsize=5.5, va="center", color=RED)  # fmt: skip


def dice_histograms(results: StudyResults, numbers: dict) -> Figure:
    """Fig. 6: histograms of DSC of the test lungs, the baselines' means as lines."""
    figure, axes = panels(2)
    edges = np.linspace(0, 1, 21)
    for axis, metric, colour, words in (
        (axes[0], "dsc_high", ORANGE, "high-functional lung"),
        (axes[1], "dsc_low", BLUE, "low-functional lung"),
    ):
        axis.hist(values_of(results.test.table, metric).value, edges, color=colour, alpha=0.75, edgecolor="white")
        for name, figures in numbers["test"][LUNG].items():
            mean = figures[WHOLE][metric]["mean"]
            if mean is not None:
                label = "DL-CTPM, mean" if name == MODEL else BASELINE_NAMES.get(name, name)
                style = {"color": PURPLE, "linewidth": 2} if name == MODEL else {
                    "color": "#333", "linewidth": 1, "linestyle": _DASHES.get(name, "-")}  # fmt: skip
                axis.axvline(mean, label=label, **style)
        axis.set(xlabel="DSC", ylabel="test lungs", title=words, xlim=(0, 1))
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=5, fontsize=6.5)
    return figure


def losses(results: StudyResults) -> Figure:
    """Training loss less the entropy of the targets, by epoch, with the validation loss of every fold."""
    figure, (axis,) = panels(1, width=6.0)
    for place, (name, history) in enumerate(results.histories.items()):
        colour = "black" if name == "final fit" else FOLD_COLOURS[place % 8]
        epochs = [record["epoch"] for record in history]
        axis.plot(epochs, [record["excess"] for record in history], color=colour, label=name, linewidth=1.2)
        validation = [record["validation_excess"] for record in history]
        if None not in validation:
            axis.plot(epochs, validation, color=colour, linestyle="--", linewidth=0.9)
    axis.set(xlabel="epoch", ylabel="BCE above its floor", title="Loss: training (lines), validation (dashes)")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.legend(ncols=2)
    return figure


def joint_histogram(results: StudyResults) -> Figure:
    """SPECT against map over all voxels of the test lungs."""
    figure, (axis,) = panels(1, width=4.8, height=4.0)
    counts = np.array(results.test.joint)
    image = axis.imshow(
        np.ma.masked_equal(counts, 0), origin="lower", extent=(0, JOINT_TOP, 0, JOINT_TOP), cmap="viridis",
        norm=LogNorm(1, max(int(counts.max()), 2)),
    )  # fmt: skip
    axis.plot([0, JOINT_TOP], [0, JOINT_TOP], color="#444", linewidth=0.8)
    axis.set(xlabel="SPECT / HIR", ylabel="perfusion map", title="Joint histogram, test set", ylim=(0, 1.05))
    figure.colorbar(image, ax=axis, shrink=0.8, label="voxels of the SPECT")
    return figure


def bland_altman(numbers: dict) -> Figure:
    """Bland–Altman of the right lung's share and of the lobes' shares of perfusion."""
    found = numbers["bland_altman"]
    lobes = [region for region in found if region not in ("right lung", "left lung")]
    groups = [("share of the right lung", ["right lung"] if "right lung" in found else [])]
    groups += [("shares of the lobes", lobes)] if lobes else []
    figure, axes = panels(len(groups), width=4.8)
    for axis, (title, regions) in zip(axes, groups, strict=True):
        for place, region in enumerate(regions):
            pairs = np.array(list(found[region]["pairs"].values()))
            colour = PURPLE if len(regions) == 1 else FOLD_COLOURS[place]
            axis.plot(pairs.mean(axis=1), pairs[:, 1] - pairs[:, 0], "o", color=colour, markersize=3.5, label=region)
            if len(regions) == 1 and found[region]["limits"]:
                for value, style in ((found[region]["bias"], "-"), *((v, "--") for v in found[region]["limits"])):
                    axis.axhline(value, color=GRAY, linestyle=style, linewidth=0.9)
        axis.axhline(0, color="black", linewidth=0.5)
        axis.set(xlabel="mean of SPECT and map (%)", ylabel="map − SPECT (points)", title=title)
        if len(regions) > 1:
            axis.legend(fontsize=6)
    return figure


def calibration(numbers: dict) -> Figure:
    """Mean SPECT where the map says so much; the bars are how often it does."""
    figure, (axis,) = panels(1, width=4.6, height=4.0)
    found = numbers["calibration"]
    share = np.array(found["voxels"]) / max(sum(found["voxels"]), 1)
    points = zip(found["map"], found["spect"], share, strict=True)
    pairs = [(of_map, of_spect) for of_map, of_spect, part in points if part >= SEEN_OFTEN]
    width = 1 / found["bins"]
    axis.bar((np.arange(found["bins"]) + 0.5) * width, share, 0.9 * width, color="#d8dee6")
    axis.plot([0, 1], [0, 1], color="#444", linewidth=0.8)
    axis.plot(*zip(*pairs, strict=True), "o-", color=PURPLE, markersize=4)
    slope = "" if found["slope"] is None else f", slope {found['slope']:.2f}"
    axis.set(xlabel="perfusion map", ylabel="mean SPECT / HIR, clipped to 0…1", title=f"Calibration{slope}",
             xlim=(0, 1), ylim=(0, 1))  # fmt: skip
    return figure


def dice_by_threshold(numbers: dict) -> Figure:
    """DSC of both lungs against the threshold between low- and high-functional lung."""
    figure, (axis,) = panels(1, width=5.0)
    found = numbers["thresholds"]
    for name, colour in (("high", ORANGE), ("low", BLUE)):
        mean, sd = (np.array([np.nan if v is None else v for v in found[name][k]]) for k in ("mean", "sd"))
        axis.plot(found["thresholds"], mean, color=colour, label=f"{name}-functional lung")
        axis.fill_between(found["thresholds"], mean - sd, mean + sd, color=colour, alpha=0.15, linewidth=0)
    axis.axvline(FUNCTIONAL_THRESHOLD, color=GRAY, linestyle=":", linewidth=1)
    dotted = f"threshold (dotted: {FUNCTIONAL_THRESHOLD})"
    axis.set(xlabel=dotted, ylabel="DSC, mean ± SD of patients", title="DSC against threshold",
             ylim=(0, 1))  # fmt: skip
    axis.legend()
    return figure


def by_diagnosis(numbers: dict) -> Figure:
    """R of the model and of the best baseline by row of Table 1: the test set filled, the validation folds open."""
    found, baseline = numbers["table_1_rows"], numbers["best_baseline"]
    short = BASELINE_NAMES.get(baseline, baseline).removeprefix("baseline: ")
    figure, (axis,) = panels(1, width=7.0, height=0.9 + 0.38 * max(len(found), 3))
    for place, parts in enumerate(found.values()):
        for part, fill, shift in (("test", "full", 0.1), ("validation", "none", -0.1)):
            for prediction, colour, step in ((MODEL, PURPLE, 0.0), (baseline, GRAY, 0.05)):
                value = parts[part][prediction]["r_spearman"]
                if value["mean"] is not None:
                    axis.errorbar(value["mean"], place + shift - step, xerr=value["sd"] or 0, fmt="o", markersize=4.5,
                                  color=colour, fillstyle=fill, elinewidth=0.8)  # fmt: skip
    axis.set_yticks(range(len(found)), list(found), fontsize=7.5)
    axis.set(xlabel="R, mean ± SD of the lungs", title="By diagnosis")
    marks = [("DL-CTPM, test", PURPLE, "full"), (f"{short}, test", GRAY, "full"),
             ("DL-CTPM, validation", PURPLE, "none"), (f"{short}, validation", GRAY, "none")]  # fmt: skip
    handles = [Line2D([], [], marker="o", linestyle="", color=c, fillstyle=f, label=name) for name, c, f in marks]
    figure.legend(handles=handles, loc="outside right center")
    axis.invert_yaxis()
    return figure
