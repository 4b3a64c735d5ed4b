"""The page of a comparison over time: a single HTML file that needs no network, in the style of the prediction's."""

from __future__ import annotations

import datetime
import os
from pathlib import Path

from DLCTPMLib.changes.figures import PLANES, PairPictures
from DLCTPMLib.changes.pair import Pair
from DLCTPMLib.common.progress import Progress, no_progress
from DLCTPMLib.common.templates import figure_text, render_html
from DLCTPMLib.results.figures import FORCED_NOTE, NOTE
from DLCTPMLib.results.report import data_uri

COLUMNS = (
    ("Volume (ml)", "volume_ml", 0),
    ("Share of volume (%)", "volume_percent", 1),
    ("Share of perfusion (%)", "perfusion_percent", 1),
    ("Mean perfusion", "mean", 3),
    ("High-functional (ml)", "high_ml", 0),
    ("Defects (%)", "defect_percent", 1),
)
"""Columns of the page's table: title, key, decimals; ``changes.json`` has more."""

WHOLE = ("lungs", "right lung", "left lung")


def write_changes_report(path: str | os.PathLike, result: dict, pair: Pair, progress: Progress = no_progress) -> None:
    """Write the page.

    Args:
        path: the HTML file.
        result: the content of ``changes.json`` (``changes.result``).
        pair: what the pictures are drawn from.
        progress: told after every picture.
    """
    said = [FORCED_NOTE] * bool(result["forced"]) + ["simulated"] * result["simulated"]
    pictures = PairPictures(pair, " · ".join([*said, NOTE]))
    figures = []
    for number, plane in enumerate(PLANES, start=1):
        figures.append({"caption": _caption(plane.name), "source": data_uri(pictures.strip(plane))})
        progress("Drawing the page", number / len(PLANES))
    html = render_html(
        "changes.html.j2",
        result=result,
        made=datetime.date.today().isoformat(),
        figures=figures,
        columns=[title for title, _, _ in COLUMNS],
        rows=[_row(name, region) for name, region in result["regions"].items()],
        inputs=[_input_row(when, result["input"][when]) for when in ("before", "after")],
    )
    Path(path).write_text(html, encoding="utf-8", errors="replace")  # a file's name may hold half characters


def changed_texts(one: dict, decimals: int) -> tuple[str, str]:
    """ "52.1 → 48.0" and "−4.1": before and after, and their difference, as a table shows them."""
    before, after = (figure_text(one[when], decimals) for when in ("before", "after"))
    change = figure_text(one["change"], decimals)
    return f"{before} → {after}", f"+{change}" if one["change"] and round(one["change"], decimals) > 0 else change


def _row(name: str, region: dict) -> dict:
    cells = [changed_texts(region[key], decimals) for _, key, decimals in COLUMNS]
    return {"name": name, "whole": name in WHOLE, "cells": cells}


def _input_row(when: str, described: dict) -> list[str]:
    spacing = " × ".join(f"{mm:g}" for mm in described["spacing"])
    date = described.get("examination", {}).get("date", "not written into the result")
    return [when, described["name"], date, f"{spacing} mm", described["lungs"], described["sha256"][:12] + "…"]


def _caption(name: str) -> str:
    return (
        f"{name.capitalize()} slices of the map in the lungs, before above after, on one scale of colours and of mm; "
        "patient right on the left of the picture. A column shows slices at the same share of each lung volume. "
        "They are not registered, so it is only roughly the same part of the lungs."
    )
