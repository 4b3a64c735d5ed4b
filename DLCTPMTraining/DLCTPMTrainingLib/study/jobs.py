"""Stages of a study in several processes at once: small networks use one core each better than many together.

A stage is a method of ``Workbench`` with its arguments; both travel to a worker by pickle. It leaves files; the
study then runs it again by itself and finds them, so what a worker could not do (divergence, too little memory) is
met there, with its message, and the numbers are the same whatever the number of workers.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait

import torch

from DLCTPMLib.common.progress import EventSink, Progress
from DLCTPMTrainingLib.study.plan import StudyPlan
from DLCTPMTrainingLib.study.workbench import Meter, Workbench


@dataclass(frozen=True)
class Stage:
    """One thing to do.

    Attributes:
        do: a method of ``Workbench``, asked for on the class (``Workbench.fold``).
        arguments: of it, without the bench.
        work: how long it takes, in training steps of one lung.
    """

    do: Callable[..., object]
    arguments: tuple
    work: float


@contextmanager
def threads_of(plan: StudyPlan) -> Iterator[None]:
    """The plan's threads for torch in a ``with`` block: their number changes the order of sums, hence rounding."""
    before = torch.get_num_threads()
    torch.set_num_threads(plan.threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def run_stages(plan: StudyPlan, stages: Sequence[Stage], progress: Progress, emit: EventSink) -> None:
    """Run independent stages, ``plan.jobs`` at a time, in processes of their own, in their order.

    Args:
        plan: the study, prepared.
        stages: each leaves its files.
        progress: told the mean of their fractions by work.
        emit: given the workers' events.
    """
    waiting = list(stages)
    total = sum(stage.work for stage in stages) or 1.0
    context = multiprocessing.get_context("spawn")
    workers: dict[Connection, multiprocessing.process.BaseProcess] = {}
    running: dict[Connection, tuple[Stage, float]] = {}
    finished = 0.0
    try:
        for _ in range(min(plan.jobs, len(waiting))):
            here, there = context.Pipe()
            process = context.Process(target=_work, args=(there, plan), daemon=True)
            process.start()
            there.close()
            workers[here] = process
            running[here] = (waiting.pop(0), 0.0)
            here.send(running[here][0])
        while running:
            for worker in wait(list(running)):
                try:
                    kind, value = worker.recv()
                except (EOFError, ConnectionResetError):  # it died; the study does this stage itself
                    finished += running.pop(worker)[0].work
                    continue
                stage = running[worker][0]
                if kind == "event":
                    emit(**value)
                elif kind == "progress":
                    words, fraction = value
                    running[worker] = (stage, fraction)
                    now = finished + sum(each.work * part for each, part in running.values())
                    progress(words, min(now / total, 1.0))
                else:
                    finished += stage.work
                    del running[worker]
                    if waiting:
                        running[worker] = (waiting.pop(0), 0.0)
                        worker.send(running[worker][0])
    finally:
        for connection, process in workers.items():
            connection.close()
            process.terminate()
            process.join()


def _work(parent: Connection, plan: StudyPlan) -> None:
    """A worker: one stage after the other until the study has no more, or has ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches everybody; the study ends its workers itself

    def say(kind: str, value: object) -> None:
        try:
            parent.send((kind, value))
        except OSError:  # the study was killed: a worker must not write on beside its continuation
            os._exit(1)

    with threads_of(plan):
        bench = Workbench(replace(plan, jobs=1), emit=lambda **values: say("event", values))
        while True:
            try:
                stage = parent.recv()
            except (EOFError, OSError):
                return
            bench.meter = Meter(lambda words, fraction: say("progress", (words, fraction)), stage.work)
            try:
                stage.do(bench, *stage.arguments)
            except Exception as error:
                say("failed", str(error))
            else:
                say("done", None)
