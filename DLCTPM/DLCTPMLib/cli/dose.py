"""``dlctpm dose``: what a plan's dose does to the lungs and to their function."""

from __future__ import annotations

import argparse
from pathlib import Path

from DLCTPMLib.cli.shared.arguments import add_pseudonym, refuse_idle
from DLCTPMLib.cli.shared.command import Command, check_there
from DLCTPMLib.cli.shared.printed import dose_table
from DLCTPMLib.common.console import say
from DLCTPMLib.common.progress import Progress, within
from DLCTPMLib.results.names import InputNames


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The prediction, the dose, targets and organs, and what high-functional lung is."""
    parser.add_argument("result", metavar="RESULT", help="folder that 'predict' wrote")
    parser.add_argument(
        "--dose",
        required=True,
        nargs="+",
        metavar="DOSE",
        help="DICOM RT dose: file, files or folder; or one volume in Gy (NRRD, NIfTI, MetaImage)",
    )
    parser.add_argument("--sum", action="store_true", help="add several RT dose files up (one a beam, say)")
    parser.add_argument(
        "--structures", metavar="S", help="targets and organs: DICOM RT structure set or segmentation, or .seg.nrrd"
    )
    parser.add_argument(
        "--exclude",
        nargs="*",
        metavar="NAME",
        help="structures that are no lung, GTV* is a pattern (default: those called or typed GTV, iGTV or ITV); "
        "without a name none",
    )
    parser.add_argument("--organs", nargs="+", default=[], metavar="NAME", help="structures whose dose is told, too")
    parser.add_argument(
        "--function",
        metavar="DEFINITION",
        help="what high-functional lung is: p75:0.66, max:0.2, percentile:70, fixed:0.5 or tertiles (default: as in "
        "the prediction)",
    )
    parser.add_argument("--transform", metavar="T", help="maps CT points to dose points, where their frames differ")
    parser.add_argument(
        "--dicom", metavar="CT_SERIES", help="the CT's DICOM folder, to check that all belongs together"
    )
    parser.add_argument("--series", metavar="S", help="series number or UID, where that folder holds several CTs")
    parser.add_argument("--acquisition", metavar="A", help="which one, where that series holds several acquisitions")
    parser.add_argument("--orientation", metavar="CODE", help="where the axes of a dose volume that is silent run to")
    add_pseudonym(parser)
    parser.add_argument("--out", metavar="DIR", help="folder for dose.json and dose.html (default: RESULT)")


def run(options: argparse.Namespace, progress: Progress) -> None:
    """Read, compare what belongs together, work out, report."""
    check_there(options.result, *options.dose, options.structures, options.transform, options.dicom)
    if options.dicom is None:
        refuse_idle(options, ("series", "acquisition"), "goes with --dicom; give both, or neither")
    names = InputNames(
        {"dose": options.dose[0], "structures": options.structures, "transform": options.transform},
        options.pseudonym,
    )
    from DLCTPMLib.common.atomic_output import OutputFolder, check_disk
    from DLCTPMLib.common.errors import naming
    from DLCTPMLib.common.stopwatch import Stopwatch
    from DLCTPMLib.dose.inputs import DosePaths, open_inputs
    from DLCTPMLib.dose.report import write_dose_report
    from DLCTPMLib.dose.result import dose_result
    from DLCTPMLib.function.definitions import parse_definition
    from DLCTPMLib.results.prediction import DOSE_FILES
    from DLCTPMLib.results.result_json import json_ready, write_json

    wanted = parse_definition(options.function) if options.function else None
    stopwatch = Stopwatch()
    out = Path(options.out or options.result)
    with OutputFolder(out, DOSE_FILES) as folder:
        progress("Reading", 0.0)
        with stopwatch("reading"):
            inputs = open_inputs(
                DosePaths(
                    options.result,
                    options.dose,
                    options.sum,
                    options.structures,
                    options.exclude,
                    options.organs,
                    options.transform,
                    options.dicom,
                    options.series,
                    options.acquisition,
                    options.orientation,
                    options.examination_salt,
                )
            )
        progress("Drawing structures", 0.3)
        with stopwatch("structures"):
            images, structures = inputs.images()
        progress("Dose and function", 0.5)
        described = {
            "dose": names.described(inputs.dose.description, "dose"),
            "structures": {"name": names["structures"], "format": inputs.structures.kind}
            if inputs.structures
            else None,
            "transform": names["transform"] if options.transform else None,
        }
        with stopwatch("figures"), naming(options.dose[0]):
            definition = wanted.on_map(inputs.finished.scale) if wanted else inputs.finished.definition
            result = dose_result(inputs.finished.result, images, definition, structures, described)
        result["warnings"] = names.told(dict.fromkeys([*inputs.notes, *result["warnings"]]))
        with stopwatch("report"):
            write_dose_report(folder.work / "dose.html", result, images, definition, within(progress, 0.6, 0.99))
        result["timings_s"] = json_ready({name: round(seconds, 4) for name, seconds in stopwatch.seconds.items()})
        write_json(folder.work / "dose.json", result)
        check_disk(folder.work / "dose.json")
    progress("Done", 1.0)
    say(options, dose_table(result, out))


COMMAND = Command(
    "dose",
    "Dose to the lungs and to their function, from a plan's dose.",
    add_arguments,
    run,
    (
        "dlctpm dose result --dose RD.dcm --structures RS.dcm",
        "dlctpm dose result --dose RD.dcm --structures RS.dcm --exclude ITV --organs Heart --function max:0.2",
    ),
)
