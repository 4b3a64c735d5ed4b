"""Options of a command line from the fields of settings: name, help text, choices and default stand there once."""

from __future__ import annotations

import argparse
import types
import typing
from dataclasses import Field, fields
from typing import Any

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.common.settings import StageSettings, type_of


def add_options(
    parser: argparse._ActionsContainer, settings: StageSettings, *names: str, several: bool = False
) -> None:
    """Add an option for each of some fields; what is not given is None, so that others may decide.

    Args:
        parser: or a group of one.
        settings: whose values are shown as the defaults.
        names: of the fields.
        several: the options take lists with commas (``several_given``).
    """
    for name in names:
        field = _field(settings, name)
        about, kind = field.metadata, _of_values(type_of(type(settings), name))
        default = getattr(settings, name)
        words = about["text"]
        if default is not None:  # the text itself says what nothing stands for
            words += f" (default {_as_text(default, about['metavar'])})"
        choices, metavar = about["choices"], about["metavar"]
        if several:
            words = f"{', '.join(choices)}: {words}" if choices else words
            words, choices, metavar = f"{words}; several with commas are searched", None, f"{metavar or 'A'},…"
        elif choices and any("," in choice for choice in choices):  # argparse parts them by commas
            metavar = "|".join(choices)
        number = kind in (int, float) and not several
        parser.add_argument(
            f"--{_flag(field)}", type=kind if number else str, choices=choices, metavar=metavar, help=words
        )


def given(options: argparse.Namespace, settings: type[StageSettings], *names: str) -> dict[str, Any]:
    """Those of some fields that were given, by field name, to make settings of; the others keep their defaults.

    Raises:
        InputError: naming the option whose text cannot be understood.
    """
    found = {}
    for name in names:
        field = _field(settings, name)
        value = getattr(options, _flag(field).replace("-", "_"))
        if value is not None:
            found[name] = _parsed(field, value) if isinstance(value, str) else value
    return found


def several_given(options: argparse.Namespace, settings: type[StageSettings], name: str) -> tuple:
    """The values of an option that takes a list; empty where it was not given.

    Raises:
        InputError: naming the option whose text cannot be understood.
    """
    field, kind = _field(settings, name), type_of(settings, name)
    text = getattr(options, _flag(field).replace("-", "_"))
    if text is None:
        return ()
    parts = [part.strip() for part in text.split(",")]
    try:
        return tuple(kind(part) if kind in (int, float) else _parsed(field, part) for part in parts)
    except ValueError as error:
        raise InputError(f"--{_flag(field)} {text}: give one value, or several with commas between them") from error


def _parsed(field: Field, text: str) -> Any:
    parse = field.metadata["parse"]
    try:
        return parse(text) if parse else text
    except ValueError as error:
        raise InputError(f"--{_flag(field)} {text}: give it as {field.metadata['metavar']}") from error


def _of_values(kind: Any) -> Any:
    """A type without its None: ``int | None`` is given as a whole number."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return next(part for part in typing.get_args(kind) if part is not type(None))
    return kind


def _field(settings: StageSettings | type[StageSettings], name: str) -> Field:
    return next(each for each in fields(settings) if each.name == name)


def _flag(field: Field) -> str:
    return field.metadata["flag"] or field.name.replace("_", "-")


def _as_text(value: Any, metavar: str | None) -> str:
    """A default as it would be typed."""
    if not isinstance(value, tuple):
        return f"{value:g}" if isinstance(value, float) else str(value)
    return ("x" if "x" in (metavar or "") else "-" if metavar else ",").join(map(str, value))
