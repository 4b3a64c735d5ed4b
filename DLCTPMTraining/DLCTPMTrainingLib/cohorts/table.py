"""Cohorts: the table of patients a training or a study runs on, and the making of virtual ones.

``cohort.csv`` has the columns ``patient_id, ct, spect, lungs, diagnosis, sex, age`` and may have more; paths are
relative to the table.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

from DLCTPMLib.batch.table import TableLine, read_table, shown
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
OLDEST = 130
"""A greater age is a mistake."""
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
    return read_table(path, REQUIRED_COLUMNS, _row)


def _row(line: TableLine) -> CohortRow:
    cells = line.cells
    age = None
    if cells.get("age"):
        try:
            age = float(cells["age"].replace(",", "."))
        except ValueError:
            age = math.nan
        if not 0 <= age <= OLDEST:
            raise InputError(
                f"{line.where}: age {shown(cells['age'])!r} is not a number of years; correct or empty it"
            )
    known = {*COLUMNS}
    return CohortRow(
        patient_id=line.patient_id,
        ct=line.file("ct", needed=True),
        spect=line.file("spect", needed=True),
        lungs=line.file("lungs"),
        perfusion=line.file("perfusion"),
        diagnosis=cells.get("diagnosis", ""),
        sex=cells.get("sex", ""),
        age=age,
        simulated=cells.get("simulated", "").lower() in ("yes", "true", "1"),
        line=line.number,
        other={name: value for name, value in cells.items() if name and (name not in known or name == "seed")},
    )
