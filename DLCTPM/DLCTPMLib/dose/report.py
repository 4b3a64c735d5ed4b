"""The report of dose and function: a single HTML file that needs no network, in the style of the prediction's."""

from __future__ import annotations

import datetime
import os
from pathlib import Path

from DLCTPMLib.common.progress import Progress, no_progress
from DLCTPMLib.common.templates import and_list, figure_text, render_html
from DLCTPMLib.dose.analysis import REGIONS, DoseImages
from DLCTPMLib.dose.figures import BANDS_GY, MUCH_GY, PLANES, DosePictures, histogram_figure
from DLCTPMLib.function.definitions import Definition
from DLCTPMLib.results.figures import FORCED_NOTE, NOTE
from DLCTPMLib.results.report import data_uri
from DLCTPMLib.results.report_tables import grid_rows

DEFINITION_LEVELS = ("5", "10", "20", "30", "40", "60")
"""Doses whose fV stand in the table of definitions; ``dose.json`` has all."""


def write_dose_report(
    path: str | os.PathLike,
    result: dict,
    images: DoseImages,
    definition: Definition,
    progress: Progress = no_progress,
) -> None:
    """Write the report.

    Args:
        path: the HTML file.
        result: the content of ``dose.json`` (``dose.result``).
        images: what the pictures show.
        definition: of high-functional lung, on this map.
        progress: told after every picture.
    """
    said = [FORCED_NOTE] * bool(result["forced"]) + ["simulated"] * result["simulated"]
    note = " · ".join([*said, NOTE])
    lungs = lungs_in_words(result)
    drawings = [
        (
            f"Cumulative histograms of the {lungs}. High-functional lung: {result['function']['meaning']}.",
            lambda: histogram_figure(result["curves"], "lungs", note),
        )
    ]
    pictures = DosePictures(images, definition, note)
    drawings += [(_strip_caption(plane.name), lambda plane=plane: pictures.strip(plane)) for plane in PLANES]
    figures = []
    for number, (caption, draw) in enumerate(drawings):
        figures.append({"caption": caption, "source": data_uri(draw())})
        progress("Drawing the report", (number + 1) / len(drawings))
    html = render_html(
        "dose.html.j2",
        result=result,
        title=result["input"]["name"],
        made=datetime.date.today().isoformat(),
        lungs=lungs,
        cards=_cards(result),
        histogram=figures[0],
        slices=figures[1:],
        levels=list(result["regions"]["lungs"]["at_least_percent"]),
        definition_levels=DEFINITION_LEVELS,
        sides=[{"name": name, **result["regions"][name]} for name in REGIONS],
        methods=methods_paragraph(result),
        inputs=_input_rows(result["input"]),
    )
    Path(path).write_text(html, encoding="utf-8")


def lungs_in_words(result: dict) -> str:
    """What the figures are of: "lungs", or "lungs minus GTV"."""
    excluded = [name for name, one in result["structures"].items() if one["role"] == "excluded"]
    return f"lungs minus {and_list(excluded)}" if excluded else "lungs"


def methods_paragraph(result: dict) -> str:
    """A paragraph for the methods section of a paper, with what was used."""
    dose, function = result["input"]["dose"], result["function"]
    kind = {"PHYSICAL": "physical dose", "EFFECTIVE": "effective dose"}.get(dose["type"] or "", "dose")
    spacing = " × ".join(f"{mm:g}" for mm in dose["spacing"])
    place = "moved by a given transform and interpolated" if result["input"]["transform"] else "interpolated"
    sentences = [
        f"The {kind} of the plan (grid of {spacing} mm) was {place} linearly to the voxels of the perfusion map "
        f"({result['software']['name']} {result['software']['version']}, model {result['model']['name']} "
        f"{result['model']['version']}, SHA-256 {result['model']['sha256'][:12]}…).",
        f"Figures are of the {lungs_in_words(result)}; no correction for fractionation was made.",
        f"High-functional lung was defined as {function['definition']}, {function['meaning']}: relative perfusion "
        f"above {function['threshold']:.3g} in these lungs.",
        "VX is the share of volume that gets at least X Gy; fVX the same of high-functional lung or, weighted, the "
        "share Σ f·[d ≥ X] / Σ f of the map f; fMLD the mean dose of high-functional lung or, weighted, Σ f·d / Σ f.",
    ]
    if result["simulated"]:
        sentences.append("All images were simulated (virtual patient).")
    return " ".join(sentences)


def _cards(result: dict) -> list[dict]:
    lungs = result["regions"]["lungs"]
    high, weighted = lungs["high"], lungs["weighted"]
    return [
        {"value": f"{figure_text(value, 1)} {unit}", "label": label}
        for value, unit, label in (
            (lungs["mean_gy"], "Gy", f"MLD, mean dose of the {lungs_in_words(result)}"),
            (lungs["at_least_percent"]["20"], "%", "V20"),
            (weighted["mean_gy"], "Gy", "fMLD, weighted with the map"),
            (weighted["at_least_percent"]["20"], "%", "fV20, weighted with the map"),
            (high["mean_gy"], "Gy", f"fMLD of high-functional lung ({figure_text(high['volume_ml'], 0)} ml)"),
            (high["at_least_percent"]["20"], "%", "fV20 of high-functional lung"),
        )
    ]


def _strip_caption(name: str) -> str:
    bands = ", ".join(str(edge) for edge in BANDS_GY[1:])
    return (
        f"{name.capitalize()} slices of the lungs, patient right on the left of the picture (positions in LPS mm): "
        f"the map; the dose, its colours change at {bands} Gy; low-functional lung blue, high-functional lung "
        f"orange, and red where it gets at least {MUCH_GY} Gy (with tertiles the middle third light grey). Targets "
        "that were left out are grey."
    )


def _input_rows(described: dict) -> list[tuple[str, str]]:
    dose = described["dose"]
    rows = [("result", described["name"]), ("dose", dose["name"]), ("dose format", dose["format"])]
    rows += [(f"dose {name}", text) for name, text in grid_rows(dose)]
    rows += [("dose maximum (Gy)", f"{dose['maximum_gy']:g}")]
    rows += [(f"dose {key}", str(dose[key])) for key in ("type", "summation") if dose[key]]
    rows += [("dose files", str(dose["files"]))] if dose["files"] > 1 else []
    if described["structures"]:
        rows += [("structures", f"{described['structures']['name']} ({described['structures']['format']})")]
    return [*rows, ("transform", described["transform"])] if described["transform"] else rows
