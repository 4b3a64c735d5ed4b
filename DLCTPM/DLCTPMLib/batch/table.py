"""Tables of patients: a CSV file whose lines name each patient once, and their images by path.

Columns are known by their names in the first line; paths are relative to the table.
"""

from __future__ import annotations

import codecs
import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from DLCTPMLib.common.errors import InputError

Row = TypeVar("Row")

LONGEST_ID = 64
"""Longer patient ids make paths that some systems cannot hold."""
_DEVICES = {"con", "prn", "aux", "nul", *(f"{name}{n}" for name in ("com", "lpt") for n in range(1, 10))}


@dataclass(frozen=True)
class TableLine:
    """One line of a table.

    Attributes:
        table: the file.
        number: of the line in the file.
        cells: by the column's name in small letters; of a missing column there is none.
    """

    table: Path
    number: int
    cells: dict[str, str]

    @property
    def where(self) -> str:
        """The place, for a message."""
        return f"{self.table}, line {self.number}"

    @property
    def patient_id(self) -> str:
        """The patient's id, fit to name files."""
        return self.cells["patient_id"]

    def file(self, name: str, needed: bool = False) -> Path | None:
        """The absolute path in a column; None where the cell is empty.

        Raises:
            InputError: there is nothing at that path, or the cell is empty and ``needed``.
        """
        cell = self.cells.get(name, "")
        if not cell:
            if needed:
                raise InputError(f"{self.where}: no {name} for patient {self.patient_id}; give its path")
            return None
        file = Path(cell)
        file = file if file.is_absolute() else self.table.parent / file
        try:
            there = file.is_file() or file.is_dir()
        except (OSError, ValueError):  # too long for a path, or no path at all
            there = False
        if not there:
            raise InputError(
                f"{self.where}: {name} {shown(cell)} of patient {self.patient_id} does not exist; mend the path"
            )
        return file.absolute()


def read_table(
    path: Path | str, columns: Sequence[str], row_of: Callable[[TableLine], Row]
) -> tuple[list[Row], list[InputError]]:
    """Read a table, however many of its lines have faults: the good rows, and what is wrong with the others.

    UTF-8 (with or without mark), UTF-16 with its mark, or Latin-1; separated by comma, semicolon or tab.

    Args:
        path: the file.
        columns: those that must be there, ``patient_id`` among them.
        row_of: makes a row of a line, and raises InputError where it cannot.

    Raises:
        InputError: the table as a whole cannot be used: no such file, a missing column, no patients.
    """
    path = Path(path)
    text = _read_text(path)
    lines = text.splitlines()
    if not lines or not lines[0].strip():
        raise InputError(f"{path} is empty; the table needs a header line with {', '.join(columns)}")
    separator = max(",;\t", key=lines[0].count)
    reader = csv.reader(lines, delimiter=separator)
    header = [name.strip().lower() for name in next(reader)]
    missing = [name for name in columns if name not in header]
    if missing:
        raise InputError(f"{path}, line 1: no column {', '.join(missing)}; the header must name {', '.join(columns)}")
    repeated = sorted({name for name in header if name and header.count(name) > 1})
    if repeated:
        raise InputError(f"{path}, line 1: column {', '.join(repeated)} is named twice; name each column once")
    rows: list[Row] = []
    faults: list[InputError] = []
    first_line: dict[str, int] = {}
    for values in _lines(reader, path, faults):
        if not any(value.strip() for value in values):
            continue
        try:
            line = _line(path, reader.line_num, header, values)
            row = row_of(line)
            first = first_line.setdefault(line.patient_id, line.number)
            if first != line.number:
                raise InputError(
                    f"{line.where}: patient {line.patient_id} is already on line {first}; give each patient one line"
                )
        except InputError as fault:
            faults.append(fault)
        else:
            rows.append(row)
    if not rows and not faults:
        raise InputError(f"{path} lists no patients; add one line for each")
    return rows, faults


def unusable_id(patient_id: str) -> str | None:
    """Why a patient id cannot be used, as half a sentence; None where it can.

    Folders and files are named by it, here and on systems that the results travel to.
    """
    if len(patient_id) > LONGEST_ID:
        return f"is longer than {LONGEST_ID} characters"
    if any(one in '/\\:*?"<>|' or not one.isprintable() for one in patient_id) or patient_id.strip(". ") == "":
        return "holds a character that no file name may have"
    if patient_id[0] in ".-~ " or patient_id[-1] in ". " or patient_id.split(".")[0].lower() in _DEVICES:
        return "is a name that no file may have everywhere"
    return None


def _lines(reader, path: Path, faults: list[InputError]) -> Iterator[list[str]]:
    """The lines of a table; one that cannot be taken apart is a fault."""
    while True:
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            faults.append(
                InputError(f"{path}, line {reader.line_num}: cannot be read as a line of a table ({error}); mend it")
            )


def shown(value: str) -> str:
    """A cell as a message shows it."""
    return value if len(value) <= LONGEST_ID else f"{value[:LONGEST_ID]}…"


def _read_text(path: Path) -> str:
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise InputError(f"{path} is no file; give the path of a table (CSV)")
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; give the path of a table (CSV)") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); give the path of a table (CSV)") from None
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):  # a spreadsheet's "Unicode text"
        return content.decode("utf-16", errors="replace")
    if b"\0" in content[:4096]:
        raise InputError(f"{path} is not a text file; save the table as CSV (UTF-8)")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _line(path: Path, number: int, header: list[str], values: list[str]) -> TableLine:
    where = f"{path}, line {number}"
    values = [value.strip() for value in values]
    if len(values) < len(header):
        values += [""] * (len(header) - len(values))
    if len(values) > len(header):
        raise InputError(
            f"{where}: {len(values)} values for {len(header)} columns; quote values that hold a separator"
        )
    cells = dict(zip(header, values, strict=True))
    if not cells["patient_id"]:
        raise InputError(f"{where}: no patient_id; give each patient an id")
    unusable = unusable_id(cells["patient_id"])
    if unusable:
        raise InputError(f"{where}: patient_id {shown(cells['patient_id'])} {unusable}; rename the patient")
    return TableLine(path, number, cells)
