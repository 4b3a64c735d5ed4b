"""From samples to a fitted model: the same for one model (``dlctpm train``) and for every fit of a study."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from DLCTPMLib.networks.parts import PerfusionNetwork
from DLCTPMLib.networks.settings import NetworkSettings
from DLCTPMTrainingLib.samples.sample_file import SampleSet
from DLCTPMTrainingLib.training.checkpoint import EpochRecord, read_history
from DLCTPMTrainingLib.training.loop import train
from DLCTPMTrainingLib.training.ranks import ALONE, Ranks
from DLCTPMTrainingLib.training.settings import TrainingSettings
from DLCTPMTrainingLib.training.validation import Validation


@dataclass(frozen=True)
class FittedModel:
    """A trained network and all that its bundle tells of how it came about.

    Attributes:
        network: on the CPU, ready to predict.
        ready: the lungs, whose they are, and which patients were for training.
        training: the settings.
        epochs: done.
        validation: means over the validation lungs after the last epoch; NaN without any.
    """

    network: PerfusionNetwork
    ready: SampleSet
    training: TrainingSettings
    epochs: int
    validation: Validation

    @classmethod
    def of(
        cls, network: PerfusionNetwork, ready: SampleSet, training: TrainingSettings, history: Sequence[EpochRecord]
    ) -> FittedModel:
        """A network with the epochs of its run."""
        last = history[-1]
        validation = Validation(last.validation_excess, last.validation_r, last.validation_ssim)
        return cls(network, ready, training, len(history), validation)


def fit(
    ready: SampleSet,
    network: NetworkSettings,
    training: TrainingSettings,
    run: Path,
    device: torch.device,
    emit: Callable[[EpochRecord], None] = lambda record: None,
    on_step: Callable[[int, int], None] = lambda done, steps: None,
    ranks: Ranks = ALONE,
) -> FittedModel:
    """Train on the training patients of a set and validate on its validation patients; see ``loop.train``.

    Raises:
        InputError, DivergenceError: as ``loop.train``.
    """
    trained = train(
        ready.samples.of_patients(ready.training),
        ready.samples.of_patients(ready.validation),
        network,
        training,
        run,
        device,
        emit,
        on_step,
        ranks,
    )
    return FittedModel.of(trained, ready, training, ranks.from_first(lambda: read_history(run)))
