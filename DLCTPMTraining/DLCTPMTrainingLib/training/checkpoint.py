"""What a run leaves in its folder: weights, optimiser and history, so that a killed one goes on where it was."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from DLCTPMLib.common.atomic_output import whole_file
from DLCTPMLib.common.errors import InputError
from DLCTPMLib.common.memory import is_out_of_memory

CHECKPOINT, HISTORY = "checkpoint.pt", "history.jsonl"


@dataclass(frozen=True)
class EpochRecord:
    """What one epoch came to.

    Attributes:
        epoch: counted from 1.
        loss: mean training loss, masked BCE.
        excess: the same minus the entropy of the targets, below which BCE with soft labels cannot fall.
        validation_excess, validation_r: the same, and mean Spearman R of the lungs, on the validation lungs;
            NaN without any. On the network's grid, hence not the R of a study.
        seconds: wall time.
        validation_ssim: mean SSIM of the validation lungs, on the network's grid too; NaN in runs of older versions.
    """

    epoch: int
    loss: float
    excess: float
    validation_excess: float
    validation_r: float
    seconds: float
    validation_ssim: float = math.nan


def save(
    run: Path, setup: dict, network: nn.Module, optimizer: torch.optim.Optimizer, history: list[EpochRecord]
) -> None:
    """Write the state after an epoch; ``setup`` says what the run was begun with."""
    state = {
        "setup": json.dumps(setup),
        "history": json.dumps([asdict(record) for record in history]),
        "network": network.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    with whole_file(run / CHECKPOINT) as partial:
        torch.save(state, partial)
    lines = "".join(json.dumps(asdict(record)) + "\n" for record in history)
    with whole_file(run / HISTORY) as partial:
        partial.write_text(lines.replace("NaN", "null"), encoding="utf-8")


def stored(run: Path, setup: dict) -> dict | None:
    """The checkpoint of a run that is continued; None for a new one, whose folder is made.

    Raises:
        InputError: the run was begun with another setup.
    """
    path = run / CHECKPOINT
    run.mkdir(parents=True, exist_ok=True)
    if not path.is_file():
        return None
    with whole_checkpoint(path):
        state = _read(path)
        begun = json.loads(state["setup"])
    if begun != setup:
        raise InputError(
            f"{path}: was begun with other settings or other patients, give another --out or the same settings"
        )
    return state


@contextmanager
def whole_checkpoint(path: Path) -> Iterator[None]:
    """Whatever a damaged checkpoint makes PyTorch and its users raise is one sentence.

    Raises:
        InputError: the block failed, and not for want of memory.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise InputError(
            f"{path}: this checkpoint is damaged, so the run cannot go on; remove it or give another --out"
        ) from error


def restore(state: dict, run: Path, network: nn.Module, optimizer: torch.optim.Optimizer) -> list[EpochRecord]:
    """Put what ``stored`` gave into network and optimiser; returns the epochs done, oldest first.

    Raises:
        InputError: the checkpoint is damaged.
    """
    with whole_checkpoint(run / CHECKPOINT):
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        for weight, kept in optimizer.state.items():
            if any(value.shape not in (weight.shape, ()) for value in kept.values()):
                raise ValueError("the optimiser is another network's")
        return _history_of(state)


def read_history(run: Path) -> list[EpochRecord]:
    """The epochs of a run, oldest first; from the checkpoint, behind which ``history.jsonl`` may be by a death."""
    with whole_checkpoint(run / CHECKPOINT):
        return _history_of(_read(run / CHECKPOINT))


def read_weights(path: Path) -> dict[str, Tensor]:
    """The network's weights in a checkpoint, as ``load_state_dict`` takes them."""
    with whole_checkpoint(path):
        return dict(_read(path)["network"])


def _history_of(state: dict) -> list[EpochRecord]:
    history = [EpochRecord(**record) for record in json.loads(state["history"])]
    for number, record in enumerate(history, 1):
        if record.epoch != number or not all(isinstance(value, (int, float)) for value in asdict(record).values()):
            raise ValueError(f"no epoch {number}")
    return history


def _read(path: Path) -> dict:
    return torch.load(path, map_location="cpu", weights_only=True)  # opens tensors only, never code
