"""What a study has found: everything that its tables, figures and report are made of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from DLCTPMTrainingLib.cohorts.table import CohortRow
from DLCTPMTrainingLib.common.patient_origin import Origin
from DLCTPMTrainingLib.study.check import CohortCheck
from DLCTPMTrainingLib.study.plan import Candidate, StudyPlan
from DLCTPMTrainingLib.study.preparation import Patient
from DLCTPMTrainingLib.study.split import Split

SENSITIVITY, LEARNING_CURVE = "sensitivity", "learning_curve"


@dataclass(frozen=True)
class Alternative:
    """Another architecture under the same budget.

    Attributes:
        choice: its settings.
        validation: by fold, every patient's figures.
        test: of the test set.
        model: folder of the bundle.
    """

    choice: Candidate
    validation: list[list[dict]]
    test: list[dict]
    model: Path


@dataclass(frozen=True)
class StudyResults:
    """Everything that tables, figures and report are made of; ``figures_of`` says what is kept of a patient.

    Attributes:
        plan, rows, check, split: what was asked for, who took part, what was noticed, how they were divided.
        patients: images on disk by id.
        trials: of the search: ``label``, ``settings``, ``r`` of every fold, ``mean``.
        chosen: the settings of folds and final fit.
        validation: by fold, every patient's figures; ``validation_curves`` the same through the epochs.
        histories: losses by epoch, of each fold ("fold 1" …) and of "final fit".
        test, test_curve: of the test set.
        without: figures of the test patients without a diagnosis by the model trained without it; None if not asked.
        sensitivity, learning_curve: figures of the first fold by name of the variant or number of patients.
        model: folder of the bundle.
        alternatives: the other architectures by name, and ``failed`` those that diverged, with the reason.
        ensemble: figures of the test patients by the mean of the main network's folds.
        seconds: how long a map takes, by "", "ensemble" and name of the alternative.
    """

    plan: StudyPlan
    rows: list[CohortRow]
    check: CohortCheck
    split: Split
    patients: dict[str, Patient]
    trials: list[dict]
    chosen: Candidate
    validation: list[list[dict]]
    validation_curves: list[list[dict]]
    histories: dict[str, list[dict]]
    test: list[dict]
    test_curve: list[dict]
    without: list[dict] | None
    sensitivity: dict[str, list[dict]] | None
    learning_curve: dict[str, list[dict]] | None
    model: Path
    alternatives: dict[str, Alternative]
    failed: dict[str, str]
    ensemble: list[dict]
    seconds: dict[str, float]

    @property
    def simulated(self) -> bool:
        """Whether any patient is simulated; then every output says so."""
        return self.origin.simulated > 0

    @property
    def origin(self) -> Origin:
        """How many patients are virtual, simulated on real CTs, or measured."""
        return Origin.of(self.rows)
