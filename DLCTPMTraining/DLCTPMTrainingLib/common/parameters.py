"""Every number that makes a virtual patient, from one table: value or range, unit, where it comes from.

The table is ``Resources/Parameters/virtual_patient.csv``. Its column ``kind`` is the evidence: **literature**, the
source gives the figure or range; **derived**, it follows from the source's finding (a mean and its spread turned into
a range, a description into a factor); **assumption**, no figure was found and a plausible range was taken, for the
reason in ``note``. None is tuned to reach any agreement figure. Sources named were looked up, mostly in the abstract
or one table; where one gives another figure, the note says so ("above the …"), as the values stay with the cohorts
that were made from them.

A value is one number (fixed), two numbers (uniform, drawn evenly between them) or mean and SD (normal, cut at
two SD).
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

import numpy as np

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.common.resources import resource_path

COLUMNS = ("topic", "name", "distribution", "low_or_mean", "high_or_sd", "unit", "kind", "source", "note")
DISTRIBUTIONS = ("fixed", "uniform", "normal")
EVIDENCE = ("literature", "derived", "assumption")


@dataclass(frozen=True)
class Parameter:
    """One row of the table.

    Attributes:
        kind: "fixed" (``low``), "uniform" (``low`` … ``high``) or "normal" (mean ``low``, SD ``high``).
        low, high: its numbers; equal where it is fixed.
        evidence: literature, derived or assumption.
        unit: what the numbers count.
        source: where the figure or finding was read; "" for a mere assumption.
        note: what was made of it, and why.
    """

    kind: str
    low: float
    high: float
    evidence: str
    unit: str
    source: str
    note: str


@cache
def parameters() -> Mapping[str, Parameter]:
    """The table by name (``topic.quantity``), in its order; read and checked once.

    Raises:
        InputError: as ``read_parameters``, or if the installation has lost it.
    """
    return MappingProxyType(read_parameters(resource_path("Parameters/virtual_patient.csv")))


def read_parameters(path: Path) -> dict[str, Parameter]:
    """Read and check a table of parameters.

    Args:
        path: a CSV file in UTF-8 with ``COLUMNS``.

    Raises:
        InputError: for the first row that is no parameter.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read ({error}), install DL-CTPM again") from error
    if not rows or tuple(rows[0]) != COLUMNS:
        raise InputError(f"{path}: the first line must name the columns {', '.join(COLUMNS)}")
    table: dict[str, Parameter] = {}
    for number, row in enumerate(rows[1:], 2):
        try:
            name, entry = _parameter(row)
            if name in table:
                raise ValueError(f"{name!r} stands in the table twice")
        except ValueError as error:
            raise InputError(f"{path}, row {number}: {error}; correct the row") from error
        table[name] = entry
    return table


def _parameter(row: list[str]) -> tuple[str, Parameter]:
    """A row of cells as a named parameter; ValueError says what is wrong with it."""
    if len(row) != len(COLUMNS):
        raise ValueError(f"{len(row)} cells instead of {len(COLUMNS)}")
    _, name, kind, low, high, unit, evidence, source, note = (cell.strip() for cell in row)
    if not (name and unit):
        raise ValueError("a parameter needs a name and a unit")
    if kind not in DISTRIBUTIONS:
        raise ValueError(f"{name}: unknown distribution {kind!r}, known are {', '.join(DISTRIBUTIONS)}")
    if evidence not in EVIDENCE:
        raise ValueError(f"{name}: unknown kind {evidence!r}, known are {', '.join(EVIDENCE)}")
    if not (source if evidence == "literature" else source or note):
        raise ValueError(f"{name}: says nothing of where it comes from")
    if (kind == "fixed") != (high == ""):
        raise ValueError(f"{name}: a fixed value has one number, every other two")
    first, second = _number(name, low), _number(name, high or low)
    if kind == "uniform" and not first < second:
        raise ValueError(f"{name}: the range {low} to {high} is empty")
    if kind == "normal" and not second > 0:
        raise ValueError(f"{name}: the SD {high} is not positive")
    if name.endswith("_probability") and not 0 <= first <= second <= 1:
        raise ValueError(f"{name}: a probability lies between 0 and 1")
    return name, Parameter(kind, first, second, evidence, unit, source, note)


def _number(name: str, cell: str) -> float:
    try:
        number = float(cell)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{name}: {cell!r} is no number")
    return number


def draw(rng: np.random.Generator, name: str) -> float:
    """Draw a parameter that has a range; one number is taken from the stream."""
    entry = parameters()[name]
    if entry.kind == "normal":
        return float(entry.low + entry.high * np.clip(rng.standard_normal(), -2, 2))
    if entry.kind == "fixed":
        raise KeyError(f"{name} is a fixed value: ask for value({name!r})")
    return float(entry.low + (entry.high - entry.low) * rng.random())


def chance(rng: np.random.Generator, name: str) -> bool:
    """Whether something of a fixed probability happens; one number is taken from the stream."""
    return bool(rng.random() < value(name))


def value(name: str) -> float:
    """The value of a fixed parameter."""
    entry = parameters()[name]
    if entry.kind != "fixed":
        raise KeyError(f"{name} is a range: draw it")
    return entry.low
