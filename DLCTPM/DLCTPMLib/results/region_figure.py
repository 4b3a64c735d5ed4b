"""How the shares of regions in map and SPECT differ, as Bland and Altman draw it."""

from __future__ import annotations

from matplotlib.figure import Figure

from DLCTPMLib.agreement.regions import DIVISIONS
from DLCTPMLib.results.figures import NOTE, png_of

_MARKS = {"lobes": ("s", "#009e73"), "six zones": ("o", "#0072b2"), "thirds from front to back": ("^", "#d55e00")}


def share_differences(regional: dict, note: str = NOTE) -> bytes:
    """Map less SPECT against their mean for every region, with limits of agreement, as a PNG.

    Args:
        regional: ``regional_agreement`` of ``result.json``.
        note: stands small beneath.
    """
    figure = Figure(figsize=(5.2, 3.4), dpi=130)
    axes = figure.add_axes((0.14, 0.17, 0.82, 0.76))
    axes.axhline(0, color="#444", linewidth=0.7)
    for division, names in DIVISIONS.items():
        marker, colour = _MARKS[division]
        rows = [regional["regions"][name] for name in names if name in regional["regions"]]
        rows = [row for row in rows if row["difference"] is not None]
        if not rows:
            continue
        means = [(row["map_percent"] + row["spect_percent"]) / 2 for row in rows]
        differences = [row["difference"] for row in rows]
        axes.plot(means, differences, marker, color=colour, markersize=4, label=division)
        limits = regional["limits"].get(division)
        for limit in (limits["lower"], limits["upper"]) if limits else ():
            axes.axhline(limit, color=colour, linewidth=0.8, linestyle="--")
    axes.set_xlabel("mean of map and SPECT (% of perfusion)", fontsize=8)
    axes.set_ylabel("map − SPECT (percentage points)", fontsize=8)
    axes.tick_params(labelsize=7)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=6, loc="upper right", framealpha=0.8, title="dashed: mean ± 1.96 SD", title_fontsize=6)
    figure.text(0.99, 0.02, note, ha="right", fontsize=6, color="#666666")
    return png_of(figure)
