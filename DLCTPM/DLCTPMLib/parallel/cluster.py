"""A Dask cluster as an ``Executor``: one of our own on this machine, or a scheduler that runs already."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.parallel.settings import WorkerSettings

HERE = "127.0.0.1"
"""A scheduler that we start takes tasks, which are code, from this machine only; so does its page of figures."""

ANSWERS_S = 20
"""A scheduler that has not answered by then is not there."""


@contextmanager
def dask_executor(settings: WorkerSettings) -> Iterator[Executor]:
    """The executor of ``settings.workers`` or ``settings.scheduler`` in a ``with`` block.

    Certificates and keys for TLS are Dask's own settings (``distributed.comm.tls``), and so are limits of memory and
    how often a task is begun whose worker dies (``distributed.scheduler.allowed-failures``).

    Raises:
        InputError: dask.distributed is not installed; no scheduler answers at the address.
    """
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        option = "workers" if settings.scheduler is None else "scheduler"
        raise InputError(
            f"--{option}: needs dask.distributed, which is not there; pip install 'dlctpm[cluster]', or use --jobs"
        ) from error
    logging.getLogger("distributed").setLevel(logging.ERROR)  # lost workers are met by beginning their tasks again
    if settings.scheduler is None:
        with (
            LocalCluster(
                n_workers=settings.workers,
                threads_per_worker=1,
                host=HERE,
                dashboard_address=f"{HERE}:0",
                silence_logs=logging.ERROR,
            ) as cluster,
            Client(cluster) as client,
        ):
            yield client.get_executor(pure=False)
        return
    try:
        client = Client(settings.scheduler, timeout=ANSWERS_S)
    except (OSError, ValueError, ImportError) as error:  # TimeoutError is an OSError; ValueError: no address at all
        raise InputError(
            f"--scheduler {settings.scheduler}: no Dask scheduler answers there; start one with 'dask scheduler', or "
            "correct the address"
        ) from error
    with client:
        yield client.get_executor(pure=False)
