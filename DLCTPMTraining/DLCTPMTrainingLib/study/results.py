"""What a study has found: everything that its tables, figures and report are made of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from DLCTPMTrainingLib.ceiling.estimate import Ceiling
from DLCTPMTrainingLib.cohorts.check import CohortCheck
from DLCTPMTrainingLib.cohorts.table import CohortRow
from DLCTPMTrainingLib.common.patient_origin import Origin
from DLCTPMTrainingLib.statistics.table import TidyTable
from DLCTPMTrainingLib.study.evaluation import Evaluated
from DLCTPMTrainingLib.study.plan import Candidate, StudyPlan
from DLCTPMTrainingLib.study.preparation import Patient
from DLCTPMTrainingLib.study.split import Split

SENSITIVITY, LEARNING_CURVE = "sensitivity", "learning_curve"


@dataclass(frozen=True)
class Alternative:
    """Another architecture under the same budget.

    Attributes:
        choice: its settings.
        validation: of each fold.
        test: of the test set.
        model: folder of the bundle.
    """

    choice: Candidate
    validation: list[Evaluated]
    test: Evaluated
    model: Path

    @property
    def all_validation(self) -> TidyTable:
        """The lines of every fold."""
        return TidyTable.joined(fold.table for fold in self.validation)


@dataclass(frozen=True)
class StudyResults:
    """Everything that tables, figures and report are made of.

    Attributes:
        plan, rows, check, split: what was asked for, who took part, what was noticed, how they were divided.
        patients: images on disk by id.
        trials: of the search: ``label``, ``settings``, ``r`` of every fold, ``mean``.
        chosen: the settings of folds and final fit.
        validation: of each fold; ``validation_curves`` R and SSIM through the epochs.
        histories: losses by epoch, of each fold ("fold 1" …) and of "final fit".
        test, test_curve: of the test set.
        without: figures of the test patients without a diagnosis by the model trained without it; None if not asked.
        sensitivity, learning_curve: figures of the first fold by name of the variant or number of patients.
        model: folder of the bundle.
        alternatives: the other architectures by name, and ``failed`` those that diverged, with the reason.
        ensemble: figures of the test patients by the mean of the main network's folds.
        seconds: how long a map takes, by "", "ensemble" and name of the alternative.
        ceiling: of the test patients; None if not asked.
    """

    plan: StudyPlan
    rows: list[CohortRow]
    check: CohortCheck
    split: Split
    patients: dict[str, Patient]
    trials: list[dict]
    chosen: Candidate
    validation: list[Evaluated]
    validation_curves: list[list[dict]]
    histories: dict[str, list[dict]]
    test: Evaluated
    test_curve: list[dict]
    without: Evaluated | None
    sensitivity: dict[str, Evaluated] | None
    learning_curve: dict[str, Evaluated] | None
    model: Path
    alternatives: dict[str, Alternative]
    failed: dict[str, str]
    ensemble: Evaluated
    seconds: dict[str, float]
    ceiling: Ceiling | None

    @property
    def all_validation(self) -> TidyTable:
        """The lines of every fold."""
        return TidyTable.joined(fold.table for fold in self.validation)

    @property
    def simulated(self) -> bool:
        """Whether any patient is simulated; then every output says so."""
        return self.origin.simulated > 0

    @property
    def origin(self) -> Origin:
        """How many patients are virtual, simulated on real CTs, or measured."""
        return Origin.of(self.rows)
