"""A Dask scheduler with workers, started as a person starts them: programs of their own on this machine."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def dask_by_hand(folder: Path, workers: int = 1) -> Iterator[tuple[str, list[subprocess.Popen]]]:
    """The scheduler's address and the workers' processes, in a ``with`` block."""
    dask, file = [sys.executable, "-m", "dask"], folder / "scheduler.json"
    local = ["--host", "127.0.0.1", "--no-dashboard"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    scheduler = [*dask, "scheduler", *local, "--port", "0", "--scheduler-file", str(file)]
    started = [subprocess.Popen(scheduler, cwd=folder, env=environment)]
    try:
        while not file.is_file() or not file.read_text():
            assert started[0].poll() is None
            time.sleep(0.1)
        address = json.loads(file.read_text())["address"]
        one = [*dask, "worker", address, *local, "--nthreads", "1", "--nworkers", "1", "--no-nanny"]
        one += ["--local-directory", str(folder)]
        started += [subprocess.Popen(one, cwd=folder, env=environment) for _ in range(workers)]
        yield address, started[1:]
    finally:
        for process in started:
            process.kill()
            process.wait()
