"""The tables of a comparison, as they are shown."""

from __future__ import annotations

from collections.abc import Sequence

from DLCTPMLib.agreement.scores import BASELINE_NAMES
from DLCTPMLib.common.templates import MISSING
from DLCTPMTrainingLib.ceiling.estimate import CEILING
from DLCTPMTrainingLib.common.patient_origin import Origin
from DLCTPMTrainingLib.model_comparison.evaluation import AS_IT_STANDS, HIGH, HIGH_BIAS, OWN_P75, SHARE_ERROR
from DLCTPMTrainingLib.statistics.numbers import LUNG, MEASURES, PATIENT
from DLCTPMTrainingLib.study_report.table import Table, difference_text, interval_text, p_text

UNITS = {PATIENT: "both lungs together, by patient", LUNG: "lung by lung"}


def all_tables(numbers: dict) -> list[Table]:
    """Every table, in the order of the page."""
    return [
        headline(numbers, PATIENT),
        gains(numbers, PATIENT),
        functional(numbers),
        groups(numbers),
        pairs(numbers),
        headline(numbers, LUNG),
        gains(numbers, LUNG),
    ]


def title_of(name: str) -> str:
    """A model's label, a baseline's name, or the ceiling's."""
    return "ceiling, an estimate (simulated)" if name == CEILING else BASELINE_NAMES.get(name, name)


def headline(numbers: dict, unit: str) -> Table:
    """Models, baselines and ceiling: mean of each metric with its interval."""
    found = numbers["headline"][unit]
    rows = [
        [title_of(name), str(figures["ssim"]["n"]), *(_mean(figures[key]) for key in MEASURES)]
        for name, figures in found.items()
    ]
    columns = ["mean [95 % interval]", f"{unit}s", *(title for title, _, _ in MEASURES.values())]
    return Table(f"headline-per-{unit}", f"Agreement with the SPECT, {UNITS[unit]}", columns, rows, note=NOTE)


NOTE = (
    "Intervals bootstrapped over patients. One judge for all: each patient's SPECT divided by its own 75th "
    "percentile over both lungs; DSC and κ at 0.66 of that, in a map whose model's scale is calibrated at the value "
    "that cuts off the same volume. Core: each lung eroded by two SPECT voxels. The ceiling is what a perfect method "
    "could reach on average, estimated by drawing anew what no CT shows."
)


def gains(numbers: dict, unit: str) -> Table:
    """Each model less the best baseline, patient by patient, and how far that is to the ceiling."""
    rows = []
    for model, metrics in numbers["gains"][unit].items():
        for key, found in metrics.items():
            reached = MISSING if found["reached"] is None else f"{100 * found['reached']:.0f} %"
            rows.append([model, MEASURES[key][0], title_of(found["baseline"]), str(found["pairs"]),
                         difference_text(found), p_text(found["p"]), reached])  # fmt: skip
    columns = ["model", "metric", "best baseline", "patients", "gain [95 % interval]", "Wilcoxon",
               "of the way to the ceiling"]  # fmt: skip
    note = (
        "The best baseline of each metric is the one with the highest mean on these same patients. Differences "
        "patient by patient, intervals bootstrapped over patients; not corrected for their number."
    )
    return Table(f"gains-per-{unit}", f"Gain over the best baseline, {UNITS[unit]}", columns, rows, note=note)


def functional(numbers: dict) -> Table:
    """Functional volume and the right lung's share."""
    found = numbers["per_patient"]
    rows = []
    for name in [*numbers["models"], *numbers["baselines"], "volume", CEILING]:
        figures = found.get(name, {})
        shown = [figures.get(m) for m in (SHARE_ERROR, HIGH_BIAS, HIGH_BIAS + AS_IT_STANDS)]
        p75 = figures.get(OWN_P75)
        spread = MISSING if not p75 or p75["mean"] is None else f"{p75['minimum']:.2f} to {p75['maximum']:.2f}"
        stands = numbers["as_it_stands"].get(name, {})
        rows.append([
            "lungs' volumes alone" if name == "volume" else title_of(name),
            _points(shown[0], ""), *(_points(one) for one in shown[1:]), spread,
            " / ".join(_mean(stands.get(m), interval=False) for m in ("dsc_high", "dsc_low", "kappa")) if stands
            else MISSING,
        ])  # fmt: skip
    columns = [
        "", "error of the right lung's share, points", "high-functional volume less the SPECT's, points of the lung",
        "the same at 0.66 of the map", "the map's own 75th percentile",
        "DSC high / low / κ at 0.66 of the map",
    ]  # fmt: skip
    spect = found["spect"][HIGH]
    note = (
        "Mean over the patients [95 % interval]. The share is that of the map's sum on the CT's grid against the "
        "SPECT's counts, not clipped. High-functional volume is the part of the CT's lung voxels above the line; in "
        f"the SPECTs themselves it is {_mean(spect, '.1f')} % of the lung."
    )
    return Table("functional-volume", "Functional volume and the share of the right lung", columns, rows, note=note)


def groups(numbers: dict) -> Table:
    """Every disease by itself."""
    rows = []
    for name, found in numbers["groups"].items():
        for model, figures in found["models"].items():
            rows.append([
                name, str(found["patients"]), model, _mean(figures["r"]), _mean(figures["core"], interval=False),
                _mean(found["baseline"], interval=False), _mean(found["ceiling"], interval=False),
                _points(figures[SHARE_ERROR], ""), _points(found["volume"], ""), _points(figures[HIGH_BIAS]),
            ])  # fmt: skip
    best = numbers["best_baseline"][PATIENT]["r"]
    columns = ["disease", "patients", "model", "R", "R, core", f"R of {title_of(best or '')}", "R of the ceiling",
               "error of the share", "the same by volume", "high-functional volume less the SPECT's"]  # fmt: skip
    note = "Both lungs together, mean over the patients [95 % interval from 8 patients on]; the last three in points."
    return Table("by-disease", "By disease", columns, rows, note=note)


def pairs(numbers: dict) -> Table:
    """Every two models."""
    rows = [
        [MEASURES[one["metric"]][0], one["first"], one["second"], str(one["pairs"]), difference_text(one),
         p_text(one["p"]), p_text(one["p_holm"])]
        for one in numbers["pairs"]
    ]  # fmt: skip
    columns = ["metric", "first", "second", "patients", "first less second [95 % interval]", "Wilcoxon", "after Holm"]
    note = "Both lungs together, patient by patient; corrected over the pairs of a metric."
    return Table("pairs", "Models against each other", columns, rows, note=note)


def as_markdown(tables: Sequence[Table], origin: Origin, patients: int) -> str:
    """All tables on one page."""
    who = f"{patients} {origin.kind('*simulated*')}"
    parts = [f"# Models on one cohort\n\n{who}. Research use only."]
    for table in tables:
        if table.rows:
            lines = [table.columns, ["---"] * len(table.columns), *table.rows]
            cells = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
            tag = f" (*{origin.tag}*)" if origin.tag else ""
            parts.append(f"## {table.title}{tag}\n\n{cells}\n\n{table.note}")
    return "\n\n".join(parts) + "\n"


def _mean(found: dict | None, form: str = ".3f", interval: bool = True) -> str:
    if not found:
        return MISSING
    return interval_text(found["mean"], found["interval"] if interval else None, form)


def _points(found: dict | None, sign: str = "+") -> str:
    return _mean(found, f"{sign}.1f")
