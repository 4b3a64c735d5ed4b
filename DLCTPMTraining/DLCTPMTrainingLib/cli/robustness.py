"""``dlctpm robustness``: what models' maps of some CTs mind: each other, tilt, the mask's border, the kernel."""

from __future__ import annotations

import argparse
from pathlib import Path

from DLCTPMLib.cli.shared.command import Command
from DLCTPMLib.common.console import say
from DLCTPMLib.common.options import add_options, given
from DLCTPMLib.common.progress import Progress
from DLCTPMLib.results.settings import PredictionSettings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """CTs, models, and where the table goes."""
    parser.add_argument("cts", nargs="+", metavar="CT", help="image files, DICOM folders, or zips of them")
    parser.add_argument(
        "--models", nargs="+", required=True, metavar="MODEL", help="names, folders or zips of models"
    )
    parser.add_argument("--lungs", nargs="+", metavar="LABELS", help="a mask for each CT (default: found in the CTs)")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for robustness.md and robustness.json")
    add_options(parser, PredictionSettings(), "device")


def run(options: argparse.Namespace, progress: Progress) -> None:
    """Map every CT and its changes by every model, write the table."""
    from DLCTPMTrainingLib.robustness.report import RobustnessPlan, run_robustness

    plan = RobustnessPlan(
        cts=tuple(options.cts),
        models=tuple(options.models),
        out=Path(options.out),
        lungs=tuple(options.lungs or ()),
        **given(options, PredictionSettings, "device"),
    )
    page = run_robustness(plan, progress)
    progress("Done", 1.0)
    say(options, f"Table in {page}")


COMMAND = Command(
    "robustness",
    "What maps of some CTs mind: other models, tilt, mask, kernel.",
    add_arguments,
    run,
    ("dlctpm robustness ct1.nrrd ct2.nrrd --models default paper --out robustness",),
)
