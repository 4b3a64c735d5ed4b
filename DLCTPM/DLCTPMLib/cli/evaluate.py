"""``dlctpm evaluate``: agreement of a perfusion map with a SPECT, without predicting."""

from __future__ import annotations

import argparse
import contextlib

from DLCTPMLib.cli.shared.arguments import (
    add_ct_choice,
    add_function,
    add_lungs,
    add_model,
    add_naming,
    add_spect_series,
)
from DLCTPMLib.cli.shared.command import Command, check_there
from DLCTPMLib.cli.shared.printed import agreement_table
from DLCTPMLib.common.console import say
from DLCTPMLib.common.options import add_options
from DLCTPMLib.common.progress import Progress
from DLCTPMLib.results.settings import PredictionSettings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Map, SPECT and lungs, what brings them together, and where the results go."""
    parser.add_argument("--prediction", required=True, metavar="P", help="perfusion map on the CT's grid")
    parser.add_argument("--spect", required=True, metavar="S", help="perfusion SPECT: file, folder or zip")
    add_spect_series(parser)
    add_lungs(parser, required=True)
    parser.add_argument("--transform", metavar="T", help="maps CT points to SPECT points (default: identity)")
    parser.add_argument("--ct", metavar="CT", help="the CT, for the two baselines that look at its HU")
    add_ct_choice(parser)
    add_model(parser, "take the SPECT's standardisation from this model")
    add_function(parser)
    add_options(parser, PredictionSettings(), "hir_scope")
    parser.add_argument(
        "--result",
        metavar="R",
        help="result.json of the prediction: its report is written with the SPECT (needs --ct)",
    )
    parser.add_argument(
        "--interactive", action="store_true", help="put CT, map and SPECT with one cursor into that report, too"
    )
    parser.add_argument("--pdf", action="store_true", help="write that report as report.pdf too (needs ReportLab)")
    add_naming(parser)
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="folder for result.json and the compared images on the SPECT's grid: spect_relative.nrrd, "
        "perfusion_on_spect.nrrd, difference_on_spect.nrrd, joint_histogram.csv (default: print only)",
    )


def run(options: argparse.Namespace, progress: Progress) -> None:
    """Read, compare, print, and write the results where a folder was named."""
    check_there(options.prediction, options.spect, options.lungs, options.ct, options.transform, options.result)
    from DLCTPMLib.cli.evaluation import EVALUATION_FILES, evaluate
    from DLCTPMLib.common.atomic_output import OutputFolder, check_disk
    from DLCTPMLib.results.result_json import write_json

    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(OutputFolder(options.out, EVALUATION_FILES)) if options.out else None
        result = evaluate(options, progress, folder.work if folder is not None else None)
        if folder is not None:
            write_json(folder.work / "result.json", result)
            check_disk(folder.work / "result.json")
    progress("Done", 1.0)
    lines = [f"warning: {warning}" for warning in result["warnings"]]
    say(options, "\n".join([*lines, agreement_table(result["agreement"]), result["research_use_only"]]))


COMMAND = Command(
    "evaluate",
    "Agreement of a perfusion map with a SPECT.",
    add_arguments,
    run,
    ("dlctpm evaluate --prediction result/perfusion.nrrd --lungs result/lungs.nrrd --spect spect.dcm --ct ct.nrrd",),
)
