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
ensemble/             the test set by the mean of the folds' maps
first-fold/           the reference of sensitivity and learning curve
sensitivity/          the same with one choice of preprocessing changed
learning/N/           the same on N patients only
alternatives/NAME/    folds, final, model, test of another architecture
results/              tables, figures, report.html
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from DLCTPMLib import __version__
from DLCTPMLib.common.errors import InputError
from DLCTPMLib.common.progress import EventSink, Progress, no_events, no_progress
from DLCTPMLib.networks.bundle import METADATA, load_bundle
from DLCTPMLib.networks.parts import PerfusionNetwork
from DLCTPMTrainingLib.cohorts.table import CohortRow
from DLCTPMTrainingLib.common.drawing import styled, write_figure
from DLCTPMTrainingLib.common.files import read_json, write_json
from DLCTPMTrainingLib.common.patient_origin import Origin
from DLCTPMTrainingLib.study.check import CohortCheck, check_cohort
from DLCTPMTrainingLib.study.contact_sheet import contact_sheet
from DLCTPMTrainingLib.study.jobs import Stage, threads_of
from DLCTPMTrainingLib.study.plan import AS_CHOSEN, Candidate, StudyPlan
from DLCTPMTrainingLib.study.preparation import Patient
from DLCTPMTrainingLib.study.split import Split
from DLCTPMTrainingLib.study.stages import FitAndTest, StagedWorkbench
from DLCTPMTrainingLib.study.workbench import EVALUATE, PREPARE, Meter, Workbench
from DLCTPMTrainingLib.training.from_cohort import TrainingPlan, write_bundle
from DLCTPMTrainingLib.training.loop import DivergenceError
from DLCTPMTrainingLib.training.ranks import processes_of_torchrun

CONTACT_SHEET = "contact-sheet.png"
LEARNING_SHARES = (0.25, 0.5, 0.75, 1.0)
"""Parts of the first fold's training patients for the learning curve."""
SENSITIVITY, LEARNING_CURVE = "sensitivity", "learning_curve"
REFERENCE = "first-fold"
"""The run that both are compared with: the chosen settings, all of the first fold's training patients."""


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


def run_study(plan: StudyPlan, progress: Progress = no_progress, emit: EventSink = no_events) -> StudyResults:
    """Run a study, or go on where a cut-off one stopped; everything but the results' tables and figures.

    ``emit`` is given ``cohort`` once it and the settings are accepted, and every ``epoch`` with the name of its
    ``run``.

    Raises:
        InputError: the cohort has faults (each with its line), the folder holds another study, or ``torchrun``
            started several processes.
    """
    with threads_of(plan):
        return _Study(plan, progress, emit).run()


def prepare_study(plan: StudyPlan, progress: Progress = no_progress) -> tuple[CohortCheck, Path]:
    """Check the cohort, draw the split and make the images ready; train nothing.

    Returns:
        what was noticed, and the contact sheet to look at before training.
    """
    with threads_of(plan):
        return _Study(plan, progress).prepare(), plan.out / CONTACT_SHEET


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
        trials, chosen = self._search()
        roots = {"": chosen} | {f"alternatives/{name}": chosen.with_network(name) for name in self.plan.alternatives}
        beside = [self._without_arguments(chosen)] if self.plan.without else []
        self.train_in_workers(roots, beside)
        folds = [self.fold(number, chosen) for number in range(len(self.split.folds))]
        model = self._model(chosen, "")
        arms, failed = {}, {}
        for name in self.plan.alternatives:
            try:
                arms[name] = self._validated(name, chosen.with_network(name))
            except DivergenceError as error:
                failed[name] = str(error)
        self.test_in_workers({"": chosen} | {f"alternatives/{name}": arm[0] for name, arm in arms.items()}, chosen)
        test, final = self.test(chosen), self.final_fit(chosen)
        self._finish_card(chosen, "", test)
        alternatives = {}
        for name, (choice, validation, bundle) in arms.items():
            tested = self.test(choice, f"alternatives/{name}")
            self._finish_card(choice, f"alternatives/{name}", tested)
            alternatives[name] = Alternative(choice, validation, tested, bundle)
        ensemble = self.ensemble(chosen)
        folders = {"": chosen} | {f"alternatives/{name}": arm.choice for name, arm in alternatives.items()}
        seconds = {
            Path(folder).name: self.seconds_a_map(choice, self.out / folder / "speed.json")
            for folder, choice in folders.items()
        }
        seconds["ensemble"] = self.seconds_a_map(chosen, self.out / "ensemble" / "speed.json", len(folds))
        variants = self.trained_and_read(self._variants(chosen))
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
            without=self._without(chosen) if self.plan.without else None,
            sensitivity=variants.get(SENSITIVITY),
            learning_curve=variants.get(LEARNING_CURVE),
            model=model,
            alternatives=alternatives,
            failed=failed,
            ensemble=ensemble,
            seconds=seconds,
        )

    def prepare(self) -> CohortCheck:
        """Everything before the first training."""
        check = check_cohort(self.rows, self.plan.split, self.meter.part(len(self.rows)))
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

    def _search(self) -> tuple[list[dict], Candidate]:
        """Cross-validated choice of the settings: the highest mean R of the validation lungs after the last epoch."""
        candidates, epochs = self.plan.candidates(), self.plan.search_epochs()
        path = self.out / "search.json"
        if len(candidates) == 1:
            return [], candidates[0]
        if not path.is_file():
            tried = {
                (number, fold): (f"search/{number + 1:02d}-fold-{fold + 1}", candidate.with_epochs(epochs), fold)
                for number, candidate in enumerate(candidates)
                for fold in range(self.plan.search.folds)
            }
            cost = epochs * 2 * len(self.split.around(0))
            self.run_in_workers(
                [Stage(Workbench.trial, arguments, cost) for arguments in tried.values()],
                [candidate.preprocessing for candidate in candidates],
            )
            trials = []
            for number, candidate in enumerate(candidates):
                r = [self.trial(*tried[number, fold]) for fold in range(self.plan.search.folds)]
                known = [value for value in r if value is not None]
                trials.append(
                    {
                        "label": candidate.label,
                        "settings": candidate.to_dict(),
                        "epochs": epochs,
                        "r": r,
                        "mean": float(np.mean(known)) if len(known) == len(r) else None,
                    }
                )
            if all(trial["mean"] is None for trial in trials):
                raise InputError(f"{self.out}: no setting of the search could be trained; try lower learning rates")
            write_json(path, trials)
        trials = read_json(path)
        best = max(range(len(trials)), key=lambda i: -2 if trials[i]["mean"] is None else trials[i]["mean"])
        return trials, Candidate.from_dict(trials[best]["settings"])

    def _validated(self, name: str, choice: Candidate) -> tuple[Candidate, list[list[dict]], Path]:
        """Folds and bundle of an alternative; the test set is not touched."""
        root = f"alternatives/{name}"
        validation = [self.fold(number, choice, root)[1] for number in range(len(self.split.folds))]
        return choice, validation, self._model(choice, root)

    def _model(self, choice: Candidate, root: str) -> Path:
        """The bundle of a final fit; the card's validation is the mean over the folds."""
        if not (self.out / root / "model" / METADATA).is_file():
            self._write_bundle(choice, root, self.train(self.final_fit(choice, root)))
        return self.out / root / "model"

    def _write_bundle(
        self, choice: Candidate, root: str, network: PerfusionNetwork, rows: list[dict] | None = None
    ) -> None:
        fit = self.final_fit(choice, root)
        folds = [
            self.fit(self.below(root, f"folds/{k + 1}"), choice, [], []).history()
            for k in range(len(self.split.folds))
        ]
        history = fit.history()
        for name in ("validation_r", "validation_excess"):
            values = [fold[-1][name] for fold in folds]
            history[-1][name] = None if None in values else float(np.mean(values))
        plan = TrainingPlan(
            cohort=self.plan.cohort,
            out=self.out / root,
            name=f"{self.plan.name}-{Path(root).name}" if root else self.plan.name,
            version=self.plan.version,
            network=choice.network,
            training=choice.training,
            preprocessing=choice.preprocessing,
            validation_share=0.0,
        )
        write_bundle(plan, self.rows, self.samples(choice), list(fit.learning), network, history, rows)

    def _finish_card(self, choice: Candidate, root: str, test: list[dict]) -> None:
        """Write the test's table into the model card; the weights stay as they are."""
        bundle = load_bundle(self.out / root / "model")
        if "test" not in bundle.metadata:
            rows = [row for figures in test for row in figures["rows"]]
            self._write_bundle(choice, root, bundle.network(), rows)

    def _without(self, chosen: Candidate) -> list[dict]:
        """The paper's second model: trained and tested without the patients of one diagnosis."""
        return self.trained_and_tested(*self._without_arguments(chosen))

    def _without_arguments(self, chosen: Candidate) -> tuple:
        excluded = {row.patient_id for row in self.rows if row.diagnosis == self.plan.without}
        if not excluded:
            raise InputError(f"{self.plan.cohort}: no patient has the diagnosis {self.plan.without!r}")
        learning = [p for p in self.split.training if p not in excluded]
        tested = [p for p in self.split.test if p not in excluded]
        if not learning or not tested:
            raise InputError(f"{self.plan.cohort}: without {self.plan.without!r} nobody is left to train or test on")
        return "without", chosen, learning, tested, "test"

    def _variants(self, chosen: Candidate) -> dict[str, dict[str, FitAndTest]]:
        """What was asked for of the two kinds of fits that change one thing."""
        asked = {}
        if self.plan.sensitivity:
            asked[SENSITIVITY] = self._sensitivity(chosen)
        if self.plan.learning_curve:
            asked[LEARNING_CURVE] = self._learning_curve(chosen)
        return asked

    def _sensitivity(self, chosen: Candidate) -> dict[str, FitAndTest]:
        """Variants of the preprocessing, each a fit on the first fold: validation, never the test set."""
        variants = self.plan.sensitivity_variants(chosen.with_epochs(self.plan.search_epochs()))
        folders = {name: f"sensitivity/{name.replace(' ', '-')}" for name in variants} | {AS_CHOSEN: REFERENCE}
        return {
            name: self._on_first_fold(folders[name], variant, self.split.around(0))
            for name, variant in variants.items()
        }

    def _learning_curve(self, chosen: Candidate) -> dict[str, FitAndTest]:
        """Fits on more and more training patients of the first fold, each with the same number of steps."""
        everybody = self.split.around(0)
        order = np.random.default_rng([self.plan.split.seed, 3]).permutation(everybody).tolist()
        fits = {}
        for share in LEARNING_SHARES:
            number = max(1, round(share * len(order)))
            longer = chosen.with_epochs(round(self.plan.search_epochs() * len(order) / number))
            run = f"learning/{number}" if number < len(order) else REFERENCE
            fits[str(number)] = self._on_first_fold(run, longer, order[:number] if number < len(order) else everybody)
        return fits

    def _on_first_fold(self, run: str, choice: Candidate, learning: list[str]) -> FitAndTest:
        return run, choice, learning, self.split.folds[0], "validation"

    def _work(self) -> float:
        """All that lies ahead, in training steps of one lung; an estimate for the progress bar."""
        plan, n = self.plan, len(self.rows)
        learning = 2 * n * (1 - plan.split.test_share)
        trials = len(plan.candidates()) * plan.search.folds if len(plan.candidates()) > 1 else 0
        part = learning * (1 - 1 / plan.split.folds)
        arms = 1 + len(plan.alternatives)
        work = n * (1 + PREPARE + (1 + arms) * EVALUATE) + trials * plan.search_epochs() * part
        work += arms * plan.training.epochs * (plan.split.folds * part + learning)
        if plan.without:
            work += plan.training.epochs * learning
        if plan.sensitivity:
            work += 9 * plan.search_epochs() * part
        if plan.learning_curve:
            work += len(LEARNING_SHARES) * plan.search_epochs() * part
        return work
