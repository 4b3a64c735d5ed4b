"""How far a long computation has come, reported to whoever shows it.

A computation takes a ``Progress`` (any callable of stage and fraction) and calls it; it never prints. A run that
is to end ends there at the latest.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable
from typing import TextIO

from DLCTPMLib.common.console import NOBODY_READS, cannot_be_written
from DLCTPMLib.common.ending.interruption import interrupt, raise_if_received
from DLCTPMLib.common.errors import InputError

Progress = Callable[[str, float], None]
"""Called with the name of the running stage and the finished fraction of the whole, 0…1."""


EventSink = Callable[..., None]
"""Called with an event's named values (``epoch={…}``) for a program that reads along, beside the progress that
people see."""


def no_progress(stage: str, fraction: float) -> None:
    """Report to nobody."""
    raise_if_received()


def no_events(**values: object) -> None:
    """Send nothing."""


class JsonLines:
    """One JSON object a line (``{"stage": …, "fraction": …}``), for a program that reads along."""

    def __init__(self, stream: TextIO | None = None):
        self._stream = stream or sys.stdout
        self._last: dict = {"stage": "", "fraction": 0.0}

    def __call__(self, stage: str, fraction: float) -> None:
        """Write the line."""
        raise_if_received()
        self._last = {"stage": stage, "fraction": round(fraction, 4)}
        self._write(self._last)

    def emit(self, **values: object) -> None:
        """Write stage and fraction again, with values beside them; what is not a number is null."""
        self._write({**self._last, **_finite(values)})

    def _write(self, line: dict) -> None:
        try:
            print(json.dumps(line), file=self._stream, flush=True)
        except OSError as gone:
            if gone.errno not in NOBODY_READS:
                raise InputError(cannot_be_written(gone)) from gone
            interrupt()  # the program that read along has ended: nobody waits for the results


class TerminalBar:
    """A bar on one terminal line with the stage and the seconds so far; nothing where no one is looking."""

    WIDTH = 30

    def __init__(self, stream: TextIO | None = None):
        self._stream = stream or sys.stderr
        self._start = time.monotonic()

    def __call__(self, stage: str, fraction: float) -> None:
        """Draw the bar anew."""
        raise_if_received()
        if not self._stream.isatty():
            return
        filled = round(self.WIDTH * min(max(fraction, 0.0), 1.0))
        bar = "█" * filled + "·" * (self.WIDTH - filled)
        seconds = time.monotonic() - self._start
        end = "\n" if fraction >= 1 else ""
        self._stream.write(f"\r\x1b[2K{bar} {fraction:4.0%}  {seconds:5.1f} s  {stage}{end}")
        self._stream.flush()


def event_sink(progress: Progress) -> EventSink:
    """Where events beside this progress go: into its JSON lines, else nowhere."""
    return progress.emit if isinstance(progress, JsonLines) else no_events


def _finite(value):
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def within(progress: Progress, start: float, stop: float) -> Progress:
    """The same progress, for a part that runs from ``start`` to ``stop`` of the whole."""
    return lambda stage, fraction: progress(stage, start + (stop - start) * fraction)
