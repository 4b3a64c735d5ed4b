"""A finished study's report made small enough for a repository's docs: one HTML file and the tables behind it.

The pictures of a report have few colours. Each gets a palette of its own, and only if all files together are still
too large are the pictures made narrower, all to the same limit, step by step.
"""

from __future__ import annotations

import base64
import io
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from DLCTPMLib.common.atomic_output import OutputFolder
from DLCTPMLib.common.errors import InputError
from DLCTPMTrainingLib.cohorts.table import OTHER_DIAGNOSIS, CohortRow, diagnosis_that_travels

BUDGET = 5_000_000
"""Bytes of everything that is exported, pictures in their base64 as they lie in the HTML."""
WIDTHS = (2400, 1800, 1400, 1100, 900, 700, 500)
"""Pixels: the widest picture allowed, tried in turn."""
TABLES = (
    "side-by-side.md",
    "side-by-side.csv",
    "paired-validation.csv",
    "paired-test.csv",
    "sensitivity.csv",
    "learning_curve.csv",
    "headline-per-lung.csv",
    "headline-per-patient.csv",
    "table-1.csv",
)
PICTURES = ("side-by-side.svg",)
REPORT = "report.html"
COLOURS = 255

_NUMBERED = re.compile(r"P[0-9]{1,4}")
"""Ids of patients, not simulated, that may be published: too short for a hospital's own."""

_EMBEDDED = re.compile(r"data:image/png;base64,([A-Za-z0-9+/=]+)")


def check_publishable(rows: Sequence[CohortRow], table: Path) -> None:
    """Refuse a cohort whose report would name its patients: ids and diagnoses stand in its tables and pictures.

    Raises:
        InputError: a patient who is not simulated has another id than P and a number of the table's own, or a
            diagnosis that is free text.
    """
    for row in rows:
        where = f"{table}, line {row.line}"
        if row.simulated:
            continue
        if not _NUMBERED.fullmatch(row.patient_id):
            raise InputError(
                f"{where}: the report to be exported would carry this patient_id; number the patients (P001, P002, "
                "…) in a study of its own, or leave out --export-docs"
            )
        if row.diagnosis and diagnosis_that_travels(row.diagnosis) != row.diagnosis:
            raise InputError(
                f"{where}: the report to be exported would carry this diagnosis, which is none of the paper's Table "
                f"1; write {OTHER_DIAGNOSIS}, or leave out --export-docs"
            )


def export_docs(results: Path, folder: Path, budget: int = BUDGET) -> Path:
    """Write a study's report and headline tables for a repository.

    Args:
        results: the study's ``results`` folder.
        folder: where to; the exported files replace those of an earlier export.
        budget: bytes that all files together may take.

    Returns:
        the path of the exported ``report.html``.

    Raises:
        InputError: the study has no report yet, or it cannot be made that small.
    """
    source = results / REPORT
    if not source.is_file():
        raise InputError(f"{source}: there is no report to export yet; let the study finish first")
    html = source.read_text(encoding="utf-8")
    copied = [results / name for name in (*TABLES, *PICTURES) if (results / name).is_file()]
    left = budget - sum(path.stat().st_size for path in copied)
    small = next((text for width in WIDTHS if len((text := _smaller(html, width)).encode()) <= left), None)
    if small is None:
        raise InputError(
            f"{source}: its {len(html.encode()) / 1e6:.1f} MB cannot be brought below {budget / 1e6:.1f} MB; "
            "export the tables by hand"
        )
    with OutputFolder(folder, [REPORT, *TABLES, *PICTURES]) as out:
        (out.work / REPORT).write_text(small, encoding="utf-8")
        for path in copied:
            shutil.copyfile(path, out.work / path.name)
    return folder / REPORT


def _smaller(html: str, width: int) -> str:
    return _EMBEDDED.sub(lambda found: _uri(small_png(base64.b64decode(found[1]), width)), html)


def small_png(png: bytes, width: int) -> bytes:
    """A picture with a palette of its own, at most ``width`` pixels wide; as it was where that is smaller."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    if image.width > width:
        image = image.resize((width, round(image.height * width / image.width)), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    image.quantize(COLOURS, dither=Image.Dither.NONE).save(stream, "PNG", optimize=True)
    made = stream.getvalue()
    return png if len(png) <= len(made) and Image.open(io.BytesIO(png)).width <= width else made


def _uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
