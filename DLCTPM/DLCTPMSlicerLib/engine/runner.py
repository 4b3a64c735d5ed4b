"""Runs one engine job at a time for a panel and shows it; both modules' panels use it."""

from __future__ import annotations

from collections.abc import Callable

from DLCTPMSlicerLib.engine import setup as engine_setup
from DLCTPMSlicerLib.engine.activity import Activity


class JobRunner:
    """The panel's one running job.

    Args:
        activity: shows what runs.
        changed: called after a job's end, so that the panel can follow.
    """

    def __init__(self, activity: Activity, changed: Callable[[], None]):
        self._activity, self._changed = activity, changed
        self.job = None

    def run(self, stage: str, start, delivered, done: str, cancelled: str = "", refused=None) -> bool:
        """Run one engine job and show it; whether it began.

        Args:
            stage: what to say until the engine reports.
            start: given the callbacks ``onProgress`` and ``onFinished``, starts the job and gives it.
            delivered: called with what the job brought.
            done: what to say then.
            cancelled: what to say after Cancel, if not the usual.
            refused: called with the sentences of checks that failed, in place of the usual error; None for that.
        """
        if self._activity.busy or not self._engineReady():
            return False

        def finished(result) -> None:
            self.job = None
            if refused is not None and result.failedChecks:
                refused(result.failedChecks)
            elif self._activity.finish(result, done, cancelled):
                delivered(result.value)
            self._changed()

        self._activity.begin(stage, None)
        job = start(onProgress=self._activity.progress, onFinished=finished)
        if job.running:
            self.job = job
            self._activity.cancellableBy(job.cancel)
        return True

    def kill(self) -> None:
        """End what runs, without a word: the panel is going."""
        if self.job is not None:
            self.job.kill()
            self.job = None

    def _engineReady(self) -> bool:
        try:
            engine_setup.ensureEngine()
        except engine_setup.SetupError as problem:
            self._activity.fail(str(problem))
            return False
        return True
