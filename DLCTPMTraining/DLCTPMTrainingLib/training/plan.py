"""What a training is asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.networks.settings import ArnnSettings, NetworkSettings, check_inputs
from DLCTPMLib.preprocessing.settings import PreprocessingSettings
from DLCTPMLib.results.settings import PredictionSettings
from DLCTPMTrainingLib.training.settings import VALIDATION_SHARE, ModelName, TrainingSettings


@dataclass(frozen=True)
class TrainingPlan:
    """What ``dlctpm train`` is asked for.

    Attributes:
        cohort: the cohort's CSV file; None where the samples come from a file of their own.
        out: the run's folder: samples, checkpoint, history and, in ``model``, the bundle.
        name, version: of the model.
        network, training, preprocessing: settings of the three stages.
        validation_share: part of the patients kept for validation; whole patients, drawn by the seed.
        test: CSV file of a cohort that training never sees, for the model card's table; None for none.
        device: auto, cpu, cuda or mps.
        tensorboard: also write the epochs for TensorBoard, into ``tensorboard`` in the run's folder.
    """

    cohort: Path | None
    out: Path
    name: str = ModelName.name
    version: str = ModelName.version
    network: NetworkSettings = field(default_factory=ArnnSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    preprocessing: PreprocessingSettings = field(default_factory=PreprocessingSettings)
    validation_share: float = VALIDATION_SHARE
    test: Path | None = None
    device: str = PredictionSettings.device
    tensorboard: bool = False

    def __post_init__(self):
        if not 0 <= self.validation_share < 1:
            raise InputError(
                "the validation share must lie in 0…1, 1 excluded: some patients must be left to learn from"
            )
        check_inputs(self.network, self.preprocessing)
