"""``dlctpm segment``: the lungs of a chest CT as a label map or a Slicer segmentation."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from DLCTPMLib.cli.shared.arguments import add_ct
from DLCTPMLib.cli.shared.command import Command, check_there
from DLCTPMLib.cli.shared.printed import check_lines
from DLCTPMLib.common.console import say
from DLCTPMLib.common.progress import Progress, within
from DLCTPMLib.lungs.given import lungs_of

if TYPE_CHECKING:
    import SimpleITK as sitk

    from DLCTPMLib.labels.seg_nrrd import Segment

COLOURS = {2: (0.68, 0.78, 0.91), 3: (0.98, 0.76, 0.60)}
"""Right and left lung in a segmentation."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The CT, and where the lungs go."""
    add_ct(parser)
    parser.add_argument(
        "--force",
        action="store_true",
        help="write the lungs also where a check of the input FAILs; the file then says so",
    )
    parser.add_argument("--out", required=True, metavar="LABELS", help="label map (.nrrd, .nii.gz) or .seg.nrrd")


def run(options: argparse.Namespace, progress: Progress) -> None:
    """Read, find the lungs, check both, write the lungs."""
    check_there(options.ct)
    from DLCTPMLib.common.atomic_output import whole_file
    from DLCTPMLib.labels.seg_nrrd import write_segments
    from DLCTPMLib.quality.gate import FORCED_KEY, forced_notes, passed_checks
    from DLCTPMLib.volumes.reading import read_ct, write_image

    out = Path(options.out)
    with whole_file(out) as partial:
        progress("Reading the CT", 0.0)
        scan = read_ct(options.ct, options.series, acquisition=options.acquisition, orientation=options.orientation)
        lungs = lungs_of(scan, None, within(progress, 0.2, 0.8))
        progress("Checking CT and lungs", 0.8)
        quality = passed_checks(scan, lungs.upright, force=options.force, task="write the lungs")
        marks = forced_notes(quality)
        if out.name.endswith(".seg.nrrd"):
            write_segments(partial, lungs.labels, _segments(lungs.labels), marks)
        else:
            write_image(lungs.labels, partial, marks)
    progress("Done", 1.0)
    lines = [f"FORCED: {marks[FORCED_KEY]}"] if marks else []
    lines += [f"warning: {warning}" for warning in (*scan.warnings, *lungs.warnings)]
    lines += check_lines(quality)
    say(options, "\n".join([*lines, f"Lungs in {out}"]))


def _segments(labels: sitk.Image) -> list[Segment]:
    import numpy as np
    import SimpleITK as sitk

    from DLCTPMLib.labels.chest_regions import display_name, terminology
    from DLCTPMLib.labels.seg_nrrd import Segment

    values = [int(v) for v in np.unique(sitk.GetArrayViewFromImage(labels)) if v]
    return [
        Segment(
            display_name(value).replace(" ", "-"),
            display_name(value),
            value,
            COLOURS.get(value, (0.5, 0.7, 0.5)),
            terminology(value),
        )
        for value in values
    ]


COMMAND = Command(
    "segment",
    "Find the lungs in a chest CT.",
    add_arguments,
    run,
    ("dlctpm segment ct.nrrd --out lungs.nrrd",),
)
