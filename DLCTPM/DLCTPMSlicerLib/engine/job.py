"""One job of the engine from nodes to nodes: files out, run, read results; the scene stays as before on failure."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

import slicer
from slicer.i18n import tr as _

from DLCTPMLib.cli.parent_process import REMOVED_WITH_PARENT
from DLCTPMSlicerLib.engine import setup as engine_setup
from DLCTPMSlicerLib.engine.command import ENGINE, MODULE_FOLDER, engineCommand, engineEnvironment
from DLCTPMSlicerLib.engine.errors import NodeError
from DLCTPMSlicerLib.engine.process import EngineProcess, EngineProgress, EngineResult, Outcome
from DLCTPMSlicerLib.engine.steps import Steps, asSteps


@dataclass(frozen=True)
class JobResult:
    """How a job ended, and what it brought.

    Attributes:
        outcome: done, cancelled or failed.
        message: one sentence for the user where it failed.
        details: the engine's last lines.
        value: what ``deliver`` gave; None unless done.
        failedChecks: a sentence for each check of the input by which the result could not be right; mostly none.
    """

    outcome: Outcome
    message: str = ""
    details: str = ""
    value: object = None
    failedChecks: tuple[str, ...] = ()


class JobError(RuntimeError):
    """Raised by a logic method that waits, with the sentence for the user; ``details`` has the engine's lines."""

    def __init__(self, message: str, details: str = ""):
        super().__init__(message)
        self.details = details


class EngineJob:
    """Prepares files, runs one engine command, and brings its results into the scene.

    Args:
        prepare: given an empty folder, writes what the engine reads and returns the command's arguments; a generator
            that yields in between leaves the user a turn there.
        deliver: given that folder after the run, makes the nodes and returns what the caller wants; a generator too,
            whose last step alone touches the scene.
        onProgress: called with ``EngineProgress``.
        onFinished: called once with a ``JobResult``.
        endsWithScene: end when the scene is closed, for a job on the scene's nodes.
        program: ``engine.command.ENGINE``, or ``TRAINING`` for training's commands.
    """

    def __init__(
        self,
        prepare: Callable[[Path], list[str] | Generator[None, None, list[str]]],
        deliver: Callable[[Path], object | Generator[None, None, object]],
        onProgress: Callable[[EngineProgress], None] = lambda progress: None,
        onFinished: Callable[[JobResult], None] = lambda result: None,
        endsWithScene: bool = True,
        program: str = ENGINE,
    ):
        self._program = program
        self._endsWithScene = endsWithScene
        self._prepare, self._deliver = prepare, deliver
        self._onProgress, self._onFinished = onProgress, onFinished
        self._preparing: Steps | None = None
        self._delivering: Steps | None = None
        self._process: EngineProcess | None = None
        self._folder: Path | None = None
        self._sceneTag: int | None = None
        self._failedChecks: tuple[str, ...] = ()
        self.result: JobResult | None = None

    @property
    def running(self) -> bool:
        """Whether the job has begun and not ended."""
        return self._folder is not None and self.result is None

    def start(self) -> EngineJob:
        """Write the files, between the user's clicks, and start the engine; a node that cannot be used, or an engine
        that lacks packages which the user does not want installed, ends the job as failed."""
        self._folder = Path(tempfile.mkdtemp(prefix="dlctpm-", dir=slicer.app.temporaryPath))
        if self._endsWithScene:
            self._sceneTag = slicer.mrmlScene.AddObserver(slicer.mrmlScene.StartCloseEvent, self._sceneCloses)
        try:
            engine_setup.ensureEngine()
        except engine_setup.SetupError as problem:
            self._finish(JobResult(Outcome.FAILED, str(problem)))
            return self
        self._preparing = Steps(self._written(), self._prepared)
        self._preparing.start()
        return self

    def _written(self) -> Generator[None, None, list[str]]:
        return (yield from asSteps(self._prepare(self._folder)))

    def _prepared(self, arguments: Callable[[], list[str]]) -> None:
        try:
            arguments = arguments()
        except NodeError as problem:
            self._finish(JobResult(Outcome.FAILED, str(problem)))
            return
        except OSError as error:
            self._finish(
                JobResult(Outcome.FAILED, _("Files for the engine cannot be written: {reason}").format(reason=error))
            )
            return
        environment = engineEnvironment() | {REMOVED_WITH_PARENT: str(self._folder)}
        self._process = EngineProcess(
            engineCommand(arguments, self._program), environment, str(MODULE_FOLDER), self._told, self._ended
        )
        self._process.start()

    def cancel(self) -> None:
        """Ask the engine to end; ``onFinished`` follows."""
        if self._process is not None and self._delivering is None:
            self._process.cancel()
        elif self.running:
            self._finish(JobResult(Outcome.CANCELLED))

    def kill(self) -> None:
        """End everything at once and report nothing: the panel or Slicer is closing."""
        self._onProgress, self._onFinished = lambda progress: None, lambda result: None
        if self._process is not None:
            self._process.kill()
        if self.running:
            self._finish(JobResult(Outcome.CANCELLED))

    def wait(self) -> object:
        """Wait for the end and give what the job brought.

        Raises:
            JobError: it failed or was cancelled.
        """
        if self.running and self._process is None:
            self._preparing.finish()
        if self.running:
            self._process.wait()
        if self.running:
            self._delivering.finish()
        if self.result.outcome is not Outcome.DONE:
            raise JobError(self.result.message or _("Cancelled."), self.result.details)
        return self.result.value

    def _sceneCloses(self, _scene, _event) -> None:
        """What the job was for is going: end it, and say so."""
        if self._process is not None:
            self._process.kill()
        if self.running:
            self._finish(JobResult(Outcome.CANCELLED))

    def _told(self, progress: EngineProgress) -> None:
        self._failedChecks = tuple(progress.values.get("failed_checks", self._failedChecks))
        self._onProgress(progress)

    def _ended(self, ended: EngineResult) -> None:
        if ended.outcome is not Outcome.DONE:
            self._finish(JobResult(ended.outcome, ended.message, ended.details, failedChecks=self._failedChecks))
            return
        self._delivering = Steps(self._delivered(), lambda value: self._brought(value, ended.details))
        self._delivering.start()

    def _delivered(self) -> Generator[None, None, object]:
        """What the job brings, in steps; the nodes of a step that fails go."""

        def steps():
            return (yield from asSteps(self._deliver(self._folder)))

        delivering = steps()
        while True:
            before = _nodeIds()
            try:
                next(delivering)
            except StopIteration as end:
                return end.value
            except Exception:
                _removeNodesSince(before)
                raise
            yield

    def _brought(self, value: Callable[[], object], details: str) -> None:
        try:
            value = value()
        except NodeError as problem:
            self._finish(JobResult(Outcome.FAILED, str(problem), details))
        except Exception as error:
            logging.exception("Reading the engine's results failed")
            message = _("The results could not be read: {reason}").format(reason=error)
            self._finish(JobResult(Outcome.FAILED, message, details))
        else:
            self._finish(JobResult(Outcome.DONE, details=details, value=value))

    def _finish(self, result: JobResult) -> None:
        self.result = result
        for steps in (self._preparing, self._delivering):
            if steps is not None:
                steps.stop()
        if self._sceneTag is not None:
            slicer.mrmlScene.RemoveObserver(self._sceneTag)
            self._sceneTag = None
        shutil.rmtree(self._folder, ignore_errors=True)
        finished, self._onFinished = self._onFinished, lambda result: None
        finished(result)


def _nodeIds() -> set[str]:
    scene = slicer.mrmlScene
    return {scene.GetNthNode(index).GetID() for index in range(scene.GetNumberOfNodes())}


def _removeNodesSince(before: set[str]) -> None:
    for nodeId in _nodeIds() - before:
        node = slicer.mrmlScene.GetNodeByID(nodeId)
        if node is not None:
            slicer.mrmlScene.RemoveNode(node)
