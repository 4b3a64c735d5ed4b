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
test-curve/           the test set through the kept epochs, computed afterwards and used for nothing
results/              tables, figures, report.html
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from DLCTPMLib import __version__
from DLCTPMLib.errors import InputError
from DLCTPMLib.inference import choose_device
from DLCTPMLib.model_bundle import METADATA, WEIGHTS, load_bundle
from DLCTPMLib.network_parts import PerfusionNetwork
from DLCTPMLib.preprocessing import PreprocessingSettings
from DLCTPMLib.progress import Progress, Tell, silent, untold, within
from DLCTPMTrainingLib.cohort import CohortRow, read_cohort
from DLCTPMTrainingLib.cohort_training import TrainingPlan, write_bundle
from DLCTPMTrainingLib.samples import Samples, cached_samples
from DLCTPMTrainingLib.study_case_figures import contact_sheet
from DLCTPMTrainingLib.study_check import CohortCheck, check_cohort
from DLCTPMTrainingLib.study_drawing import styled, write_figure
from DLCTPMTrainingLib.study_evaluation import curve_of, evaluate_patients
from DLCTPMTrainingLib.study_files import read_json, write_json
from DLCTPMTrainingLib.study_fits import Fit
from DLCTPMTrainingLib.study_preparation import Patient, prepare_patient
from DLCTPMTrainingLib.study_settings import Candidate, StudyPlan, curve_epochs
from DLCTPMTrainingLib.study_split import Split, kept_split

CONTACT_SHEET = "contact-sheet.png"
LEARNING_SHARES = (0.25, 0.5, 0.75, 1.0)
"""Parts of the first fold's training patients for the learning curve."""
_PREPARE, _EVALUATE = 3.0, 8.0  # what a patient costs, in training steps of one lung


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

    @property
    def simulated(self) -> bool:
        """Whether any patient is virtual; then every output says so."""
        return any(row.simulated for row in self.rows)


def run_study(plan: StudyPlan, progress: Progress = silent, tell: Tell = untold) -> StudyResults:
    """Run a study, or go on where a cut-off one stopped; everything but the results' tables and figures.

    ``tell`` is told ``cohort`` once it is accepted, and every ``epoch`` with the name of its ``run``.

    Raises:
        InputError: the cohort has faults (each with its line), or the folder holds another study.
    """
    return _Study(plan, progress, tell).run()


def prepare_study(plan: StudyPlan, progress: Progress = silent) -> tuple[CohortCheck, Path]:
    """Check the cohort, draw the split and make the images ready; train nothing.

    Returns:
        what was noticed, and the contact sheet to look at before training.
    """
    study = _Study(plan, progress)
    return study.prepare(), plan.out / CONTACT_SHEET


class _Study:
    """The stages in their order."""

    def __init__(self, plan: StudyPlan, progress: Progress, tell: Tell = untold):
        self.plan, self.out, self._tell = plan, plan.out, tell
        self.device = choose_device(plan.device)
        self.rows = read_cohort(plan.cohort)
        self._meter = _Meter(progress, self._work())

    def run(self) -> StudyResults:
        """Every stage."""
        check = self.prepare()
        trials, chosen = self._search()
        folds = [self._fold(number, chosen) for number in range(len(self.split.folds))]
        final = self._fit("final", chosen, self.split.training, [])
        model = self._final_model(final, chosen, [fit.history() for fit, _, _ in folds])
        test = self._test(model, chosen)
        self._finish_card(final, chosen, [fit.history() for fit, _, _ in folds], test)
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
            test_curve=self._curve(final, self.split.test, self.out / "test-curve"),
            without=self._without(chosen) if self.plan.without else None,
            sensitivity=self._sensitivity(chosen) if self.plan.sensitivity else None,
            learning_curve=self._learning_curve(chosen) if self.plan.learning_curve else None,
            model=model,
        )

    def prepare(self) -> CohortCheck:
        """Everything before the first training."""
        check = check_cohort(self.rows, self.plan.split, self._meter.part(len(self.rows)))
        check.refuse(self.plan.cohort)
        self._tell(cohort={"patients": len(self.rows), "simulated": sum(row.simulated for row in self.rows)})
        self._begin()
        sheet = self.out / CONTACT_SHEET
        if self.split and not sheet.is_file():  # the split is checked or drawn before the images are worked on
            with styled():
                figure = contact_sheet(self.patients)
            simulated = any(row.simulated for row in self.rows)
            write_figure(figure, self.out, sheet.stem, simulated, vector=False)
        return check

    @cached_property
    def split(self) -> Split:
        """Drawn once and kept."""
        return kept_split(self.out / "split.json", self.rows, self.plan.split, self.plan.cohort)

    @cached_property
    def patients(self) -> dict[str, Patient]:
        """Everybody's images, made ready."""
        tell = self._meter.part(_PREPARE * len(self.rows))
        patients = {}
        for number, row in enumerate(self.rows):
            tell(f"Preparing patient {row.patient_id}", number / len(self.rows))
            patients[row.patient_id] = prepare_patient(row, self.plan.register, self.out / "patients")
        return patients

    def _begin(self) -> None:
        path = self.out / "study.json"
        cohort = [[r.patient_id, r.diagnosis, r.ct.name, r.spect.name] for r in self.rows]
        asked = {"software": f"DL-CTPM {__version__}", "settings": self.plan.decisive(), "cohort": cohort}
        if not path.is_file():
            write_json(path, asked)
            return
        begun = read_json(path)
        for what, words in (("cohort", "another cohort"), ("settings", "other settings")):
            if begun.get(what) != asked[what]:
                raise InputError(f"{path}: this study was begun with {words}; give the same, or another --out")

    def _search(self) -> tuple[list[dict], Candidate]:
        """Cross-validated choice of the settings: the highest mean R of the validation lungs after the last epoch."""
        candidates, epochs = self.plan.candidates(), self.plan.search_epochs()
        path = self.out / "search.json"
        if len(candidates) == 1:
            return [], candidates[0]
        if not path.is_file():
            trials = []
            for number, candidate in enumerate(candidates):
                r = [
                    self._tried(f"search/{number + 1:02d}-fold-{fold + 1}", candidate.with_epochs(epochs), fold)
                    for fold in range(self.plan.search.folds)
                ]
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

    def _tried(self, run: str, candidate: Candidate, fold: int) -> float | None:
        """R of one trial; None if it diverged."""
        fit = self._fit(run, candidate, self.split.around(fold), self.split.folds[fold], keep=False)
        try:
            self._train(fit)
        except InputError as error:
            if "not a number" in str(error):  # this setting diverges: it has lost, the others go on
                return None
            raise
        return fit.history()[-1]["validation_r"]

    def _fold(self, number: int, chosen: Candidate) -> tuple[Fit, list[dict], list[dict]]:
        """The fit without one fold, its validation, and the validation through the epochs."""
        folder, watching = self.out / "folds" / str(number + 1), self.split.folds[number]
        fit = self._fit(f"folds/{number + 1}", chosen, self.split.around(number), watching)
        figures = self._evaluated(lambda: self._train(fit), watching, chosen.preprocessing, folder / "validation")
        return fit, figures, self._curve(fit, watching, folder / "curve")

    def _final_model(self, fit: Fit, chosen: Candidate, folds: list[list[dict]]) -> Path:
        """The bundle of the final fit; the card's validation is the mean over the folds."""
        if not (self.out / "model" / METADATA).is_file():
            network = self._train(fit)
            self._write_bundle(fit, chosen, folds, network)
        return self.out / "model"

    def _write_bundle(
        self,
        fit: Fit,
        chosen: Candidate,
        folds: list[list[dict]],
        network: PerfusionNetwork,
        rows: list[dict] | None = None,
    ) -> None:
        history = fit.history()
        for name in ("validation_r", "validation_excess"):
            values = [fold[-1][name] for fold in folds]
            history[-1][name] = None if None in values else float(np.mean(values))
        plan = TrainingPlan(
            cohort=self.plan.cohort,
            out=self.out,
            name=self.plan.name,
            version=self.plan.version,
            network=chosen.network,
            training=chosen.training,
            preprocessing=chosen.preprocessing,
            validation_share=0.0,
        )
        write_bundle(plan, self.rows, self._samples(chosen), list(fit.learning), network, history, rows)

    def _test(self, model: Path, chosen: Candidate) -> list[dict]:
        """The one look at the test set, with one model only."""
        path = self.out / "test.json"
        weights = hashlib.sha256((model / WEIGHTS).read_bytes()).hexdigest()
        if not path.is_file():
            write_json(path, {"weights_sha256": weights, "patients": list(self.split.test)})
        if read_json(path)["weights_sha256"] != weights:
            raise InputError(
                f"{path}: the test set has been looked at with another model, and once is all there is; "
                "begin a new study with another --out"
            )
        return self._evaluated(
            lambda: load_bundle(model).network(), self.split.test, chosen.preprocessing, self.out / "test"
        )

    def _finish_card(self, fit: Fit, chosen: Candidate, folds: list[list[dict]], test: list[dict]) -> None:
        """Write the test's table into the model card; the weights stay as they are."""
        bundle = load_bundle(self.out / "model")
        if "test" not in bundle.metadata:
            rows = [row for figures in test for row in figures["rows"]]
            self._write_bundle(fit, chosen, folds, bundle.network(), rows)

    def _without(self, chosen: Candidate) -> list[dict]:
        """The paper's second model: trained and tested without the patients of one diagnosis."""
        excluded = {row.patient_id for row in self.rows if row.diagnosis == self.plan.without}
        if not excluded:
            raise InputError(f"{self.plan.cohort}: no patient has the diagnosis {self.plan.without!r}")
        learning = [p for p in self.split.training if p not in excluded]
        tested = [p for p in self.split.test if p not in excluded]
        if not learning or not tested:
            raise InputError(f"{self.plan.cohort}: without {self.plan.without!r} nobody is left to train or test on")
        fit = self._fit("without", chosen, learning, [], keep=False)
        return self._evaluated(lambda: self._train(fit), tested, chosen.preprocessing, self.out / "without" / "test")

    def _sensitivity(self, chosen: Candidate) -> dict[str, list[dict]]:
        """Variants of the preprocessing on the first fold: validation, never the test set."""
        variants = self.plan.sensitivity_variants(chosen.with_epochs(self.plan.search_epochs()))
        return {
            name: self._on_first_fold(f"sensitivity/{name.replace(' ', '-')}", variant, self.split.around(0))
            for name, variant in variants.items()
        }

    def _learning_curve(self, chosen: Candidate) -> dict[str, list[dict]]:
        """More and more training patients, the same number of steps."""
        everybody = self.split.around(0)
        order = np.random.default_rng([self.plan.split.seed, 3]).permutation(everybody).tolist()
        figures = {}
        for share in LEARNING_SHARES:
            number = max(1, round(share * len(order)))
            longer = chosen.with_epochs(round(self.plan.search_epochs() * len(order) / number))
            figures[str(number)] = self._on_first_fold(f"learning/{number}", longer, order[:number])
        return figures

    def _on_first_fold(self, run: str, choice: Candidate, learning: list[str]) -> list[dict]:
        fit = self._fit(run, choice, learning, [], keep=False)
        folder = self.out / run / "validation"
        return self._evaluated(lambda: self._train(fit), self.split.folds[0], choice.preprocessing, folder)

    def _fit(self, run: str, choice: Candidate, learning, watching, keep: bool = True) -> Fit:
        epochs = curve_epochs(choice.training.epochs, self.plan.curve_points) if keep else []
        return Fit(self.out / run, choice, list(learning), list(watching), self.device, epochs)

    def _train(self, fit: Fit) -> PerfusionNetwork:
        samples = self._samples(fit.choice)
        name = fit.run.relative_to(self.out).as_posix()
        tell = self._meter.part(2 * len(fit.learning) * fit.choice.training.epochs)
        return fit.network(
            samples,
            lambda record: self._tell(epoch={"run": name, **asdict(record)}),
            lambda done, steps: tell(f"Training {name}, step {done} of {steps}", done / steps),
        )

    def _samples(self, choice: Candidate) -> Samples:
        """Lungs of the training set under some preprocessing; the last ones asked for stay in memory."""
        if getattr(self, "_loaded", (None,))[0] != choice.preprocessing:
            parts = [
                cached_samples(p, self.patients[p].files, choice.preprocessing, self.out / "samples")
                for p in self.split.training
            ]
            self._loaded = (choice.preprocessing, Samples.joined(parts))
        return self._loaded[1]

    def _evaluated(
        self, network: Callable[[], PerfusionNetwork], who, preprocessing: PreprocessingSettings, folder: Path
    ) -> list[dict]:
        """Figures of some patients; the network is only made where one of them is missing."""
        missing = [p for p in who if not (folder / f"{p}.json").is_file()]
        made = network() if missing else None
        tell = self._meter.part(_EVALUATE * len(who))
        return evaluate_patients([self.patients[p] for p in who], made, preprocessing, self.device, folder, tell)

    def _curve(self, fit: Fit, who, folder: Path) -> list[dict]:
        missing = [p for p in who if not (folder / f"{p}.json").is_file()]
        networks = fit.epochs(self._samples(fit.choice)) if missing else {}
        tell = self._meter.part(_EVALUATE * len(who))
        return curve_of(
            [self.patients[p] for p in who], networks, fit.choice.preprocessing, self.device, folder, tell
        )

    def _work(self) -> float:
        """All that lies ahead, in training steps of one lung; an estimate for the progress bar."""
        plan, n = self.plan, len(self.rows)
        learning = 2 * n * (1 - plan.split.test_share)
        trials = len(plan.candidates()) * plan.search.folds if len(plan.candidates()) > 1 else 0
        part = learning * (1 - 1 / plan.split.folds)
        work = n * (1 + _PREPARE + 2 * _EVALUATE) + trials * plan.search_epochs() * part
        work += plan.training.epochs * (plan.split.folds * part + learning)
        if plan.without:
            work += plan.training.epochs * learning
        if plan.sensitivity:
            work += 9 * plan.search_epochs() * part
        if plan.learning_curve:
            work += len(LEARNING_SHARES) * plan.search_epochs() * part
        return work


class _Meter:
    """Hands out the parts of one progress bar, one after the other."""

    def __init__(self, progress: Progress, work: float):
        self._progress, self._work, self._done = progress, work, 0.0

    def part(self, work: float) -> Progress:
        """The next stretch of the bar, in the units of the whole."""
        start = min(self._done / self._work, 1.0)
        self._done += work
        return within(self._progress, start, min(self._done / self._work, 1.0))
