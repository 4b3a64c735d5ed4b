"""``dlctpm export``: a finished prediction as DICOM objects for archives, viewers and planning systems."""

from __future__ import annotations

import argparse
from pathlib import Path

from DLCTPMLib.cli.shared.arguments import add_function, function_of, refuse_idle
from DLCTPMLib.cli.shared.command import Command, check_there
from DLCTPMLib.common.console import say
from DLCTPMLib.common.progress import Progress, within


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The prediction, its CT, and what of it is written where."""
    parser.add_argument("result", metavar="RESULT", help="the folder that predict wrote")
    parser.add_argument(
        "--dicom",
        required=True,
        metavar="CT_SERIES",
        help="DICOM folder, or a zip of one, of the CT that the map was made of",
    )
    parser.add_argument("--series", metavar="S", help="series number or UID, where the folder holds several CTs")
    parser.add_argument("--acquisition", metavar="A", help="which one, where the series holds several acquisitions")
    parser.add_argument(
        "--objects",
        metavar="O,…",
        help="of map (Parametric Map), series (plain series on the CT's slices), seg, rtstruct, sr (measurements, "
        "with seg), pdf (default: all but series; pdf where the prediction has one)",
    )
    parser.add_argument(
        "--structures",
        metavar="S,…",
        help="of lungs, right, left, high, low, middle, right-high, left-high, right-low, left-low, right-middle, "
        "left-middle, lobes (default: all but lobes; middle with tertiles)",
    )
    add_function(parser)
    parser.add_argument(
        "--holes",
        choices=("keyhole", "xor"),
        help="of contours: joined to the curve around them (default), or contours of their own (exclusive or)",
    )
    parser.add_argument(
        "--deidentify",
        action="store_true",
        help="leave out who the patient is and when the examination was; UIDs stay: they place the objects on the CT",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="export also a map that was forced past a FAIL; every object then says so",
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for the objects")


def run(options: argparse.Namespace, progress: Progress) -> None:
    """Open the prediction and its CT, write the objects."""
    check_there(options.result, options.dicom)
    from DLCTPMLib.common.atomic_output import OutputFolder, check_disk
    from DLCTPMLib.dicom_export.objects import (
        FILES,
        ExportChoice,
        check_forced,
        check_own,
        export_objects,
        parse_objects,
    )
    from DLCTPMLib.dicom_export.source import open_ct_source
    from DLCTPMLib.dicom_export.structures import parse_structures
    from DLCTPMLib.function.definitions import parse_definition
    from DLCTPMLib.results.finished import open_result

    chosen = function_of(options)
    objects = parse_objects(options.objects, Path(options.result))
    if "rtstruct" not in objects:
        refuse_idle(options, ("holes",), "is of contours; export rtstruct too, or leave it out")
    if not {"seg", "rtstruct", "sr"} & set(objects):
        refuse_idle(options, ("structures",), "is of seg, rtstruct and sr; export one of them too, or leave it out")
    finished = open_result(options.result)
    definition = parse_definition(chosen["function"]).on_map(finished.scale) if chosen else finished.definition
    structures = parse_structures(options.structures, definition)
    choice = ExportChoice(objects, structures, definition, **({"holes": options.holes} if options.holes else {}))
    check_forced(finished, options.force)
    check_own(Path(options.out))
    earlier = [name for name in FILES.values() if (Path(options.out) / name).exists()]
    with OutputFolder(options.out, FILES.values()) as folder:
        progress("Reading the CT", 0.0)
        source = open_ct_source(options.dicom, finished, options.series, options.acquisition, options.deidentify)
        finished = finished.on_grid_of(source.image)
        written = export_objects(finished, source, choice, folder.work, within(progress, 0.3, 1.0))
        check_disk(folder.work / written[0])
    progress("Done", 1.0)
    marks = ["FORCED: this map cannot be right."] if finished.result.get("forced") else []
    marks += ["Simulated."] if finished.result["simulated"] else []
    lines = [f"{name} -> {Path(options.out) / name}" for name in written]
    lines += [f"removed, of an earlier export: {name}" for name in earlier if name not in written]
    say(
        options,
        "\n".join([*lines, f"High-functional lung: {definition.name}", *marks, finished.result["research_use_only"]]),
    )


COMMAND = Command(
    "export",
    "Write a prediction as DICOM objects in its CT's study and frame of reference.",
    add_arguments,
    run,
    (
        "dlctpm export result --dicom CT_FOLDER --out objects",
        "dlctpm export result --dicom CT_FOLDER --objects rtstruct --structures lungs,high --out objects",
    ),
)
