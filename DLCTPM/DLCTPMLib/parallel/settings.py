"""Where tasks are done: how many processes of this machine, or which Dask cluster."""

from __future__ import annotations

from dataclasses import dataclass

from DLCTPMLib.common.settings import StageSettings, setting


@dataclass(frozen=True)
class WorkerSettings(StageSettings):
    """Who does independent tasks; it never changes what comes out.

    Attributes:
        jobs: processes of this machine, without Dask; None leaves the number to the command.
        workers: processes of this machine under a Dask scheduler of our own, on 127.0.0.1.
        scheduler: address of a running Dask scheduler, whose workers see the same paths.
    """

    jobs: int | None = setting(None, "processes of this machine at once", metavar="N")
    workers: int | None = setting(
        None,
        "the same under a Dask scheduler, which restarts a process that fills its memory (needs dlctpm[cluster])",
        metavar="N",
    )
    scheduler: str | None = setting(
        None,
        "address of a running Dask scheduler; its workers must see the same paths (needs dlctpm[cluster])",
        metavar="ADDRESS",
    )

    WHAT = "workers"

    def __post_init__(self):
        chosen = [name for name in ("jobs", "workers", "scheduler") if getattr(self, name) is not None]
        self.require(
            {
                f"give one of {' and '.join(f'--{name}' for name in chosen)}": len(chosen) <= 1,
                f"--jobs {self.jobs}: give 1 or more": self.jobs is None or self.jobs >= 1,
                f"--workers {self.workers}: give 1 or more": self.workers is None or self.workers >= 1,
                "--scheduler: give its address, such as tcp://10.0.0.1:8786": self.scheduler is None
                or bool(self.scheduler.strip()),
            }
        )

    @property
    def several(self) -> bool:
        """Whether tasks go to other processes at all; else the command does them by itself."""
        return (self.jobs or 1) > 1 or self.workers is not None or self.scheduler is not None


ALONE = WorkerSettings()
"""Nobody but the process itself."""
