"""The epochs of a run for TensorBoard, where its package is installed."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path

from DLCTPMLib.common.errors import InputError
from DLCTPMTrainingLib.training.checkpoint import EpochRecord

FOLDER = "tensorboard"
TAGS = {
    "loss": "loss/training",
    "excess": "loss above entropy/training",
    "validation_excess": "loss above entropy/validation",
    "validation_r": "validation/Spearman R",
    "validation_ssim": "validation/SSIM",
    "seconds": "seconds per epoch",
}
"""What of an ``EpochRecord`` is logged under which name."""


class TensorBoardLog:
    """Writes each epoch to ``tensorboard`` in the run's folder; a context manager, called with the epoch's record.

    A run that is continued is logged anew from its history, so that no epoch is there twice or missing.

    Args:
        run: the run's folder.

    Raises:
        InputError: if the package ``tensorboard`` is not installed.
    """

    def __init__(self, run: Path):
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise InputError(
                "--tensorboard: this Python has no package tensorboard, install it (pip install tensorboard) or "
                "leave the option out; history.jsonl holds the same figures"
            ) from error
        for old in (run / FOLDER).glob("events.out.tfevents.*"):
            old.unlink()
        self._writer = SummaryWriter(str(run / FOLDER))
        history = run / "history.jsonl"
        for line in history.read_text(encoding="utf-8").splitlines() if history.is_file() else ():
            self._log(json.loads(line))

    def __enter__(self) -> TensorBoardLog:
        return self

    def __exit__(self, *_exception) -> None:
        self._writer.close()

    def __call__(self, record: EpochRecord) -> None:
        """Log an epoch."""
        self._log(asdict(record))

    def _log(self, record: dict) -> None:
        for name, tag in TAGS.items():
            value = record.get(name)
            if value is not None and math.isfinite(value):
                self._writer.add_scalar(tag, value, record["epoch"])
        self._writer.flush()
