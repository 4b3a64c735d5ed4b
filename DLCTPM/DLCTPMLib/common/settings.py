"""What every stage's settings share: checked when made, written into every output, read back to repeat it."""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Callable, Sequence
from dataclasses import asdict, field, fields
from functools import cache
from typing import Any

from DLCTPMLib.common.errors import InputError

LARGEST_WHOLE_NUMBER = 2**63 - 1
"""What a whole number in a file may be: what the libraries that get it can hold."""


def setting(
    default: Any,
    text: str = "",
    flag: str | None = None,
    metavar: str | None = None,
    choices: Sequence[str] | None = None,
    parse: Callable[[str], Any] | None = None,
) -> Any:
    """A dataclass field that also says how it is given on the command line (``common.options``).

    Args:
        default: its value where nothing is said.
        text: what ``--help`` says of it, without its default.
        flag: its option without the dashes, where that is not the field's own name.
        metavar: what stands for its value in ``--help``.
        choices: the words it may be.
        parse: makes the value of the option's text and raises ValueError; by itself for numbers and text.
    """
    about = {"text": text, "flag": flag, "metavar": metavar, "choices": choices, "parse": parse}
    return field(default=default, metadata=about)


class StageSettings:
    """Base of a frozen dataclass of settings. ``WHAT`` names the stage in error messages."""

    WHAT = "settings"

    def require(self, rules: dict[str, bool]) -> None:
        """Raise the first rule that does not hold, for ``__post_init__``; numbers must be finite, too.

        Raises:
            InputError: with the rule as its sentence.
        """
        for rule, holds in rules.items():
            if not holds:
                raise InputError(f"{self.WHAT}: {rule}")
        for each in fields(self):
            value = getattr(self, each.name)
            for one in value if isinstance(value, tuple) else (value,):
                if isinstance(one, (int, float)) and not abs(one) <= LARGEST_WHOLE_NUMBER:  # so no NaN either
                    raise InputError(f"{self.WHAT}: {each.name} must be an ordinary number, not {_shown(one)}")

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain JSON values."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]):
        """Settings read back; those not named keep their defaults.

        Raises:
            InputError: for an unknown name, since it would change a number unnoticed, and for a value that is not of
                its setting's type.
        """
        if not isinstance(values, dict):
            raise InputError(f"{cls.WHAT}: must be names with their values, not {_shown(values)}")
        known = {each.name for each in fields(cls)}
        unknown = [name for name in values if name not in known]
        if unknown:
            raise InputError(f"{cls.WHAT}: unknown name {unknown[0]!r}")
        return cls(**{name: cls.checked(name, value) for name, value in values.items()})

    @classmethod
    def checked(cls, name: str, value: Any) -> Any:
        """A value for one setting, as its annotated type: a list becomes a tuple, a whole number serves as a number.

        Raises:
            InputError: it is of another type, NaN, infinite or too large.
        """
        kind = type_of(cls, name)
        try:
            return of_type(value, kind)
        except TypeError as error:
            raise InputError(f"{cls.WHAT}: {name} must be {error}, not {_shown(value)}") from None


@cache
def _types(settings: type) -> dict[str, Any]:
    return typing.get_type_hints(settings)


def type_of(settings: type, name: str) -> Any:
    """The annotated type of one field."""
    return _types(settings)[name]


def of_type(value: Any, kind: Any) -> Any:
    """A value as read from JSON as the type that an annotation names.

    Raises:
        TypeError: it is none; the message says in words what is wanted.
    """
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return None if value is None else of_type(value, next(part for part in parts if part is not type(None)))
    if origin is tuple:
        return _tuple_of(value, parts)
    if kind is bool and isinstance(value, bool):
        return value
    if isinstance(value, bool):
        raise TypeError(_words(kind))
    if kind is float and isinstance(value, (int, float)) and abs(value) <= LARGEST_WHOLE_NUMBER:  # so no NaN either
        return float(value)
    if kind is int and isinstance(value, int) and abs(value) <= LARGEST_WHOLE_NUMBER:
        return value
    if kind is str and isinstance(value, str):
        return value
    if kind not in _WORDS:  # a path or settings inside settings, which no file of ours holds by itself
        return value
    raise TypeError(_words(kind))


_WORDS = {int: "whole number", float: "number", str: "text", bool: "truth value"}


def _words(kind: Any, plural: bool = False) -> str:
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple:
        count = "" if parts[-1] is Ellipsis else f"{len(parts)} "
        return f"{'lists' if plural else 'a list'} of {count}{_words(parts[0], plural=True)}"
    if origin is not None:
        return f"{_words(next(part for part in parts if part is not type(None)))} or null"
    if plural:
        return f"{_WORDS[kind]}s"
    return _WORDS[kind] if kind is str else f"a {_WORDS[kind]}"


def _tuple_of(value: Any, parts: tuple) -> tuple:
    kind = tuple[parts]
    if not isinstance(value, (list, tuple)):
        raise TypeError(_words(kind))
    kinds = [parts[0]] * len(value) if parts[-1] is Ellipsis else list(parts)
    if len(kinds) != len(value):
        raise TypeError(_words(kind))
    try:
        return tuple(of_type(each, one) for each, one in zip(value, kinds, strict=True))
    except TypeError:
        raise TypeError(_words(kind)) from None


def _shown(value: Any) -> str:
    """A value in a sentence: short, and no number of a thousand digits."""
    if isinstance(value, int) and abs(value) > LARGEST_WHOLE_NUMBER:
        return "so large a number"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    text = repr(value) if isinstance(value, (str, int, float, bool, type(None))) else f"a {type(value).__name__}"
    return text if len(text) <= 40 else f"{text[:37]}…"
