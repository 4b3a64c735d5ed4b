"""``dlctpm predict``: a perfusion map from a chest CT, with everything that is said about it."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from DLCTPMLib.cli.arguments import (
    add_ct,
    add_function,
    add_lungs,
    add_model,
    add_spect_series,
    function_of,
    refuse_idle,
)
from DLCTPMLib.cli.command import Command, check_there
from DLCTPMLib.cli.dose import DOSE_FILES
from DLCTPMLib.cli.input_names import InputNames, add_naming
from DLCTPMLib.cli.lungs_input import lungs_of
from DLCTPMLib.cli.printed import summary
from DLCTPMLib.common.console import say
from DLCTPMLib.common.options import add_options, given
from DLCTPMLib.common.progress import Progress, within
from DLCTPMLib.results.settings import PredictionSettings

if TYPE_CHECKING:
    from DLCTPMLib.lungs.masks import Lungs

CHOSEN = ("registration", "hir_scope", "device", "precision")
"""Settings of a prediction that are options, beside its definition of function."""

OF_THE_SPECT = ("spect_series", "register", "hir_scope")
"""Options that say something of a SPECT."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The CT, the SPECT to compare with, the model, and what may be chosen."""
    add_ct(parser)
    add_lungs(parser)
    add_model(parser)
    parser.add_argument("--spect", metavar="SPECT", help="perfusion SPECT to compare with: file, folder or zip")
    add_spect_series(parser)
    add_function(parser)
    add_options(parser, PredictionSettings(), *CHOSEN)
    parser.add_argument(
        "--force",
        action="store_true",
        help="map also where a check of the input FAILs; every picture and file then says so",
    )
    add_naming(parser)
    parser.add_argument("--out", metavar="DIR", help="results (default: ./NAME-perfusion, after the CT's name)")


def run(options: argparse.Namespace, progress: Progress) -> None:
    """Read, find the lungs, map, compare, report."""
    check_there(options.ct, options.spect, options.lungs)
    if options.spect is None:
        refuse_idle(options, OF_THE_SPECT, "goes with --spect; give both, or neither")
    names = InputNames.chosen({"CT": options.ct, "SPECT": options.spect, "lungs": options.lungs}, options)
    from DLCTPMLib.common.atomic_output import OutputFolder
    from DLCTPMLib.common.background import preload
    from DLCTPMLib.common.stopwatch import Stopwatch
    from DLCTPMLib.networks.bundle import load_bundle
    from DLCTPMLib.results.prediction import RESULT_FILES, PatientImages, predict_to_folder
    from DLCTPMLib.volumes.reading import read_ct, read_spect

    settings = PredictionSettings(**function_of(options), **given(options, PredictionSettings, *CHOSEN))
    stopwatch = Stopwatch()
    out = Path(options.out or default_folder(options.ct, options.pseudonym))
    with OutputFolder(out, (*RESULT_FILES, *DOSE_FILES)) as folder:
        bundle = load_bundle(options.model)
        preload("DLCTPMLib.networks.inference")  # PyTorch, while the CT is read
        progress("Reading the CT", 0.0)
        with stopwatch("reading"):
            ct = read_ct(options.ct, options.series, acquisition=options.acquisition, orientation=options.orientation)
            spect = None
            if options.spect:
                spect = read_spect(options.spect, options.spect_series, orientation=options.orientation)
        with stopwatch("lungs"):
            lungs = lungs_of(
                ct, options.lungs, within(progress, 0.05, 0.2), options.lungs_values, options.orientation
            )
        compared = None if spect is None else names.scan(spect, "SPECT")
        images = PatientImages(names.scan(ct, "CT"), _named_lungs(lungs, names), compared)
        rest = within(progress, 0.2, 1.0)
        result = predict_to_folder(images, bundle, settings, folder.work, stopwatch, rest, options.force)
    progress("Done", 1.0)
    say(options, summary(result, out))


def _named_lungs(lungs: Lungs, names: InputNames) -> Lungs:
    source = lungs.source if names.paths["lungs"] is None else names["lungs"]
    return replace(lungs, source=source, warnings=names.told(lungs.warnings))


def default_folder(ct: str, pseudonym: str | None = None) -> str:
    """Where results go when nothing was said: ``./NAME-perfusion``, after the CT's file or folder, or pseudonym."""
    if pseudonym is not None:
        return f"{pseudonym}-perfusion"
    path = Path(ct).resolve()
    if path.is_dir():
        return f"{path.name or 'ct'}-perfusion"
    return f"{path.name[: -len('.nii.gz')] if path.name.endswith('.nii.gz') else path.stem}-perfusion"


COMMAND = Command(
    "predict",
    "Map relative lung perfusion from a chest CT.",
    add_arguments,
    run,
    (
        "dlctpm predict ct.nrrd --out result",
        "dlctpm predict DICOM_FOLDER --lungs lungs.seg.nrrd --spect spect.dcm --out result",
    ),
)
