"""The tables of a study, the paper's own column beside ours wherever the paper gives a figure."""

from __future__ import annotations

from DLCTPMLib.agreement.comparison import MODEL
from DLCTPMLib.agreement.metrics import SSIM_CONVENTION
from DLCTPMLib.agreement.scores import BASELINE_NAMES
from DLCTPMLib.common.templates import MISSING
from DLCTPMTrainingLib.cohorts.table import TABLE_1, WOMEN_OF_73
from DLCTPMTrainingLib.statistics.numbers import HEADLINE, LUNG, PATIENT
from DLCTPMTrainingLib.statistics.table import CORE, WHOLE
from DLCTPMTrainingLib.study_report.paper import ABOVE_PAPER, OUTLIERS_PAPER, PAPER, RANGE_PAPER, TESTS_PAPER
from DLCTPMTrainingLib.study_report.table import Table, number_text, p_text, signed_text, summary_text
from DLCTPMTrainingLib.training.evaluation import TITLES


def all_tables(numbers: dict) -> list[Table]:
    """Every table that the study has numbers for, in the report's order."""
    tables = [
        characteristics(numbers),
        headline(numbers, LUNG),
        headline(numbers, PATIENT),
        against_the_paper(numbers),
        advantage(numbers),
        tests(numbers),
        folds(numbers),
        outliers(numbers),
        diagnoses(numbers),
        percentages(numbers),
    ]
    if numbers["search"]:
        tables.append(search(numbers))
    if numbers["without"]:
        tables.append(without(numbers))
    if numbers["ceiling"]:
        tables.append(ceiling(numbers))
    return tables


CEILING_TITLE = "ceiling, an estimate (simulated)"


def ceiling(numbers: dict) -> Table:
    """How far each network gets from the best baseline to what any map of the CT could reach."""
    of = numbers["ceiling"]
    rows = []
    for row in of["rows"]:
        name = _short(row["baseline"]) if row["baseline"] else MISSING
        error = MISSING if row["error"] is None else f"± {row['error']:.3f}"
        rows.append(
            [f"{TITLES[row['metric']]}{'' if row['part'] == WHOLE else ', core'}", str(row["lungs"]), name,
             number_text(row["baseline_mean"]), number_text(row["ceiling"]), error]
            + [_on_the_way(one) for one in row["networks"].values()]
        )  # fmt: skip
    names = list(of["rows"][0]["networks"])
    note = (
        f"Test lungs; simulated. Each CT stayed and what no CT shows was drawn anew {of['draws']} times; each SPECT "
        "against the mean of the others, for DSC and κ the best cut of the share of draws above the threshold. In "
        "brackets: how far the network gets from the best baseline (0 %) to the ceiling (100 %). The error is that "
        f"of Monte Carlo. With half of the other draws R is {number_text(of['half_r'])}: the mean of all possible "
        "draws lies a little higher still. "
        f"Mean error of the right lung's share: {of['right_share_error']:.1f} points."
    )
    columns = ["mean of the lungs", "lungs", "best baseline", "its mean", "ceiling", "Monte-Carlo error", *names]
    return Table("ceiling", "Ceiling, an estimate (simulated): what any map of the CT could reach", columns, rows,
                 note=note)  # fmt: skip


def _short(baseline: str) -> str:
    """A baseline's name in a column that says what it is."""
    return BASELINE_NAMES.get(baseline, baseline).removeprefix("baseline: ")


def _on_the_way(network: dict) -> str:
    """A network's mean, and how far it gets from the best baseline to the ceiling."""
    share = MISSING if network["reached"] is None else f"{100 * network['reached']:.0f} %".replace("-", "−")
    return f"{number_text(network['mean'])} ({share})"


def characteristics(numbers: dict) -> Table:
    """Table 1 of the paper for this cohort."""
    found = numbers["characteristics"]
    n = found["n"]
    rows = [
        ["Men", *_count(found["men"], n), "24", "32.9 %"],
        ["Women", *_count(found["women"], n), str(WOMEN_OF_73), "67.1 %"],
        ["Age (mean ± SD)", _mean_sd(found["age_mean"], found["age_sd"], 0), "", "67 ± 14", ""],
    ]
    for name, (paper, _) in TABLE_1.items():
        count = found["diagnoses"].get(name, 0)
        rows.append([name, *_count(count, n), str(paper), f"{100 * paper / 73:.1f} %"])
    note = f"Others: {', '.join(found['others'])}." if found["others"] else ""
    columns = [f"Patients (n = {n})", "number", "percent", "paper (n = 73)", "percent"]
    return Table("table-1", "Table 1: patient characteristics", columns, rows, note=note)


def headline(numbers: dict, unit: str) -> Table:
    """Model, hard cases, baselines and paper on one page: whole lung and core."""
    test, validation = numbers["test"][unit], numbers["validation"][unit]
    what = "lungs" if unit == LUNG else "patients"
    rows = [_headline_row("DL-CTPM, test set", test.get(MODEL))]
    for part in ("test", "validation"):
        acute = numbers["acute_embolism"][part][unit]
        if acute:
            name = "test set" if part == "test" else "validation folds"
            rows.append(_headline_row(f"– acute embolism only, {name}", acute[MODEL]))
    if len(rows) == 1:
        rows.append(["– acute embolism only (no such patient)", "0", *[MISSING] * 7])
    if unit == LUNG:
        rows.append(_other_hir_row(numbers["other_hir"]))
    rows.append(_headline_row("DL-CTPM, validation folds", validation.get(MODEL)))
    rows += [
        _headline_row(BASELINE_NAMES.get(name, name), figures) for name, figures in test.items() if name != MODEL
    ]
    if numbers["ceiling"]:
        rows.append(_headline_row(CEILING_TITLE, numbers["ceiling"]["figures"][unit]))
    emphasis = (0,)
    if unit == LUNG:
        for name, count, which in (
            ("paper, test set", "62", "test"),
            ("paper, validation folds", "84", "validation"),
        ):
            figures = [PAPER[which].get(m, MISSING) for m in HEADLINE]
            rows.append([name, count, figures[0], MISSING, figures[1], MISSING, *figures[2:]])
    columns = ["mean ± SD [95 % interval]", what, "R", "R, core", "SSIM", "SSIM, core", "DSC high", "DSC low", "κ"]
    note = (
        "Each map in the reference lungs on the SPECT's own grid. The core is each lung eroded by two SPECT voxels, "
        "where edge blur no longer helps. Intervals: bootstrap over patients. In acute embolism the defects leave no "
        "trace in the CT: no CT method can see them, and the map is expected to fail there. "
        f"SSIM: {SSIM_CONVENTION}."
    )
    title = "Headline: per lung, as in the paper" if unit == LUNG else "Headline: per patient, both lungs together"
    return Table(f"headline-per-{unit}", title, columns, rows, emphasis, note)


def against_the_paper(numbers: dict) -> Table:
    """Every figure that the paper gives, ours beside it."""
    model = numbers["test"][LUNG][MODEL][WHOLE]
    validation = numbers["validation"][LUNG][MODEL][WHOLE]
    rows = [
        [f"{TITLES[m]}, test", summary_text(model[m]), PAPER["test"][m]]
        for m in ("r_spearman", "ssim", "dsc_high", "dsc_low")
    ]
    rows += [[f"{TITLES[m]}, range", _range(model[m]), paper] for m, paper in RANGE_PAPER.items()]
    rows += [
        [f"test lungs with {TITLES[m]} above {limit}", f"{model[m]['above'][limit]:.0f} %", paper]
        for (m, limit), paper in ABOVE_PAPER.items()
    ]
    rows += [
        [f"{TITLES[m]}, validation", summary_text(validation[m]), paper] for m, paper in PAPER["validation"].items()
    ]
    for (which, metric), paper in TESTS_PAPER.items():
        if which == "validation":
            p = numbers["validation_against_test"][metric]["lungs"]["p"]
            rows.append([f"{TITLES[metric]}, validation against test", p_text(p), paper])
        else:
            rows.append(
                [f"{TITLES[metric]}, right against left", p_text(numbers["right_against_left"][metric]["p"]), paper]
            )
    for metric, paper in OUTLIERS_PAPER.items():
        cases = numbers["outliers"]["test"][metric]["cases"]
        rows.append([f"{TITLES[metric]}, outliers beyond 1.5 IQR", f"{len(cases)} of {model[metric]['n']}", paper])
    if numbers["without"]:
        retrained = numbers["without"]["retrained"]
        rows += [
            [f"{TITLES[m]}, trained without {numbers['without']['diagnosis']}", summary_text(retrained[m]), paper]
            for m, paper in PAPER["without"].items()
        ]
    return Table("paper", "Figures of the paper", ["", "this study", "paper"], rows)


def advantage(numbers: dict) -> Table:
    """The model less each baseline, whole lung and core."""
    rows = []
    for part, words in ((WHOLE, ""), (CORE, ", core")):
        for name, figures in numbers["advantage"][part].items():
            rows.append(
                [f"{BASELINE_NAMES.get(name, name)}{words}", str(figures["r_spearman"]["n"])]
                + [summary_text(figures[m], signed=True) for m in HEADLINE]
            )
    columns = ["model less", "lungs", *(TITLES[m] for m in HEADLINE)]
    note = "Mean of the differences lung by lung ± SD [95 % interval, bootstrap over patients]; test set."
    return Table("advantage", "What the model is better by", columns, rows, note=note)


def tests(numbers: dict) -> Table:
    """The tests of METHOD.md §5."""
    rows = []
    for metric, figures in numbers["validation_against_test"].items():
        for unit, words in (("lungs", "Student's t, lungs (as the paper)"), ("patients", "Welch's t, patient means")):
            figure = figures[unit]
            rows.append([f"{TITLES[metric]}: validation against test", words, signed_text(figure["difference"]),
                         _t(figure), p_text(figure["p"])])  # fmt: skip
    for metric, figure in numbers["right_against_left"].items():
        rows.append([f"{TITLES[metric]}: right against left", f"paired t, {figure['pairs']} patients",
                     signed_text(figure["difference"]), _t(figure), p_text(figure["p"])])  # fmt: skip
        words = "not decided" if figure["equivalent"] is None else (
            "equivalent" if figure["equivalent"] else "equivalence not shown")  # fmt: skip
        interval = figure["interval_90"]
        shown = MISSING if interval is None else f"90 %: {interval[0]:+.3f} to {interval[1]:+.3f}".replace("-", "−")
        how = f"equivalence within ± {figure['margin']:g} (TOST): {words}"
        rows.append([f"{TITLES[metric]}: right against left", how, shown, "", p_text(figure["p_equivalence"])])
    columns = ["comparison", "test", "difference", "t (degrees of freedom)", "p"]
    note = "A large p is no proof of equality; the equivalence test is. Nothing is corrected for the number of tests."
    return Table("tests", "Tests", columns, rows, note=note)


def folds(numbers: dict) -> Table:
    """Every validation fold by itself."""
    rows = [_row(f"fold {k + 1}", figures) for k, figures in enumerate(numbers["folds"])]
    return Table("folds", "Validation folds", ["fold", "lungs", *(TITLES[m] for m in HEADLINE)], rows)


def outliers(numbers: dict) -> Table:
    """Every lung beyond the fences, by name; none was dropped anywhere."""
    rows = []
    for part, metrics in numbers["outliers"].items():
        for metric, found in metrics.items():
            limits = f"{number_text(found['low'])} to {number_text(found['high'])}"
            rows += [
                [part, TITLES[metric], case["patient_id"], case["scope"], number_text(case["value"]), limits]
                for case in found["cases"]
            ]
    columns = ["set", "metric", "patient", "lung", "value", "fences"]
    note = "Beyond 1.5 interquartile ranges from the quartiles. They are listed, never dropped." + (
        "" if rows else " There is none."
    )
    return Table("outliers", "Outliers", columns, rows, note=note)


def diagnoses(numbers: dict) -> Table:
    """The model and the best baseline by diagnosis, in the test set and in the validation folds."""
    baseline = numbers["best_baseline"]
    rows = []
    for name, parts in numbers["diagnoses"].items():
        for part, figures in parts.items():
            if figures[MODEL]["r_spearman"]["n"]:
                model = figures[MODEL]
                rows.append([name, part, str(model["r_spearman"]["patients"]), str(model["r_spearman"]["n"])]
                            + [summary_text(model[m], interval=False) for m in HEADLINE]
                            + [summary_text(figures[baseline]["r_spearman"], interval=False)])  # fmt: skip
    columns = ["diagnosis", "set", "patients", "lungs", *(TITLES[m] for m in HEADLINE), f"R of {_short(baseline)}"]
    note = "The baseline is the best in validation, by R."
    return Table("diagnoses", "By diagnosis", columns, rows, note=note)


def percentages(numbers: dict) -> Table:
    """Bland–Altman figures of the shares of perfusion."""
    rows = []
    for region, found in numbers["bland_altman"].items():
        limits = found["limits"]
        shown = MISSING if limits is None else f"{limits[0]:+.1f} to {limits[1]:+.1f}".replace("-", "−")
        rows.append([region, str(found["n"]), signed_text(found["bias"], 1), shown, signed_text(found["slope"], 2)])
    columns = ["region", "patients", "bias (points)", "95 % limits of agreement", "slope"]
    note = (
        "Map less SPECT, in percentage points of the perfusion of both lungs. The map stops at 1, so its shares are "
        "compressed towards the shares of volume: a negative slope shows it."
    )
    return Table("percentages", "Shares of perfusion by lung and lobe", columns, rows, note=note)


def without(numbers: dict) -> Table:
    """Retraining without a diagnosis, and the subgroup."""
    found = numbers["without"]
    rows = [
        _row(f"trained and tested without {found['diagnosis']}", found["retrained"]),
        _row("trained on all, tested on the same patients", found["same patients"]),
        _row(f"trained on all, tested on {found['diagnosis']} only", found["excluded patients"]),
    ]
    columns = ["", "lungs", *(TITLES[m] for m in HEADLINE)]
    return Table("without", f"Without {found['diagnosis']}", columns, rows)


def search(numbers: dict) -> Table:
    """The settings that were tried."""
    trials = numbers["search"]
    rows = [
        [trial["label"], str(trial["epochs"]), *map(number_text, trial["r"]), number_text(trial["mean"])]
        for trial in trials
    ]
    columns = ["setting", "epochs", *(f"fold {k + 1}" for k in range(len(trials[0]["r"]))), "mean"]
    note = (
        "Mean R of the validation lungs on the network's grid, not the R of the other tables; the highest won. "
        "A dash: the training diverged."
    )
    return Table("search", "Settings tried in the search", columns, rows, note=note)


def _headline_row(name: str, figures: dict | None) -> list[str]:
    if not figures:
        return [name, "0", *[MISSING] * 7]
    whole, core = figures[WHOLE], figures[CORE]
    cells = [whole["r_spearman"], core["r_spearman"], whole["ssim"], core["ssim"]]
    cells += [whole[m] for m in ("dsc_high", "dsc_low", "kappa")]
    return [name, str(whole["ssim"]["n"]), *map(summary_text, cells)]


def _other_hir_row(found: dict) -> list[str]:
    """The same maps against the SPECT divided by the HIR of the scope that was not chosen."""
    words = "each lung's own HIR" if found["hir_scope"] == "lung" else "the patient's HIR"
    cells = [summary_text(found["r_spearman"]), MISSING, summary_text(found["ssim"]), MISSING]
    cells += [summary_text(found[m]) for m in ("dsc_high", "dsc_low", "kappa")]
    return [f"– SPECT divided by {words}, test set", str(found["ssim"]["n"]), *cells]


def _row(name: str, figures: dict) -> list[str]:
    return [str(name), str(figures["ssim"]["n"]), *(summary_text(figures[m]) for m in HEADLINE)]


def _range(found: dict) -> str:
    return MISSING if found["mean"] is None else f"{found['minimum']:.3f} to {found['maximum']:.3f}"


def _mean_sd(mean: float | None, sd: float | None, digits: int) -> str:
    if mean is None:
        return MISSING
    return f"{mean:.{digits}f}" + ("" if sd is None else f" ± {sd:.{digits}f}")


def _count(count: int, n: int) -> list[str]:
    return [str(count), f"{100 * count / n:.1f} %"]


def _t(figure: dict) -> str:
    if figure["t"] is None:
        return MISSING
    return f"{figure['t']:.2f} ({figure['degrees']:.1f})".replace("-", "−")
