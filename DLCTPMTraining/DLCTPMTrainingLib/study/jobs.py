"""Stages of a study in several processes at once: small networks use one core each better than many together.

A stage is a method of ``Workbench`` with its arguments. It leaves files; the study then runs it again by itself and
finds them, so what a worker could not do (divergence, too little memory) is met there, with its message, and the
numbers are the same whatever the number of workers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache

import torch

from DLCTPMLib.common.progress import EventSink, Progress
from DLCTPMLib.parallel.settings import WorkerSettings
from DLCTPMLib.parallel.tasks import Report, Task, run_tasks
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


def run_stages(
    executor: Executor, plan: StudyPlan, stages: Sequence[Stage], progress: Progress, emit: EventSink
) -> None:
    """Run independent stages in their order, as many at once as the executor can.

    Args:
        executor: whose workers see the study's folder.
        plan: the study, prepared.
        stages: each leaves its files.
        progress: told the mean of their fractions by work.
        emit: given the workers' events.
    """
    # a worker may lie in another folder, and starts no workers itself
    alone = replace(plan, cohort=plan.cohort.absolute(), out=plan.out.absolute(), at_once=WorkerSettings())
    tasks = [Task(do_stage, (alone, stage), stage.work) for stage in stages]
    for _ in run_tasks(executor, tasks, plan.out, plan.threads, progress, emit):
        pass  # what failed there is met again, by itself


def do_stage(plan: StudyPlan, stage: Stage, report: Report) -> None:
    """In a worker: one stage."""
    bench = _bench(plan, report.run)
    bench.emit, bench.meter = report.emit, Meter(report, stage.work)
    stage.do(bench, *stage.arguments)


@lru_cache(maxsize=1)
def _bench(plan: StudyPlan, run: str) -> Workbench:
    """A worker's workbench, kept with its samples from stage to stage of one run."""
    return Workbench(plan)
