"""How a study divides its patients and searches its settings."""

from __future__ import annotations

from dataclasses import dataclass

from DLCTPMLib.common.settings import StageSettings, setting


@dataclass(frozen=True)
class SplitSettings(StageSettings):
    """How patients are divided.

    Attributes:
        test_share: part of the patients kept for the one test; the paper's 31 of 73.
        folds: of the cross-validation inside the training set.
        seed: of the draw.
    """

    WHAT = "split settings"

    test_share: float = setting(31 / 73, "patients kept for the one test", metavar="S")
    folds: int = setting(4, "of the cross-validation", metavar="N")
    seed: int = 2026

    def __post_init__(self):
        self.require(
            {
                "test_share must lie between 0 and 1": 0 < self.test_share < 1,
                "folds must be at least 2": self.folds >= 2,
            }
        )


@dataclass(frozen=True)
class SearchSettings(StageSettings):
    """The grid of settings that cross-validation chooses from; an empty list keeps the plan's own value.

    Attributes:
        learning_rates, channels, edges, roi_attention, movements: values tried, every combination of them.
        folds: on how many folds each combination is tried.
        budget: epochs that the whole search may take; every combination and fold gets the same share, at least 1.
    """

    WHAT = "search settings"

    learning_rates: tuple[float, ...] = ()
    channels: tuple[tuple[int, int, int, int], ...] = ()
    edges: tuple[str, ...] = ()
    roi_attention: tuple[str, ...] = ()
    movements: tuple[float, ...] = ()
    folds: int = setting(1, "folds each setting is tried on", "search-folds", metavar="N")
    budget: int = setting(80, "epochs of the whole search", "search-epochs", metavar="N")

    def __post_init__(self):
        self.require(
            {
                "folds must be at least 1": self.folds >= 1,
                "the budget must be at least 1 epoch": self.budget >= 1,
            }
        )
