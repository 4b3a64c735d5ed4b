"""The report of one prediction: a single HTML file that needs no network, for the screen and for paper."""

from __future__ import annotations

import base64
import datetime
import os
from dataclasses import dataclass
from pathlib import Path

import SimpleITK as sitk

from DLCTPMLib.agreement.comparison import SpectComparison
from DLCTPMLib.agreement.scores import BASELINE_NAMES
from DLCTPMLib.common.progress import Progress, no_progress
from DLCTPMLib.common.templates import figure_text, name_text, render_html, value_text
from DLCTPMLib.function.regions import FunctionalLung
from DLCTPMLib.networks.bundle import ModelBundle
from DLCTPMLib.results.curve_figure import curve_rows, threshold_curves
from DLCTPMLib.results.figures import (
    AXIAL,
    COLOUR_MAP,
    CORONAL,
    FORCED_NOTE,
    NOTE,
    PLANES,
    WINDOW_HU,
    ChestPictures,
    joint_histogram,
    spect_strip,
)
from DLCTPMLib.results.methods import BOTH_OR_EACH, member_words, methods_paragraph

CITATION = (
    "Ren G, Zhang J, Li T, Xiao H, Cheung ALY, Ho WY, Qin J, Cai J. Deep Learning-Based Computed Tomography "
    "Perfusion Mapping (DL-CTPM) for Pulmonary CT-to-Perfusion Translation. Int J Radiat Oncol Biol Phys 2021; "
    "110(5): 1508–1518. doi:10.1016/j.ijrobp.2021.02.032"
)

CARD_LINES = 30


@dataclass(frozen=True)
class ReportImages:
    """What the pictures are drawn from.

    Attributes:
        ct, lungs: on the CT's grid.
        function: the map, and how its lungs are divided.
        comparison: map and SPECT on the SPECT's grid, where there is a SPECT.
    """

    ct: sitk.Image
    lungs: sitk.Image
    function: FunctionalLung
    comparison: SpectComparison | None = None


def write_report(
    path: str | os.PathLike,
    result: dict,
    images: ReportImages,
    bundle: ModelBundle | None = None,
    colour_map: str = COLOUR_MAP,
    progress: Progress = no_progress,
) -> None:
    """Write the report of one prediction.

    Args:
        path: the HTML file.
        result: the content of ``result.json`` (``results.prediction``).
        images: what the pictures show.
        bundle: the model, where it is at hand: its card is quoted, and the methods tell what it learned from.
        colour_map: Matplotlib's name of the map's colours.
        progress: told after every picture.
    """
    function = images.function
    said = [FORCED_NOTE] * bool(result.get("forced")) + ["simulated"] * result["simulated"]
    note = " · ".join([*said, NOTE])
    scale = _scale(result["settings"]["preprocessing"])
    chest = ChestPictures(images.ct, images.lungs, function.perfusion, colour_map, note, scale)
    comparison = images.comparison
    drawings = [(_plane_caption(plane.name), lambda plane=plane: chest.strip(plane)) for plane in PLANES]
    drawings.append((f"High-functional lung: {function.definition.words}.", lambda: chest.functional(function)))
    if curve := result.get("function_curve"):
        words = "High-functional volume" + (", and DSC with the SPECT," if comparison is not None else "")
        drawings.append((f"{words} by the threshold.", lambda: threshold_curves(curve, function.high_above, note)))
    of_map = len(drawings)
    if comparison is not None:
        drawings += [
            (
                f"{plane.name.capitalize()} slices on the SPECT's own grid.",
                lambda p=plane: spect_strip(comparison, p, colour_map, note),
            )
            for plane in (CORONAL, AXIAL)
        ]
        drawings.append(("Joint histogram of SPECT and map in the lungs.", lambda: joint_histogram(comparison, note)))
    figures = []
    for number, (caption, draw) in enumerate(drawings):
        narrow = number >= len(PLANES) + 1 and "slices" not in caption  # a plot, no strip of slices
        figures.append({"caption": caption, "source": data_uri(draw()), "narrow": narrow})
        progress("Drawing the report", (number + 1) / len(drawings))
    html = render_html(
        "report.html.j2",
        result=result,
        title=result["input"]["name"],
        made=datetime.date.today().isoformat(),
        cards=_cards(result, function),
        map_figures=figures[:of_map],
        spread=_spread_note(result),
        spect_figures=figures[of_map:],
        attention=[check for check in result["quality"] if check["status"] != "PASS"],
        regions=_region_rows(result["regions"]),
        region_notes=_region_notes(result),
        curve=curve_rows(result["function_curve"]) if "function_curve" in result else [],
        definitions=_definitions(function),
        agreement=_agreement_tables(result.get("agreement")),
        agreement_notes=_agreement_notes(result),
        card_excerpt="\n".join(bundle.card.splitlines()[:CARD_LINES]) if bundle else "",
        members=[member_words(member) for member in result["model"].get("members", ())],
        methods=methods_paragraph(result, bundle),
        citation=CITATION,
        settings=[(name_text(group), _rows(values)) for group, values in result["settings"].items()],
        timings=list(result["timings_s"].items()),
        inputs=_input_rows(result["input"]),
    )
    Path(path).write_text(html, encoding="utf-8", errors="replace")  # a file's name may hold half characters


def data_uri(png: bytes) -> str:
    """A picture as a page holds it in itself."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def _plane_caption(name: str) -> str:
    level, width = (WINDOW_HU[0] + WINDOW_HU[1]) / 2, WINDOW_HU[1] - WINDOW_HU[0]
    view = "patient right on the left of the picture" if name != "sagittal" else "right lung, then left lung"
    return (
        f"{name.capitalize()} slices, {view} (R right, L left, A anterior, P posterior, H head, F feet; "
        f"positions in LPS mm). CT level {level:g}, width {width:g} HU."
    ).replace("-", "−")


def _scale(preprocessing: dict) -> str:
    """What 1 means in the map, for its colour bar."""
    times = "" if preprocessing["clip_at"] == 1 else f"{preprocessing['clip_at']:g} × "
    percentile = f"{times}{preprocessing['hir_percentile']:g}th percentile of the SPECT"
    return f"expected relative perfusion (the model learned 1 = {percentile})"


def _cards(result: dict, function: FunctionalLung) -> list[dict]:
    """The first figures: what was found, then what the map says of it. The right lung's share is none of them,
    since lungs that are equalised one by one (Eq. 1) cannot be compared by density.
    """
    regions = result["regions"]
    whole = regions["lungs"]
    found = [side for side in ("right", "left") if regions.get(f"{side} lung", {}).get("volume_ml")]
    lungs = {2: "Both lungs", 1: f"{found[0].capitalize()} lung only" if found else "", 0: "No lung"}[len(found)]
    high = None if not whole["volume_ml"] else 100 * whole["high_ml"] / whole["volume_ml"]
    cards = [
        (lungs, "found in this CT"),
        (f"{figure_text(whole['volume_ml'] / 1000, 2)} l", "lung volume in this CT"),
        (
            f"{figure_text(whole['high_ml'], 0)} ml",
            f"high-functional, {figure_text(high, 0)} % of the lungs: above {function.high_above:.4g} of the map's "
            f"own scale, {_set_by(function)}",
        ),
    ]
    if result.get("agreement"):
        lungs = result["agreement"]["lungs"]
        cards += [
            (figure_text(lungs["r_spearman"], 2), "R (Spearman) with the SPECT"),
            (f"{figure_text(lungs['dsc_high'], 2)} / {figure_text(lungs['dsc_low'], 2)}", "DSC, high / low function"),
        ]
    return [{"value": value, "label": label} for value, label in cards]


def _set_by(function: FunctionalLung) -> str:
    """Where the line between high and low comes from."""
    if function.definition.map_value is not None:
        return "where volumes are those of a SPECT on the mean over other patients; none of this one has set it"
    return "which no measurement of this patient has set"


def _spread_note(result: dict) -> str:
    """How far an ensemble's members lie apart; "" of one network."""
    found = result.get("spread")
    if not found:
        return ""
    return (
        f"The map is the mean of {len(result['model']['members'])} networks. They differ by {found['mean']:.3f} on "
        f"the average over the lungs ({found['percentile_95']:.3f} at the 95th percentile; perfusion_spread.nrrd): "
        f"{found['meaning']}."
    )


def _region_rows(regions: dict) -> list[dict]:
    whole = regions["lungs"]["volume_ml"]
    return [
        {
            **values,
            "name": name,
            "whole": name in ("lungs", "right lung", "left lung"),
            "volume_percent": 100 * values["volume_ml"] / whole if whole else None,
        }
        for name, values in regions.items()
    ]


def _region_notes(result: dict) -> list[str]:
    notes = [result["notes"]["shares"]]
    if "balance" not in result and "density" not in result["settings"]["preprocessing"].get("inputs", ()):
        notes.append(
            "Density is equalised in each lung by itself (Eq. 1), so this model cannot see that one lung is denser "
            "than the other: shares of right and left largely follow the lungs' volumes and are no finding."
        )
    return notes


def _definitions(function: FunctionalLung) -> list[str]:
    return [
        "Share of perfusion: the region's sum of the map divided by the sum over both lungs.",
        f"High-functional lung: map above {function.high_above:.4g} ({function.definition.name}: "
        f"{function.definition.words}); low-functional lung: at or below "
        f"{'it' if function.low_up_to == function.high_above else format(function.low_up_to, '.4g')}.",
        "Right and left are the patient's, from the image's direction matrix. Thirds (upper, middle, lower) cut "
        "both lungs by the same two planes across the long axis into three parts of equal volume, as the Chest "
        "Imaging Platform does; lobes are given where the lung mask holds them.",
    ]


def _agreement_tables(agreement: dict | None) -> list[dict]:
    if not agreement:
        return []
    tables = []
    for part, suffix in (
        (None, "whole lung mask"),
        ("core", "core: each lung eroded, where edge blur no longer helps"),
    ):
        for scope in agreement:
            figures = agreement[scope] if part is None else agreement[scope][part]
            rows = [{**figures, "name": "perfusion map"}]
            rows += [
                {**values, "name": BASELINE_NAMES.get(name, name)} for name, values in figures["baselines"].items()
            ]
            voxels = figure_text(figures["voxels"], 0)
            tables.append({"title": f"{scope.capitalize()} – {suffix} ({voxels} SPECT voxels)", "rows": rows})
    return tables


def _agreement_notes(result: dict) -> list[str]:
    agreement, registration = result.get("agreement"), result.get("registration")
    if not agreement:
        return []
    lungs = agreement["lungs"]
    other = lungs["other_hir_scope"]
    r, ssim, high, low = (figure_text(other[name], 3) for name in ("r_spearman", "ssim", "dsc_high", "dsc_low"))
    notes = [
        f"SSIM: {lungs['ssim_convention']}. R, DSC and κ use the SPECT divided by its high intensity reference "
        f"(HIR) without clipping.",
        f"Above, the HIR is that of {BOTH_OR_EACH[lungs['hir_scope']]}. "
        f"With that of {BOTH_OR_EACH[other['hir_scope']]} instead the map has R {r}, SSIM {ssim}, "
        f"DSC {high} (high) and {low} (low).",
        "Baselines need no learning: a map is worth what it is better than they are, above all in the core.",
    ]
    if registration and registration["metric_after"] is not None:
        before, after = (figure_text(registration[f"metric_{when}"], 3) for when in ("before", "after"))
        notes.append(
            f"Registration ({registration['kind']}): mutual information {before} at the start, {after} at the end"
            f"{'' if registration['improved'] else '; it did not improve, so the start was kept'}."
        )
    return notes


def _rows(values: dict) -> list[tuple[str, str]]:
    return [(name_text(name), value_text(name, value)) for name, value in values.items()]


def _input_rows(described: dict) -> list[tuple[str, str]]:
    rows = [("CT", described["name"]), *grid_rows(described), ("orientation", described["orientation"])]
    rows += [("lungs", described["lungs"]["source"])]
    rows += _rows(described.get("dicom", {}))
    rows += _examination_rows(described, "examination")
    if "spect" in described:
        spect = described["spect"]
        rows += [("SPECT", spect["name"]), *((f"SPECT {name}", text) for name, text in grid_rows(spect))]
        rows += _examination_rows(spect, "SPECT examination")
    return rows


def _examination_rows(described: dict, title: str) -> list[tuple[str, str]]:
    """The pseudonym of a DICOM image's examination, if there is one, and what it is."""
    named = described.get("examination", {})
    shown = [f"{name} {named[name]}" for name in ("study", "series", "date") if name in named]
    return [(title, f"{', '.join(shown)}. {named.get('meaning', '')}".strip())] if shown else []


def grid_rows(described: dict) -> list[tuple[str, str]]:
    """Size and spacing of an image that ``volumes.reading.describe`` described, as rows of a table."""
    spacing = " × ".join(f"{mm:g}" for mm in described["spacing"])
    return [("size", value_text("size", described["size"])), ("spacing (mm)", spacing)]
