"""What a process that does tasks for others is told: its threads, its GPU, and to end with whoever started it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading

NUMBER = "DLCTPM_WORKER"
"""Environment variable: which of the processes of this machine this one is, from 0; it takes that GPU."""

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS")


def use_threads(number: int) -> None:
    """Compute with so many threads from now on, in libraries that are loaded and in those that will be."""
    os.environ.update(dict.fromkeys(_THREADS, str(number)))
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(number)
    if itk := sys.modules.get("SimpleITK"):
        itk.ProcessObject.SetGlobalDefaultNumberOfThreads(number)


def begin(number: int) -> None:
    """Begin a process of the local pool: the first thing that it does.

    Ctrl-C reaches everybody at a terminal: whoever started this process ends it. One that was killed cannot, and
    nothing may be written beside its continuation.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ[NUMBER] = str(number)
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)


def resident_bytes() -> int | None:
    """Memory that this process holds now; None where the system does not say it simply."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):
        return None
