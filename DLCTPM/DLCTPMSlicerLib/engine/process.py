"""Runs the engine's command line in a child process: progress lines in, Cancel out, Slicer stays alive."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

import qt

from DLCTPMLib.cli.parent_process import ENDS_WITH_INPUT
from DLCTPMSlicerLib.engine.output_reader import OutputReader
from DLCTPMSlicerLib.engine.process_group import ProcessGroup

POLL_MS = 50
CLOSING_S = 0.1
"""How long ``kill`` lets a killed process go, so that it writes nothing into a folder that is being removed."""
REPORTING_S = 0.02
"""How long one look at the reports may take before Qt's event loop gets its turn again."""
KILL_AFTER_S = 3.0
"""How long a cancelled process may clean up before it is killed with all that it started."""
GIVEN_UP_AFTER_S = 0.5
"""How long after that its pipes may stay open: whoever still holds them is no longer of this run."""


class Outcome(Enum):
    """How a run ended."""

    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"


@dataclass(frozen=True)
class EngineResult:
    """What came of a run.

    Attributes:
        outcome: done, cancelled or failed.
        message: one sentence for the user where it failed; the engine's own where it gave one.
        details: the last lines the process wrote.
    """

    outcome: Outcome
    message: str = ""
    details: str = ""


@dataclass(frozen=True)
class EngineProgress:
    """Where a run is.

    Attributes:
        stage: the stage's name.
        fraction: finished part of the whole, 0…1.
        seconds_left: None while it is not known.
        values: what else the engine told on this line, for example the figures of an ``epoch``; mostly nothing.
    """

    stage: str
    fraction: float
    seconds_left: float | None
    values: dict = field(default_factory=dict)


class EngineProcess:
    """One run of a command. Give it callbacks and ``start`` it; it reports from Qt's event loop and never holds it.

    The run has ended when nobody can write to its outputs any more. The engine ends with Slicer, however Slicer ends
    (``DLCTPMLib.cli.parent_process``).

    Args:
        command: program and arguments.
        environment: the child's environment; None for this process's own.
        folder: working folder.
        onProgress: called with an ``EngineProgress``.
        onFinished: called once with an ``EngineResult``, whatever happens.

    Example::

        process = EngineProcess(engineCommand(["segment", path, "--out", labels]), onFinished=print)
        process.start()
        process.wait()   # only where there is no event loop to come back to
    """

    def __init__(
        self,
        command: list[str],
        environment: dict[str, str] | None = None,
        folder: str | None = None,
        onProgress: Callable[[EngineProgress], None] = lambda progress: None,
        onFinished: Callable[[EngineResult], None] = lambda result: None,
    ):
        self.command, self.environment, self.folder = command, environment, folder
        self.onProgress, self.onFinished = onProgress, onFinished
        self.result: EngineResult | None = None
        self._group: ProcessGroup | None = None
        self._output: OutputReader | None = None
        self._cancelled = False
        self._ending_since: float | None = None
        self._polling = False
        self._timer: qt.QTimer | None = None

    @property
    def running(self) -> bool:
        """Whether the run has begun and not ended."""
        return self._group is not None and self.result is None

    @property
    def pid(self) -> int:
        """Number of the process that was started."""
        return self._group.pid

    def start(self) -> None:
        """Start the process; a program that cannot be started ends the run as failed."""
        self._started = time.monotonic()
        environment = {**(os.environ if self.environment is None else self.environment), ENDS_WITH_INPUT: "1"}
        try:
            self._group = ProcessGroup(self.command, env=environment, cwd=self.folder)
        except OSError as error:
            self._finish(EngineResult(Outcome.FAILED, f"{self.command[0]} cannot be started: {error.strerror}."))
            return
        self._output = OutputReader(self._group.process.stdout, self._group.process.stderr)
        self._timer = qt.QTimer()
        self._timer.setInterval(POLL_MS)
        self._timer.timeout.connect(self._poll)
        self._timer.start()

    def cancel(self) -> None:
        """Ask the process and its children to end; they are killed if they do not. Nothing is reported any more."""
        if self.running and not self._cancelled:
            self._cancelled, self._ending_since = True, time.monotonic()
            self._output.dropReports()
            self._group.interrupt()

    def kill(self) -> None:
        """End the process and its children at once, without a report: the panel or Slicer is closing."""
        self.onProgress, self.onFinished = lambda progress: None, lambda result: None
        if self.running:
            self._cancelled = True
            self._output.dropReports()
            self._group.kill()
            until = time.monotonic() + CLOSING_S
            while not self._output.atEnd and time.monotonic() < until:
                time.sleep(0.005)
            self._finish(EngineResult(Outcome.CANCELLED))

    def wait(self) -> EngineResult:
        """Wait for the end without an event loop, and give the result."""
        while self.running:
            self._poll()
            time.sleep(POLL_MS / 1000)
        return self.result

    def _poll(self) -> None:
        if not self.running or self._polling:  # a progress window may let events happen while it is told
            return
        self._polling = True
        try:
            self._look()
        finally:
            self._polling = False

    def _look(self) -> None:
        atEnd, firstEnded = self._output.atEnd, self._group.firstHasEnded()  # before the last reports are fetched
        allReported = self._report()
        if not self.running:  # a callback has ended it
            return
        if atEnd and firstEnded and allReported:
            self._finish(None)
        elif firstEnded and not atEnd and self._ending_since is None:
            self._ending_since = time.monotonic()  # what it has left behind gets as long as after Cancel
        elif self._ending_since is not None and not atEnd:
            self._endOverdue(time.monotonic() - self._ending_since)

    def _report(self) -> bool:
        """Hand on the reports that have come, for a moment; whether none is left."""
        until = time.monotonic() + REPORTING_S
        while self.running and time.monotonic() < until:
            report = self._output.nextReport()
            if report is None:
                return True
            stage, fraction = report.pop("stage"), report.pop("fraction")
            self.onProgress(EngineProgress(stage, fraction, self._seconds_left(fraction), report))
        return False

    def _endOverdue(self, seconds: float) -> None:
        if seconds > KILL_AFTER_S:
            self._group.kill()
        if seconds > KILL_AFTER_S + GIVEN_UP_AFTER_S:
            self._finish(None)

    def _seconds_left(self, fraction: float) -> float | None:
        elapsed = time.monotonic() - self._started
        if fraction < 0.02 or elapsed < 1.0:
            return None
        return elapsed * (1 - fraction) / fraction

    def _resultOf(self, status: int | None) -> EngineResult:
        details = "\n".join(self._output.lines)
        if self._cancelled:
            return EngineResult(Outcome.CANCELLED, details=details)
        if status == 0:
            return EngineResult(Outcome.DONE, details=details)
        message = self._output.errorSentence or (
            f"The engine ended unexpectedly (exit status {status}). Please report this with the lines below."
        )
        return EngineResult(Outcome.FAILED, message, details)

    def _finish(self, result: EngineResult | None) -> None:
        """The run is over, with this result or the one that its exit status and its lines tell."""
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        if self._group is not None:
            status = self._group.end()
            result = result or self._resultOf(status)
        self.result = result
        self.onFinished(result)
