"""The executor that settings ask for."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager

from DLCTPMLib.parallel.local import LocalProcesses
from DLCTPMLib.parallel.settings import WorkerSettings


@contextmanager
def open_executor(settings: WorkerSettings) -> Iterator[Executor]:
    """The executor in a ``with`` block; at its end nothing of it runs any more but the tasks of a foreign scheduler.

    Args:
        settings: ``jobs`` of None is one process.

    Raises:
        InputError: Dask is asked for and not there.
    """
    if settings.workers is not None or settings.scheduler is not None:
        from DLCTPMLib.parallel.cluster import dask_executor

        with dask_executor(settings) as executor:
            yield executor
        return
    executor = LocalProcesses(settings.jobs or 1)
    try:
        yield executor
    finally:
        executor.shutdown(cancel_futures=True)
