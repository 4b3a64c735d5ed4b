"""A whole study (Fig. 1): check, split, search, folds, one final fit, one look at the test set, and what comes of it.

Every stage leaves files that appear by rename and finds those of an earlier run, so a study that was killed at any
moment is continued by the same command and ends with the same numbers.

study.json            what was asked for: a study is only continued with the same
split.json            test set and folds
contact-sheet.png     every patient at a glance, before anything is trained
patients/ samples/    images made ready, lungs on the network's grid
search/ search.json   the settings tried and the choice
folds/K/              the fit without fold K and its validation
final/ model/         the fit on the whole training set, and the bundle
test.json test/       the one look at the test set
speed.json            how long a map takes
test-curve/           the test set through the kept epochs, computed afterwards and used for nothing
ceiling/              the test set's SPECTs drawn anew beneath the same CTs
ensemble/             the test set by the mean of the folds' maps
first-fold/           the reference of sensitivity and learning curve
sensitivity/          the same with one choice of preprocessing changed
learning/N/           the same on N patients only
alternatives/NAME/    folds, final, model, test of another architecture
results/              tables, figures, report.html
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from DLCTPMLib import __version__
from DLCTPMLib.common.errors import InputError
from DLCTPMLib.common.progress import EventSink, Progress, no_events, no_progress
from DLCTPMLib.parallel.executors import open_executor
from DLCTPMTrainingLib.cohorts.check import CohortCheck, check_cohort
from DLCTPMTrainingLib.common.drawing import styled, write_figure
from DLCTPMTrainingLib.common.files import read_json, write_json
from DLCTPMTrainingLib.common.patient_origin import Origin
from DLCTPMTrainingLib.study.bundles import bundle_of, finish_card
from DLCTPMTrainingLib.study.contact_sheet import contact_sheet
from DLCTPMTrainingLib.study.evaluation import Evaluated
from DLCTPMTrainingLib.study.further_fits import LEARNING_SHARES, variants_of, without_diagnosis
from DLCTPMTrainingLib.study.jobs import threads_of
from DLCTPMTrainingLib.study.plan import Candidate, StudyPlan
from DLCTPMTrainingLib.study.results import LEARNING_CURVE, SENSITIVITY, Alternative, StudyResults
from DLCTPMTrainingLib.study.search import searched
from DLCTPMTrainingLib.study.split import too_few
from DLCTPMTrainingLib.study.stages import StagedWorkbench
from DLCTPMTrainingLib.study.workbench import DRAW, EVALUATE, PREPARE, Meter
from DLCTPMTrainingLib.training.loop import DivergenceError
from DLCTPMTrainingLib.training.ranks import processes_of_torchrun

CONTACT_SHEET = "contact-sheet.png"


def run_study(plan: StudyPlan, progress: Progress = no_progress, emit: EventSink = no_events) -> StudyResults:
    """Run a study, or go on where a cut-off one stopped; everything but the results' tables and figures.

    ``emit`` is given ``cohort`` once it and the settings are accepted, and every ``epoch`` with the name of its
    ``run``.

    Raises:
        InputError: the cohort has faults (each with its line), the folder holds another study, or ``torchrun``
            started several processes.
    """
    with threads_of(plan), _study(plan, progress, emit) as study:
        return study.run()


def prepare_study(plan: StudyPlan, progress: Progress = no_progress) -> tuple[CohortCheck, Path]:
    """Check the cohort, draw the split and make the images ready; train nothing.

    Returns:
        what was noticed, and the contact sheet to look at before training.
    """
    with threads_of(plan), _study(plan, progress) as study:
        return study.prepare(), plan.out / CONTACT_SHEET


@contextmanager
def _study(plan: StudyPlan, progress: Progress, emit: EventSink = no_events) -> Iterator[_Study]:
    """A study with its executor, where several processes are to help it."""
    study = _Study(plan, progress, emit)
    if not plan.at_once.several or (plan.at_once.scheduler is None and study.device.type != "cpu"):
        yield study
        return
    with open_executor(plan.at_once) as study.executor:
        yield study


class _Study(StagedWorkbench):
    """The stages in their order."""

    def __init__(self, plan: StudyPlan, progress: Progress, emit: EventSink = no_events):
        if (processes := processes_of_torchrun()) > 1:
            raise InputError(
                f"{plan.out}: torchrun started {processes} processes, and each would run this whole study over the "
                "same folder; start dlctpm study without torchrun (--jobs runs several fits at once), or train one "
                "model on several GPUs by torchrun with dlctpm train"
            )
        super().__init__(plan, progress, emit)
        self.meter = Meter(progress, self._work())

    def run(self) -> StudyResults:
        """Every stage."""
        check = self.prepare()
        trials, chosen = searched(self)
        roots = {"": chosen} | {f"alternatives/{name}": chosen.with_network(name) for name in self.plan.alternatives}
        without = without_diagnosis(self, chosen) if self.plan.without else None
        self.train_in_workers(roots, [without] if without else [])
        folds = [self.fold(number, chosen) for number in range(len(self.split.folds))]
        model = bundle_of(self, chosen, "")
        arms, failed = {}, {}
        for name in self.plan.alternatives:
            try:
                arms[name] = self._validated(name, chosen.with_network(name))
            except DivergenceError as error:
                failed[name] = str(error)
        self.test_in_workers({"": chosen} | {f"alternatives/{name}": arm[0] for name, arm in arms.items()}, chosen)
        test, final = self.test(chosen), self.final_fit(chosen)
        finish_card(self, chosen, "", test.table)
        alternatives = {}
        for name, (choice, validation, bundle) in arms.items():
            tested = self.test(choice, f"alternatives/{name}")
            finish_card(self, choice, f"alternatives/{name}", tested.table)
            alternatives[name] = Alternative(choice, validation, tested, bundle)
        ensemble = self.ensemble(chosen)
        folders = {"": chosen} | {f"alternatives/{name}": arm.choice for name, arm in alternatives.items()}
        seconds = {
            Path(folder).name: self.seconds_a_map(choice, self.out / folder / "speed.json")
            for folder, choice in folders.items()
        }
        seconds["ensemble"] = self.seconds_a_map(chosen, self.out / "ensemble" / "speed.json", len(folds))
        variants = self.trained_and_read(variants_of(self, chosen))
        return StudyResults(
            plan=self.plan,
            rows=self.rows,
            check=check,
            split=self.split,
            patients=self.patients,
            trials=trials,
            chosen=chosen,
            validation=[figures for _, figures, _ in folds],
            validation_curves=[curve for _, _, curve in folds],
            histories={f"fold {k + 1}": fit.history() for k, (fit, _, _) in enumerate(folds)}
            | {"final fit": final.history()},
            test=test,
            test_curve=self.test_curve(chosen),
            without=self.trained_and_tested(*without) if without else None,
            sensitivity=variants.get(SENSITIVITY),
            learning_curve=variants.get(LEARNING_CURVE),
            model=model,
            alternatives=alternatives,
            failed=failed,
            ensemble=ensemble,
            seconds=seconds,
            ceiling=self.ceiling(chosen) if self.plan.ceiling else None,
        )

    def prepare(self) -> CohortCheck:
        """Everything before the first training."""
        check = check_cohort(self.rows, too_few(self.rows, self.plan.split), self.meter.part(len(self.rows)))
        check.refuse(self.plan.cohort)
        self._begin()
        self.emit(cohort={"patients": len(self.rows), "simulated": sum(row.simulated for row in self.rows)})
        sheet = self.out / CONTACT_SHEET
        if self.split and not sheet.is_file():  # the split is checked or drawn before the images are worked on
            self.prepare_in_workers()
            with styled():
                figure = contact_sheet(self.patients)
            write_figure(figure, self.out, sheet.stem, Origin.of(self.rows), vector=False)
        return check

    def _begin(self) -> None:
        """Note what is asked for, or see that it is what the study was begun with.

        Alternatives come on top of a study and change none of its numbers, so they may be added at any time, and left
        out again until they have been tested; from then on they stay: whatever has seen the test set is reported.
        """
        path = self.out / "study.json"
        cohort = [[r.patient_id, r.diagnosis, r.ct.name, r.spect.name] for r in self.rows]
        asked = {"software": f"DL-CTPM {__version__}", "settings": self.plan.decisive(), "cohort": cohort}
        begun = read_json(path) if path.is_file() else asked
        if not isinstance(begun, dict) or not isinstance(begun.get("alternatives", []), list):
            raise InputError(f"{path}: is damaged, so the study cannot go on; give another --out")
        for what, words in (("cohort", "another cohort"), ("settings", "other settings")):
            if begun.get(what) != asked[what]:
                raise InputError(f"{path}: this study was begun with {words}; give the same, or another --out")
        tested = [
            name
            for name in begun.get("alternatives", [])
            if (self.out / "alternatives" / name / "test.json").is_file()
        ]
        alternatives = list(dict.fromkeys([*tested, *self.plan.alternatives]))
        self.plan = replace(self.plan, alternatives=tuple(alternatives))
        if not path.is_file() or begun.get("alternatives", []) != alternatives:
            write_json(path, begun | {"alternatives": alternatives})

    def _validated(self, name: str, choice: Candidate) -> tuple[Candidate, list[Evaluated], Path]:
        """Folds and bundle of an alternative; the test set is not touched."""
        root = f"alternatives/{name}"
        validation = [self.fold(number, choice, root)[1] for number in range(len(self.split.folds))]
        return choice, validation, bundle_of(self, choice, root)

    def _work(self) -> float:
        """All that lies ahead, in training steps of one lung; an estimate for the progress bar."""
        plan, n = self.plan, len(self.rows)
        training = 2 * n * (1 - plan.split.test_share)
        trials = len(plan.candidates()) * plan.search.folds if len(plan.candidates()) > 1 else 0
        part = training * (1 - 1 / plan.split.folds)
        arms = 1 + len(plan.alternatives)
        work = n * (1 + PREPARE + (1 + arms) * EVALUATE) + trials * plan.search_epochs() * part
        work += arms * plan.training.epochs * (plan.split.folds * part + training)
        if plan.without:
            work += plan.training.epochs * training
        if plan.ceiling:
            work += n * plan.split.test_share * (plan.ceiling + 1) * DRAW
        if plan.sensitivity:
            work += 9 * plan.search_epochs() * part
        if plan.learning_curve:
            work += len(LEARNING_SHARES) * plan.search_epochs() * part
        return work
