"""``dlctpm benchmark``: the engine against a plain reference of the same method."""

from __future__ import annotations

import argparse
from pathlib import Path

from DLCTPMLib.commands import say
from DLCTPMLib.progress import Progress


def run(options: argparse.Namespace, progress: Progress) -> None:
    """Time every stage, print the table, write ``benchmark.json``."""
    from DLCTPMTrainingLib.benchmark import BenchmarkSettings, run_benchmark, table

    out = Path(options.out)
    report = run_benchmark(BenchmarkSettings(), out, progress)
    say(options, f"{table(report)}\nOn a simulated CT; figures in {out / 'benchmark.json'}")
