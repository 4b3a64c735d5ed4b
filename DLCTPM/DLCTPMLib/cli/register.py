"""``dlctpm register``: a transform that maps CT points to SPECT points."""

from __future__ import annotations

import argparse
from pathlib import Path

from DLCTPMLib.cli.shared.arguments import add_ct_choice, add_lungs, add_spect_series
from DLCTPMLib.cli.shared.command import Command, check_there
from DLCTPMLib.common.console import say
from DLCTPMLib.common.errors import naming
from DLCTPMLib.common.progress import Progress, within
from DLCTPMLib.lungs.given import lungs_of
from DLCTPMLib.registration.settings import RIGID


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The two images, how one is moved, and where the transform goes."""
    parser.add_argument("--fixed", required=True, metavar="CT", help="an image file, a DICOM folder or a zip")
    parser.add_argument("--moving", required=True, metavar="SPECT", help="an image file, a DICOM folder or a zip")
    add_ct_choice(parser)
    add_spect_series(parser)
    add_lungs(parser)
    parser.add_argument(
        "--kind", choices=("rigid", "affine"), default=RIGID, help=f"how the SPECT is moved (default {RIGID})"
    )
    parser.add_argument(
        "--out", required=True, metavar="TRANSFORM", help=".tfm file that maps CT points to SPECT points (LPS, mm)"
    )


def run(options: argparse.Namespace, progress: Progress) -> None:
    """Read both, register, write the transform."""
    check_there(options.fixed, options.moving, options.lungs)
    from DLCTPMLib.common.atomic_output import whole_file
    from DLCTPMLib.registration.for_position import settings_for_position
    from DLCTPMLib.registration.search import register, write_transform
    from DLCTPMLib.volumes.reading import read_ct, read_spect

    out = Path(options.out)
    with whole_file(out) as partial:
        progress("Reading the images", 0.0)
        ct = read_ct(options.fixed, options.series, acquisition=options.acquisition, orientation=options.orientation)
        spect = read_spect(options.moving, options.spect_series, orientation=options.orientation)
        lungs = lungs_of(ct, options.lungs, within(progress, 0.1, 0.3), options.lungs_values, options.orientation)
        settings, notes = settings_for_position(ct.image, lungs.upright, ct.description.get("dicom"))
        with naming(options.moving):
            rest = within(progress, 0.3, 1.0)
            found = register(ct.image, spect.image, options.kind, lungs.upright, settings, rest)
        write_transform(found.transform, partial)
    progress("Done", 1.0)
    warnings = (*ct.warnings, *spect.warnings, *lungs.warnings, *notes, *found.warnings)
    lines = [f"warning: {warning}" for warning in dict.fromkeys(warnings)]
    lines.append(f"Mutual information {found.metric_before:.4f} before, {found.metric_after:.4f} after registration")
    say(options, "\n".join([*lines, f"Transform in {out}"]))


COMMAND = Command(
    "register",
    "Register a perfusion SPECT to a chest CT.",
    add_arguments,
    run,
    ("dlctpm register --fixed ct.nrrd --moving spect.dcm --out transform.tfm",),
)
