"""The command line ``dlctpm``: the engine's commands, those of installed packages, and how a run ends.

Parsing imports nothing heavy: a command's ``run`` does.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import traceback
from collections.abc import Callable, Sequence

from DLCTPMLib.cli import changes, cohort_predict, dose, evaluate, export, info, listen, predict, register, segment
from DLCTPMLib.cli.parent_process import exit_with_parent
from DLCTPMLib.cli.shared.command import Command, build_parser, installed_commands
from DLCTPMLib.common.atomic_output import NO_ROOM
from DLCTPMLib.common.console import plain_line
from DLCTPMLib.common.ending import interruption
from DLCTPMLib.common.errors import FailedChecksError, InputError
from DLCTPMLib.common.memory import is_out_of_memory
from DLCTPMLib.common.progress import JsonLines, Progress, TerminalBar, event_sink, no_progress

DONE, DEFECT, BAD_INPUT = 0, 1, 2
"""Exit statuses, beside those of an interrupted run (``interruption.exit_status``)."""

COMMANDS = (
    predict.COMMAND,
    cohort_predict.COMMAND,
    segment.COMMAND,
    register.COMMAND,
    evaluate.COMMAND,
    dose.COMMAND,
    changes.COMMAND,
    export.COMMAND,
    listen.COMMAND,
    info.COMMAND,
)
"""The engine's own commands."""


def main(argv: list[str] | None = None, more: Sequence[Command] = ()) -> int:
    """Run one command and return the exit status; nothing but ``--help`` and ``--version`` exits by itself.

    Args:
        argv: the command line without the program; None for this process's own.
        more: commands beside the engine's and those of installed packages.
    """
    with interruption.interruptible():
        try:
            exit_with_parent()
            options = parser_of(more).parse_args(argv)
            progress = {"bar": TerminalBar, "json": JsonLines, "none": lambda: no_progress}[options.progress]()
            _run(options, progress)
            interruption.raise_if_received()
        except KeyboardInterrupt:
            return interruption.finish(_print_error)
        except Exception as error:
            if interruption.received():  # some libraries turn the interruption into an error of their own
                return interruption.finish(_print_error)
            return _failed(error)
    return DONE


def _run(options: argparse.Namespace, progress: Progress) -> None:
    try:
        options.run(options, progress)
    except FailedChecksError as failed:
        event_sink(progress)(failed_checks=failed.sentences)  # a panel can then offer to force the result
        raise


def parser_of(more: Sequence[Command] = ()) -> argparse.ArgumentParser:
    """The parser of all commands: the engine's, ``more``, and those of installed packages."""
    return build_parser([*COMMANDS, *more, *installed_commands(_print_error)])


def run_program(main: Callable[[], int] = main) -> None:
    """Run a command line as a module does (``python -m DLCTPMLib COMMAND …``), and end the process at once."""
    try:
        try:
            status = main()
        except SystemExit as ending:
            status = ending.code if isinstance(ending.code, int) else int(ending.code is not None)
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):  # whoever read it may be gone
                stream.flush()
    except KeyboardInterrupt:
        status = interruption.finish(_print_error)
    # Everything is written. Taking torch and the images apart would keep the parent for a second, and a module that
    # is still imported in the background (``preload``) would be waited for.
    os._exit(status)


def _failed(error: Exception) -> int:
    sentence = _sentence(error)
    if sentence is None:
        traceback.print_exc()
        return DEFECT
    if not _first_process_tells(error):
        _print_error(plain_line(f"error: {sentence}"))
    return BAD_INPUT


def _print_error(line: str) -> None:
    """One line on standard error, in place of an unfinished progress bar; whoever read along may be gone."""
    start = interruption.CLEAR_LINE if sys.stderr.isatty() else ""
    with contextlib.suppress(OSError):
        print(f"{start}{line}", file=sys.stderr, flush=True)


def _first_process_tells(error: Exception) -> bool:
    """Whether ``torchrun`` started this process beside another that has met the same bad input."""
    count, rank = (os.environ.get(name, "") for name in ("WORLD_SIZE", "RANK"))
    several = count.isdecimal() and int(count) > 1
    return several and rank.isdecimal() and int(rank) > 0 and isinstance(error, InputError)


def _sentence(error: Exception) -> str | None:
    """What to tell the user; None for a defect of this program."""
    if isinstance(error, InputError):
        return str(error)
    if is_out_of_memory(error):
        return (
            "there is not enough memory for this image; close other programs, use --device cpu if a GPU was full, "
            "or resample the CT to larger voxels"
        )
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        return f"{error.filename or 'a file'}: {NO_ROOM[error.errno]}; free some space and run again"
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}; check the path and your rights"
    return None
