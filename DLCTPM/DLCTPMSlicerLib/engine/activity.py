"""The one thing that may be running: its progress bar, stage, time left, and Cancel."""

from __future__ import annotations

import logging
from collections.abc import Callable

import slicer
import slicer.util
from slicer.i18n import tr as _

from DLCTPMSlicerLib.engine.process import EngineProgress, Outcome
from DLCTPMSlicerLib.engine.setup import slicerTooOld

BAR_STEPS = 1000


class Activity:
    """Shows what runs and cancels it.

    Args:
        ui: the panel's widgets.
        changed: called when something begins or ends, so that buttons can follow.
    """

    def __init__(self, ui, changed: Callable[[], None]):
        self._ui, self._changed = ui, changed
        self._cancel: Callable[[], None] | None = None
        self.busy = False
        ui.progressBar.setRange(0, BAR_STEPS)
        ui.progressBar.setTextVisible(False)
        ui.cancelButton.clicked.connect(self.cancel)
        self.rest()

    def begin(self, stage: str, cancel: Callable[[], None] | None) -> None:
        """Something runs now; without progress reports the bar just moves to and fro."""
        self.busy, self._cancel = True, cancel
        self._ui.progressBar.setRange(0, 0)
        self._ui.progressBar.setTextVisible(True)
        self.say(stage)
        self._changed()

    def cancellableBy(self, cancel: Callable[[], None] | None) -> None:
        """What Cancel does from now on."""
        self._cancel = cancel
        self._changed()

    def progress(self, progress: EngineProgress) -> None:
        """Show where the engine is, in its own words (English)."""
        self._ui.progressBar.setRange(0, BAR_STEPS)
        self._ui.progressBar.setValue(round(BAR_STEPS * min(max(progress.fraction, 0.0), 1.0)))
        self.say(f"{progress.stage}{_timeLeft(progress.seconds_left)}")

    def end(self, message: str) -> None:
        """Nothing runs any more."""
        self.busy, self._cancel = False, None
        self._ui.progressBar.setRange(0, BAR_STEPS)
        self._ui.progressBar.setValue(0)
        self._ui.progressBar.setTextVisible(False)
        self.say(message)
        self._changed()

    def fail(self, message: str, details: str = "") -> None:
        """End with a sentence for the user, shown once; the engine's own lines are a click away."""
        self.end(message)
        if details:
            logging.info(details)
        slicer.util.errorDisplay(message, detailedText=details or message)

    def finish(self, result, done: str, cancelled: str = "") -> bool:
        """End as a job's result says; whether it is done. ``cancelled``: what to say then, if not the usual."""
        if result.outcome is Outcome.DONE:
            self.end(done)
        elif result.outcome is Outcome.CANCELLED:
            self.end(cancelled or _("Cancelled; the scene is as before."))
        else:
            self.fail(result.message, result.details)
        return result.outcome is Outcome.DONE

    def cancel(self) -> None:
        """Stop what runs, if it can be stopped."""
        if self._cancel is not None:
            cancel, self._cancel = self._cancel, None
            self.say(_("Stopping…"))
            self._changed()
            cancel()

    @property
    def cancellable(self) -> bool:
        """Whether Cancel would do anything."""
        return self._cancel is not None

    def rest(self) -> None:
        """Say nothing of what was, unless something runs; only what always holds."""
        if not self.busy:
            self.say(slicerTooOld() or _("Research use only."))

    def say(self, text: str) -> None:
        """Put a line under the progress bar."""
        self._ui.statusLabel.text = text


def _timeLeft(seconds: float | None) -> str:
    if seconds is None:
        return "…"
    if seconds < 90:
        return _(" – about {seconds} s left").format(seconds=max(1, round(seconds)))
    return _(" – about {minutes} min left").format(minutes=round(seconds / 60))
