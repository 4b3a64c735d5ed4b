"""What the module asks of the engine: check a cohort, make a simulated one, train, go on with a cut-off run."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from slicer.i18n import tr as _

from DLCTPMSlicerLib.engine.command import TRAINING
from DLCTPMSlicerLib.engine.errors import NodeError
from DLCTPMSlicerLib.engine.job import EngineJob, JobError, JobResult
from DLCTPMSlicerLib.engine.models import ModelChoice, installModel
from DLCTPMSlicerLib.engine.process import EngineProgress, Outcome
from DLCTPMTrainingSlicerLib.run_folder import RunFolder, State, TrainingRecord
from DLCTPMTrainingSlicerLib.training_options import OptionsError, TrainingOptions


def nothing(_value: object) -> None:
    """Tell nobody."""


def counted(number: int, one: str, many: str) -> str:
    """The sentence for one, or the one for many with ``{count}`` filled in."""
    return one if number == 1 else many.format(count=number)


@dataclass(frozen=True)
class CohortReport:
    """What ``dlctpm cohort check`` found.

    Attributes:
        patients: rows that can be used; ``women``, ``men``, ``simulated`` and ``without_lungs`` of them.
        real_cts: those of the simulated whose CT is a real person's.
        diagnoses: how many have each.
        problems: faults with which nothing may be trained, each with its line.
        warnings: what a reader of the results should know.
    """

    patients: int
    women: int = 0
    men: int = 0
    simulated: int = 0
    real_cts: int = 0
    without_lungs: int = 0
    diagnoses: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def sentence(self) -> str:
        """The cohort in a line or two."""
        parts = [counted(self.patients, _("1 patient"), _("{count} patients"))]
        sexes = [
            counted(number, one, many)
            for number, one, many in (
                (self.women, _("1 woman"), _("{count} women")),
                (self.men, _("1 man"), _("{count} men")),
            )
            if number
        ]
        if sexes:
            parts.append(_(" and ").join(sexes))
        if self.diagnoses:
            parts.append(counted(len(self.diagnoses), _("1 diagnosis"), _("{count} diagnoses")))
        if self.simulated:
            parts.append(_("simulated") if self.simulated == self.patients else _("some simulated"))
        if self.real_cts:
            parts.append(_("{count} of them on real people's CTs").format(count=self.real_cts))
        if self.without_lungs:
            parts.append(_("{count} without a lung mask: lungs are found in the CT").format(count=self.without_lungs))
        faults = _("Faults: {count}.").format(count=len(self.problems)) if self.problems else _("No faults.")
        return f"{', '.join(parts)}. {faults}"


@dataclass(frozen=True)
class TrainingResult:
    """What a finished run brought.

    Attributes:
        run: its folder.
        model: the model as it stands in the model lists now; None if it was not to be put there.
    """

    run: RunFolder
    model: ModelChoice | None


def startCheck(
    cohort: Path,
    study: bool = False,
    onProgress: Callable[[EngineProgress], None] = nothing,
    onFinished: Callable[[JobResult], None] = nothing,
) -> EngineJob:
    """Start looking for faults; a cohort with faults is a result (a ``CohortReport``), not a failure."""
    told: dict = {}

    def hear(progress: EngineProgress) -> None:
        told.update(progress.values)
        onProgress(progress)

    def finished(result: JobResult) -> None:
        if "check" in told and result.outcome is not Outcome.CANCELLED:
            result = JobResult(Outcome.DONE, details=result.details, value=CohortReport(**told["check"]))
        onFinished(result)

    arguments = ["cohort", "check", str(cohort), *(["--study"] if study else [])]
    return EngineJob(
        lambda _folder: arguments, lambda _folder: None, hear, finished, endsWithScene=False, program=TRAINING
    ).start()


def checkCohort(cohort: Path, study: bool = False) -> CohortReport:
    """Look for faults and wait.

    Raises:
        JobError: the table cannot be read at all.
    """
    results: list[JobResult] = []
    job = startCheck(cohort, study, onFinished=results.append)
    with contextlib.suppress(JobError):  # faults are what was asked for
        job.wait()
    if results[0].outcome is not Outcome.DONE:
        raise JobError(results[0].message or _("Cancelled."), results[0].details)
    return results[0].value


def startCohort(patients: int, seed: int, folder: Path, **callbacks) -> EngineJob:
    """Start making simulated patients; the job delivers the path of their table."""
    arguments = ["cohort", "simulate", "--patients", str(patients), "--seed", str(seed), "--out", str(folder)]
    table = Path(folder) / "cohort.csv"
    return EngineJob(
        lambda _folder: arguments, lambda _folder: table, endsWithScene=False, program=TRAINING, **callbacks
    ).start()


def startTraining(options: TrainingOptions, install: bool = True, **callbacks) -> EngineJob:
    """Start a training or a study; the job delivers a ``TrainingResult``. Callbacks as for ``startRun``."""
    return startRun(Path(options.out), options.arguments(), options.name.strip(), install, **callbacks)


def startResume(folder: Path, device: str = "auto", install: bool = True, **callbacks) -> EngineJob:
    """Start going on with a run that was cut off, with its own settings; callbacks as for ``startRun``.

    Raises:
        OptionsError: there is no such run in the folder.
    """
    from DLCTPMLib.common.run_file import arguments_of

    found = RunFolder.look(Path(folder))
    if found.state is not State.CUT_OFF:
        reason = found.sentence() or _("There is no run in {folder}.").format(folder=folder)
        raise OptionsError(_("Nothing to resume: {reason}").format(reason=reason))
    arguments = [*arguments_of(found.run, found.path), "--device", device]
    return startRun(found.path, arguments, found.record.name, install, found.record, **callbacks)


def startRun(
    folder: Path,
    arguments: list[str],
    name: str,
    install: bool = True,
    record: TrainingRecord | None = None,
    onProgress: Callable[[EngineProgress], None] = nothing,
    onFinished: Callable[[JobResult], None] = nothing,
    onEpoch: Callable[[TrainingRecord], None] = nothing,
) -> EngineJob:
    """Start one command that trains.

    Args:
        folder: of the run.
        arguments: of the command.
        name: of the model.
        install: put the model where every model list finds it.
        record: the epochs that are already there.
        onProgress: called with ``EngineProgress``.
        onFinished: called once with a ``JobResult``.
        onEpoch: called with the record so far, at once if the run has epochs, then after every epoch.
    """
    record = record or TrainingRecord(folder, name)
    clock = TrainingClock()

    def hear(progress: EngineProgress) -> None:
        if "cohort" in progress.values:
            record.simulated = bool(progress.values["cohort"].get("simulated"))
        if "epoch" in progress.values:
            record.add(progress.values["epoch"])
            onEpoch(record)
        onProgress(replace(progress, seconds_left=clock.secondsLeft(progress)))

    def deliver(_folder: Path) -> TrainingResult:
        run = RunFolder.look(folder)
        if run.model is None:
            raise NodeError(_("The engine left no model in {folder}.").format(folder=folder))
        return TrainingResult(run, installModel(run.model) if install else None)

    if record.fits:
        onEpoch(record)
    return EngineJob(
        lambda _folder: arguments, deliver, hear, onFinished, endsWithScene=False, program=TRAINING
    ).start()


class TrainingClock:
    """Time left from the first training step that this process reports: what an earlier run did took no time now."""

    def __init__(self, now: Callable[[], float] = time.monotonic):
        self._now, self._start = now, None

    def secondsLeft(self, progress: EngineProgress) -> float | None:
        """Seconds to the end if it goes on like this; None before there is anything to go by."""
        if self._start is None:
            if progress.stage.startswith("Training"):
                self._start = (self._now(), progress.fraction)
            return None
        moment, fraction = self._start
        if progress.fraction <= fraction:
            return None
        return (1 - progress.fraction) * (self._now() - moment) / (progress.fraction - fraction)
