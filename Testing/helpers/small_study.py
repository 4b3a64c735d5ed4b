"""A study so coarse that a test can run it from the table to the report."""

import csv
from pathlib import Path

from DLCTPMLib.networks.settings import ArnnSettings
from DLCTPMLib.preprocessing.settings import PreprocessingSettings
from DLCTPMTrainingLib.study.plan import StudyPlan
from DLCTPMTrainingLib.study.settings import SearchSettings
from DLCTPMTrainingLib.training.settings import TrainingSettings

NETWORK = ArnnSettings(channels=(4, 4, 6, 6), kernel=3)


def a_plan(cohort: Path, out: Path, **changes) -> StudyPlan:
    """Two settings to search and two epochs; ``changes`` are fields of the plan."""
    defaults = {
        "network": NETWORK,
        "training": TrainingSettings(epochs=2, precision="fp32", learning_rate=1e-2),
        "preprocessing": PreprocessingSettings(grid_shape=(32, 16, 16), median_size=4, uniform_size=3),
        "search": SearchSettings(learning_rates=(1e-2, 1e-4), budget=2),
        "register": "none",
        "device": "cpu",
        "threads": 1,
    }
    return StudyPlan(cohort=cohort, out=out, **{**defaults, **changes})


def rows_of_table(path: Path) -> list[dict]:
    """The lines of a CSV file by the names of its columns."""
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
