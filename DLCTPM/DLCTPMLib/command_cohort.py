"""``dlctpm cohort simulate``: a cohort of virtual patients."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace

from DLCTPMLib.commands import say
from DLCTPMLib.errors import InputError
from DLCTPMLib.progress import Progress


def run(options: argparse.Namespace, progress: Progress) -> None:
    """Simulate the patients that are not there yet, then write the table."""
    from DLCTPMTrainingLib.cohort import simulate_cohort

    if options.workers is not None and options.workers < 1:
        raise InputError(f"--workers {options.workers}: give 1 or more")
    workers = min(options.workers or os.cpu_count() or 1, options.patients)
    table = simulate_cohort(
        options.patients,
        options.seed,
        options.out,
        progress,
        workers,
        lambda settings: replace(settings, spect=options.spect),
    )
    progress("Done", 1.0)
    say(options, f"{options.patients} simulated patients, table in {table}")
