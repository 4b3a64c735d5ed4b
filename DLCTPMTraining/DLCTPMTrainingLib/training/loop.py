"""Training a network (Eq. 3): one loop, read from top to bottom, that a killed run continues bit for bit."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.networks.parts import PerfusionNetwork
from DLCTPMLib.networks.registry import build_network
from DLCTPMLib.networks.settings import NetworkSettings, network_dict
from DLCTPMTrainingLib.samples.augmentation import draw
from DLCTPMTrainingLib.samples.batches import LungBatches
from DLCTPMTrainingLib.samples.lung_samples import Samples
from DLCTPMTrainingLib.training import checkpoint
from DLCTPMTrainingLib.training.checkpoint import EpochRecord
from DLCTPMTrainingLib.training.ranks import ALONE, Ranks
from DLCTPMTrainingLib.training.settings import TrainingSettings
from DLCTPMTrainingLib.training.step import TrainingStep, convolutions_for
from DLCTPMTrainingLib.training.validation import entropy, renew_batch_norm, validate

PLATEAU_CHANGE, PLATEAU_EPOCHS = 0.002, 5
"""The paper's pilot: training is done when the loss changes by less than 0.2 % for five epochs in a row."""
DIVERGED = 2 * math.log(2)
"""Mean loss of an epoch after the first that ends a run: twice that of 0.5 everywhere."""
_ADVICE = "train again with a lower --learning-rate and another --out"


class DivergenceError(InputError):
    """The loss grew beyond all use or is no number any more: these settings do not work, others may."""


def train(
    samples: Samples,
    validation: Samples | None,
    network_settings: NetworkSettings,
    settings: TrainingSettings,
    run: Path,
    device: torch.device,
    emit: Callable[[EpochRecord], None] = lambda record: None,
    on_step: Callable[[int, int], None] = lambda done, steps: None,
    ranks: Ranks = ALONE,
) -> PerfusionNetwork:
    """Train a network, or go on with a run that was cut off.

    Each epoch's randomness comes from the seed and the epoch's number alone, and the checkpoint holds weights
    and optimiser, so on one device a killed run ends with the same weights as one that was left alone. Several
    processes that share each batch end with the weights of one up to rounding, but for dropout, whose masks
    differ.

    Args:
        samples: lungs to train on.
        validation: lungs to validate with after every epoch, used for nothing else; None for none.
        network_settings: the network.
        settings: the training.
        run: folder of ``checkpoint.pt`` and ``history.jsonl``.
        device: where to train.
        emit: called after every epoch.
        on_step: called after every step with the steps done and all steps of the run.
        ranks: processes that train together; the first writes the files.

    Returns:
        the trained network on the CPU, its batch-norm statistics taken anew over all lungs.

    Raises:
        InputError: if there is nothing to train on, a batch has fewer lungs than there are processes, the run was
            begun with other settings or data.
        DivergenceError: if the loss has diverged or is no longer a number.
    """
    if not len(samples):
        raise InputError("no lungs to train on: give a cohort with at least one usable patient")
    if settings.batch_size < ranks.count:
        raise InputError(
            f"a batch of {settings.batch_size} cannot be shared by {ranks.count} processes, "
            f"give --batch-size {ranks.count} or more"
        )
    torch.manual_seed(settings.seed)
    with convolutions_for(settings.precision):
        step = TrainingStep(build_network(network_settings), device, settings.precision, ranks)
        setup = _setup(samples, network_settings, settings)
        state = ranks.from_first(lambda: checkpoint.stored(run, setup))
        history = [] if state is None else checkpoint.restore(state, run, step.network, step.optimizer)
        batches, floor = LungBatches(samples, device, step.network.takes_any_size), entropy(samples)
        for epoch in range(len(history) + 1, settings.epochs + 1):
            if settings.plateau and on_plateau([record.loss for record in history]):
                break
            budget = Budget.of(settings, history)
            if not budget.allows_another:
                break
            start = time.perf_counter()
            loss = _epoch(step, batches, settings, epoch, ranks, run, on_step, budget)
            seen = validate(step.network, validation, device, settings.precision, ranks)
            seconds = time.perf_counter() - start
            record = EpochRecord(epoch, loss, loss - floor, seen.excess, seen.r, seconds, seen.ssim)
            history.append(record)
            if ranks.first:
                checkpoint.save(run, setup, step.network, step.optimizer, history)
            emit(record)
        network = step.network
        if ranks.count > 1:  # as it was built, without what the processes share
            network = build_network(network_settings).to(device=device, memory_format=batches.layout)
            network.load_state_dict(step.network.state_dict())
        renew_batch_norm(network, samples, device, settings.precision)
    return network.cpu().eval()


def _epoch(
    step: TrainingStep,
    batches: LungBatches,
    settings: TrainingSettings,
    epoch: int,
    ranks: Ranks,
    run: Path,
    on_step: Callable[[int, int], None],
    budget: Budget,
) -> float:
    """One pass over all lungs; returns the mean loss of its steps.

    Order, contrast and movement are drawn alike by all processes, dropout by each for itself. A loss is looked at
    one step later, while a GPU works on the next.
    """
    chance = torch.Generator().manual_seed(_seed(settings.seed, epoch))
    order = torch.randperm(len(batches), generator=chance)
    augmentation = draw(len(batches), settings.jitter, settings.movement, chance)
    torch.manual_seed(_seed(settings.seed, epoch, ranks.rank + 1))
    step.network.train()
    losses: list[Tensor] = []
    steps = math.ceil(len(batches) / settings.batch_size)
    for number, lungs in enumerate(order.split(settings.batch_size), (epoch - 1) * steps):
        chosen = ranks.share(lungs)
        rate = learning_rate(settings, steps, number, budget.share_at((number % steps) / steps))
        losses.append(step(batches(chosen, augmentation.of(chosen)), rate))
        if losses[:-1]:
            _check(losses[-2].item(), epoch, run)
        on_step(number + 1, steps * settings.epochs)
    _check(losses[-1].item(), epoch, run)
    loss = float(torch.stack(losses).cpu().double().mean())
    if epoch > 1 and loss > DIVERGED:
        raise DivergenceError(
            f"{run}: the loss has diverged, it is {loss:.2f} in epoch {epoch} where 0.5 everywhere would give "
            f"{math.log(2):.2f}, {_ADVICE}"
        )
    return loss


def _check(loss: float, epoch: int, run: Path) -> None:
    if not math.isfinite(loss):
        raise DivergenceError(f"{run}: the loss is not a number any more in epoch {epoch}, {_ADVICE}")


def learning_rate(settings: TrainingSettings, steps: int, step: int, share: float = 0.0) -> float:
    """Adam's rate at a step, counted from 0; an epoch has so many steps, and so much of the time is over."""
    warm = min(1.0, (step + 1) / min(steps, 100))
    done = max(step / (steps * settings.epochs), share)
    return settings.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * done))


class Budget(NamedTuple):
    """How much of the minutes of a training is over before an epoch.

    Attributes:
        spent: share of them that is over.
        epoch: share that an epoch takes, by those done; 0 before the first.
    """

    spent: float = 0.0
    epoch: float = 0.0

    @classmethod
    def of(cls, settings: TrainingSettings, history: list[EpochRecord]) -> Budget:
        """The budget after some epochs."""
        if not settings.minutes or not history:
            return cls()
        shares = [record.seconds / (60 * settings.minutes) for record in history]
        return cls(sum(shares), float(np.median(shares)))

    @property
    def allows_another(self) -> bool:
        """Whether one more epoch fits in."""
        return self.spent + self.epoch <= 1

    def share_at(self, part: float) -> float:
        """What is over within the coming epoch; the last that fits in ends at 1."""
        if not self.epoch:
            return 0.0
        left = max(math.floor((1 - self.spent) / self.epoch), 1)
        return self.spent + (1 - self.spent) * min(part / left, 1.0)


def on_plateau(losses: list[float]) -> bool:
    """The paper's rule: less than 0.2 % of change for five epochs in a row."""
    recent = losses[-PLATEAU_EPOCHS - 1 :]
    return len(recent) > PLATEAU_EPOCHS and all(
        abs(now - before) < PLATEAU_CHANGE * before for before, now in pairwise(recent)
    )


def _seed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def _setup(samples: Samples, network_settings: NetworkSettings, settings: TrainingSettings) -> dict:
    lungs = [[str(patient), str(side)] for patient, side in zip(samples.patient, samples.side, strict=True)]
    return {
        "network": network_dict(network_settings),
        "training": settings.to_dict(),
        "lungs_sha256": hashlib.sha256(json.dumps(lungs).encode()).hexdigest(),  # a checkpoint names no patient
    }
