"""How functional volume, and overlap with a SPECT, depend on the threshold: as a picture and as a table."""

from __future__ import annotations

from matplotlib.figure import Figure

from DLCTPMLib.results.figures import HIGH_COLOUR, LOW_COLOUR, NOTE, png_of

_VOLUME_LINES = {"lungs": "-", "right lung": "--", "left lung": ":"}
_IN_TABLE = tuple(round(0.1 * step, 1) for step in range(1, 10))


def curve_rows(curve: dict) -> list[dict]:
    """Every fifth point of the curve.

    Args:
        curve: ``function_curve`` of ``result.json``.

    Returns:
        ``threshold``, then ml by region and, with a SPECT, ``dsc_high`` and ``dsc_low``; None where one has no value.
    """
    columns = {"threshold": curve["thresholds"], **curve["high_ml"]}
    columns |= {name: curve[name] for name in ("dsc_high", "dsc_low") if name in curve}
    rows = (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
    return [row for row in rows if row["threshold"] in _IN_TABLE]


def threshold_curves(curve: dict, high_above: float, note: str = NOTE) -> bytes:
    """Volume above each threshold and, with a SPECT, the DSC there, as a PNG.

    Args:
        curve: ``function_curve`` of ``result.json``.
        high_above: where the definition in use draws the line.
        note: stands small beneath.
    """
    figure = Figure(figsize=(5.2, 3.4), dpi=130)
    axes = figure.add_axes((0.14, 0.17, 0.72, 0.76))
    for name, line in _VOLUME_LINES.items():
        axes.plot(curve["thresholds"], curve["high_ml"][name], line, color="#333", linewidth=1, label=f"{name}, ml")
    axes.axvline(high_above, color="#999", linewidth=0.7, linestyle=":")
    axes.set(xlim=(0, 1), ylim=(0, None))
    axes.set_xlabel("threshold (relative perfusion; dotted: the definition in use)", fontsize=8)
    axes.set_ylabel("high-functional volume (ml)", fontsize=8)
    axes.tick_params(labelsize=7)
    lines = axes.get_lines()[: len(_VOLUME_LINES)]
    if "dsc_high" in curve:
        overlap = axes.twinx()
        overlap.set(ylim=(0, 1))
        overlap.set_ylabel("DSC with the SPECT", fontsize=8)
        overlap.tick_params(labelsize=7)
        for name, colour in (("high", HIGH_COLOUR), ("low", LOW_COLOUR)):
            values = [float("nan") if value is None else value for value in curve[f"dsc_{name}"]]
            lines += overlap.plot(curve["thresholds"], values, color=colour, linewidth=1.2, label=f"DSC, {name}")
    axes.legend(handles=lines, fontsize=6, loc="lower left", framealpha=0.8)
    figure.text(0.99, 0.02, note, ha="right", fontsize=6, color="#666666")
    return png_of(figure)
