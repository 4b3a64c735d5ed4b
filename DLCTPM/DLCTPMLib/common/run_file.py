"""``run.json``: what a training run or a study was asked for, so that whoever finds its folder can continue it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from DLCTPMLib.common.atomic_output import whole_file
from DLCTPMLib.common.errors import InputError
from DLCTPMLib.common.progress import EventSink

RUN_FILE = "run.json"
_NOT_KEPT = ("command", "run", "progress", "out", "device", "workers", "scheduler", "cohort", "check")
_PATHS = ("test",)


def keeping(options: argparse.Namespace, begun: str, emit: EventSink, later: Sequence[str] = ()) -> EventSink:
    """The same ``emit``, which also keeps the options in the run's folder when the cohort has been accepted.

    Args:
        options: of the command, as argparse gives them.
        begun: a file in the run's folder; where it is there now, the run was begun before and its options stay.
        emit: where the events go.
        later: options that a run may be given when it is continued; of these the last command's are kept.
    """
    out = Path(options.out)
    begun_before = (out / begun).is_file()

    def keep_and_emit(**values: object) -> None:
        if "cohort" in values and (later or not begun_before):
            write_run(out, options, values["cohort"], later if begun_before else None)
        emit(**values)

    return keep_and_emit


def write_run(out: Path, options: argparse.Namespace, about: dict, later: Sequence[str] | None = None) -> None:
    """Write ``run.json``: the command, the cohort, what is known ``about`` it, and the options that were given.

    With ``later``, the names of some options, only those change in a file that is there; where it is missing or
    damaged it is written anew.
    """
    given = {
        name: str(Path(value).absolute()) if name in _PATHS else value
        for name, value in vars(options).items()
        if name not in _NOT_KEPT and value is not None and value is not False
    }
    run = {
        "command": options.command,
        "cohort": str(Path(options.cohort).absolute()),
        "about": about,
        "options": given,
    }
    if later is not None:
        try:
            run = read_run(out)
        except InputError:
            pass  # a killed command may have left none
        else:
            kept = {name: value for name, value in run["options"].items() if name not in later}
            run["options"] = kept | {name: value for name, value in given.items() if name in later}
    out.mkdir(parents=True, exist_ok=True)
    with whole_file(out / RUN_FILE) as partial:
        partial.write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")


def read_run(folder: Path) -> dict:
    """What ``write_run`` wrote: ``command``, ``cohort``, ``about``, ``options``; every path absolute.

    Raises:
        InputError: there is no run in this folder, or its file is damaged.
    """
    path = Path(folder) / RUN_FILE
    try:
        run = json.loads(path.read_text(encoding="utf-8"))
        return {
            "command": str(run["command"]),
            "cohort": str(run["cohort"]),
            "about": dict(run["about"]),
            "options": dict(run["options"]),
        }
    except FileNotFoundError:
        raise InputError(f"{folder}: there is no run to continue in this folder; choose another") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: cannot be read, so the run cannot be continued; begin it again") from error


def arguments_of(run: dict, out: Path) -> list[str]:
    """The command line that continues a run in the folder ``out``; add ``--device`` and ``--progress`` as needed."""
    arguments = [run["command"], run["cohort"], "--out", str(out)]
    for name, value in run["options"].items():
        flag = f"--{name.replace('_', '-')}"
        arguments += [flag] if value is True else [flag, str(value)]
    return arguments
