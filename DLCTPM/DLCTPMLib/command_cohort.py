"""``dlctpm cohort simulate``: a cohort of virtual patients."""

from __future__ import annotations

import argparse
import os

from DLCTPMLib.commands import say
from DLCTPMLib.progress import Progress


def run(options: argparse.Namespace, progress: Progress) -> None:
    """Simulate the patients that are not there yet, then write the table."""
    from DLCTPMTrainingLib.cohort import simulate_cohort

    table = simulate_cohort(
        options.patients, options.seed, options.out, progress, workers=min(os.cpu_count() or 1, options.patients)
    )
    progress("Done", 1.0)
    say(options, f"{options.patients} simulated patients, table in {table}")
