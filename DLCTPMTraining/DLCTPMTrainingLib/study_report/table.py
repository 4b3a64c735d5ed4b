"""A table as it is shown, and how figures are written in one."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field

from DLCTPMLib.common.templates import MISSING


@dataclass(frozen=True)
class Table:
    """A table as it is shown.

    Attributes:
        name: file name without ending.
        title: above it.
        columns, rows: the cells, texts.
        emphasis: indices of rows that stand out.
        note: below it.
    """

    name: str
    title: str
    columns: list[str]
    rows: list[list[str]]
    emphasis: tuple[int, ...] = field(default=())
    note: str = ""

    def as_csv(self) -> str:
        """Comma-separated text with the title in no line of it."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows(self.rows)
        return text.getvalue()


def summary_text(found: dict, interval: bool = True, signed: bool = False) -> str:
    """Mean ± SD [95 % interval] of what ``summary`` gives."""
    if found["mean"] is None:
        return MISSING
    form = "+.3f" if signed else ".3f"
    text = f"{found['mean']:{form}}" + ("" if found["sd"] is None else f" ± {found['sd']:.3f}")
    if interval and found["interval"]:
        low, high = found["interval"]
        text += f" [{low:{form}}, {high:{form}}]"
    return text.replace("-", "−")


def number_text(value: float | None) -> str:
    """A figure with three digits."""
    return MISSING if value is None else f"{value:.3f}".replace("-", "−")


def signed_text(value: float | None, digits: int = 3) -> str:
    """A difference with its sign."""
    return MISSING if value is None else f"{value:+.{digits}f}".replace("-", "−")


def p_text(value: float | None) -> str:
    """A p-value as it is shown."""
    if value is None:
        return MISSING
    return "p < 0.0001" if value < 1e-4 else f"p = {value:.4f}"


def difference_text(found: dict) -> str:
    """Mean [95 % interval] of what ``paired_difference`` gives, signed."""
    return interval_text(found["difference"], found["interval"], "+.3f")


def interval_text(value: float | None, interval: list[float] | None, form: str = ".3f") -> str:
    """A figure and, where there is one, its interval in brackets."""
    if value is None:
        return MISSING
    text = f"{value:{form}}" + (f" [{interval[0]:{form}}, {interval[1]:{form}}]" if interval else "")
    return text.replace("-", "−")
