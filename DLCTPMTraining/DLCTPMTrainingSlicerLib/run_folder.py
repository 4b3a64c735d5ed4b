"""What lies in a run's folder: nothing yet, a run that was cut off, or a finished one; and what it came to."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from slicer.i18n import tr as _

MODEL, REPORT, CARD = "model", "results/report.html", "model/docs/README.md"
METADATA, HEADLINE, HISTORY = "model/configs/metadata.json", "results/headline-per-lung.csv", "history.jsonl"
BEGUN = ("checkpoint.pt", "study.json")
"""Files by which the engine knows a run that was begun."""
SHOWN_FITS = ("", "folds/", "final")
"""Beginnings of the names of fits that are shown; a study's search and variants are not."""


class State(Enum):
    """How far a run has come."""

    NONE = "none"
    CUT_OFF = "cut off"
    FINISHED = "finished"
    UNKNOWN = "unknown"


@dataclass
class TrainingRecord:
    """The epochs of a run by fit; a plain training has one fit, named "".

    Attributes:
        folder: the run's.
        name: of the model.
        simulated: whether any patient is virtual.
        fits: fit → its epochs, oldest first, as in ``history.jsonl``.
    """

    folder: Path
    name: str = ""
    simulated: bool = False
    fits: dict[str, list[dict]] = field(default_factory=dict)

    def add(self, epoch: dict) -> None:
        """Take in what the engine told of an epoch; a fit that is shown nowhere is left out."""
        fit = str(epoch.get("run", ""))
        if isShown(fit):
            earlier = [one for one in self.fits.get(fit, []) if one["epoch"] < epoch["epoch"]]
            self.fits[fit] = [*earlier, epoch]

    def summary(self) -> tuple[list[str], list[list]]:
        """Columns and rows: what the last epoch of every fit came to."""
        figures = ["loss", "excess", "validation_excess", "validation_r", "validation_ssim"]
        rows = []
        for fit, epochs in self.fits.items():
            last, seconds = epochs[-1], sum(one["seconds"] for one in epochs)
            rows.append([fitTitle(fit), last["epoch"], *(last.get(name) for name in figures), seconds / 60])
        return ["fit", "epochs", *figures, "minutes"], rows


@dataclass(frozen=True)
class RunFolder:
    """A run's folder as it is now; ``look`` makes one.

    Attributes:
        path: the folder.
        state: how far the run has come.
        run: content of ``run.json``; empty without one.
        record: its epochs.
    """

    path: Path
    state: State
    run: dict
    record: TrainingRecord

    @classmethod
    def look(cls, path: Path) -> RunFolder:
        """See what is there. Called while no engine works in the folder."""
        from DLCTPMLib.common.errors import InputError
        from DLCTPMLib.common.run_file import read_run

        try:
            run = read_run(path)
        except InputError:
            begun = any((path / name).is_file() for name in BEGUN)
            return cls(path, State.UNKNOWN if begun else State.NONE, {}, TrainingRecord(path))
        finished = (path / (REPORT if run["command"] == "study" else METADATA)).is_file()
        record = TrainingRecord(path, str(run["options"].get("name", "")), bool(run["about"].get("simulated")))
        for fit in _fitsIn(path):
            epochs = readHistory(path / fit / HISTORY)
            if epochs:
                record.fits[fit] = epochs
        return cls(path, State.FINISHED if finished else State.CUT_OFF, run, record)

    @property
    def isStudy(self) -> bool:
        """Whether this is a study rather than one training."""
        return self.run.get("command") == "study"

    @property
    def model(self) -> Path | None:
        """The bundle; None until it is there."""
        return self.path / MODEL if (self.path / METADATA).is_file() else None

    @property
    def report(self) -> Path | None:
        """The study's report, or the model's card; None until it is there."""
        path = self.path / (REPORT if self.isStudy else CARD)
        return path if path.is_file() else None

    def results(self) -> tuple[list[str], list[list]]:
        """Columns and rows for the table: a finished study's headline, else the fits."""
        path = self.path / HEADLINE
        if self.state is State.FINISHED and path.is_file():
            with path.open(encoding="utf-8", newline="") as file:
                columns, *rows = csv.reader(file)
            return columns, rows
        return self.record.summary()

    def sentence(self) -> str:
        """What lies here, for the panel; empty if nothing."""
        done = {fit: len(epochs) for fit, epochs in self.record.fits.items()}
        if self.state is State.UNKNOWN:
            return _(
                "A run whose settings are not known lies in this folder: continue it on the command line, "
                "or choose another folder."
            )
        if self.state is State.FINISHED:
            what = _("study") if self.isStudy else _("training")
            return _("A finished {what} lies in this folder.").format(what=what)
        if self.state is State.CUT_OFF and self.isStudy:
            return _(
                "A study that was cut off lies in this folder, with {fits} of its fits begun. Resume goes on."
            ).format(fits=len(done))
        if self.state is State.CUT_OFF:
            return _(
                "A training that was cut off lies in this folder, after epoch {done} of {epochs}. Resume goes on."
            ).format(done=done.get("", 0), epochs=self.run["options"].get("epochs", "?"))
        return ""


def isShown(fit: str) -> bool:
    """Whether a fit belongs into table and plots."""
    return fit == "" or fit.startswith(SHOWN_FITS[1:])


def fitTitle(fit: str) -> str:
    """What people call a fit: "folds/1" is fold 1."""
    if fit.startswith("folds/"):
        return _("Fold {number}").format(number=fit.removeprefix("folds/"))
    return _("Final fit") if fit == "final" else _("Training")


def readHistory(path: Path) -> list[dict]:
    """The epochs of a fit, oldest first; none where there is no file or it is damaged."""
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError):
        return []


def _fitsIn(path: Path) -> list[str]:
    folds = sorted((path / "folds").iterdir()) if (path / "folds").is_dir() else []
    return ["", *(f"folds/{fold.name}" for fold in folds), "final"]
