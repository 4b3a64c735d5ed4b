"""``dlctpm predict``: a perfusion map from a chest CT, with everything that is said about it."""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path

from DLCTPMLib.cli.shared.arguments import (
    add_ct,
    add_function,
    add_lungs,
    add_model,
    add_naming,
    add_spect_series,
    function_of,
    names_chosen,
    refuse_idle,
)
from DLCTPMLib.cli.shared.command import Command, check_there
from DLCTPMLib.cli.shared.printed import summary
from DLCTPMLib.common.console import say
from DLCTPMLib.common.options import add_options, given
from DLCTPMLib.common.progress import Progress
from DLCTPMLib.function.resection import Resection
from DLCTPMLib.results.settings import PredictionSettings, check_pdf

CHOSEN = ("registration", "hir_scope", "device", "precision")
"""Settings of a prediction that are options, beside its definition of function."""

OF_THE_OPERATION = ("fev1", "predicted_fev1", "removed")
"""Options that a predicted postoperative FEV1 is made of."""

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
    add_options(parser, Resection(), *OF_THE_OPERATION)
    parser.add_argument(
        "--force",
        action="store_true",
        help="map also where a check of the input FAILs; every picture and file then says so",
    )
    parser.add_argument(
        "--interactive",
        action="store_true",
        help="put CT, map and SPECT with one cursor into the report, too (1 to 2 MB; for browsers with WebGL 2)",
    )
    parser.add_argument("--pdf", action="store_true", help="write the report as report.pdf too (needs ReportLab)")
    add_naming(parser)
    parser.add_argument("--out", metavar="DIR", help="results (default: ./NAME-perfusion, after the CT's name)")


def run(options: argparse.Namespace, progress: Progress) -> None:
    """Read, find the lungs, map, compare, report."""
    check_there(options.ct, options.spect, options.lungs)
    if options.spect is None:
        refuse_idle(options, OF_THE_SPECT, "goes with --spect; give both, or neither")
    if options.pdf:
        check_pdf()
    from DLCTPMLib.common.atomic_output import OutputFolder
    from DLCTPMLib.networks.bundle import load_bundle
    from DLCTPMLib.results.job import PatientPaths, PredictionJob
    from DLCTPMLib.results.prediction import DOSE_FILES, RESULT_FILES

    named = {field.name for field in fields(PatientPaths)} & set(vars(options))
    paths = PatientPaths(**{name: getattr(options, name) for name in named})
    names = names_chosen(paths.by_role(), options)
    settings = PredictionSettings(**function_of(options), **given(options, PredictionSettings, *CHOSEN))
    resection = Resection(**given(options, Resection, *OF_THE_OPERATION))
    out = Path(options.out or default_folder(options.ct, options.pseudonym))
    with OutputFolder(out, (*RESULT_FILES, *DOSE_FILES)) as folder:
        result = PredictionJob(
            paths, names, settings, options.force, resection, options.pdf, options.interactive
        ).run(load_bundle(options.model), folder.work, progress)
    progress("Done", 1.0)
    say(options, summary(result, out))


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
        "dlctpm predict ct.nrrd --lungs lobes.seg.nrrd --fev1 2.1 --predicted-fev1 3.0 --removed RUL --out result",
    ),
)
