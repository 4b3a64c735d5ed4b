"""A few lungs that a small network can learn in a moment."""

import numpy as np
import torch

from DLCTPMLib.networks.settings import ArnnSettings, network_dict
from DLCTPMLib.preprocessing.settings import PreprocessingSettings
from DLCTPMTrainingLib.samples.lung_samples import Samples
from DLCTPMTrainingLib.samples.sample_file import PatientFacts, SampleSet
from DLCTPMTrainingLib.training.settings import TrainingSettings

NETWORK = ArnnSettings(channels=(4, 4, 6, 6), kernel=3)
CPU = torch.device("cpu")


def some_samples(lungs=4, seed=0) -> Samples:
    """Lungs whose target is a function of their enhanced CT, which a network can learn."""
    rng = np.random.default_rng(seed)
    enhanced = rng.integers(0, 256, (lungs, 1, 16, 8, 8)).astype(np.uint8)
    mask = rng.random(enhanced[:, 0].shape) < 0.6
    target = np.where(mask, np.rint(enhanced[:, 0] / 25.5) * 25.5, 0).astype(np.uint8)
    patient = np.array([f"P{i // 2}" for i in range(lungs)])
    side = np.array(["right lung", "left lung"] * (lungs // 2))
    return Samples(patient, side, enhanced, target, mask, np.full(lungs, 2000.0), np.full(lungs, -850.0))


def settings(**changes) -> TrainingSettings:
    return TrainingSettings(**{"epochs": 3, "learning_rate": 1e-2, "precision": "fp32", **changes})


TRAINING = TrainingSettings(epochs=2, precision="fp32", batch_size=2)
READY = SampleSet(
    some_samples(6),
    [PatientFacts("P0", "healthy", True), PatientFacts("P1", "fever", True), PatientFacts("P2", "fever", True)],
    ["P0", "P2"],
    ["P1"],
    PreprocessingSettings(grid_shape=(16, 8, 8)),
    {"name": "carried", "version": "7", "network": network_dict(NETWORK), "training": TRAINING.to_dict()},
)
