"""What the user wants trained: validated, and turned into the engine's command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from slicer.i18n import tr as _

GRIDS = {"128x64x64": (10, 5), "64x32x32": (5, 3), "32x16x16": (3, 1)}
"""Grids of the network (z, y, x), and the widths of the filters of Eq. 1, which count in cells of the grid."""


class OptionsError(ValueError):
    """The options cannot be used; the message is a sentence for the user that says what to do."""


@dataclass(frozen=True)
class TrainingOptions:
    """One training, or one study.

    Attributes:
        cohort: the cohort's table.
        out: folder of the run.
        study: cross-validate, train, test once and report, rather than train one model.
        name: of the model.
        epochs: passes over all lungs; an upper bound where ``plateau`` stops earlier.
        network: arnn (the paper's), unet or context; a study always takes the paper's.
        channels: widths of the network's four levels, "16-32-64-128" for the paper's.
        device: auto, cpu, cuda or mps.
        learningRate: Adam's.
        batchSize: lungs a step.
        grid: a key of ``GRIDS``.
        seed: of split, weights, order and dropout.
        plateau: stop by the paper's rule.
        validationShare: part of the patients kept for validation; a study divides by folds.
        registration: none, rigid or affine: how a study brings the SPECT to the CT.

    Raises:
        OptionsError: on construction, if they cannot be used.
    """

    cohort: Path
    out: Path
    study: bool = False
    name: str = "my-model"
    epochs: int = 100
    network: str = "arnn"
    channels: str = "16-32-64-128"
    device: str = "auto"
    learningRate: float = 1e-3
    batchSize: int = 1
    grid: str = "128x64x64"
    seed: int = 2026
    plateau: bool = True
    validationShare: float = 0.2
    registration: str = "rigid"

    def __post_init__(self):
        for problem, bad in (
            (_("Choose the cohort's table (CSV) first."), not str(self.cohort).strip(". ")),
            (_("Choose a folder for the run first."), not str(self.out).strip(". ")),
            (_("Give the model a name."), not self.name.strip()),
            (_("At least one epoch is needed."), self.epochs < 1),
            (_("There is no grid of {grid}.").format(grid=self.grid), self.grid not in GRIDS),
        ):
            if bad:
                raise OptionsError(problem)

    def arguments(self) -> list[str]:
        """The engine's command, without program and progress."""
        median, uniform = GRIDS[self.grid]
        arguments = ["study" if self.study else "train", str(self.cohort), "--out", str(self.out)]
        arguments += ["--name", self.name.strip(), "--epochs", str(self.epochs), "--channels", self.channels]
        arguments += ["--learning-rate", repr(self.learningRate), "--batch-size", str(self.batchSize)]
        arguments += ["--grid", self.grid, "--median-size", str(median), "--uniform-size", str(uniform)]
        arguments += ["--seed", str(self.seed), "--device", self.device]
        if self.study:
            return [*arguments, "--register", self.registration, *([] if self.plateau else ["--no-plateau"])]
        arguments += ["--network", self.network, "--validation-share", repr(self.validationShare)]
        return [*arguments, *(["--plateau"] if self.plateau else [])]
