"""Cohorts: the table of patients a training or a study runs on, and the making of virtual ones.

``cohort.csv`` has the columns ``patient_id, ct, spect, lungs, diagnosis, sex, age`` and may have more; paths are
relative to the table.
"""

from __future__ import annotations

import codecs
import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from DLCTPMLib.common.errors import InputError

REQUIRED_COLUMNS = ("patient_id", "ct", "spect", "lungs")
"""Columns without which a cohort table is refused."""
COLUMNS = (*REQUIRED_COLUMNS, "diagnosis", "sex", "age", "perfusion", "seed", "simulated")
"""Columns of a virtual cohort's table, in order."""

TABLE_1: dict[str, tuple[int, tuple[str, ...]]] = {
    "Pulmonary hypertension": (25, ("pulmonary hypertension",)),
    "Pulmonary embolism": (
        12,
        ("chronic pulmonary embolism", "chronic pulmonary embolism", "acute pulmonary embolism"),
    ),
    "Lung cancer": (12, ("lung cancer",)),
    "Chest pain": (2, ("chest pain",)),
    "Chronic obstructive airway disease": (2, ("chronic obstructive airway disease",)),
    "Systemic lupus erythematosus": (2, ("systemic lupus erythematosus",)),
    "Others": (
        14,
        (
            "pulmonary fibrosis",
            "hypoxia",
            "congestive heart failure",
            "aortic dissection",
            "pulmonary arteriovenous malformation",
            "chronic renal failure",
            "hepatopulmonary syndrome",
            "fever",
            "post COVID-19",
            "shortness of breath",
            "hypoplastic right lung",
            "tuberculosis",
            "pneumonia",
            "deep venous thrombosis",
        ),
    ),
    "Healthy lung": (4, ("healthy",)),
}
"""Table 1 of the paper: row → (patients of 73, the diagnoses of this generator that make up the row, in turn).

The paper does not say how many embolisms were acute; its text names chronic ones. One in three is acute here.
"""
LONGEST_ID = 64
"""Longer patient ids make paths that some systems cannot hold."""
OLDEST = 130
"""A greater age is a mistake."""
_DEVICES = {"con", "prn", "aux", "nul", *(f"{name}{n}" for name in ("com", "lpt") for n in range(1, 10))}
OTHER_DIAGNOSIS = "other"
"""Stands in what leaves the site for a diagnosis that Table 1 does not have."""
WOMEN_OF_73 = 49
"""Women among the paper's 73 patients."""


def table_1_row(diagnosis: str) -> str:
    """The row of the paper's Table 1 that a diagnosis belongs to ("Others" if unknown)."""
    for row, (_, diagnoses) in TABLE_1.items():
        if diagnosis in diagnoses:
            return row
    return "Others"


def diagnosis_that_travels(diagnosis: str) -> str:
    """A diagnosis of the paper's Table 1, else "other": a cell of a table is free text and may name a patient."""
    known = diagnosis == OTHER_DIAGNOSIS or any(diagnosis in diagnoses for _, diagnoses in TABLE_1.values())
    return diagnosis if known else OTHER_DIAGNOSIS


def largest_remainder(total: int, weights: list[int]) -> list[int]:
    """Whole numbers in the proportion of ``weights`` whose sum is ``total``."""
    quotas = [total * weight / sum(weights) for weight in weights]
    counts = [int(quota) for quota in quotas]
    order = sorted(range(len(weights)), key=lambda i: (counts[i] - quotas[i], i))
    for i in order[: total - sum(counts)]:
        counts[i] += 1
    return counts


@dataclass(frozen=True)
class CohortRow:
    """One patient of a cohort table; paths are absolute, ``lungs`` and ``perfusion`` may be None.

    ``line`` is the row's line in the file; ``other`` holds columns without a meaning here.
    """

    patient_id: str
    ct: Path
    spect: Path
    lungs: Path | None
    diagnosis: str = ""
    sex: str = ""
    age: float | None = None
    perfusion: Path | None = None
    simulated: bool = False
    line: int = 0
    other: dict[str, str] = field(default_factory=dict)

    @property
    def real_ct(self) -> bool:
        """Whether perfusion and SPECT were simulated on the CT of a real person."""
        return self.simulated and self.other.get("anatomy", "").lower() == "real"


def read_cohort(path: Path | str) -> list[CohortRow]:
    """Read and check a cohort table.

    UTF-8 (with or without mark), UTF-16 with its mark, or Latin-1; separated by comma, semicolon or tab.

    Raises:
        InputError: naming the file and line: no such table, missing column, wrong number of values, missing file, the
            same patient twice, a patient_id that can name no file, an age that is no number of years.
    """
    rows, faults = read_rows(path)
    if faults:
        raise faults[0]
    return rows


def read_rows(path: Path | str) -> tuple[list[CohortRow], list[InputError]]:
    """Read a cohort table, however many of its lines have faults: the good rows, and what is wrong with the others.

    Raises:
        InputError: the table as a whole cannot be used: no such file, a missing column, no patients.
    """
    path = Path(path)
    text = _read_text(path)
    lines = text.splitlines()
    if not lines or not lines[0].strip():
        raise InputError(f"{path} is empty; a cohort table needs a header line with {', '.join(REQUIRED_COLUMNS)}")
    separator = max(",;\t", key=lines[0].count)
    reader = csv.reader(lines, delimiter=separator)
    header = [name.strip().lower() for name in next(reader)]
    missing = [name for name in REQUIRED_COLUMNS if name not in header]
    if missing:
        raise InputError(
            f"{path}, line 1: no column {', '.join(missing)}; the header must name {', '.join(REQUIRED_COLUMNS)}"
        )
    repeated = sorted({name for name in header if name and header.count(name) > 1})
    if repeated:
        raise InputError(f"{path}, line 1: column {', '.join(repeated)} is named twice; name each column once")
    rows: list[CohortRow] = []
    faults: list[InputError] = []
    first_line: dict[str, int] = {}
    for values in _lines(reader, path, faults):
        if not any(value.strip() for value in values):
            continue
        try:
            row = _row(path, reader.line_num, header, values)
            first = first_line.setdefault(row.patient_id, row.line)
            if first != row.line:
                raise InputError(
                    f"{path}, line {row.line}: patient {row.patient_id} is already on line {first}; "
                    "give each patient one line"
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


def _shown(value: str) -> str:
    """A cell as a message shows it."""
    return value if len(value) <= LONGEST_ID else f"{value[:LONGEST_ID]}…"


def _read_text(path: Path) -> str:
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise InputError(f"{path} is no file; give the path of a cohort table (CSV)")
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; give the path of a cohort table (CSV)") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); give the path of a cohort table (CSV)") from None
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):  # a spreadsheet's "Unicode text"
        return content.decode("utf-16", errors="replace")
    if b"\0" in content[:4096]:
        raise InputError(f"{path} is not a text file; save the table as CSV (UTF-8)")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _row(path: Path, line: int, header: list[str], values: list[str]) -> CohortRow:
    where = f"{path}, line {line}"
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
        raise InputError(f"{where}: patient_id {_shown(cells['patient_id'])} {unusable}; rename the patient")
    files = {}
    for name in ("ct", "spect", "lungs", "perfusion"):
        cell = cells.get(name, "")
        if not cell:
            if name in ("ct", "spect"):
                raise InputError(f"{where}: no {name} for patient {cells['patient_id']}; give its path")
            files[name] = None
            continue
        file = Path(cell)
        file = file if file.is_absolute() else path.parent / file
        try:
            there = file.is_file() or file.is_dir()
        except (OSError, ValueError):  # too long for a path, or no path at all
            there = False
        if not there:
            raise InputError(
                f"{where}: {name} {_shown(cell)} of patient {cells['patient_id']} does not exist; mend the path"
            )
        files[name] = file.absolute()
    age = None
    if cells.get("age"):
        try:
            age = float(cells["age"].replace(",", "."))
        except ValueError:
            age = math.nan
        if not 0 <= age <= OLDEST:
            raise InputError(f"{where}: age {_shown(cells['age'])!r} is not a number of years; correct or empty it")
    known = {*COLUMNS}
    return CohortRow(
        patient_id=cells["patient_id"],
        **files,
        diagnosis=cells.get("diagnosis", ""),
        sex=cells.get("sex", ""),
        age=age,
        simulated=cells.get("simulated", "").lower() in ("yes", "true", "1"),
        line=line,
        other={name: value for name, value in cells.items() if name and (name not in known or name == "seed")},
    )
