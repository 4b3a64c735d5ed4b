"""Work on the panel's thread a few milliseconds at a time, so that the user's clicks come between.

A Python thread would hardly get a turn in Slicer, whose event loop keeps the interpreter to itself.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Generator
from typing import TypeVar

import qt

T = TypeVar("T")
TURN_MS, PAUSE_MS = 15, 5
"""How long the panel's thread works at a time, and how long it then leaves to the user."""


def runThrough(steps: Generator[None, None, T]) -> T:
    """Do all steps now; gives what they return."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def asSteps(made: T | Generator[None, None, T]) -> Generator[None, None, T]:
    """A value that is there already, or that steps make, as steps."""
    if inspect.isgenerator(made):
        made = yield from made
    return made


class Steps:
    """Steps that are done between the user's clicks.

    Args:
        steps: a generator that yields where the user may have a turn, and returns a value.
        ended: called once, not after ``stop``, with a function that gives the value or raises what the steps raised.
    """

    def __init__(self, steps: Generator[None, None, T], ended: Callable[[Callable[[], T]], None]):
        self._steps, self._ended = steps, ended
        self.running = True
        self._timer = qt.QTimer()
        self._timer.setInterval(PAUSE_MS)
        self._timer.timeout.connect(self._turn)

    def start(self) -> Steps:
        """Begin with a first turn; what fits into it has ended when this returns."""
        self._timer.start()
        self._turn()
        return self

    def finish(self) -> None:
        """Do what is left now."""
        self._turn(float("inf"))

    def stop(self) -> None:
        """Leave what is left undone and tell nobody."""
        self.running = False
        self._timer.stop()
        self._steps.close()

    def _turn(self, turn_s: float = TURN_MS / 1000) -> None:
        until = time.monotonic() + turn_s
        try:
            while self.running and time.monotonic() < until:
                next(self._steps)
        except StopIteration as end:
            value = end.value
            self._end(lambda: value)
        except Exception as error:
            raised = error
            self._end(lambda: _throw(raised))

    def _end(self, result: Callable[[], T]) -> None:
        self.running = False
        self._timer.stop()
        self._ended(result)


def _throw(error: Exception):
    raise error
