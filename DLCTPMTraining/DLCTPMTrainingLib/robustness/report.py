"""The table of ``docs/robustness.md``: CTs and models in, Markdown and figures out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from DLCTPMLib.common.atomic_output import OutputFolder
from DLCTPMLib.common.errors import InputError
from DLCTPMLib.common.progress import Progress, no_progress
from DLCTPMLib.common.templates import figure_text
from DLCTPMLib.lungs.masks import read_lungs
from DLCTPMLib.lungs.segmentation import segment_lungs
from DLCTPMLib.networks.bundle import load_bundle
from DLCTPMLib.results.settings import PredictionSettings
from DLCTPMLib.volumes.reading import read_ct
from DLCTPMTrainingLib.robustness.changes import BLUR_MM, TILT_DEGREES
from DLCTPMTrainingLib.robustness.figures import ScannedLungs, figures_of, pair_figures

FILES = ("robustness.md", "robustness.json")


@dataclass(frozen=True)
class RobustnessPlan:
    """What ``dlctpm robustness`` is asked for.

    Attributes:
        cts: image files or DICOM folders.
        lungs: masks of the CTs in their order; without any they are found in the CTs.
        models: bundles.
        out: folder of the table and its figures.
        device: auto, cpu, cuda or mps.
    """

    cts: tuple[str, ...]
    models: tuple[str, ...]
    out: Path
    lungs: tuple[str, ...] = ()
    device: str = PredictionSettings.device

    def __post_init__(self):
        if self.lungs and len(self.lungs) != len(self.cts):
            raise InputError(
                f"--lungs: {len(self.lungs)} masks for {len(self.cts)} CTs; give one each, in their order, or none"
            )


def run_robustness(plan: RobustnessPlan, progress: Progress = no_progress) -> Path:
    """Map every CT and its changes by every model.

    Returns:
        ``robustness.md``.

    Raises:
        InputError: a CT, a mask or a model cannot be used.
    """
    bundles = [load_bundle(model) for model in plan.models]
    labels = _labels([bundle.name for bundle in bundles], plan.models)
    found: dict = {"models": {label: b.identity() for label, b in zip(labels, bundles, strict=True)}, "cts": {}}
    for number, path in enumerate(plan.cts):
        scan = read_ct(path)
        mask = plan.lungs[number] if plan.lungs else None
        lungs = read_lungs(mask, scan.image, frame_of_reference=scan.frame_of_reference) if mask else None
        name = f"{number + 1} {scan.description['name']}"
        scanned = ScannedLungs(name, scan.image, (lungs or segment_lungs(scan.image)).upright)
        maps, alone = [], {}
        for place, (label, bundle) in enumerate(zip(labels, bundles, strict=True)):
            progress(f"{name}: {label}", (number + place / len(bundles)) / len(plan.cts))
            maps.append(scanned.map(bundle, plan.device))
            alone[label] = figures_of(scanned, bundle, maps[-1], plan.device)
        pairs = [
            {"first": labels[a], "second": labels[b], **figures}
            for a, b in combinations(range(len(bundles)), 2)
            for figures in pair_figures(scanned, (maps[a], maps[b]), (bundles[a], bundles[b]))
        ]
        found["cts"][name] = {"alone": alone, "pairs": pairs}
    with OutputFolder(plan.out, FILES) as out:
        text = json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False)
        (out.work / "robustness.json").write_text(text + "\n", encoding="utf-8")
        (out.work / "robustness.md").write_text(as_markdown(found), encoding="utf-8")
    return plan.out / "robustness.md"


def _labels(names: Sequence[str], models: Sequence[str]) -> list[str]:
    """The models' names, with where they came from if two have one name."""
    return [
        name if list(names).count(name) == 1 else f"{name} ({model})"
        for name, model in zip(names, models, strict=True)
    ]


def as_markdown(found: dict) -> str:
    """Two tables: models against each other, and each by itself."""
    against = [
        [ct, one["lung"], one["first"], one["second"], figure_text(one["spearman"], 3),
         *(figure_text(value, 1) for value in one["high_percent"]),
         figure_text(one["high_percent"][0] - one["high_percent"][1], 1)]
        for ct, figures in found["cts"].items()
        for one in figures["pairs"]
    ]  # fmt: skip
    alone = [
        [ct, label, figure_text(one["right_percent"], 1), figure_text(one["high_percent"], 1),
         *(figure_text(value, 2) for value in one["tilt_points"].values()),
         *(figure_text(value, 1) for value in one["mask_percent"].values()),
         *(f"{figure_text(one['kernel_percent'][name], 1)} / {figure_text(one['kernel_mean'][name], 3)}"
           for name in one["kernel_percent"]),
         figure_text(one["dense_ml"], 0), figure_text(one["dense"], 2), figure_text(one["around"], 2)]
        for ct, figures in found["cts"].items()
        for label, one in figures["alone"].items()
    ]  # fmt: skip
    return "\n\n".join(
        [
            "# What the maps mind",
            "Research use only.",
            "## Models against each other, outside dense tissue",
            _table(
                ["CT", "lung", "first", "second", "Spearman", "high of the first, %", "of the second, %",
                 "difference, points"],
                against,
            ),
            "High: above the value at which the paper's definition (p75:0.66) cuts each model's maps. Dense tissue "
            "is lung above −300 HU that is thicker than a vessel; 5 mm around it are left out too.",
            "## Each model by itself",
            _table(
                ["CT", "model", "right share, %", "high, %", "tilt about left–right, points",
                 "about front–back, points", "mask −1 mm, %", "mask +1 mm, %", "softer, % / mean",
                 "sharper, % / mean", "dense tissue, ml", "map in it", "map around it"],
                alone,
            ),
            f"Tilt: change of the right lung's share when the CT lies on a grid turned by {TILT_DEGREES:g}°. Mask: "
            f"part of the common lung that crosses the threshold. Softer and sharper (Gaussian and unsharp mask of "
            f"{BLUR_MM:g} mm): part of the lung that crosses it, and mean absolute change of the map. Around dense "
            "tissue: aerated lung within 20 mm.",
        ]
    ) + "\n"  # fmt: skip


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
