"""Arguments that several commands share, so that they are called and explained alike."""

from __future__ import annotations

import argparse

MODEL_HELP = "name, folder or zip of a model (default: the shipped one)"


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
        default="auto",
        help="what the values of a label map mean, where that cannot be told from them",
    )
