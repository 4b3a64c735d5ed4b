"""What every fit of a study needs at hand: the split, the images made ready, samples, and how far it all is.

The stages that can run beside each other (``study.jobs``) are methods here: each leaves files and finds those of
an earlier run, so it does not matter which process ran it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path

import torch

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.common.progress import EventSink, Progress, no_events, no_progress, within
from DLCTPMLib.networks.bundle import METADATA, WEIGHTS, load_bundle
from DLCTPMLib.networks.inference import choose_device
from DLCTPMLib.networks.parts import PerfusionNetwork
from DLCTPMLib.networks.registry import build_network
from DLCTPMLib.preprocessing.settings import PreprocessingSettings
from DLCTPMTrainingLib.ceiling.estimate import Ceiling, ceiling_of_patients
from DLCTPMTrainingLib.cohorts.table import read_cohort
from DLCTPMTrainingLib.common.files import read_json, write_json
from DLCTPMTrainingLib.samples.from_images import cached_samples
from DLCTPMTrainingLib.samples.lung_samples import Samples
from DLCTPMTrainingLib.samples.sample_file import PatientFacts
from DLCTPMTrainingLib.study.evaluation import Evaluated, curve_of, evaluate_patients, seconds_a_map
from DLCTPMTrainingLib.study.fits import Fit
from DLCTPMTrainingLib.study.plan import Candidate, StudyPlan, curve_epochs
from DLCTPMTrainingLib.study.preparation import Patient, prepare_patient
from DLCTPMTrainingLib.study.split import Split, kept_split
from DLCTPMTrainingLib.training.fitting import FittedModel
from DLCTPMTrainingLib.training.loop import DivergenceError

PREPARE, EVALUATE, DRAW = 3.0, 8.0, 15.0
"""What a patient costs, in training steps of one lung; a draw for the ceiling."""
TIMED = 3
"""Test patients whose maps are timed."""


class Workbench:
    """One study's data and its independent stages.

    Args:
        plan: the study.
        progress: told how far it is, of ``work`` training steps of one lung.
        emit: given every ``epoch``.
        work: all that lies ahead.
    """

    def __init__(
        self, plan: StudyPlan, progress: Progress = no_progress, emit: EventSink = no_events, work: float = 1.0
    ):
        self.plan, self.out, self.emit = plan, plan.out, emit
        self.device = choose_device(plan.device)
        self.rows = read_cohort(plan.cohort)
        self.meter = Meter(progress, work)
        self._loaded: dict[PreprocessingSettings, Samples] = {}

    @cached_property
    def split(self) -> Split:
        """Drawn once and kept."""
        return kept_split(self.out / "split.json", self.rows, self.plan.split, self.plan.cohort)

    @cached_property
    def patients(self) -> dict[str, Patient]:
        """Everybody's images, made ready."""
        progress = self.meter.part(PREPARE * len(self.rows))
        patients = {}
        for number, row in enumerate(self.rows):
            progress(f"Preparing patient {row.patient_id}", number / len(self.rows))
            patients[row.patient_id] = prepare_patient(row, self.plan.register, self.out / "patients")
        return patients

    @property
    def facts(self) -> list[PatientFacts]:
        """What a model card tells of everybody in the cohort."""
        return [PatientFacts.of(row) for row in self.rows]

    def make_ready(self, patients: Sequence[str]) -> None:
        """Stage: the images of some patients."""
        for row in self.rows:
            if row.patient_id in patients:
                prepare_patient(row, self.plan.register, self.out / "patients")

    def make_samples(self, patients: Sequence[str], preprocessing: PreprocessingSettings) -> None:
        """Stage: the samples of some patients."""
        for patient in patients:
            cached_samples(patient, self.patients[patient].files, preprocessing, self.out / "samples")

    def fold(self, number: int, choice: Candidate, root: str = "") -> tuple[Fit, Evaluated, list[dict]]:
        """Stage: the fit without one fold, its validation and, for the main network, that through the epochs.

        Args:
            number: of the fold, from 0.
            choice: the settings.
            root: folder of an alternative inside the study; "" is the main network.
        """
        validation = self.split.folds[number]
        fit = self.fit(
            self.below(root, f"folds/{number + 1}"), choice, self.split.around(number), validation, not root
        )
        figures = self.evaluated(
            lambda: [self.train(fit).network], validation, choice.preprocessing, fit.run / "validation"
        )
        return fit, figures, [] if root else self.curve(fit, validation, fit.run / "curve")

    def final_fit(self, choice: Candidate, root: str = "") -> Fit:
        """The fit on the whole training set, trained or not."""
        return self.fit(self.below(root, "final"), choice, self.split.training, [], not root)

    def final(self, choice: Candidate, root: str = "") -> None:
        """Stage: train it, unless its bundle is there."""
        if not (self.out / root / "model" / METADATA).is_file():
            self.train(self.final_fit(choice, root))

    def test(self, choice: Candidate, root: str = "") -> Evaluated:
        """Stage: the one look at the test set, with one model only."""
        model = self.out / root / "model"
        self.looked_once(self.out / root / "test.json", hashlib.sha256((model / WEIGHTS).read_bytes()).hexdigest())
        return self.evaluated(
            lambda: [load_bundle(model).network()], self.split.test, choice.preprocessing, self.out / root / "test"
        )

    def test_curve(self, choice: Candidate) -> list[dict]:
        """Stage: the test set through the kept epochs of the final fit, used for nothing."""
        return self.curve(self.final_fit(choice), self.split.test, self.out / "test-curve")

    def ensemble(self, choice: Candidate) -> Evaluated:
        """Stage: the mean of the maps of the main network's folds on the test set; nothing is trained for it."""
        fits = [
            self.fit(f"folds/{number + 1}", choice, self.split.around(number), fold)
            for number, fold in enumerate(self.split.folds)
        ]
        folder = self.out / "ensemble"
        digest = hashlib.sha256("".join(fit.weights_sha256() for fit in fits).encode()).hexdigest()
        self.looked_once(folder / "test.json", digest)
        return self.evaluated(
            lambda: [self.train(fit).network for fit in fits], self.split.test, choice.preprocessing, folder / "test"
        )

    def looked_once(self, path: Path, weights_sha256: str) -> None:
        """Note with which weights the test set is looked at.

        Raises:
            InputError: if it has been looked at with others.
        """
        if not path.is_file():
            write_json(path, {"weights_sha256": weights_sha256, "patients": list(self.split.test)})
        if read_json(path)["weights_sha256"] != weights_sha256:
            raise InputError(
                f"{path}: the test set has been looked at with another model, and once is all there is; "
                "begin a new study with another --out"
            )

    def ceiling(self, choice: Candidate) -> Ceiling:
        """Stage: the test patients' SPECTs drawn anew, each against the mean of the others."""
        who, draws = self.split.test, self.plan.ceiling
        progress = self.meter.part(len(who) * (draws + 1) * DRAW)
        patients = [self.patients[p] for p in who]
        return ceiling_of_patients(patients, choice.preprocessing, self.out / "ceiling", draws, progress)

    def trained_and_tested(
        self, run: str, choice: Candidate, training: Sequence[str], tested: Sequence[str], folder: str
    ) -> Evaluated:
        """Stage: a fit of its own on some patients, and its figures on others."""
        fit = self.fit(run, choice, training, [], keep=False)
        return self.evaluated(
            lambda: [self.train(fit).network], tested, choice.preprocessing, self.out / run / folder
        )

    def trial(self, run: str, candidate: Candidate, fold: int) -> float | None:
        """Stage: R of one setting on one fold; None if it diverged."""
        fit = self.fit(run, candidate, self.split.around(fold), self.split.folds[fold], keep=False)
        try:
            self.train(fit)
        except DivergenceError:  # this setting has lost, and the others go on
            return None
        return fit.history()[-1]["validation_r"]

    def fit(self, run: str, choice: Candidate, training, validation, keep: bool = True) -> Fit:
        """A training run; the weights of some epochs are kept for the curves if ``keep``."""
        epochs = curve_epochs(choice.training.epochs, self.plan.curve_points) if keep else []
        return Fit(self.out / run, choice, list(training), list(validation), self.device, epochs)

    def train(self, fit: Fit) -> FittedModel:
        """Train a fit, or open a finished one."""
        samples = self.samples(fit.choice)
        name = fit.run.relative_to(self.out).as_posix()
        progress = self.meter.part(2 * len(fit.training) * fit.choice.training.epochs)
        return fit.fitted(
            samples,
            self.facts,
            lambda record: self.emit(epoch={"run": name, **asdict(record)}),
            lambda done, steps: progress(f"Training {name}, step {done} of {steps}", done / steps),
        )

    def samples(self, choice: Candidate) -> Samples:
        """Lungs of the training set under some preprocessing; the last ones asked for stay in memory."""
        if choice.preprocessing not in self._loaded:
            parts = [
                cached_samples(p, self.patients[p].files, choice.preprocessing, self.out / "samples")
                for p in self.split.training
            ]
            self._loaded = {choice.preprocessing: Samples.joined(parts)}
        return self._loaded[choice.preprocessing]

    def evaluated(
        self,
        networks: Callable[[], list[PerfusionNetwork]],
        who: Sequence[str],
        preprocessing: PreprocessingSettings,
        folder: Path,
    ) -> Evaluated:
        """Figures of some patients; the networks are only made where one of them is missing."""
        made = [] if self.evaluated_all(who, folder) else networks()
        progress = self.meter.part(EVALUATE * len(who))
        return evaluate_patients([self.patients[p] for p in who], made, preprocessing, self.device, folder, progress)

    def curve(self, fit: Fit, who: Sequence[str], folder: Path) -> list[dict]:
        """R and SSIM of some patients through a fit's kept epochs."""
        networks = {} if self.evaluated_all(who, folder) else fit.epochs(self.samples(fit.choice))
        progress = self.meter.part(EVALUATE * len(who))
        return curve_of(
            [self.patients[p] for p in who], networks, fit.choice.preprocessing, self.device, folder, progress
        )

    def seconds_a_map(self, choice: Candidate, path: Path, networks: int = 1) -> float:
        """How long a map of a test patient takes; measured once, with weights that do not matter for it."""
        if not path.is_file():
            timed = [self.patients[p] for p in self.split.test[:TIMED]]
            built = [build_network(choice.network).eval()] * networks
            seconds = seconds_a_map(timed, built, choice.preprocessing, self.device)
            write_json(path, {"seconds": seconds, "patients": len(timed), "threads": torch.get_num_threads()})
        return read_json(path)["seconds"]

    @staticmethod
    def evaluated_all(who: Sequence[str], folder: Path) -> bool:
        """Whether every patient's figures are there."""
        return all((folder / f"{p}.json").is_file() for p in who)

    @staticmethod
    def below(root: str, name: str) -> str:
        """The folder of a run, inside the study or inside an alternative's."""
        return f"{root}/{name}" if root else name


class Meter:
    """Hands out the parts of one progress bar, one after the other; it never goes back."""

    def __init__(self, progress: Progress, work: float):
        self._progress, self._work, self._done, self._shown = progress, work, 0.0, 0.0

    def part(self, work: float, counted: bool = True) -> Progress:
        """The next stretch of the bar, in the units of the whole; if not ``counted``, its parts come again."""
        start = min(self._done / self._work, 1.0)
        stop = min((self._done + work) / self._work, 1.0)
        self._done += work if counted else 0
        return within(self._show, start, stop)

    def _show(self, stage: str, fraction: float) -> None:
        self._shown = max(self._shown, fraction)
        self._progress(stage, self._shown)
