"""Signals at random moments of `predict`: does every run end, at once, and leave nothing?

As a program it measures that: `interrupted_runs.py RUNS [SECONDS] [SEED] [SIGINT|SIGTERM|SIGHUP]`.
"""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

LOST_S = 60.0
"""A run that goes on for so long after a signal has lost it."""

LAST_S = 1.0
"""A run that is done within so long after a signal may have met it when all was written."""


@dataclass(frozen=True)
class Ended:
    """How one run ended: seconds from its start to the signal, whether it was over by then, seconds from there to its
    end (None: it went on), its exit status, what it left behind, and its standard error."""

    sent_s: float
    over: bool
    took_s: float | None
    status: int
    left: list[str]
    errors: str


def interrupted_run(arguments: list[str], folder: Path, after_s: float, number: int = signal.SIGINT) -> Ended:
    """Run the command line with its results and temporary files below ``folder`` (empty) and send it a signal."""
    temporary = folder / "temporary"
    temporary.mkdir()
    child = subprocess.Popen(
        [sys.executable, "-m", "DLCTPMLib", *arguments, "--out", str(folder / "out")],
        env={**os.environ, "TMPDIR": str(temporary)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(after_s)
    over = child.poll() is not None
    child.send_signal(number)
    sent = time.monotonic()
    try:
        errors, took = child.communicate(timeout=LOST_S)[1], time.monotonic() - sent
    except subprocess.TimeoutExpired:
        child.kill()
        errors, took = child.communicate()[1], None
    left = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path != temporary)
    return Ended(after_s, over, took, child.returncode, left, errors)


def is_tidy(run: Ended, number: int = signal.SIGINT) -> bool:
    """Whether the run ended by the signal and left nothing, or was done before it.

    A process that has not reached its first line yet is ended by the system, or by Python that does not know the
    program yet.
    """
    if run.took_s is None:
        return False
    if run.status == 0 and (run.over or run.took_s < LAST_S):
        return "out/result.json" in run.left and not any("temporary" in path for path in run.left)
    return run.left == [] and run.status in (128 + number, -number, 1)


def main(count: int, seconds: float, seed: int, number: int) -> None:
    """Measure, and print the figures."""
    import SimpleITK as sitk
    from small_chest import chest_ct

    moments = random.Random(seed)
    statuses, runs, faults = Counter(), [], []
    with tempfile.TemporaryDirectory() as inputs:
        ct = Path(inputs) / "ct.nrrd"
        sitk.WriteImage(chest_ct(), str(ct))
        for _ in range(count):
            with tempfile.TemporaryDirectory() as folder:
                run = interrupted_run(["predict", str(ct)], Path(folder), moments.uniform(0, seconds), number)
            statuses[run.status] += 1
            runs.append(run)
            if not is_tidy(run, number):
                faults.append(run)
                print(run, flush=True)
    met = sorted(run.took_s or LOST_S for run in runs if not run.over)
    print(
        f"{count} runs, {len(met)} at work when the signal came; exit statuses {dict(statuses)}; from signal to end "
        f"median {met[len(met) // 2]:.2f} s, longest {met[-1]:.1f} s; {len(faults)} faults"
    )


if __name__ == "__main__":
    main(
        int(sys.argv[1]),
        float(sys.argv[2]) if len(sys.argv) > 2 else 3.0,
        int(sys.argv[3]) if len(sys.argv) > 3 else 0,
        getattr(signal, sys.argv[4]) if len(sys.argv) > 4 else signal.SIGINT,
    )
