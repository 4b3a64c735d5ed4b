"""How every figure of a study is drawn and written: one look, PNG and SVG, a stamp that says what it shows."""

from __future__ import annotations

import base64
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from DLCTPMLib.common.atomic_output import whole_file
from DLCTPMTrainingLib.common.patient_origin import Origin

BLUE, ORANGE, GREEN, PURPLE, RED, GRAY = "#0072b2", "#e69f00", "#009e73", "#7b2d6e", "#b3262e", "#6b7683"
"""Okabe and Ito's colours where they carry meaning: blue low, orange high function, purple the model."""
FOLD_COLOURS = ("#0072b2", "#56b4e9", "#009e73", "#cc79a7", "#999933", "#882255", "#44aa99", "#aa4499")
DPI = 130

_STYLE = {
    "font.size": 8.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9.5,
    "axes.titleweight": "semibold",
    "axes.linewidth": 0.7,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 7.5,
    "svg.hashsalt": "dlctpm",
    "svg.fonttype": "none",
}


def styled():
    """A context in which figures have the study's look."""
    return matplotlib.rc_context(_STYLE)


def panels(count: int, width: float = 4.2, height: float = 3.4) -> tuple[Figure, list[Axes]]:
    """A figure with panels side by side; sizes of one panel in inches."""
    figure = Figure(figsize=(width * count, height), dpi=DPI, layout="constrained")
    figure.get_layout_engine().set(rect=(0, 0.045, 1, 0.955))
    axes = figure.subplots(1, count, squeeze=False)[0]
    return figure, list(axes)


def write_figure(figure: Figure, folder: Path, name: str, origin: Origin, vector: bool = True) -> bytes:
    """Stamp a figure with whom it shows and write it as PNG and, where that is small, as SVG. Returns the PNG."""
    figure.text(
        0.995,
        0.006,
        origin.stamp,
        ha="right",
        va="bottom",
        fontsize=6.5,
        color=RED if origin.simulated else GRAY,
    )
    FigureCanvasAgg(figure)
    with styled():
        with whole_file(folder / f"{name}.png") as partial:
            figure.savefig(partial, format="png", metadata={"Software": None}, pil_kwargs={"compress_level": 9})
        if vector:
            with whole_file(folder / f"{name}.svg") as partial:
                figure.savefig(partial, format="svg", metadata={"Date": None, "Creator": None})
    return (folder / f"{name}.png").read_bytes()


def data_uri(png: bytes) -> str:
    """A PNG as it is embedded in HTML."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
