"""The report of one prediction: a page to file, the methods, then the rest; as HTML in one file, and as PDF."""

from __future__ import annotations

import base64
import datetime
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import SimpleITK as sitk
from markupsafe import Markup

from DLCTPMLib.agreement.comparison import SpectComparison
from DLCTPMLib.common.progress import Progress, no_progress
from DLCTPMLib.common.templates import figure_text, render_html
from DLCTPMLib.function.regions import FunctionalLung
from DLCTPMLib.networks.bundle import ModelBundle
from DLCTPMLib.results.curve_figure import curve_rows, threshold_curves
from DLCTPMLib.results.figures import (
    AXIAL,
    COLOUR_MAP,
    CORONAL,
    FORCED_NOTE,
    NOTE,
    SAGITTAL,
    WINDOW_HU,
    ChestPictures,
    joint_histogram,
    spect_strip,
)
from DLCTPMLib.results.finished import REPORT_PDF
from DLCTPMLib.results.methods import BOTH_OR_EACH, member_words, methods_paragraph
from DLCTPMLib.results.region_figure import share_differences
from DLCTPMLib.results.report_tables import (
    Rows,
    agreement_tables,
    examined_rows,
    flag_rows,
    identity_rows,
    input_rows,
    limit_sentences,
    ppo_rows,
    region_rows,
    setting_rows,
    zone_note,
    zone_rows,
)
from DLCTPMLib.results.report_words import NO_ADVICE, compares_sides, conclusion
from DLCTPMLib.results.settings import check_pdf
from DLCTPMLib.viewer.page import Viewer

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


@dataclass(frozen=True)
class Picture:
    """A picture of a report: a PNG, what it shows, and whether it is a plot rather than a strip of slices."""

    caption: str
    png: bytes
    narrow: bool = False

    @property
    def source(self) -> Markup:
        """The picture as a page holds it in itself; megabytes of base64 that need no escaping."""
        return Markup(data_uri(self.png))


@dataclass(frozen=True)
class ReportContent:
    """All that a report shows, in the order in which it does, whatever the document is written as.

    Attributes:
        result: the content of ``result.json``.
        made: the day.
        examined, conclusion, overview, flags, zones, zone_note, ppo: the first page.
        methods, citation, definitions, identity, settings: the second.
        maps, spread, regions, region_notes, curve: of the map.
        spect_pictures, agreement, agreement_notes, limits: of the comparison; empty without a SPECT.
        members, card, inputs: of model and images.
    """

    result: dict
    made: str
    examined: Rows
    conclusion: str
    overview: Picture
    flags: list[dict]
    zones: list[dict]
    zone_note: str
    ppo: Rows
    methods: str
    citation: str
    definitions: list[str]
    identity: Rows
    settings: list[tuple[str, Rows]]
    maps: list[Picture]
    spread: str
    regions: list[dict]
    region_notes: list[str]
    curve: list[dict]
    spect_pictures: list[Picture]
    agreement: list[dict]
    agreement_notes: list[str]
    limits: list[str]
    members: list[str]
    card: str
    inputs: Rows

    @property
    def title(self) -> str:
        """What the report is of."""
        return self.result["input"]["name"]


def write_report(
    path: str | os.PathLike,
    result: dict,
    images: ReportImages,
    bundle: ModelBundle | None = None,
    colour_map: str = COLOUR_MAP,
    progress: Progress = no_progress,
    pdf: bool = False,
    viewer: Viewer | None = None,
) -> None:
    """Write the report of one prediction.

    Args:
        path: the HTML file.
        result: the content of ``result.json`` (``results.prediction``).
        images: what the pictures show.
        bundle: the model, where it is at hand: its card is quoted, and the methods tell what it learned from.
        colour_map: Matplotlib's name of the map's colours.
        progress: told after every picture.
        pdf: write the same as ``report.pdf`` beside it.
        viewer: the interactive view, where the page shall hold one.

    Raises:
        InputError: a PDF is wanted, and ReportLab is not installed.
    """
    if pdf:
        check_pdf()
    content = report_content(result, images, bundle, colour_map, progress)
    html = render_html("report.html.j2", report=content, result=result, no_advice=NO_ADVICE, viewer=viewer)
    Path(path).write_text(html, encoding="utf-8", errors="replace")  # a file's name may hold half characters
    if pdf:
        from DLCTPMLib.results.report_pdf import write_pdf  # ReportLab is an extra

        write_pdf(Path(path).with_name(REPORT_PDF), content)


def report_content(
    result: dict,
    images: ReportImages,
    bundle: ModelBundle | None,
    colour_map: str,
    progress: Progress,
) -> ReportContent:
    """Draw and word everything; arguments as of ``write_report``."""
    function, comparison = images.function, images.comparison
    said = [FORCED_NOTE] * bool(result.get("forced")) + ["simulated"] * result["simulated"]
    drawings = _Drawings(result, images, colour_map, " · ".join([*said, NOTE]))
    pictures = drawings.draw(progress)
    of_map = 1 + drawings.of_map
    made = datetime.date.today().isoformat()
    tables = agreement_tables(result.get("agreement"))
    return ReportContent(
        result=result,
        made=made,
        examined=examined_rows(result, made),
        conclusion=conclusion(result),
        overview=pictures[0],
        flags=flag_rows(result["quality"]),
        zones=zone_rows(result.get("zones", {})),
        zone_note=zone_note(),
        ppo=ppo_rows(result.get("ppo_fev1"), compares_sides(result)),
        methods=methods_paragraph(result, bundle),
        citation=CITATION,
        definitions=_definitions(function),
        identity=identity_rows(result),
        settings=setting_rows(result["settings"]),
        maps=pictures[1:of_map],
        spread=_spread_note(result),
        regions=region_rows(result["regions"]),
        region_notes=_region_notes(result),
        curve=curve_rows(result["function_curve"]) if "function_curve" in result else [],
        spect_pictures=pictures[of_map:],
        agreement=tables if comparison is not None else [],
        agreement_notes=_agreement_notes(result),
        limits=limit_sentences(result.get("regional_agreement")),
        members=[member_words(member) for member in result["model"].get("members", ())],
        card="\n".join(bundle.card.split("\n")[:CARD_LINES]) if bundle else "",
        inputs=input_rows(result["input"]),
    )


class _Drawings:
    """The pictures of a report, not yet drawn: the overview first, then those of the map, then of the comparison."""

    def __init__(self, result: dict, images: ReportImages, colour_map: str, note: str):
        function, comparison = images.function, images.comparison
        scale = _scale(result["settings"]["preprocessing"])
        chest = ChestPictures(images.ct, images.lungs, function.perfusion, colour_map, note, scale)
        self._all: list[tuple[str, Callable[[], bytes], bool]] = []
        self._add(_plane_caption(CORONAL.name), lambda: chest.strip(CORONAL, ("CT", "map on CT")))
        for plane in (AXIAL, SAGITTAL):
            self._add(_plane_caption(plane.name), lambda plane=plane: chest.strip(plane))
        self._add(f"High-functional lung: {function.definition.words}.", lambda: chest.functional(function))
        if curve := result.get("function_curve"):
            words = "High-functional volume" + (", and DSC with the SPECT," if comparison is not None else "")
            draw = lambda: threshold_curves(curve, function.high_above, note)  # noqa: E731
            self._add(f"{words} by the threshold.", draw, narrow=True)
        self.of_map = len(self._all) - 1
        if comparison is None:
            return
        for plane in (CORONAL, AXIAL):
            self._add(
                f"{plane.name.capitalize()} slices on the SPECT's own grid.",
                lambda plane=plane: spect_strip(comparison, plane, colour_map, note),
            )
        self._add(
            "Joint histogram of SPECT and map in the lungs.", lambda: joint_histogram(comparison, note), narrow=True
        )
        if regional := result.get("regional_agreement"):
            self._add(
                "Shares of perfusion by region, map less SPECT (Bland and Altman).",
                lambda: share_differences(regional, note),
                narrow=True,
            )

    def _add(self, caption: str, draw: Callable[[], bytes], narrow: bool = False) -> None:
        self._all.append((caption, draw, narrow))

    def draw(self, progress: Progress) -> list[Picture]:
        """Draw one after the other."""
        pictures = []
        for number, (caption, draw, narrow) in enumerate(self._all, start=1):
            pictures.append(Picture(caption, draw(), narrow))
            progress("Drawing the report", number / len(self._all))
        return pictures


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


def _region_notes(result: dict) -> list[str]:
    notes = [result["notes"]["shares"]]
    if not compares_sides(result):
        notes.append(
            "This model sees one lung at a time, so it cannot tell that one is better perfused than the other: "
            "shares of right and left largely follow the lungs' volumes and are no finding."
        )
    return notes


def _definitions(function: FunctionalLung) -> list[str]:
    return [
        "Share of perfusion: the region's sum of the map divided by the sum over both lungs.",
        f"High-functional lung: map above {function.high_above:.4g} ({function.definition.name}: "
        f"{function.definition.words}); low-functional lung: at or below "
        f"{'it' if function.low_up_to == function.high_above else format(function.low_up_to, '.4g')}. "
        f"{_set_by(function)}",
        "Right and left are the patient's, from the image's direction matrix. Upper, middle and lower thirds cut "
        "both lungs by the same two planes across the long axis into three parts of equal volume, as the Chest "
        "Imaging Platform does; those of each lung are the six zones. Ventral, intermediate and dorsal thirds are "
        "the same from front to back. Lobes are given where the lung mask holds them.",
        "CV: standard deviation over mean. IQR/mean: interquartile range over mean. Defects: voxels below 60 % of "
        "the mean over both lungs (after Thomen et al., Radiology 2015;274:250–259).",
    ]


def _set_by(function: FunctionalLung) -> str:
    """Where the line between high and low comes from."""
    if function.definition.map_value is not None:
        return "There volumes are those of a SPECT on the mean over other patients; none of this one has set it."
    return "No measurement of this patient has set that line."


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
