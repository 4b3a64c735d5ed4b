"""One row a patient: every region's figures, checks, agreement; and the table of all rows."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Any

FAILED = "FAILED"
"""Status of a patient without a result; the others have the worst status of their checks."""

STATUSES = ("PASS", "WARN", "FAIL", FAILED)
"""From good to bad."""

FIRST = ("patient_id", "status", "reason", "simulated", "model", "map_p75")
"""Columns that come first."""


def row_of(result: dict) -> dict[str, Any]:
    """The row of a ``result.json``, without the patient's id: plain values by column.

    Columns: ``status`` (the worst of the checks), ``reason`` (the sentences of checks that do not pass),
    ``simulated``, ``model``, ``map_p75``; ``REGION.FIGURE`` in the units of ``result.json``; ``spread.FIGURE``;
    ``agreement.PART.FIGURE`` and ``registration.FIGURE`` where there was a SPECT; ``check.NAME`` with its status;
    ``warnings``.
    """
    checks = result["quality"]
    row = {
        "status": max((check["status"] for check in checks), key=STATUSES.index, default="PASS"),
        "reason": " ".join(check["message"] for check in checks if check["status"] != "PASS"),
        "simulated": "yes" if result["simulated"] else "no",
        "model": f"{result['model']['name']} {result['model']['version']}",
        "map_p75": result["map_p75"],
    }
    for region, figures in result["regions"].items():
        row |= _numbers(region, figures)
    for part in ("spread", "agreement", "registration"):
        row |= _numbers(part, result.get(part, {}))
    row |= {f"check.{check['check']}": check["status"] for check in checks}
    row["warnings"] = " ".join(result["warnings"])
    return row


def failed_row(reason: str) -> dict[str, Any]:
    """The row of a patient without a result."""
    return {"status": FAILED, "reason": reason}


def worst_first(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows with flags first, otherwise in their order."""
    return sorted(rows, key=lambda row: -STATUSES.index(row["status"]))


def summary_csv(rows: list[dict[str, Any]]) -> str:
    """The table of rows that have a ``patient_id`` each; a figure that a patient lacks is an empty cell."""
    columns = dict.fromkeys((*FIRST, *(name for row in rows for name in row if name != "warnings"), "warnings"))
    text = io.StringIO()
    writer = csv.DictWriter(text, list(columns), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _numbers(name: str, value: Any) -> dict[str, float | int | bool]:
    """The numbers of nested dictionaries by dotted name; the reasons of those that are undefined are left out."""
    if isinstance(value, dict):
        found = {}
        for key, part in value.items():
            if key != "undefined":
                found |= _numbers(f"{name}.{key}", part)
        return found
    return {name: value} if isinstance(value, (int, float)) else {}
