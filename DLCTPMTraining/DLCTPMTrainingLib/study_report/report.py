"""A finished study on paper: numbers, tables, figures and one HTML report, which appear together or not at all."""

from __future__ import annotations

import json
from pathlib import Path

from DLCTPMLib import RESEARCH_USE_ONLY, __version__
from DLCTPMLib.agreement.comparison import MODEL
from DLCTPMLib.common.atomic_output import OutputFolder
from DLCTPMLib.common.progress import Progress, no_progress
from DLCTPMLib.common.templates import MISSING, name_text, render_html, value_text
from DLCTPMLib.results.report import CITATION
from DLCTPMTrainingLib.common.drawing import data_uri, styled, write_figure
from DLCTPMTrainingLib.statistics.numbers import LUNG
from DLCTPMTrainingLib.statistics.paired import TEST, VALIDATION
from DLCTPMTrainingLib.statistics.table import CORE, WHOLE
from DLCTPMTrainingLib.study.results import StudyResults
from DLCTPMTrainingLib.study_report.numbers import numbers_of
from DLCTPMTrainingLib.study_report.paired import paired_table
from DLCTPMTrainingLib.study_report.pictures import Picture, all_pictures
from DLCTPMTrainingLib.study_report.side_by_side import as_markdown, side_by_side_table
from DLCTPMTrainingLib.study_report.table import Table
from DLCTPMTrainingLib.study_report.tables import all_tables
from DLCTPMTrainingLib.study_report.variants import variants_tables
from DLCTPMTrainingLib.study_report.words import methods, reduced, verdicts
from DLCTPMTrainingLib.training.evaluation import as_csv

OPTIONAL = ("search", "without", "sensitivity", "learning_curve", "ceiling")
"""Tables and figures that not every study has; those of an earlier run are removed."""


def write_results(results: StudyResults, progress: Progress = no_progress) -> Path:
    """Write everything that a study comes to into its ``results`` folder.

    Returns:
        the path of ``report.html``.
    """
    folder, origin = results.plan.out / "results", results.origin
    numbers = numbers_of(results)
    headline = side_by_side_table(numbers, results.seconds)
    paired = [paired_table(numbers, which) for which in (VALIDATION, TEST)]
    tables = {table.name: table for table in [*all_tables(numbers), headline, *paired, *variants_tables(numbers)]}
    pictures = {picture.name: picture for picture in all_pictures(results, numbers)}
    with OutputFolder(folder, [f"{name}.{ending}" for name in OPTIONAL for ending in ("csv", "png", "svg")]) as out:
        pngs = {}
        for number, (name, picture) in enumerate(pictures.items()):
            progress(f"Drawing {name}", number / len(pictures))
            with styled():
                figure = picture.draw()
            pngs[name] = write_figure(figure, out.work, name, origin, picture.vector)
        for name, table in tables.items():
            (out.work / f"{name}.csv").write_text(_stamped(table.as_csv(), origin.tag), encoding="utf-8")
        for name, table in (("test", results.test.table), ("validation", results.all_validation)):
            (out.work / f"{name}-rows.csv").write_text(_stamped(as_csv(table), origin.tag), encoding="utf-8")
        (out.work / "side-by-side.md").write_text(as_markdown(headline, origin), encoding="utf-8")
        text = json.dumps(numbers, indent=1, ensure_ascii=False, allow_nan=False)
        (out.work / "numbers.json").write_text(text + "\n", encoding="utf-8")
        (out.work / "report.html").write_text(_html(results, numbers, tables, pictures, pngs), encoding="utf-8")
    return folder / "report.html"


SECTIONS = {
    "Patients": ("fig-1-flow-chart", "table-1", "contact-sheet"),
    "Method": ("fig-2a-preprocessing", "fig-2b-network", "fig-3-colour-views", "search"),
    "Results": ("side-by-side", "paired-differences", "paired-validation", "paired-test", "headline-per-lung",
                "headline-per-patient", "ceiling", "advantage", "paper", "fig-4ab-curves", "fig-4cd-boxes",
                "outliers", "fig-5-cases", "fig-6-dsc", "tests", "folds"),
    "Beyond the paper": ("diagnoses", "joint-histogram", "calibration", "dsc-threshold", "bland-altman",
                         "percentages", "without", "sensitivity", "learning_curve", "loss"),
}  # fmt: skip
"""The report's chapters; a name stands for the table and for the figure of that name."""


def _html(
    results: StudyResults,
    numbers: dict,
    tables: dict[str, Table],
    pictures: dict[str, Picture],
    pngs: dict[str, bytes],
) -> str:
    sections = []
    for title, names in SECTIONS.items():
        parts = []
        for name in names:
            if name in tables:
                parts.append({"kind": "table", "table": tables[name]})
            if name in pngs:
                picture = pictures[name]
                parts.append({"kind": "figure", "caption": picture.caption, "source": data_uri(pngs[name]),
                              "narrow": picture.narrow})  # fmt: skip
        sections.append({"title": title, "parts": parts})
    registered = [
        f"patient {name}: {warning}"
        for name, patient in results.patients.items()
        for warning in (patient.registration or {}).get("warnings", [])
    ]
    return render_html(
        "study.html.j2",
        title=f"{results.plan.name} {results.plan.version}, {Path(results.plan.cohort).name}",
        software=f"DL-CTPM {__version__}",
        research_use_only=RESEARCH_USE_ONLY,
        origin=results.origin,
        reduced=reduced(results),
        cards=_cards(numbers),
        verdicts=verdicts(numbers, results.origin),
        sections=sections,
        warnings=[*results.check.warnings, *registered],
        methods=methods(results),
        citation=CITATION,
        settings=[(group, _rows(values)) for group, values in _settings(results).items()],
    )


def _settings(results: StudyResults) -> dict[str, dict]:
    plan = results.plan
    return {
        **results.chosen.to_dict(),
        "split": plan.split.to_dict(),
        "search": plan.search.to_dict(),
        "statistics": plan.statistics.to_dict(),
    }


def _rows(values: dict) -> list[tuple[str, str]]:
    return [(name_text(name), value_text(name, value)) for name, value in values.items()]


def _cards(numbers: dict) -> list[dict]:
    whole, core = (numbers["test"][LUNG][MODEL][part] for part in (WHOLE, CORE))
    cards = [
        (_mean(whole["r_spearman"]), "R, test lungs (paper 0.67)"),
        (_mean(core["r_spearman"]), "R in the core"),
        (
            _mean(numbers["test"][LUNG].get(numbers["best_baseline"], {WHOLE: whole})[WHOLE]["r_spearman"]),
            "R of the best baseline",
        ),
        (_mean(whole["ssim"]), "SSIM (paper 0.76)"),
        (f"{_mean(whole['dsc_high'])} / {_mean(whole['dsc_low'])}", "DSC high / low (paper 0.82 / 0.65)"),
    ]
    return [{"value": value, "label": label} for value, label in cards]


def _stamped(text: str, tag: str) -> str:
    """A column that says so in every line, where this study's patients are simulated (the paper's are not)."""
    if not tag:
        return text
    value = "yes" if tag == "simulated" else tag
    first, *lines = text.splitlines()
    return "\n".join([f"{first},this study is simulated", *(f"{line},{value}" for line in lines)]) + "\n"


def _mean(found: dict) -> str:
    return MISSING if found["mean"] is None else f"{found['mean']:.2f}"
