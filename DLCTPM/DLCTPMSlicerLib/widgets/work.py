"""Work on the panel's own thread, in steps between the user's clicks, shown as what runs."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TypeVar

from DLCTPMSlicerLib.engine.activity import Activity
from DLCTPMSlicerLib.engine.errors import NodeError
from DLCTPMSlicerLib.engine.steps import Steps

T = TypeVar("T")


class Work:
    """One piece of work at a time.

    Args:
        activity: the panel's.
    """

    def __init__(self, activity: Activity):
        self._activity = activity
        self._steps: Steps | None = None

    def run(self, stage: str, steps: Generator[None, None, T], done: Callable[[T], None]) -> None:
        """Do the steps, unless something else runs.

        Args:
            stage: what to say meanwhile.
            steps: what to do; a ``NodeError`` of theirs is shown.
            done: given what they return; ends the activity with its own words.
        """
        if self._activity.busy:
            return

        def ended(result: Callable[[], T]) -> None:
            try:
                value = result()
            except NodeError as problem:
                self._activity.fail(str(problem))
            else:
                done(value)

        self._activity.begin(stage, None)
        self._steps = Steps(steps, ended)
        self._steps.start()

    def stop(self) -> None:
        """Leave undone what is left: the panel is going."""
        if self._steps is not None and self._steps.running:
            self._steps.stop()
            self._activity.end("")
