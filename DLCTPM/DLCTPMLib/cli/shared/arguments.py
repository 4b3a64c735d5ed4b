"""Arguments that several commands share, so that they are called and explained alike."""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.common.options import add_options, given
from DLCTPMLib.function.definitions import Definition
from DLCTPMLib.parallel.settings import WorkerSettings
from DLCTPMLib.results.names import InputNames
from DLCTPMLib.results.settings import PredictionSettings

MODEL_HELP = "name, folder or zip of a model (default: the shipped one)"


WORKERS = ("jobs", "workers", "scheduler")


def add_model(parser: argparse.ArgumentParser, text: str = MODEL_HELP) -> None:
    """``--model``."""
    parser.add_argument("--model", metavar="M", help=text)


def add_ct(parser: argparse.ArgumentParser) -> None:
    """The CT as an argument of its own, and which of several it is."""
    parser.add_argument("ct", metavar="CT", help="an image file, a DICOM folder, or a zip of one")
    add_ct_choice(parser)


def add_ct_choice(parser: argparse.ArgumentParser) -> None:
    """Which CT is meant where a source holds several, and how images lie that do not say it."""
    parser.add_argument("--series", metavar="S", help="series number or UID, where the folder holds several CTs")
    parser.add_argument("--acquisition", metavar="A", help="which one, where a CT series holds several acquisitions")
    parser.add_argument(
        "--orientation",
        metavar="CODE",
        help="where the array's axes run to (LPS, RAS, …), for image files that do not say",
    )


def add_function(parser: argparse.ArgumentParser) -> None:
    """``--function``, what counts as high-functional lung; ``--threshold`` is a value of the map as it stands."""
    options = parser.add_mutually_exclusive_group()
    add_options(options, PredictionSettings(), "function")
    options.add_argument("--threshold", type=float, metavar="T", help="the same as --function fixed:T")


def function_of(options: argparse.Namespace) -> dict[str, str]:
    """The definition of high-functional lung that was given, as settings; empty for the default.

    Raises:
        InputError: it is none.
    """
    if options.threshold is None:
        return given(options, PredictionSettings, "function")
    if not 0 < options.threshold < 1:
        raise InputError(f"--threshold {options.threshold:g}: a threshold must lie between 0 and 1")
    return {"function": Definition("fixed", options.threshold).name}


def refuse_idle(options: argparse.Namespace, names: Iterable[str], why: str) -> None:
    """Refuse options that would do nothing: whoever gave one takes it for done.

    Args:
        options: as parsed.
        names: of the options, as attributes.
        why: what follows the option in the sentence, such as "goes with --spect; give both, or neither".

    Raises:
        InputError: one was given.
    """
    for name in names:
        if getattr(options, name) not in (None, False):
            raise InputError(f"--{name.replace('_', '-')}: {why}")


def add_spect_series(parser: argparse.ArgumentParser) -> None:
    """``--spect-series``."""
    parser.add_argument(
        "--spect-series",
        metavar="S",
        help="series number or UID of the SPECT; SERIES:N is its energy window or reconstruction N",
    )


def add_lungs(parser: argparse.ArgumentParser, required: bool = False) -> None:
    """``--lungs`` and what its values mean."""
    text = "lung mask of any source" if required else "lung mask of any source (default: found in the CT)"
    parser.add_argument("--lungs", required=required, metavar="LABELS", help=text)
    parser.add_argument(
        "--lungs-values",
        choices=("auto", "cip", "lungmask", "lobes", "totalsegmentator", "totalsegmentator-v1", "mask"),
        help="what the values of a label map mean, where that cannot be told from them (default auto)",
    )


def add_naming(parser: argparse.ArgumentParser) -> None:
    """``--pseudonym``, and what of a DICOM image's examination is told."""
    add_pseudonym(parser)
    parser.add_argument(
        "--examination-date", action="store_true", help="write the examination's date into the results, too"
    )


def add_pseudonym(parser: argparse.ArgumentParser) -> None:
    """``--pseudonym``, and the key of an examination's own pseudonym."""
    parser.add_argument(
        "--pseudonym",
        metavar="NAME",
        help="stands in the results instead of the names of files and folders, which may be the patient's",
    )
    parser.add_argument(
        "--examination-salt",
        metavar="SECRET",
        help="key of the hashes that name a DICOM examination in the results (default: the same for everybody)",
    )


def names_chosen(paths: dict[str, str | None], options: argparse.Namespace) -> InputNames:
    """The inputs of a command, named as the options of ``add_naming`` say."""
    return InputNames(paths, options.pseudonym, options.examination_salt, options.examination_date)


def add_workers(parser: argparse.ArgumentParser) -> None:
    """``--jobs``, ``--workers`` and ``--scheduler``: who does tasks that do not need each other; one of them."""
    add_options(parser.add_mutually_exclusive_group(), WorkerSettings(), *WORKERS)


def workers_of(options: argparse.Namespace, jobs: int | None = None) -> WorkerSettings:
    """The workers that were asked for; where nobody was, ``jobs`` processes of this machine.

    Raises:
        InputError: they cannot be had.
    """
    asked = given(options, WorkerSettings, *WORKERS)
    return WorkerSettings(**(asked or {"jobs": jobs}))
