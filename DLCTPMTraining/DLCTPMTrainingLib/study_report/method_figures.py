"""The study's own method as pictures: flow chart (Fig. 1), network from the live module (Fig. 2b)."""

from __future__ import annotations

from itertools import pairwise

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle

from DLCTPMLib.networks.arnn import ConvT, ResConv, RoiAtt, SkipAtt, StriConv
from DLCTPMLib.networks.parts import PerfusionNetwork
from DLCTPMLib.networks.registry import build_network
from DLCTPMLib.networks.settings import NetworkSettings
from DLCTPMLib.networks.unet import Down, Pair, Up
from DLCTPMTrainingLib.common.drawing import DPI
from DLCTPMTrainingLib.study.results import StudyResults

BLUE, PURPLE, GREEN, RED, YELLOW = "#4c78b5", "#8a5fa8", "#4f9d69", "#c64b43", "#e0a02e"
"""As in the paper's Fig. 2(b): blue residual, purple strided, green transposed, red skip attention; yellow ROI."""
BLOCK_COLOURS = {
    ResConv: BLUE, StriConv: PURPLE, ConvT: GREEN, SkipAtt: RED, RoiAtt: YELLOW, Pair: BLUE, Down: PURPLE, Up: GREEN
}  # fmt: skip
NAMES = {
    ResConv: "ResConv", StriConv: "StriConv", ConvT: "ConvT", SkipAtt: "SkipAtt", RoiAtt: "ROI Att",
    Pair: "two Conv", Down: "strided Conv", Up: "ConvT",
}  # fmt: skip


def flow_chart(results: StudyResults) -> Figure:
    """Fig. 1: who was divided how."""
    split, n = results.split, len(results.rows)
    training = len(split.training)
    figure = Figure(figsize=(7.6, 4.4), dpi=DPI)
    axis = figure.add_axes((0, 0, 1, 1))
    axis.set(xlim=(0, 10), ylim=(-0.3, 6.2))
    axis.set_axis_off()
    what = results.origin.kind() if results.simulated else "patients with SPECT/CT"
    _text_box(axis, 5, 5.5, f"{n} {what}\n{2 * n} lungs", max(3.4, 0.1 * len(what)))
    _text_box(axis, 3.2, 3.9, f"training set: {training} patients ({100 * training / n:.0f} %)\nin folds of "
              f"{', '.join(str(len(fold)) for fold in split.folds)}", 3.6)  # fmt: skip
    _text_box(axis, 8.0, 3.9, f"test set: {n - training} patients\n({100 - 100 * training / n:.0f} %)", 2.8)
    trials = f"{len(results.trials)} settings tried on validation" if results.trials else "one setting, no search"
    _text_box(axis, 3.2, 2.3, f"cross-validation: {len(split.folds)} fits\n{trials}", 3.6)
    _text_box(axis, 3.2, 0.7, "final fit on the whole training set", 3.6)
    _text_box(axis, 8.0, 0.7, "test, once", 2.8)
    for start, end in (
        ((4.4, 5.1), (3.4, 4.3)),
        ((5.8, 5.1), (7.8, 4.3)),
        ((3.2, 3.5), (3.2, 2.7)),
        ((3.2, 1.9), (3.2, 1.1)),
        ((5.0, 0.7), (6.6, 0.7)),
        ((8.0, 3.5), (8.0, 1.1)),
    ):
        axis.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=11, color="#444", linewidth=0.9))
    return figure


def _text_box(axis: Axes, x: float, y: float, text: str, width: float) -> None:
    box = FancyBboxPatch((x - width / 2, y - 0.38), width, 0.76, boxstyle="round,pad=0.02,rounding_size=0.12",
                         facecolor="#f5f7fa", edgecolor="#7b2d6e", linewidth=1)  # fmt: skip
    axis.add_patch(box)
    axis.text(x, y, text, ha="center", va="center", fontsize=8.5)


def network_blocks(settings: NetworkSettings, grid_shape: tuple[int, int, int]) -> list[dict]:
    """Every block of the network in the order it runs, as the module itself says: nothing is computed.

    Returns:
        ``name``, ``kind`` (the block's class), ``channels`` and ``shape`` (z, y, x) of what it gives.
    """
    network = _meta(settings).eval()
    image = torch.empty(1, settings.input_channels, *grid_shape, device="meta")
    blocks = []

    def note(name: str):
        def hook(module, inputs, output):
            blocks.append(
                {"name": name, "kind": type(module), "channels": output.shape[1], "shape": tuple(output.shape[2:])}
            )

        return hook

    for name, module in network.named_children():
        if type(module) in BLOCK_COLOURS:
            module.register_forward_hook(note(name))
    with torch.no_grad():
        network.logits(image)
    return blocks


def network_drawing(settings: NetworkSettings, grid_shape: tuple[int, int, int]) -> Figure:
    """Fig. 2(b): the network's blocks by scale, with size and channels, drawn from the live module."""
    blocks = network_blocks(settings, grid_shape)
    network = _meta(settings)
    parameters = sum(p.numel() for p in network.parameters())
    top = blocks[0]["shape"][0]
    figure = Figure(figsize=(10.2, 4.6), dpi=DPI)
    axis = figure.add_axes((0.0, 0.02, 1.0, 0.94))
    axis.set_axis_off()
    places, x = {}, 0.0
    for block in blocks:
        scale = (top // block["shape"][0]).bit_length() - 1
        over_roi = block["kind"] is RoiAtt
        x += 0.95
        places[block["name"]] = (x, -1.25 * scale + (1.15 if over_roi else 0))
        _draw_block(axis, *places[block["name"]], block)
    order = [block["name"] for block in blocks if block["kind"] not in (SkipAtt, RoiAtt)]
    for a, b in pairwise(order):
        _arrow(axis, places[a], places[b])
    for encoder, *others in network.SKIPS:
        bend = 0 if others[0] == "roi" else -0.16
        _arrow(axis, places[encoder], places[others[0]], dashed=True, bend=bend)
        for a, b in pairwise(others):
            _arrow(axis, places[a], places[b])
    last = [name for name in (order[-1], "roi") if name in places]
    end = (x + 1.1, 0.45 if len(last) > 1 else 0)
    words = "1×1×1 of both,\nsum, sigmoid:\n" if len(last) > 1 else "1×1×1,\nsigmoid:\n"
    axis.text(*end, words + "perfusion 0…1", fontsize=7, ha="left", va="center")
    for name in last:
        _arrow(axis, places[name], (end[0] - 0.3, end[1]))
    for scale in range(4):
        axis.text(-0.1, -1.25 * scale, f"S{scale + 1}", fontsize=9, va="center", color="#555", weight="semibold")
    drawn = {block["kind"] for block in blocks}
    for number, kind in enumerate(kind for kind in BLOCK_COLOURS if kind in drawn):
        axis.add_patch(Rectangle((0.6 + 2.1 * number, -5.05), 0.3, 0.22, color=BLOCK_COLOURS[kind]))
        axis.text(1.0 + 2.1 * number, -4.94, NAMES[kind], fontsize=8, va="center")
    words = (
        f"{parameters / 1e6:.2f} million parameters, kernels {settings.kernel}³; below each block: channels, z×y×x"
    )
    axis.text(0, 1.75, words, fontsize=9, va="center", weight="semibold")
    axis.set(xlim=(-0.4, x + 2.6), ylim=(-5.3, 2.0))
    return figure


def _meta(settings: NetworkSettings) -> PerfusionNetwork:
    with torch.device("meta"):
        return build_network(settings)


def _draw_block(axis: Axes, x: float, y: float, block: dict) -> None:
    colour = BLOCK_COLOURS[block["kind"]]
    axis.add_patch(Rectangle((x - 0.14, y - 0.3), 0.28, 0.6, facecolor=colour, edgecolor="white", zorder=3))
    size = "×".join(map(str, block["shape"]))
    axis.text(
        x, y - 0.34, f"{block['channels']}\n{size}", fontsize=5.6, ha="center", va="top", color="#333", zorder=4
    )


def _arrow(axis: Axes, a: tuple[float, float], b: tuple[float, float], dashed: bool = False, bend: float = 0) -> None:
    arrow = FancyArrowPatch(
        a,
        b,
        arrowstyle="-|>",
        mutation_scale=7,
        color="#777",
        linewidth=0.8,
        linestyle="dashed" if dashed else "solid",
        connectionstyle=f"arc3,rad={bend}",
        shrinkA=9,
        shrinkB=9,
        zorder=2,
    )
    axis.add_patch(arrow)
