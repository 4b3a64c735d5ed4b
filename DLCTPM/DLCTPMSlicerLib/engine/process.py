"""Runs the engine's command line in a child process: progress lines in, Cancel out, Slicer stays alive."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

import qt

from DLCTPMLib.cli.parent_process import ENDS_WITH_INPUT

POLL_MS = 50
KILL_AFTER_S = 3.0
"""How long a cancelled process may clean up before it is killed."""
KEPT_LINES = 40


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
    """One run of a command. Give it callbacks and ``start`` it; it reports from Qt's event loop.

    The engine ends with Slicer, however Slicer ends (``DLCTPMLib.cli.parent_process``).

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
        self._process: subprocess.Popen | None = None
        self._lines: queue.Queue = queue.Queue()
        self._last_lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._error_sentence = ""
        self._cancelled_at: float | None = None
        self._timer: qt.QTimer | None = None

    @property
    def running(self) -> bool:
        """Whether the run has begun and not ended."""
        return self._process is not None and self.result is None

    def start(self) -> None:
        """Start the process; a program that cannot be started ends the run as failed."""
        own_group = (
            {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
            if os.name == "nt"
            else {"start_new_session": True}
        )
        self._started = time.monotonic()
        try:
            self._process = subprocess.Popen(
                self.command,
                env={**(os.environ if self.environment is None else self.environment), ENDS_WITH_INPUT: "1"},
                cwd=self.folder,
                stdin=subprocess.PIPE,  # closed by the system when Slicer is killed
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
                **own_group,
            )
        except OSError as error:
            self._finish(EngineResult(Outcome.FAILED, f"{self.command[0]} cannot be started: {error.strerror}."))
            return
        self._readers = [
            threading.Thread(target=self._read, args=(stream, name), daemon=True)
            for stream, name in ((self._process.stdout, "out"), (self._process.stderr, "err"))
        ]
        for reader in self._readers:
            reader.start()
        self._timer = qt.QTimer()
        self._timer.setInterval(POLL_MS)
        self._timer.timeout.connect(self._poll)
        self._timer.start()

    def cancel(self) -> None:
        """Ask the process and its children to end; they are killed if they do not."""
        if self.running and self._cancelled_at is None:
            self._cancelled_at = time.monotonic()
            if os.name == "nt":
                self._process.stdin.close()  # Windows has no signal that lets it tidy up
            else:
                self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the process and its children at once, without a report: the panel or Slicer is closing."""
        self.onProgress, self.onFinished = lambda progress: None, lambda result: None
        if self.running:
            self._cancelled_at = time.monotonic()
            self._signal(getattr(signal, "SIGKILL", signal.SIGTERM))
            self._process.wait()
            self._poll()

    def wait(self) -> EngineResult:
        """Wait for the end without an event loop, and give the result."""
        while self.running:
            self._poll()
            time.sleep(POLL_MS / 1000)
        return self.result

    def _read(self, stream, name: str) -> None:
        for line in stream:
            self._lines.put((name, line.rstrip()))

    def _poll(self) -> None:
        if not self.running:
            return
        ended = self._process.poll() is not None
        if ended:
            for reader in self._readers:
                reader.join(timeout=1.0)
        while True:
            try:
                self._take(*self._lines.get_nowait())
            except queue.Empty:
                break
        if ended:
            self._finish(self._result())
        elif self._cancelled_at is not None and time.monotonic() - self._cancelled_at > KILL_AFTER_S:
            self._signal(getattr(signal, "SIGKILL", signal.SIGTERM))

    def _take(self, stream: str, line: str) -> None:
        if stream == "out" and line.startswith("{"):
            try:
                report = json.loads(line)
                stage, fraction = str(report.pop("stage")), float(report.pop("fraction"))
            except (ValueError, KeyError, TypeError):
                self._last_lines.append(line)
                return
            self.onProgress(EngineProgress(stage, fraction, self._seconds_left(fraction), report))
            return
        if not line:
            return
        self._last_lines.append(line)
        if stream == "err" and line.startswith("error: "):
            self._error_sentence = line.removeprefix("error: ")

    def _seconds_left(self, fraction: float) -> float | None:
        elapsed = time.monotonic() - self._started
        if fraction < 0.02 or elapsed < 1.0:
            return None
        return elapsed * (1 - fraction) / fraction

    def _result(self) -> EngineResult:
        details = "\n".join(self._last_lines)
        if self._cancelled_at is not None:
            return EngineResult(Outcome.CANCELLED, details=details)
        if self._process.returncode == 0:
            return EngineResult(Outcome.DONE, details=details)
        message = self._error_sentence or (
            f"The engine ended unexpectedly (exit status {self._process.returncode}). "
            "Please report this with the lines below."
        )
        return EngineResult(Outcome.FAILED, message, details)

    def _finish(self, result: EngineResult) -> None:
        self.result = result
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        if self._process is not None:
            for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
                stream.close()
        self.onFinished(result)

    def _signal(self, number: int) -> None:
        """Send a signal to the process and everything it started (its own group, or Windows' process tree)."""
        if os.name == "nt":
            subprocess.run(["taskkill", "/PID", str(self._process.pid), "/T", "/F"], capture_output=True, check=False)
            return
        with contextlib.suppress(ProcessLookupError):  # it may just have ended by itself
            os.killpg(self._process.pid, number)
