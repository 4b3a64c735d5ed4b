"""Pages of all patients: a thumbnail and the main figures each, flags first, sortable; they need no network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from DLCTPMLib import RESEARCH_USE_ONLY
from DLCTPMLib.batch.finding import LeftOut
from DLCTPMLib.batch.summary import FAILED, STATUSES, worst_first
from DLCTPMLib.common.templates import figure_text, render_html

A_PAGE = 1000
"""Patients on a page: more make a browser slow."""

FIGURES = (
    ("lungs.volume_ml", "Lungs (ml)", 0),
    ("lungs.mean", "Mean perfusion", 3),
    ("right lung.perfusion_percent", "Right lung (% of perfusion)", 1),
    ("lungs.high_ml", "High-functional (ml)", 0),
    ("lungs.low_ml", "Low-functional (ml)", 0),
    ("map_p75", "P75 of the map", 2),
    ("agreement.lungs.r_spearman", "R with SPECT", 3),
    ("agreement.lungs.ssim", "SSIM with SPECT", 3),
)
"""Columns of the page that are figures: of the summary's table, the heading, decimals."""


def index_pages(rows: Sequence[dict[str, Any]], left_out: Sequence[LeftOut]) -> Iterator[tuple[str, str]]:
    """The pages by file name: ``index.html``, then ``index-2.html`` and so on.

    Args:
        rows: of the summary, with ``patient_id``.
        left_out: shown on the first page.
    """
    ordered = worst_first(rows)
    count = max(1, -(-len(ordered) // A_PAGE))
    names = ["index.html", *(f"index-{number}.html" for number in range(2, count + 1))]
    counts = [(status, sum(row["status"] == status for row in ordered)) for status in reversed(STATUSES)]
    counts = [(status, number) for status, number in counts if number]
    shown = [figure for figure in FIGURES if any(row.get(figure[0]) is not None for row in ordered)]
    for number, name in enumerate(names):
        part = ordered[number * A_PAGE : (number + 1) * A_PAGE]
        yield (
            name,
            render_html(
                "batch.html.j2",
                research=RESEARCH_USE_ONLY,
                simulated=[row.get("simulated") for row in ordered].count("yes"),
                total=len(ordered),
                counts=counts,
                headings=[heading for _, heading, _ in shown],
                rows=[_shown(row, shown) for row in part],
                pages=[(page, page == name) for page in names],
                left_out=left_out if number == 0 else (),
            ),
        )


def _shown(row: dict[str, Any], figures: Sequence[tuple[str, str, int]]) -> dict[str, Any]:
    return {
        "id": row["patient_id"],
        "status": row["status"],
        "order": -STATUSES.index(row["status"]),
        "reason": row["reason"],
        "there": row["status"] != FAILED,
        "simulated": row.get("simulated") == "yes",
        "figures": [(figure_text(row.get(name), decimals), row.get(name)) for name, _, decimals in figures],
    }
