"""The report of one prediction: a single HTML file that needs no network, for the screen and for paper."""

from __future__ import annotations

import base64
import datetime
import os
from dataclasses import dataclass
from pathlib import Path

import jinja2
import SimpleITK as sitk

from DLCTPMLib.agreement.comparison import SpectComparison
from DLCTPMLib.agreement.scores import BASELINE_NAMES
from DLCTPMLib.common.progress import Progress, no_progress
from DLCTPMLib.results.figures import (
    AXIAL,
    COLOUR_MAP,
    CORONAL,
    PLANES,
    WINDOW_HU,
    ChestPictures,
    joint_histogram,
    spect_strip,
)
from DLCTPMLib.results.template import TEMPLATE

CITATION = (
    "Ren G, Zhang J, Li T, Xiao H, Cheung ALY, Ho WY, Qin J, Cai J. Deep Learning-Based Computed Tomography "
    "Perfusion Mapping (DL-CTPM) for Pulmonary CT-to-Perfusion Translation. Int J Radiat Oncol Biol Phys 2021; "
    "110(5): 1508–1518. doi:10.1016/j.ijrobp.2021.02.032"
)

MISSING = "–"
"""What stands in a table where a figure has no value."""

CARD_LINES = 30


@dataclass(frozen=True)
class ReportImages:
    """What the pictures are drawn from.

    Attributes:
        ct, lungs, perfusion: on the CT's grid.
        comparison: map and SPECT on the SPECT's grid, where there is a SPECT.
    """

    ct: sitk.Image
    lungs: sitk.Image
    perfusion: sitk.Image
    comparison: SpectComparison | None = None


def write_report(
    path: str | os.PathLike,
    result: dict,
    images: ReportImages,
    model_card: str = "",
    colour_map: str = COLOUR_MAP,
    progress: Progress = no_progress,
) -> None:
    """Write the report of one prediction.

    Args:
        path: the HTML file.
        result: the content of ``result.json`` (``results.prediction``).
        images: what the pictures show.
        model_card: Markdown, quoted at its beginning.
        colour_map: Matplotlib's name of the map's colours.
        progress: told after every picture.
    """
    threshold = result["settings"]["functional_regions"]["threshold"]
    note = "simulated · research use only" if result["simulated"] else "research use only"
    chest = ChestPictures(images.ct, images.lungs, images.perfusion, colour_map, note)
    drawings = [(_plane_caption(plane.name), lambda plane=plane: chest.strip(plane)) for plane in PLANES]
    drawings.append(
        (f"High-functional lung is above {threshold:g} of the scale.", lambda: chest.functional(threshold))
    )
    comparison = images.comparison
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
        figures.append({"caption": caption, "source": _data_uri(draw()), "narrow": False})
        progress("Drawing the report", (number + 1) / len(drawings))
    if comparison is not None:
        figures[-1]["narrow"] = True
    html = (
        _environment()
        .from_string(TEMPLATE)
        .render(
            result=result,
            title=Path(result["input"]["path"]).name,
            made=datetime.date.today().isoformat(),
            cards=_cards(result),
            map_figures=figures[:4],
            spect_figures=figures[4:],
            attention=[check for check in result["quality"] if check["status"] != "PASS"],
            regions=_region_rows(result["regions"]),
            definitions=_definitions(threshold),
            agreement=_agreement_tables(result.get("agreement")),
            agreement_notes=_agreement_notes(result),
            card_excerpt="\n".join(model_card.splitlines()[:CARD_LINES]),
            methods=methods_paragraph(result),
            citation=CITATION,
            settings=[(group, _rows(values)) for group, values in result["settings"].items()],
            timings=list(result["timings_s"].items()),
            inputs=_input_rows(result["input"]),
        )
    )
    Path(path).write_text(html, encoding="utf-8")


def methods_paragraph(result: dict) -> str:
    """A paragraph for the methods section of a paper, with the settings that were used."""
    settings = result["settings"]
    pre = settings["preprocessing"]
    z, y, x = pre["grid_shape"]
    low, high = (_figure(pre[limit], 0) for limit in ("hu_low", "hu_high"))
    sentences = [
        f"Relative lung perfusion was estimated from the chest CT with {result['software']['name']} "
        f"{result['software']['version']} (model {result['model']['name']} {result['model']['version']}, SHA-256 "
        f"{result['model']['sha256'][:12]}…), an implementation of the method of Ren et al. (2021).",
        f"The lungs came from: {result['input']['lungs']['source']}.",
        f"Each lung was cropped to its bounding box and area-averaged to {z}×{y}×{x} cells; its cumulative HU "
        f"histogram was equalised between {low} and {high} HU (Eq. 1), followed by a median filter of "
        f"{pre['median_size']} and a uniform filter of {pre['uniform_size']} cells.",
        "A three-dimensional attention residual network turned this image into relative perfusion, which was "
        "brought back to the CT grid by trilinear interpolation within the lung.",
        f"Lung above {settings['functional_regions']['threshold']:g} of the scale was called high-functional.",
    ]
    if result.get("agreement"):
        agreement, registration = settings["agreement"], settings["registration"]
        how = {
            "none": "taken in the CT's coordinates",
            "given": "brought to the CT by a transform that was given with it",
        }.get(registration["kind"], f"registered to the CT ({registration['kind']}, Mattes mutual information)")
        sentences.append(
            f"The perfusion SPECT was {how} and divided by the {agreement['hir_percentile']:g}th percentile of the "
            f"{agreement['hir_scope']}; agreement was computed on the SPECT's grid in voxels at least half of which "
            f"were lung ({result['agreement']['lungs']['ssim_convention']})."
        )
    if result["simulated"]:
        sentences.append("All images were simulated (virtual patient).")
    return " ".join(sentences)


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined)
    environment.filters["figure"] = _figure
    return environment


def _figure(value: float | None, decimals: int) -> str:
    if value is None:
        return MISSING
    rounded = round(value, decimals) + 0.0  # no minus before a zero
    return f"{rounded:,.{decimals}f}".replace("-", "−").replace(",", "\u202f")


def _data_uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def _plane_caption(name: str) -> str:
    level, width = (WINDOW_HU[0] + WINDOW_HU[1]) / 2, WINDOW_HU[1] - WINDOW_HU[0]
    view = "patient right on the left of the picture" if name != "sagittal" else "right lung, then left lung"
    return (
        f"{name.capitalize()} slices, {view} (R right, L left, A anterior, P posterior, H head, F feet; "
        f"positions in LPS mm). CT level {level:g}, width {width:g} HU."
    ).replace("-", "−")


def _cards(result: dict) -> list[dict]:
    regions = result["regions"]
    whole = regions["lungs"]
    sides = [regions.get(side, {}).get("perfusion_percent") for side in ("right lung", "left lung")]
    high = None if not whole["volume_ml"] else 100 * whole["high_ml"] / whole["volume_ml"]
    cards = [
        (" / ".join(f"{_figure(share, 0)} %" for share in sides), "perfusion, right / left lung"),
        (f"{_figure(high, 0)} %", "of the lungs is high-functional"),
        (f"{_figure(whole['volume_ml'] / 1000, 2)} l", "lung volume in this CT"),
    ]
    if result.get("agreement"):
        lungs = result["agreement"]["lungs"]
        cards += [
            (_figure(lungs["r_spearman"], 2), "R (Spearman) with the SPECT"),
            (f"{_figure(lungs['dsc_high'], 2)} / {_figure(lungs['dsc_low'], 2)}", "DSC, high / low function"),
        ]
    return [{"value": value, "label": label} for value, label in cards]


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


def _definitions(threshold: float) -> list[str]:
    return [
        "Share of perfusion: the region's sum of the map divided by the sum over both lungs.",
        f"High-functional lung: map above {threshold:g}; low-functional lung: at or below it.",
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
            tables.append(
                {"title": f"{scope.capitalize()} – {suffix} ({figures['voxels']} SPECT voxels)", "rows": rows}
            )
    return tables


def _agreement_notes(result: dict) -> list[str]:
    agreement, registration = result.get("agreement"), result.get("registration")
    if not agreement:
        return []
    lungs = agreement["lungs"]
    other = lungs["other_hir_scope"]
    notes = [
        f"SSIM: {lungs['ssim_convention']}. R, DSC and κ use the SPECT divided by its high intensity reference "
        f"(HIR) without clipping.",
        f"HIR of the {lungs['hir_scope']} is used above. With the HIR of the {other['hir_scope']} instead the map "
        f"has R {_figure(other['r_spearman'], 3)}, SSIM {_figure(other['ssim'], 3)}, DSC "
        f"{_figure(other['dsc_high'], 3)} (high) and {_figure(other['dsc_low'], 3)} (low).",
        "Baselines need no learning: a map is worth what it is better than they are, above all in the core.",
    ]
    if registration and registration["metric_after"] is not None:
        notes.append(
            f"Registration ({registration['kind']}): mutual information {_figure(registration['metric_before'], 3)} "
            f"at the start, {_figure(registration['metric_after'], 3)} at the end"
            f"{'' if registration['improved'] else '; it did not improve, so the start was kept'}."
        )
    return notes


def _rows(values: dict) -> list[tuple[str, str]]:
    return [(name.replace("_", " "), _text(value)) for name, value in values.items()]


def _text(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return " × ".join(map(str, value))
    return MISSING if value is None else str(value)


def _input_rows(described: dict) -> list[tuple[str, str]]:
    rows = [
        ("CT", described["path"]),
        ("size", _text(described["size"])),
        ("spacing (mm)", " × ".join(f"{s:g}" for s in described["spacing"])),
        ("orientation", described["orientation"]),
        ("lungs", described["lungs"]["source"]),
    ]
    rows += [(name, _text(value)) for name, value in described.get("dicom", {}).items()]
    if "spect" in described:
        spect = described["spect"]
        rows += [("SPECT", spect["path"]), ("SPECT spacing (mm)", " × ".join(f"{s:g}" for s in spect["spacing"]))]
    return rows
