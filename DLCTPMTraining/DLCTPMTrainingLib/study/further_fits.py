"""The fits of a study that change one thing: a diagnosis left out, the preprocessing, the number of patients."""

from __future__ import annotations

import numpy as np

from DLCTPMLib.common.errors import InputError
from DLCTPMTrainingLib.study.plan import AS_CHOSEN, Candidate
from DLCTPMTrainingLib.study.results import LEARNING_CURVE, SENSITIVITY
from DLCTPMTrainingLib.study.stages import FitAndTest
from DLCTPMTrainingLib.study.workbench import Workbench

LEARNING_SHARES = (0.25, 0.5, 0.75, 1.0)
"""Parts of the first fold's training patients for the learning curve."""
REFERENCE = "first-fold"
"""The run that both are compared with: the chosen settings, all of the first fold's training patients."""


def without_diagnosis(bench: Workbench, chosen: Candidate) -> FitAndTest:
    """The paper's second model: trained and tested without the patients of one diagnosis.

    Raises:
        InputError: nobody has the diagnosis, or nobody is left without it.
    """
    plan, split = bench.plan, bench.split
    excluded = {row.patient_id for row in bench.rows if row.diagnosis == plan.without}
    if not excluded:
        raise InputError(f"{plan.cohort}: no patient has the diagnosis {plan.without!r}")
    training = [p for p in split.training if p not in excluded]
    tested = [p for p in split.test if p not in excluded]
    if not training or not tested:
        raise InputError(f"{plan.cohort}: without {plan.without!r} nobody is left to train or test on")
    return FitAndTest("without", chosen, training, tested, "test")


def variants_of(bench: Workbench, chosen: Candidate) -> dict[str, dict[str, FitAndTest]]:
    """What was asked for of the two kinds of fits on the first fold, by kind and name; never the test set."""
    asked = {}
    if bench.plan.sensitivity:
        asked[SENSITIVITY] = _sensitivity(bench, chosen)
    if bench.plan.learning_curve:
        asked[LEARNING_CURVE] = _learning_curve(bench, chosen)
    return asked


def _sensitivity(bench: Workbench, chosen: Candidate) -> dict[str, FitAndTest]:
    """Variants of the preprocessing, one choice changed each."""
    variants = bench.plan.sensitivity_variants(chosen.with_epochs(bench.plan.search_epochs()))
    folders = {name: f"sensitivity/{name.replace(' ', '-')}" for name in variants} | {AS_CHOSEN: REFERENCE}
    return {
        name: _on_first_fold(bench, folders[name], variant, bench.split.around(0))
        for name, variant in variants.items()
    }


def _learning_curve(bench: Workbench, chosen: Candidate) -> dict[str, FitAndTest]:
    """More and more of the first fold's training patients, each fit with the same number of steps."""
    everybody = bench.split.around(0)
    order = np.random.default_rng([bench.plan.split.seed, 3]).permutation(everybody).tolist()
    fits = {}
    for share in LEARNING_SHARES:
        number = max(1, round(share * len(order)))
        longer = chosen.with_epochs(round(bench.plan.search_epochs() * len(order) / number))
        run, training = (f"learning/{number}", order[:number]) if number < len(order) else (REFERENCE, everybody)
        fits[str(number)] = _on_first_fold(bench, run, longer, training)
    return fits


def _on_first_fold(bench: Workbench, run: str, choice: Candidate, training: list[str]) -> FitAndTest:
    return FitAndTest(run, choice, training, bench.split.folds[0], "validation")
