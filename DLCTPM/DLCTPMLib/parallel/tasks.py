"""Independent tasks through any ``Executor``: they get paths and settings, leave files, and tell how far they are.

An executor brings back a task's value and nothing before. So a task tells its progress and its events in a file of
its own, in a folder that whoever waits has made beside the results. The folder is a leash as well: when it is gone,
the run has ended or another has taken its place, and the task ends at its next report instead of writing beside it.
"""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from DLCTPMLib import __version__
from DLCTPMLib.common.ending import temporary_files
from DLCTPMLib.common.errors import InputError
from DLCTPMLib.common.progress import EventSink, Progress, no_events, no_progress
from DLCTPMLib.parallel.process import use_threads

LEASH = ".running-"
"""Of the names of the folders that tasks report into."""

POLL_S = 0.25
"""Between two looks at the reports."""

TOLD_S = 0.25
"""A task tells its progress no more often."""

AHEAD = 512
"""So many tasks are handed to the executor before the first of them is done: it need not hold them all."""

_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class Task:
    """One thing to do.

    Attributes:
        do: called with ``arguments`` and, as ``report``, a ``Report``; importable by its name.
        arguments: paths and settings.
        work: how long it takes beside the others.
    """

    do: Callable[..., Any]
    arguments: tuple
    work: float = 1.0


class AbandonedError(RuntimeError):
    """Nobody waits for this task any more."""


class Report:
    """What a task tells while it runs: a ``Progress``, with ``emit`` for events; both raise ``AbandonedError``."""

    def __init__(self, path: str):
        self._path = Path(path)
        self._next = 0.0

    @property
    def run(self) -> str:
        """Names the run that this task is of: no other has the same."""
        return str(self._path.parent)

    def __call__(self, stage: str, fraction: float) -> None:
        """Tell the stage and the fraction of this task, unless that was done just now."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + TOLD_S
            self._write({"stage": stage, "fraction": fraction})

    def emit(self, **values: object) -> None:
        """Tell an event."""
        self._write({"event": values})

    def check(self) -> None:
        """Raise unless somebody still waits; before results take their place."""
        if not self._path.parent.is_dir():
            raise AbandonedError("the run that asked for this task has ended")

    def _write(self, line: dict) -> None:
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        except FileNotFoundError:
            self.check()
            raise


def run_tasks(
    executor: Executor,
    tasks: Iterable[Task],
    place: Path,
    threads: int,
    progress: Progress = no_progress,
    emit: EventSink = no_events,
) -> Iterator[tuple[int, Future]]:
    """Run tasks and give each one's number and finished future as they end, in any order.

    Args:
        executor: of this machine or of a cluster.
        tasks: in the order in which they are begun.
        place: an existing folder that every worker sees, the run's own: tasks of an earlier run there are abandoned.
        threads: of each task.
        progress: told the mean of the tasks' fractions by work.
        emit: given the tasks' events.
    """
    tasks = list(tasks)
    with _leash(place) as folder:
        reports = _Reports(folder, tasks, progress, emit)
        waiting: dict[Future, int] = {}
        left = iter(enumerate(tasks))
        try:
            while True:
                for number, task in left:
                    told = str(reports.path(number))
                    future = executor.submit(_in_worker, __version__, threads, told, task.do, task.arguments)
                    waiting[future] = number
                    if len(waiting) >= AHEAD:
                        break
                if not waiting:
                    return
                done, _ = wait(waiting, timeout=POLL_S, return_when=FIRST_COMPLETED)
                reports.read(waiting.values())
                for future in sorted(done, key=waiting.__getitem__):
                    number = waiting.pop(future)
                    reports.finish(number)
                    yield number, future
        finally:
            for future in waiting:
                future.cancel()


@contextmanager
def _leash(place: Path) -> Iterator[Path]:
    place = Path(place).absolute()  # a worker may have another working folder
    for earlier in place.glob(f"{LEASH}*"):
        shutil.rmtree(earlier, ignore_errors=True)
    folder = temporary_files.make_private_folder(place, LEASH)
    try:
        yield folder
    finally:
        temporary_files.remove(folder)


class _Reports:
    """What the tasks told, read as it comes."""

    def __init__(self, folder: Path, tasks: Sequence[Task], progress: Progress, emit: EventSink):
        self._folder, self._progress, self._emit = folder, progress, emit
        self._work = [task.work for task in tasks]
        self._total = sum(self._work) or 1.0
        self._done = 0.0
        self._count = 0
        self._read: dict[int, int] = {}
        self._fractions: dict[int, float] = {}
        self._stage = "Waiting for the workers"

    def path(self, number: int) -> Path:
        return self._folder / f"{number}.jsonl"

    def read(self, numbers: Iterable[int]) -> None:
        """Tell what is new of tasks that run; a run that is to end ends here."""
        running = {int(path.stem) for path in self._folder.glob("*.jsonl")}
        stages = [self._news(number) for number in sorted(running.intersection(numbers))]
        self._tell(next((stage for stage in stages if stage), ""))

    def finish(self, number: int) -> None:
        self._news(number)
        self._fractions.pop(number, None)
        self._read.pop(number, None)
        with suppress(OSError):
            self.path(number).unlink(missing_ok=True)
        self._done += self._work[number]
        self._count += 1
        self._tell(f"{self._count} of {len(self._work)} done")

    def _news(self, number: int) -> str:
        """Read a task's new lines: its events are passed on, its last stage is given back."""
        try:
            with self.path(number).open("rb") as file:
                file.seek(self._read.get(number, 0))
                text = file.read()
        except OSError:
            return ""
        whole = text[: text.rfind(b"\n") + 1]
        self._read[number] = self._read.get(number, 0) + len(whole)
        stage = ""
        for line in whole.splitlines():
            told = json.loads(line)
            if "event" in told:
                self._emit(**told["event"])
            else:
                stage, self._fractions[number] = told["stage"], told["fraction"]
        return stage

    def _tell(self, stage: str) -> None:
        running = sum(self._work[number] * fraction for number, fraction in self._fractions.items())
        self._stage = stage or self._stage
        self._progress(self._stage, min((self._done + running) / self._total, 1.0))


def _in_worker(version: str, threads: int, report: str, do: Callable[..., Any], arguments: tuple) -> Any:
    """In a worker: a task, one at a time in a process whatever its scheduler thinks of it."""
    if version != __version__:
        raise InputError(f"a worker runs dlctpm {__version__}, not {version}; install the same version everywhere")
    told = Report(report)
    told.check()
    with _one_at_a_time:
        use_threads(threads)
        return do(*arguments, report=told)
