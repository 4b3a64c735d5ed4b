"""What every stage's settings share: checked when made, written into every output, read back to repeat it."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

from DLCTPMLib.common.errors import InputError


class StageSettings:
    """Base of a frozen dataclass of settings. ``WHAT`` names the stage in error messages."""

    WHAT = "settings"

    def require(self, rules: dict[str, bool]) -> None:
        """Raise the first rule that does not hold, for ``__post_init__``.

        Raises:
            InputError: with the rule as its sentence.
        """
        for rule, holds in rules.items():
            if not holds:
                raise InputError(f"{self.WHAT}: {rule}")

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain JSON values."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]):
        """Settings read back; those not named keep their defaults.

        Raises:
            InputError: for an unknown name, since it would change a number unnoticed.
        """
        unknown = set(values) - {field.name for field in fields(cls)}
        if unknown:
            raise InputError(f"{cls.WHAT}: unknown name {sorted(unknown)[0]!r}")
        return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})
