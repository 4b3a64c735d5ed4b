"""From cached samples to a model bundle. Needs PyTorch and NumPy, no images and nothing that reads them."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from DLCTPMLib.common.atomic_output import whole_file
from DLCTPMLib.common.progress import EventSink, Progress, no_events, no_progress, within
from DLCTPMLib.networks.inference import choose_device
from DLCTPMTrainingLib.samples.sample_file import SampleSet
from DLCTPMTrainingLib.training.checkpoint import EpochRecord
from DLCTPMTrainingLib.training.fitting import FittedModel, fit
from DLCTPMTrainingLib.training.packaging import package
from DLCTPMTrainingLib.training.plan import TrainingPlan
from DLCTPMTrainingLib.training.ranks import ALONE, Ranks, ranks_of_torchrun
from DLCTPMTrainingLib.training.tensorboard_log import TensorBoardLog


def train_samples(
    plan: TrainingPlan, ready: SampleSet, progress: Progress = no_progress, emit: EventSink = no_events
) -> Path | None:
    """Train a model on samples that are ready, or go on where a cut-off run stopped.

    Args:
        plan: what to do; its preprocessing is that of the samples.
        ready: the samples.
        progress: told after every training step.
        emit: as in ``train_cohort``.

    Returns:
        the folder of the finished model bundle; None on all but the first of several processes.
    """
    with ranks_of_torchrun(choose_device(plan.device)) as ranks:
        if ranks.first:
            emit(cohort=ready.about)
        fitted = fit_plan(plan, ready, ranks, within(progress, 0, 0.98), emit)
    return package(fitted, plan.out / "model", plan.name, plan.version, fold=plan.fold) if ranks.first else None


def fit_plan(
    plan: TrainingPlan,
    ready: SampleSet,
    ranks: Ranks = ALONE,
    progress: Progress = no_progress,
    emit: EventSink = no_events,
) -> FittedModel:
    """Fit the model of a plan; the split is kept beside it as ``split.json``."""
    records: list[EpochRecord] = []

    def tell_epoch(record: EpochRecord) -> None:
        records.append(record)
        emit(epoch=asdict(record))

    def on_step(done: int, steps: int) -> None:
        last = records[-1] if records else None
        result = f", validation R {last.validation_r:.3f}" if last and last.validation_r == last.validation_r else ""
        progress(f"Training, step {done} of {steps}{result}", done / steps)

    with ExitStack() as open_log:
        if ranks.first:
            plan.out.mkdir(parents=True, exist_ok=True)
            split = {"training": list(ready.training), "validation": list(ready.validation)}
            with whole_file(plan.out / "split.json") as partial:
                partial.write_text(json.dumps(split, indent=1))
            if plan.tensorboard:
                log = open_log.enter_context(TensorBoardLog(plan.out))
                tell_epoch = _both(log, tell_epoch)
        return fit(
            ready,
            plan.network,
            plan.training,
            plan.out,
            ranks.device(choose_device(plan.device)),
            tell_epoch if ranks.first else lambda record: None,
            on_step if ranks.first else lambda done, steps: None,
            ranks,
        )


def _both(first: Callable[[EpochRecord], None], second: Callable[[EpochRecord], None]) -> Callable:
    def emit(record: EpochRecord) -> None:
        first(record)
        second(record)

    return emit
