"""The report as an A4 PDF for the archive: the same content as the HTML page, drawn by ReportLab."""

from __future__ import annotations

import io
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

import matplotlib
from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase.pdfmetrics import registerFont, registerFontFamily
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import (
    BaseDocTemplate,
    CondPageBreak,
    Flowable,
    Frame,
    Image,
    KeepTogether,
    PageBreak,
    PageTemplate,
    Paragraph,
    Table,
    TableStyle,
)

from DLCTPMLib.common.templates import figure_text, shown_text
from DLCTPMLib.results.report_words import NO_ADVICE

if TYPE_CHECKING:
    from DLCTPMLib.results.report import Picture, ReportContent

_FONT, _BOLD = "DejaVuSans", "DejaVuSans-Bold"
_MARGIN, _HEAD, _FOOT = 12 * mm, 4 * mm, 5 * mm
_WIDTH, _ROOM = A4[0] - 2 * _MARGIN, A4[1] - 2 * _MARGIN - _HEAD - _FOOT
_GAP = 6 * mm
_INK, _SOFT, _LINE, _TINT = HexColor("#1d2530"), HexColor("#5b6776"), HexColor("#dde3ea"), HexColor("#f5f7fa")
_ACCENT = HexColor("#7b2d6e")
_BANNERS = {
    "research": (HexColor("#fff3d6"), HexColor("#e6b84c")),
    "simulated": (HexColor("#e7e9fb"), HexColor("#8c96dd")),
    "forced": (HexColor("#fde5e7"), HexColor("#c0392b")),
    "conclusion": (_TINT, _ACCENT),
}
_STATUS = {"PASS": "#0b5b3b", "WARN": "#7a4b00", "FAIL": "#8c1320"}


def write_pdf(path: str | os.PathLike, content: ReportContent) -> None:
    """Write the report.

    Args:
        path: the PDF file.
        content: what ``results.report`` has gathered.
    """
    _register_fonts()
    document = BaseDocTemplate(
        str(path),
        pagesize=A4,
        title=_plain(f"CT perfusion mapping – {content.title}"),
        author=_plain(f"{content.result['software']['name']} {content.result['software']['version']}"),
        subject=_plain(content.result["research_use_only"]),
    )
    frame = Frame(_MARGIN, _MARGIN + _FOOT, _WIDTH, _ROOM, 0, 0, 0, 0)
    marks = _marks(content)
    document.addPageTemplates(
        PageTemplate(frames=[frame], onPage=lambda canvas, _: _page_marks(canvas, marks, content.title))
    )
    document.build([*_first_page(content), PageBreak(), *_methods(content), PageBreak(), *_rest(content)])


@cache
def _register_fonts() -> None:
    """DejaVu, which comes with Matplotlib: it has the signs that the report is written with."""
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    for name in (_FONT, _BOLD):
        registerFont(TTFont(name, str(folder / f"{name}.ttf")))
    registerFontFamily(_FONT, normal=_FONT, bold=_BOLD, italic=_FONT, boldItalic=_BOLD)


def _plain(text: object) -> str:
    """A text without what a PDF cannot show."""
    return shown_text(str(text))


def _safe(text: object) -> str:
    """A text from outside as ReportLab's markup shows it."""
    return escape(_plain(text))


def _marks(content: ReportContent) -> str:
    """What must be said on every page."""
    result = content.result
    said = ["FORCED: this map cannot be right"] * bool(result.get("forced")) + ["SIMULATED"] * result["simulated"]
    return " · ".join([*said, result["research_use_only"]])


def _page_marks(canvas, marks: str, title: str) -> None:
    canvas.saveState()
    canvas.setFillColor(_SOFT)
    canvas.setFont(_BOLD, 6.5)
    canvas.drawString(_MARGIN, A4[1] - _MARGIN, _plain(marks)[:150])
    canvas.setFont(_FONT, 6.5)
    canvas.drawString(_MARGIN, _MARGIN, f"CT perfusion mapping · {_plain(title)[:100]}")
    canvas.drawRightString(A4[0] - _MARGIN, _MARGIN, f"page {canvas.getPageNumber()}")
    canvas.restoreState()


def _style(size: float, **kinds: object) -> ParagraphStyle:
    kinds = {"fontName": _FONT, "textColor": _INK, "fontSize": size, "leading": 1.32 * size, **kinds}
    return ParagraphStyle("text", splitLongWords=1, **kinds)


def _text(text: object, size: float = 8, **kinds: object) -> Paragraph:
    return Paragraph(_safe(text), _style(size, **kinds))


def _soft(text: object) -> Paragraph:
    return _text(text, 7, textColor=_SOFT, spaceAfter=1.2 * mm)


def _heading(text: str, size: float = 10.5) -> Paragraph:
    return _text(text, size, fontName=_BOLD, spaceBefore=2.6 * mm, spaceAfter=1.2 * mm)


def _section(text: str, size: float = 10.5) -> list[Flowable]:
    """A heading that some of what follows stays with; a long table goes on over pages."""
    return [CondPageBreak(45 * mm), _heading(text, size)]


def _banner(kind: str, markup: str) -> Table:
    fill, line = _BANNERS[kind]
    box = Table([[Paragraph(markup, _style(8.5))]], colWidths=[_WIDTH], splitInRow=1)
    box.setStyle(
        TableStyle(
            [
                ("BACKGROUND", (0, 0), (-1, -1), fill),
                ("LINEBEFORE", (0, 0), (0, -1), 2, line),
                ("TOPPADDING", (0, 0), (-1, -1), 3),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 4),
            ]
        )
    )
    box.spaceBefore = box.spaceAfter = 1 * mm
    return box


def _table(
    rows: list[list[object]], widths: list[float], head: bool = True, texts: int = 1, bold: tuple[int, ...] = ()
) -> Table:
    """A table of texts: the first row is its head, the first ``texts`` columns stand on the left, some rows bold."""
    cells = []
    for number, row in enumerate(rows):
        strong = {"fontName": _BOLD} if (head and number == 0) or number in bold else {}
        cells.append(
            [
                value
                if isinstance(value, Flowable)
                else _text(value, 7.5, alignment=0 if column < texts else 2, **strong)
                for column, value in enumerate(row)
            ]
        )
    table = Table(cells, colWidths=widths, repeatRows=1 if head else 0, hAlign="LEFT", splitInRow=1)
    style = [
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LINEBELOW", (0, 0), (-1, -1), 0.4, _LINE),
        ("TOPPADDING", (0, 0), (-1, -1), 1.3),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 2),
        ("LEFTPADDING", (0, 0), (-1, -1), 2),
        ("RIGHTPADDING", (0, 0), (-1, -1), 3),
    ]
    table.setStyle(TableStyle([*style, *([("BACKGROUND", (0, 0), (-1, 0), _TINT)] if head else [])]))
    table.spaceAfter = 1.5 * mm
    return table


def _pairs(rows: list[tuple[str, str]], width: float = _WIDTH, first: float = 0.24) -> list[Flowable]:
    if not rows:
        return []
    return [_table([list(row) for row in rows], [first * width, (1 - first) * width], head=False, texts=2)]


def _side_by_side(*columns: list[Flowable]) -> list[Flowable]:
    """Columns of equal width beside each other on one page; below each other where that has no room for them."""
    width = (_WIDTH - _GAP * (len(columns) - 1)) / len(columns)
    widths = [width + _GAP] * (len(columns) - 1) + [width]
    table = Table([list(columns)], colWidths=widths, hAlign="LEFT")
    style = [(f"{side}PADDING", (0, 0), (-1, -1), 0) for side in ("LEFT", "RIGHT", "TOP", "BOTTOM")]
    table.setStyle(
        TableStyle([*style, ("RIGHTPADDING", (0, 0), (-2, -1), _GAP), ("VALIGN", (0, 0), (-1, -1), "TOP")])
    )
    if table.wrap(_WIDTH, _ROOM)[1] <= _ROOM:
        return [table]
    return [flowable for column in columns for flowable in column]


def _column_width(count: int) -> float:
    return (_WIDTH - _GAP * (count - 1)) / count


def _picture(picture: Picture, width: float = _WIDTH, tallest: float = 78 * mm) -> list[Flowable]:
    """A picture with its caption, as wide as there is room for and no taller than given."""
    wide, high = ImageReader(io.BytesIO(picture.png)).getSize()
    scale = min(width / wide, tallest / high)
    image = Image(io.BytesIO(picture.png), wide * scale, high * scale, hAlign="CENTER")
    return [image, _soft(picture.caption)]


def _first_page(content: ReportContent) -> list[Flowable]:
    result = content.result
    story: list[Flowable] = [
        _text("CT perfusion mapping", 15, fontName=_BOLD, spaceAfter=1 * mm),
        _soft(f"{content.title} · {content.made}"),
        _banner(
            "research", f"<b>{_safe(result['research_use_only'])}</b> Model: {_safe(result['model']['intended_use'])}"
        ),
    ]
    if result["simulated"]:
        story.append(
            _banner(
                "simulated",
                "<b>Simulated: every image and number here comes from a virtual patient, not from a person.</b>",
            )
        )
    if result.get("forced"):
        reasons = _safe(" ".join(result["forced"]))
        story.append(
            _banner(
                "forced",
                f"<b>FORCED: this map cannot be right.</b> It was made although the input FAILED: {reasons}",
            )
        )
    story += _pairs(content.examined, first=0.14)
    story.append(_banner("conclusion", f"<b>Conclusion.</b> {_safe(content.conclusion)}"))
    first = [row for row in content.regions if row["first"]]
    lobes = any(not row["whole"] for row in first)
    story += _picture(content.overview, tallest=(60 if lobes or content.ppo else 76) * mm)
    story += [_heading("Lungs and lobes" if lobes else "Lungs"), _regions(first, whole=False)]
    width = _column_width(2)
    zones = [["Zone", "right", "left"], *([row["name"], row["right"], row["left"]] for row in content.zones)]
    left = [_heading("Six zones"), _table(zones, [0.2 * width, 0.4 * width, 0.4 * width], texts=3)]
    right = [_heading("Check before interpreting"), *_flags(content)]
    if content.ppo:
        right += [_heading("Predicted postoperative FEV1"), *_pairs(content.ppo, width, 0.3)]
    return [*story, *_side_by_side([*left, _soft(content.zone_note)], right)]


def _flags(content: ReportContent) -> list[Flowable]:
    quality, warnings = content.result["quality"], content.result["warnings"]
    story: list[Flowable] = []
    for check in content.flags:
        cause = f' <font color="#5b6776">Mostly: {_safe(check["cause"])}.</font>' if check["cause"] else ""
        story.append(Paragraph(f"{_status(check)} {_safe(check['message'])}{cause}", _style(7.5, spaceAfter=1 * mm)))
    if not content.flags:
        passed = f"All {len(quality)} checks of the input pass." if quality else "The input was not checked."
        story.append(_text(passed, 7.5))
    if warnings:
        notes = "note" if len(warnings) == 1 else "notes"
        story.append(_soft(f"{len(warnings)} further {notes} on the input under “Checks and warnings”."))
    return story


def _status(check: dict) -> str:
    return f'<font color="{_STATUS[check["status"]]}"><b>{check["status"]}</b></font>'


def _methods(content: ReportContent) -> list[Flowable]:
    story: list[Flowable] = [_heading("Methods"), _text(content.methods, 8, spaceAfter=1.5 * mm)]
    story += [_soft(content.citation), _heading("Definitions", 9)]
    story += [_soft(f"• {line}") for line in content.definitions]
    story += [_heading("Versions and hashes", 9), *_pairs(content.identity, first=0.28), _heading("Settings", 9)]
    width = _column_width(3)
    columns: list[list[Flowable]] = [[], [], []]
    lines = [0, 0, 0]
    for group, rows in content.settings:
        shortest = lines.index(min(lines))
        lines[shortest] += len(rows) + 2
        columns[shortest] += [_heading(group, 7.5), *_pairs(rows, width, 0.55)]
    return [*story, *_side_by_side(*columns)]


def _rest(content: ReportContent) -> list[Flowable]:
    result = content.result
    story: list[Flowable] = [_heading("Perfusion map"), _text(result["notes"]["perfusion"], 8, spaceAfter=1 * mm)]
    if content.spread:
        story.append(_text(content.spread, 8, spaceAfter=1 * mm))
    story += [KeepTogether(_picture(picture)) for picture in content.maps if not picture.narrow]
    story += [*_section("Regions"), _regions(content.regions, whole=True), *map(_soft, content.region_notes)]
    if content.ppo:
        story += _section("What guidelines say of ppo-FEV1", 9)
        story += [_soft(f"{one['source']}: {one['text']}") for one in result["ppo_fev1"]["guidelines"]]
        story.append(_soft(NO_ADVICE))
    width = _column_width(2)
    if content.curve:
        plots = [part for picture in content.maps if picture.narrow for part in _picture(picture, width)]
        story += _side_by_side(plots, [_curve(content.curve, width)])
    if content.agreement:
        story += _agreement(content)
    return [*story, *_checks(content), *_images(content)]


def _regions(rows: list[dict], whole: bool) -> Table:
    """Regions and their figures; all columns, or those of the first page."""
    columns = [
        ("Volume (ml)", "volume_ml", 0),
        ("Share of volume (%)", "volume_percent", 1),
        ("Mean perfusion", "mean", 3),
        ("Share of perfusion (%)", "perfusion_percent", 1),
        ("High function (ml)", "high_ml", 0),
        ("Low function (ml)", "low_ml", 0),
        ("CV", "cv", 2),
        ("IQR / mean", "heterogeneity", 2),
        ("Defects (%)", "defect_percent", 1),
    ]
    if not whole:
        columns = [column for column in columns if column[1] not in ("low_ml", "heterogeneity", "defect_percent")]
    cells = [["Region", *(title for title, _, _ in columns)]]
    cells += [[row["name"], *(figure_text(row[key], digits) for _, key, digits in columns)] for row in rows]
    bold = tuple(number for number, row in enumerate(rows, start=1) if row["whole"])
    first = 0.22 * _WIDTH
    return _table(cells, [first, *[(_WIDTH - first) / len(columns)] * len(columns)], bold=bold)


def _curve(curve: list[dict], width: float) -> Table:
    names = list(curve[0])
    heads = {"threshold": "Threshold", "dsc_high": "DSC high", "dsc_low": "DSC low"}
    cells: list[list[object]] = [[heads.get(name, f"{name} (ml)") for name in names]]
    for row in curve:
        cells.append(
            [
                f"{row[name]:g}" if name == "threshold" else figure_text(row[name], 3 if name in heads else 0)
                for name in names
            ]
        )
    first = 0.22 * width
    return _table(cells, [first, *[(width - first) / (len(names) - 1)] * (len(names) - 1)])


def _agreement(content: ReportContent) -> list[Flowable]:
    metrics = {
        "r_spearman": "Spearman R",
        "r_pearson": "Pearson R",
        "ssim": "SSIM",
        "dsc_high": "DSC high",
        "dsc_low": "DSC low",
        "kappa": "κ",
    }
    table = content.agreement[0]
    cells = [["Map", *metrics.values()]]
    cells += [[row["name"], *(figure_text(row[name], 3) for name in metrics)] for row in table["rows"]]
    first = 0.34 * _WIDTH
    compared = [
        _heading("Agreement with the SPECT"),
        _soft(f"{table['title']}; the same in each lung and in the core: report.html, result.json."),
        _table(cells, [first, *[(_WIDTH - first) / len(metrics)] * len(metrics)], bold=(1,)),
    ]
    story: list[Flowable] = [
        KeepTogether(compared),
        *map(_soft, content.agreement_notes),
        *(KeepTogether(_picture(picture)) for picture in content.spect_pictures if not picture.narrow),
    ]
    plots = [picture for picture in content.spect_pictures if picture.narrow]
    story += _side_by_side(*(_picture(picture, _column_width(len(plots))) for picture in plots))
    if regional := content.result.get("regional_agreement"):
        keys = ("map_percent", "spect_percent", "difference")
        cells = [["Share of perfusion (%)", "map", "SPECT", "map − SPECT"]]
        cells += [[name, *(figure_text(row[key], 1) for key in keys)] for name, row in regional["regions"].items()]
        story += [*_section("The SPECT's own regions", 9), _table(cells, [0.4 * _WIDTH, *[0.2 * _WIDTH] * 3])]
        story += map(_soft, content.limits)
    return story


def _checks(content: ReportContent) -> list[Flowable]:
    result = content.result
    rows: list[list[object]] = [["Check", "Result", "What was seen"]]
    for check in result["quality"]:
        rows.append([check["check"], Paragraph(_status(check), _style(7.5)), check["message"]])
    story = _section("Checks and warnings")
    if result["quality"]:
        story.append(_table(rows, [0.24 * _WIDTH, 0.09 * _WIDTH, 0.67 * _WIDTH], texts=3))
    story += [_text(f"• {warning}", 7.5) for warning in result["warnings"]] or [_soft("No other warnings.")]
    return story


def _images(content: ReportContent) -> list[Flowable]:
    model, width = content.result["model"], _column_width(2)
    rows = [("Name, version", f"{model['name']} {model['version']}"), ("Intended use", model["intended_use"])]
    rows += [(f"Network {number}", member) for number, member in enumerate(content.members, start=1)]
    seconds = [(name, figure_text(value, 2)) for name, value in content.result["timings_s"].items()]
    return [
        *_section("Model"),
        *_pairs(rows),
        *_side_by_side(
            [_heading("Input"), *_pairs(content.inputs, width, 0.4)],
            [_heading("Seconds"), *_pairs(seconds, width, 0.5)],
        ),
    ]
