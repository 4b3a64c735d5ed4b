"""What a training is asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

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
        register: how the SPECT is brought to the CT: "rigid", "affine", or "none" where they share their coordinates.
        variants: samples of each patient scanned and segmented in other ways, beside the images as they are.
        fold: (K, N) validates with the Kth of N parts of the patients, the same parts whatever the seed, so that the
            members of an ensemble can leave out one part each; None keeps ``validation_share`` for validation.
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
    register: str = PredictionSettings.registration
    variants: int = 0
    fold: tuple[int, int] | None = None
    validation_share: float = VALIDATION_SHARE
    test: Path | None = None
    device: str = PredictionSettings.device
    tensorboard: bool = False

    def __post_init__(self):
        if self.variants < 0:
            raise InputError("the number of variants must not be negative")
        if not 0 <= self.validation_share < 1:
            raise InputError(
                "the validation share must lie in 0…1, 1 excluded: some patients must be left to learn from"
            )
        if self.fold and not 1 <= self.fold[0] <= self.fold[1] > 1:
            raise InputError(f"fold {self.fold[0]} of {self.fold[1]} is none: give 1/5 to 5/5, for example")
        check_inputs(self.network, self.preprocessing)


def split_patients(
    patients: list[str], validation_share: float, seed: int, fold: tuple[int, int] | None = None
) -> tuple[list[str], list[str]]:
    """Draw the validation patients, or take those of a fold: whole patients, never lungs.

    Args:
        patients: ids.
        validation_share, fold: as in ``TrainingPlan``.
        seed: of the draw; folds do not depend on it.

    Returns:
        (training, validation), each in the order of ``patients``.

    Raises:
        InputError: if nobody is left to train on.
    """
    if fold:
        order = np.random.default_rng([fold[1], 3]).permutation(len(patients))
        chosen = np.array_split(order, fold[1])[fold[0] - 1]
    else:
        order = np.random.default_rng([seed, 1]).permutation(len(patients))
        chosen = order[: round(validation_share * len(patients))]
    validation = {patients[i] for i in chosen}
    if len(validation) == len(patients):
        raise InputError("no patient is left to train on: give a cohort of more patients, or another fold")
    return [p for p in patients if p not in validation], [p for p in patients if p in validation]
