"""What a command is to the command line, and the one parser made of many of them.

A command names itself, adds its arguments and runs. The engine's own commands are listed in ``cli.main``; other
packages bring theirs through entry points of the group ``dlctpm.commands``, each the name of a ``Command``. Nothing
that is imported to know a command may be heavy: ``dlctpm --help`` loads them all.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from DLCTPMLib import RESEARCH_USE_ONLY, __version__
from DLCTPMLib.common.errors import InputError
from DLCTPMLib.common.progress import Progress

HELP_OF_ONE = "'dlctpm COMMAND --help' tells the arguments of one command, with more examples."

ENTRY_POINTS = "dlctpm.commands"
"""Group of entry points by which an installed package brings commands."""


@dataclass(frozen=True)
class Command:
    """One command of ``dlctpm``.

    Attributes:
        name: as it is typed; two words for a part of a group, such as ``cohort simulate``.
        summary: one sentence for ``--help``.
        add_arguments: given the command's parser, adds to it; must import nothing heavy.
        run: called with the options and a progress; raises ``InputError`` for what the user can mend.
        examples: command lines as a user types them, shown below the options.
    """

    name: str
    summary: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace, Progress], None]
    examples: tuple[str, ...] = ()


class _Help(argparse.HelpFormatter):
    """Help whose examples keep their lines, so that one can be copied, and whose choices read as auto|cpu|cuda."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if text.startswith("examples:"):
            return text
        return super()._fill_text(text, width, indent)

    def _metavar_formatter(self, action: argparse.Action, default_metavar: str) -> Callable[[int], tuple[str, ...]]:
        if action.metavar is None and action.choices is not None:
            return lambda size: ("|".join(map(str, action.choices)),) * size
        return super()._metavar_formatter(action, default_metavar)


class Parser(argparse.ArgumentParser):
    """Wrong usage is one line on standard error, like every other bad input."""

    def error(self, message: str):
        """Refuse the command line."""
        raise InputError(f"{message} (see '{self.prog} --help')")


def installed_commands(warn: Callable[[str], None]) -> list[Command]:
    """The commands that installed packages bring; one that cannot be used is left out.

    Args:
        warn: given a sentence for each that is left out.
    """
    from importlib.metadata import entry_points

    found = []
    for entry in entry_points(group=ENTRY_POINTS):
        try:
            command = entry.load()
            command.add_arguments(Parser(prog=command.name))  # on trial: a half-made command cannot be taken back
        except Exception as error:  # somebody else's package may fail in any way, and must not end this program
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            warn(f"warning: the command of {entry.value} is left out, its package is broken ({reason})")
        else:
            found.append(command)
    return found


def distinct(commands: Iterable[Command]) -> list[Command]:
    """The commands without those whose name, or whose group's name, an earlier one has taken."""
    kept: dict[str, Command] = {}
    for command in commands:
        group = command.name.split(" ")[0]
        taken = command.name in kept or (group != command.name and group in kept)
        if not taken and not any(name.startswith(f"{command.name} ") for name in kept):
            kept[command.name] = command
    return list(kept.values())


def check_there(*paths: str | None) -> None:
    """Refuse a wrong path before anything heavy is imported to read it; None is an input that was not given.

    Raises:
        InputError: there is no such file or folder, or it is neither (a pipe or a device, which may never end).
    """
    for path in paths:
        if path is None or os.path.isfile(path) or os.path.isdir(path):
            continue
        if os.path.exists(path):
            raise InputError(f"{path}: is neither a file nor a folder; give one")
        raise InputError(f"{path}: there is no such file or folder; check the path")


def build_parser(commands: Iterable[Command]) -> argparse.ArgumentParser:
    """The whole command line; the options of a command that was parsed have its ``run``."""
    commands = distinct(commands)
    parser = Parser(
        prog="dlctpm",
        description="Relative lung perfusion from an ordinary chest CT. " + RESEARCH_USE_ONLY,
        epilog=_examples(line for one in commands for line in one.examples[:1]) + f"\n\n{HELP_OF_ONE}",
        formatter_class=_Help,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"dlctpm {__version__}")
    top = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    groups: dict[str, argparse._SubParsersAction] = {}
    for command in commands:
        group, _, part = command.name.partition(" ")
        if part and group not in groups:
            parts = ", ".join(each.name.split(" ", 1)[1] for each in commands if each.name.startswith(f"{group} "))
            grouped = top.add_parser(group, help=f"Parts: {parts}.", allow_abbrev=False)
            groups[group] = grouped.add_subparsers(dest="part", metavar="PART", required=True)
        _add(groups[group] if part else top, part or group, command)
    return parser


def _examples(lines: Iterable[str]) -> str:
    return "\n".join(("examples:", *(f"  {line}" for line in lines)))


def _add(commands: argparse._SubParsersAction, name: str, command: Command) -> None:
    parser = commands.add_parser(
        name,
        help=command.summary,
        description=command.summary,
        epilog=_examples(command.examples) if command.examples else None,
        formatter_class=_Help,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--progress",
        choices=("bar", "json", "none"),
        default="bar",
        help="a bar on a terminal (default), one JSON object a line on standard output, or nothing",
    )
    command.add_arguments(parser)
    parser.set_defaults(run=command.run)
