"""A stand-in Slicer in a process of its own, to be killed."""

import ctypes
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDERS = [str(REPOSITORY / name) for name in ("Testing/SlicerStandIn", "DLCTPM", "DLCTPMTraining")]
BEGIN = f"""
import sys
sys.path[:0] = {FOLDERS!r}
from stand_in.start import start
start(views=False)
def tell_engine(process):
    print(process.pid, flush=True)
def tell_stage(progress):
    print(progress.stage, flush=True)
"""
"""What its program begins with: the process of the engine is told first, then the stages."""
SET_CHILD_SUBREAPER = 36


@contextmanager
def foster_parent():
    """The children of killed processes become this process's own, so that it can see how they end (Linux only)."""
    system = ctypes.CDLL(None)
    system.prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        system.prctl(SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def killed_at(stage: str, program: str, folder: Path, seconds: float = 120.0) -> int:
    """Run a program in a stand-in Slicer, kill that by SIGKILL at a stage; the exit status of its engine.

    Args:
        stage: beginning of the stage's name.
        program: continues ``BEGIN``.
        folder: for its temporary files.
        seconds: how long the engine may live on; afterwards it is killed, and an AssertionError tells so.
    """
    environment = {**os.environ, "TMPDIR": str(folder)}
    slicer = subprocess.Popen(
        [sys.executable, "-c", BEGIN + program], env=environment, stdout=subprocess.PIPE, text=True
    )
    engine = int(slicer.stdout.readline())
    reached = any(line.startswith(stage) for line in slicer.stdout)
    slicer.kill()
    slicer.wait()
    slicer.stdout.close()
    assert reached, f"the engine ended before it came to {stage!r}"
    return _exit_status(engine, seconds)


def _exit_status(engine: int, seconds: float) -> int:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found, status = os.waitpid(engine, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.05)
    os.kill(engine, 9)
    os.waitpid(engine, 0)
    raise AssertionError(f"the engine went on for {seconds:.0f} s after Slicer was killed")
