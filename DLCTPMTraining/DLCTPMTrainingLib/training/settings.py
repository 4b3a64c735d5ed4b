"""How a network is trained."""

from __future__ import annotations

from dataclasses import dataclass

from DLCTPMLib.common.settings import StageSettings, setting

VALIDATION_SHARE = 0.2
"""Part of the patients kept for validation where nothing is said."""


@dataclass(frozen=True)
class ModelName(StageSettings):
    """What a new model is called."""

    WHAT = "model"

    name: str = setting("dlctpm", "name of the model", metavar="NAME")
    version: str = setting("1", "version of the model", "model-version", metavar="V")


@dataclass(frozen=True)
class TrainingSettings(StageSettings):
    """How the network is trained. The paper fixes loss, optimiser and 500 epochs; the rest is chosen here.

    Attributes:
        epochs: passes over all lungs.
        batch_size: lungs a step, those of all processes together.
        learning_rate: Adam's at its highest; it warms up over the first and falls as a cosine over all epochs.
        jitter: standard deviation of log gamma, by which the contrast of the enhanced CT varies from step to step.
        movement: standard deviation of the small shift, stretch and turn of every lung from step to step, as a share
            of half its box and in radians; 0 for none.
        plateau: stop early by the paper's rule.
        precision: "auto" (bfloat16 where the processor has it), "fp32" or "bf16".
        seed: of weights, order, dropout, jitter and movement.
        minutes: wall-clock budget of all epochs together, over a run's continuations too; training ends with the last
            epoch that fits in, and the learning rate falls over the budget. 0 for none. Such a run is not repeated
            bit for bit.
    """

    WHAT = "training settings"

    epochs: int = setting(500, "passes over all lungs", metavar="N")
    batch_size: int = setting(1, "lungs a step", metavar="N")
    learning_rate: float = setting(1e-3, "Adam's", metavar="R")
    jitter: float = setting(0.1, "SD of log gamma of the first image's contrast", metavar="G")
    movement: float = setting(0.0, "SD of the lungs' small movements", metavar="M")
    plateau: bool = False
    precision: str = setting("auto", "of the network", choices=("auto", "fp32", "bf16"))
    seed: int = setting(2026, "of weights, order and dropout", metavar="K")
    minutes: float = setting(0.0, "wall-clock budget of the training; 0 for none", metavar="M")

    def __post_init__(self):
        self.require(
            {
                "epochs and batch size must be at least 1": min(self.epochs, self.batch_size) >= 1,
                "the learning rate must be positive": self.learning_rate > 0,
                "jitter and movement must not be negative": min(self.jitter, self.movement) >= 0,
                "the seed must lie between 0 and 2³¹ − 1": 0 <= self.seed < 2**31,
                "the minutes must not be negative": self.minutes >= 0,
                "precision must be auto, fp32 or bf16": self.precision in ("auto", "fp32", "bf16"),
            }
        )
