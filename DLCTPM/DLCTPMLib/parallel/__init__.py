"""Many tasks at once: processes of this machine, or workers of a Dask cluster, behind one ``Executor``."""

from DLCTPMLib.common.lazy import lazily

__getattr__, __dir__, __all__ = lazily(
    __name__,
    executors="open_executor",
    settings="WorkerSettings",
    tasks="Report Task run_tasks",
)
