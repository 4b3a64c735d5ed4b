"""The command line ``dlctpm``: what can be asked for, and how everything that goes wrong is told.

Parsing imports nothing heavy; each command's file is imported when it runs. This is the roof: only the command
files may reach into the training library.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import importlib
import os
import signal
import sys
import traceback
from collections.abc import Iterator

from DLCTPMLib import RESEARCH_USE_ONLY, __version__
from DLCTPMLib.cli.parent_process import INTERRUPTED, clear_up_after_parent, exit_with_parent
from DLCTPMLib.common.errors import InputError
from DLCTPMLib.common.progress import JsonLines, TerminalBar, no_progress

DONE, DEFECT, BAD_INPUT = 0, 1, 2
"""Exit statuses, beside ``INTERRUPTED``."""

_MEMORY_WORDS = ("out of memory", "can't allocate memory", "failed to allocate", "not enough memory")


class _Parser(argparse.ArgumentParser):
    """Wrong usage is one line on standard error, like every other bad input."""

    def error(self, message: str):
        raise InputError(f"{message} (see '{self.prog} --help')")


def build_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = _Parser(
        prog="dlctpm",
        description="Relative lung perfusion from an ordinary chest CT. " + RESEARCH_USE_ONLY,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"dlctpm {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _add_demo(commands)
    _add_predict(commands)
    _add_segment(commands)
    _add_register(commands)
    _add_evaluate(commands)
    _add_cohort(commands)
    _add_train(commands)
    _add_study(commands)
    _add_benchmark(commands)
    return parser


def _add(commands, name: str, summary: str, runs: str) -> argparse.ArgumentParser:
    """A command; ``runs`` is "module:function", called with the options and a progress."""
    parser = commands.add_parser(name, help=summary, description=summary, allow_abbrev=False)
    parser.add_argument(
        "--progress",
        choices=("bar", "json", "none"),
        default="bar",
        help="a bar on a terminal (default), one JSON object a line on standard output, or nothing",
    )
    parser.set_defaults(runs=runs)
    return parser


def _add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto", help="where to compute")


def _add_agreement(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--threshold",
        type=float,
        default=0.66,
        metavar="T",
        help="relative perfusion above which lung is high-functional (default 0.66)",
    )
    parser.add_argument(
        "--hir-scope",
        choices=("patient", "lung"),
        help="normalise the SPECT over both lungs or each by itself (default: as the model was trained)",
    )


def _add_lungs(parser: argparse.ArgumentParser, required: bool = False) -> None:
    text = "lung mask of any source" if required else "lung mask of any source (default: found in the CT)"
    parser.add_argument("--lungs", required=required, metavar="LABELS", help=text)
    parser.add_argument(
        "--lungs-values",
        choices=("auto", "cip", "lungmask", "lobes", "totalsegmentator", "mask"),
        default="auto",
        help="what the values of a label map mean, where that cannot be told from them",
    )


def _add_registration(parser: argparse.ArgumentParser, option: str, choices: tuple[str, ...]) -> None:
    parser.add_argument(option, choices=choices, default="rigid", help="how the SPECT is moved (default rigid)")


def _add_demo(commands) -> None:
    parser = _add(
        commands,
        "demo",
        "Map a virtual patient and compare with its simulated SPECT.",
        "DLCTPMTrainingLib.cli.demo:run",
    )
    parser.add_argument("--out", default="dlctpm-demo", metavar="DIR", help="results (default ./dlctpm-demo)")
    parser.add_argument("--seed", type=int, default=1, metavar="K", help="which virtual patient (default 1)")
    parser.add_argument("--model", metavar="M", help="name, folder or zip of a model (default: the shipped one)")
    _add_device(parser)


def _add_predict(commands) -> None:
    parser = _add(commands, "predict", "Map relative lung perfusion from a chest CT.", "DLCTPMLib.cli.predict:run")
    parser.add_argument("ct", metavar="CT", help="an image file, a DICOM folder, or a zip of one")
    parser.add_argument("--series", metavar="S", help="series number or UID, where the folder holds several CTs")
    _add_lungs(parser)
    parser.add_argument("--model", metavar="M", help="name, folder or zip of a model (default: the shipped one)")
    parser.add_argument("--spect", metavar="SPECT", help="perfusion SPECT to compare with: file, folder or zip")
    parser.add_argument("--spect-series", metavar="S", help="series number or UID of the SPECT")
    _add_registration(parser, "--register", ("rigid", "affine", "none"))
    _add_agreement(parser)
    _add_device(parser)
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16"), default="auto", help="of the network")
    parser.add_argument("--uncertainty", type=int, metavar="N", help="not built yet")
    parser.add_argument("--out", metavar="DIR", help="results (default: ./NAME-perfusion, after the CT's name)")


def _add_segment(commands) -> None:
    parser = _add(commands, "segment", "Find the lungs in a chest CT.", "DLCTPMLib.cli.segment:run")
    parser.add_argument("ct", metavar="CT", help="an image file, a DICOM folder, or a zip of one")
    parser.add_argument("--series", metavar="S", help="series number or UID, where the folder holds several CTs")
    parser.add_argument("--out", required=True, metavar="LABELS", help="label map (.nrrd, .nii.gz) or .seg.nrrd")


def _add_register(commands) -> None:
    parser = _add(commands, "register", "Register a perfusion SPECT to a chest CT.", "DLCTPMLib.cli.register:run")
    parser.add_argument("--fixed", required=True, metavar="CT", help="an image file, a DICOM folder or a zip")
    parser.add_argument("--moving", required=True, metavar="SPECT", help="an image file, a DICOM folder or a zip")
    parser.add_argument("--series", metavar="S", help="series number or UID of the CT")
    parser.add_argument("--spect-series", metavar="S", help="series number or UID of the SPECT")
    _add_lungs(parser)
    _add_registration(parser, "--kind", ("rigid", "affine"))
    parser.add_argument(
        "--out", required=True, metavar="TRANSFORM", help=".tfm file that maps CT points to SPECT points (LPS, mm)"
    )


def _add_evaluate(commands) -> None:
    parser = _add(commands, "evaluate", "Agreement of a perfusion map with a SPECT.", "DLCTPMLib.cli.evaluate:run")
    parser.add_argument("--prediction", required=True, metavar="P", help="perfusion map on the CT's grid")
    parser.add_argument("--spect", required=True, metavar="S", help="perfusion SPECT: file, folder or zip")
    parser.add_argument("--spect-series", metavar="S", help="series number or UID of the SPECT")
    _add_lungs(parser, required=True)
    parser.add_argument("--transform", metavar="T", help="maps CT points to SPECT points (default: identity)")
    parser.add_argument("--ct", metavar="CT", help="the CT, for the two baselines that look at its HU")
    parser.add_argument("--series", metavar="S", help="series number or UID of the CT")
    parser.add_argument("--model", metavar="M", help="take the SPECT's standardisation from this model")
    _add_agreement(parser)
    parser.add_argument(
        "--result",
        metavar="R",
        help="result.json of the prediction: its report is written with the SPECT (needs --ct)",
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="folder for result.json and the compared images on the SPECT's grid: spect_relative.nrrd, "
        "perfusion_on_spect.nrrd, difference_on_spect.nrrd, joint_histogram.csv (default: print only)",
    )


def _add_cohort(commands) -> None:
    parser = commands.add_parser("cohort", help="Make cohorts of patients.", allow_abbrev=False)
    parts = parser.add_subparsers(dest="part", metavar="PART", required=True)
    simulate = _add(
        parts,
        "simulate",
        "Simulate virtual patients with CT and SPECT, or with --ct-folder perfusion and SPECT on real CTs.",
        "DLCTPMTrainingLib.cli.cohort:run",
    )
    simulate.add_argument("--patients", type=int, required=True, metavar="N", help="how many")
    simulate.add_argument("--seed", type=int, required=True, metavar="K", help="the same seed, the same patients")
    simulate.add_argument("--out", required=True, metavar="DIR", help="folder for cohort.csv and the images")
    simulate.add_argument(
        "--spect",
        choices=("osem", "analytic"),
        default="osem",
        help="osem: acquired and reconstructed; analytic: blurred, quick (default: osem)",
    )
    simulate.add_argument(
        "--ct-folder",
        metavar="CTS",
        help="simulate on the real CTs of this folder, at most one patient on each: CT and lungs stay as they are "
        "(the CT is copied into DIR, without names), perfusion and SPECT are simulated",
    )
    simulate.add_argument("--dicom", action="store_true", help="also write each CT and SPECT as DICOM")
    simulate.add_argument("--workers", type=int, metavar="N", help="patients made at once (default: the cores)")
    check = _add(
        parts, "check", "Look for faults in a cohort's table and images.", "DLCTPMTrainingLib.cli.cohort:check"
    )
    check.add_argument("cohort", metavar="COHORT.csv", help="as for train and study")
    check.add_argument("--study", action="store_true", help="also ask whether the patients suffice for a study")


def _add_train(commands) -> None:
    parser = _add(
        commands, "train", "Train a model on a cohort of SPECT/CT pairs.", "DLCTPMTrainingLib.cli.train:run"
    )
    parser.add_argument("cohort", nargs="?", metavar="COHORT.csv", help="as 'cohort simulate' writes it")
    parser.add_argument("--out", required=True, metavar="RUN", help="the run; one that was cut off is continued")
    parser.add_argument(
        "--export", metavar="FILE", help="do not train: make one file of samples (.npz) for another machine"
    )
    parser.add_argument(
        "--samples", metavar="FILE", help="train on what --export made, in place of COHORT.csv; needs PyTorch only"
    )
    parser.add_argument("--name", help="name of the model (default dlctpm)")
    parser.add_argument("--model-version", metavar="V", help="version of the model (default 1)")
    parser.add_argument("--epochs", type=int, metavar="N", help="passes over all lungs (default 500)")
    parser.add_argument("--batch-size", type=int, metavar="N", help="lungs a step (default 1)")
    parser.add_argument("--learning-rate", type=float, metavar="R", help="Adam's (default 0.001)")
    parser.add_argument(
        "--network",
        choices=("arnn", "unet", "context"),
        help="the paper's, a plain U-Net of its size, or the paper's with place and density (default arnn)",
    )
    parser.add_argument(
        "--inputs",
        choices=("enhanced", "enhanced,density"),
        help="images that the network gets (default: enhanced, for context with density)",
    )
    parser.add_argument("--channels", metavar="A-B-C-D", help="feature channels (default 16-32-64-128)")
    _add_grid(parser)
    parser.add_argument("--roi-attention", choices=("literal", "soft", "hard"), help="default literal")
    parser.add_argument("--edges", choices=("zero", "masked"), help="of the filters of Eq. 1 (default zero)")
    parser.add_argument("--hir-scope", choices=("patient", "lung"), help="of the SPECT (default patient)")
    parser.add_argument("--movement", type=float, metavar="M", help="SD of the lungs' small movements (default 0)")
    parser.add_argument("--validation-share", type=float, metavar="S", help="patients only watched (default 0.2)")
    parser.add_argument("--test", metavar="TEST.csv", help="cohort that training never sees, for the model card")
    parser.add_argument("--plateau", action="store_true", help="stop early by the paper's rule")
    parser.add_argument("--tensorboard", action="store_true", help="also log the epochs for TensorBoard")
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16"), help="of the network (default auto)")
    parser.add_argument("--seed", type=int, metavar="K", help="of weights, order and dropout (default 2026)")
    _add_device(parser)


def _add_grid(parser: argparse.ArgumentParser) -> None:
    """The network's grid, and the filters that count in its cells: half the grid wants half the filters."""
    parser.add_argument("--grid", metavar="ZxYxX", help="cells of the network's grid (default 128x64x64)")
    parser.add_argument("--median-size", type=int, metavar="N", help="cells of the median of Eq. 1 (default 10)")
    parser.add_argument("--uniform-size", type=int, metavar="N", help="cells of the mean of Eq. 1 (default 5)")


def _add_study(commands) -> None:
    parser = _add(
        commands, "study", "Cross-validate, train and test a model on a cohort.", "DLCTPMTrainingLib.cli.study:run"
    )
    parser.add_argument(
        "cohort", metavar="COHORT.csv", help="patient_id, ct, spect, lungs; also diagnosis, sex, age, split"
    )
    parser.add_argument("--out", required=True, metavar="STUDY", help="the study; one that was cut off is continued")
    parser.add_argument("--name", default="dlctpm", help="name of the model (default dlctpm)")
    parser.add_argument("--model-version", default="1", metavar="V", help="version of the model (default 1)")
    _add_registration(parser, "--register", ("rigid", "affine", "none"))
    parser.add_argument(
        "--check", action="store_true", help="stop before training; a contact sheet to look at is left"
    )
    parser.add_argument(
        "--test-share", type=float, metavar="S", help="patients kept for the one test (default 31/73)"
    )
    parser.add_argument("--folds", type=int, metavar="N", help="of the cross-validation (default 4)")
    parser.add_argument("--epochs", type=int, metavar="N", help="of each fold and of the final fit (default 100)")
    parser.add_argument("--no-plateau", action="store_true", help="never stop early by the paper's rule")
    searched = "; several with commas are searched"
    parser.add_argument("--learning-rate", metavar="R,…", help=f"Adam's (default 0.001){searched}")
    parser.add_argument("--channels", metavar="A-B-C-D,…", help=f"feature channels (default 16-32-64-128){searched}")
    parser.add_argument("--edges", metavar="E,…", help=f"zero or masked filters of Eq. 1 (default zero){searched}")
    parser.add_argument("--roi-attention", metavar="A,…", help=f"literal, soft or hard (default literal){searched}")
    parser.add_argument("--movement", metavar="M,…", help=f"SD of the lungs' small movements (default 0){searched}")
    parser.add_argument("--search-epochs", type=int, metavar="N", help="epochs of the whole search (default 80)")
    parser.add_argument("--search-folds", type=int, metavar="N", help="folds each setting is tried on (default 1)")
    parser.add_argument("--batch-size", type=int, metavar="N", help="lungs a step (default 1)")
    _add_grid(parser)
    parser.add_argument("--hir-scope", choices=("patient", "lung"), help="of the SPECT (default patient)")
    parser.add_argument("--without", metavar="DIAGNOSIS", help="train and test a second model without its patients")
    parser.add_argument(
        "--alternatives", metavar="A,…", help="other networks under the same budget, side by side: unet, context"
    )
    parser.add_argument("--sensitivity", action="store_true", help="train variants of the preprocessing (fold 1)")
    parser.add_argument("--learning-curve", action="store_true", help="train on fewer patients (fold 1)")
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16"), help="of the network (default auto)")
    parser.add_argument("--seed", type=int, metavar="K", help="of split, weights, order and dropout (default 2026)")
    parser.add_argument(
        "--export-docs", metavar="FOLDER", help="also write report and headline tables in at most 5 MB"
    )
    parser.add_argument("--jobs", type=int, metavar="N", help="fits at once, on a CPU (default 1)")
    parser.add_argument("--threads", type=int, metavar="N", help="of each; give cores / jobs (default: all cores)")
    _add_device(parser)


def _add_benchmark(commands) -> None:
    parser = _add(
        commands, "benchmark", "Time the engine against a plain reference.", "DLCTPMTrainingLib.cli.benchmark:run"
    )
    parser.add_argument(
        "--out",
        default="dlctpm-benchmark",
        metavar="DIR",
        help="folder for benchmark.json or, with --train, benchmark-train.json (default ./dlctpm-benchmark)",
    )
    parser.add_argument("--train", action="store_true", help="time the training in place of the mapping")
    train = parser.add_argument_group("with --train")
    train.add_argument("--network", choices=("arnn", "unet", "context"), help="default arnn")
    train.add_argument("--channels", metavar="A-B-C-D", help="feature channels (default 16-32-64-128)")
    train.add_argument("--grid", metavar="ZxYxX", help="cells of the network's grid (default 128x64x64)")
    train.add_argument("--batch-size", type=int, metavar="N", help="lungs a step (default 1)")
    train.add_argument("--precision", choices=("auto", "fp32", "bf16"), help="of our step (default auto)")
    train.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), help="where to train (default auto)")


def main(argv: list[str] | None = None) -> int:
    """Run one command and return the exit status; nothing but ``--help`` and ``--version`` exits by itself."""
    interrupted: list[int] = []
    try:
        with _interruptible(interrupted):
            exit_with_parent()
            options = build_parser().parse_args(argv)
            _run(options)
    except KeyboardInterrupt:
        return _interrupted()
    except Exception as error:
        if interrupted:  # some libraries turn the interruption into an error of their own
            return _interrupted()
        sentence = _sentence(error)
        if sentence is None:
            traceback.print_exc()
            return DEFECT
        if not _first_process_tells(error):
            _tell(f"error: {' '.join(sentence.split())}")
        return BAD_INPUT
    return DONE


def _interrupted() -> int:
    _tell("interrupted")
    clear_up_after_parent()
    return INTERRUPTED


def _run(options: argparse.Namespace) -> None:
    module, function = options.runs.split(":")
    command = importlib.import_module(module)
    progress = {"bar": TerminalBar, "json": JsonLines, "none": lambda: no_progress}[options.progress]()
    getattr(command, function)(options, progress)


def _tell(line: str) -> None:
    """One line on standard error, in place of an unfinished progress bar; whoever read along may be gone."""
    start = "\r\x1b[2K" if sys.stderr.isatty() else ""
    with contextlib.suppress(OSError):
        print(f"{start}{line}", file=sys.stderr, flush=True)


def _first_process_tells(error: Exception) -> bool:
    """Whether ``torchrun`` started this process beside another that has met the same bad input."""
    several = int(os.environ.get("WORLD_SIZE", 1)) > 1
    return several and os.environ.get("RANK") != "0" and isinstance(error, InputError)


def _sentence(error: Exception) -> str | None:
    """What to tell the user; None for a defect of this program."""
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(word in str(error).lower() for word in _MEMORY_WORDS)
    ):
        return (
            "there is not enough memory for this image; close other programs, use --device cpu if a GPU was full, "
            "or resample the CT to larger voxels"
        )
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return f"{error.filename or 'the disk'}: the disk is full; free some space and run again"
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}; check the path and your rights"
    return None


@contextlib.contextmanager
def _interruptible(interrupted: list[int]) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM (Slicer's Cancel) interrupt once; then leave the cleaning up alone."""

    def interrupt(number: int, frame) -> None:
        interrupted.append(number)
        for one in watched:
            signal.signal(one, signal.SIG_IGN)
        raise KeyboardInterrupt

    names = ("SIGINT", "SIGTERM", "SIGBREAK")
    watched = {getattr(signal, name) for name in names if hasattr(signal, name)}
    try:
        before = {one: signal.signal(one, interrupt) for one in watched}
    except ValueError:  # not the main thread: whoever called owns the signals
        yield
        return
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
