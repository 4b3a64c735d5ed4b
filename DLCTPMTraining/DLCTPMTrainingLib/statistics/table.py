"""A study's results as one tidy table: a line says of which patient, where, by which map, and how good it was.

NumPy alone: a column is an array, a line is the same index in all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import numpy as np

WHOLE, CORE = "whole", "core"
"""Parts of the lung: all of it, and what is left when it is eroded by two SPECT voxels."""


@dataclass(frozen=True, eq=False)
class TidyTable:
    """Columns of equal length, one value a line.

    Attributes:
        patient: id.
        diagnosis: the patient's, "" where none is given.
        scope: "lungs" (both together), "right lung", "left lung", or a lobe.
        part: ``WHOLE`` or ``CORE``.
        prediction: "model", a baseline, or "spect" for what was measured.
        metric: what ``value`` is.
        value: float64; NaN where it has no value.
    """

    patient: np.ndarray
    diagnosis: np.ndarray
    scope: np.ndarray
    part: np.ndarray
    prediction: np.ndarray
    metric: np.ndarray
    value: np.ndarray

    @classmethod
    def of(cls, lines: Iterable[Sequence]) -> TidyTable:
        """Lines with one entry a column, in the columns' order; a value of None is NaN."""
        lines = list(lines)
        *texts, values = zip(*lines, strict=True) if lines else [()] * len(fields(cls))
        numbers = [np.nan if value is None else value for value in values]
        return cls(*(np.array(column, str) for column in texts), np.array(numbers, float))

    @classmethod
    def joined(cls, tables: Iterable[TidyTable]) -> TidyTable:
        """The lines of several tables, one after the other."""
        columns = zip(*(table._columns() for table in tables), strict=True)
        joined = [np.concatenate(column) for column in columns]
        return cls(*joined) if joined else cls.of([])

    def select(self, **which: object) -> TidyTable:
        """The lines whose columns are as the keywords say: a value, or several of which one must fit."""
        index = np.arange(len(self))
        for name, wanted in which.items():
            column = getattr(self, name)[index]
            several = [wanted] if isinstance(wanted, str) else list(wanted)
            index = index[np.any([column == one for one in several], axis=0)] if several else index[:0]
        return self._at(index)

    def known(self) -> TidyTable:
        """The lines that have a value."""
        return self._at(np.flatnonzero(~np.isnan(self.value)))

    def names(self, column: str) -> list[str]:
        """What stands in a column, each once, in the order of the lines."""
        return list(dict.fromkeys(getattr(self, column).tolist()))

    def __len__(self) -> int:
        return len(self.value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TidyTable):
            return NotImplemented
        *texts, values = zip(self._columns(), other._columns(), strict=True)
        return all(np.array_equal(*pair) for pair in texts) and np.array_equal(*values, equal_nan=True)

    __hash__ = None

    def _at(self, index: np.ndarray) -> TidyTable:
        return TidyTable(*(column[index] for column in self._columns()))

    def _columns(self) -> list[np.ndarray]:
        return [getattr(self, field.name) for field in fields(self)]
