"""The split of a study: patients, never lungs, into a test set and folds; drawn once, kept in a file."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from DLCTPMLib.common.errors import InputError
from DLCTPMTrainingLib.cohorts.table import CohortRow
from DLCTPMTrainingLib.common.files import read_json, write_json
from DLCTPMTrainingLib.study.settings import SplitSettings

COLUMN = "split"
"""Optional column of a cohort table: ``test``, ``train``, or the number of a fold."""


@dataclass(frozen=True)
class Split:
    """Who is in which set.

    Attributes:
        test: patients of the one test.
        folds: patients of each fold of the training set.
    """

    test: tuple[str, ...]
    folds: tuple[tuple[str, ...], ...]

    @property
    def training(self) -> list[str]:
        """All patients of the training set."""
        return [patient for fold in self.folds for patient in fold]

    def around(self, fold: int) -> list[str]:
        """The training patients outside a fold."""
        return [patient for number, part in enumerate(self.folds) if number != fold for patient in part]

    def to_dict(self) -> dict:
        """Plain JSON values."""
        return {"test": list(self.test), "folds": [list(fold) for fold in self.folds]}


def draw_split(patients: list[str], settings: SplitSettings) -> Split:
    """Draw the test set and the folds; the same patients and seed give the same split.

    Raises:
        InputError: if there are too few patients.
    """
    test_count = max(1, round(settings.test_share * len(patients)))
    if len(patients) - test_count < settings.folds:
        raise InputError(
            f"{len(patients)} patient{'s' * (len(patients) != 1)} cannot be divided into a test set and "
            f"{settings.folds} folds; a study needs at least {fewest_patients(settings)} patients"
        )
    order = np.random.default_rng([settings.seed, 2]).permutation(sorted(patients))
    return Split(tuple(sorted(order[:test_count].tolist())), _folds(order[test_count:], settings.folds))


def fewest_patients(settings: SplitSettings) -> int:
    """The smallest number of patients that can be split."""
    number = settings.folds + 1
    while number - max(1, round(settings.test_share * number)) < settings.folds:
        number += 1
    return number


def too_few(rows: list[CohortRow], settings: SplitSettings) -> str:
    """What is wrong with a table that has not enough patients to be split; "" if it has."""
    if len(rows) >= fewest_patients(settings):
        return ""
    return (
        f"line {rows[-1].line}: the table ends with {len(rows)} patient{'s' * (len(rows) != 1)}, a study with "
        f"{settings.folds} folds needs at least {fewest_patients(settings)}"
    )


def split_of(rows: list[CohortRow], settings: SplitSettings, cohort: Path) -> Split:
    """The split that the table's own column gives, or a drawn one.

    Raises:
        InputError: naming the line: a value that is no set, or a patient without one while others have one.
    """
    given = {row.patient_id: row.other.get(COLUMN, "").lower() for row in rows}
    if not any(given.values()):
        return draw_split([row.patient_id for row in rows], settings)
    known = {"test", "train", *(str(number + 1) for number in range(settings.folds))}
    for row in rows:
        if given[row.patient_id] not in known:
            value = f"split {given[row.patient_id]!r}" if given[row.patient_id] else "no split"
            raise InputError(
                f"{cohort}, line {row.line}: {value} for patient {row.patient_id}; "
                f"give test, train or a fold from 1 to {settings.folds} for every patient, or for none"
            )
    test = sorted(p for p, value in given.items() if value == "test")
    free = sorted(p for p, value in given.items() if value == "train")
    order = np.random.default_rng([settings.seed, 2]).permutation(free) if free else np.array([], str)
    folds = [sorted(p for p, value in given.items() if value == str(k + 1)) for k in range(settings.folds)]
    for patient in order.tolist():
        min(folds, key=len).append(patient)
    if not test or not all(folds):
        raise InputError(f"{cohort}: the split leaves the test set or a fold empty; give each at least one patient")
    return Split(tuple(test), tuple(tuple(sorted(fold)) for fold in folds))


def kept_split(path: Path, rows: list[CohortRow], settings: SplitSettings, cohort: Path) -> Split:
    """The split in a study's folder; drawn and written there if there is none yet.

    Raises:
        InputError: the file is no split, has a patient in two sets, or does not fit the cohort.
    """
    if not path.is_file():
        split = split_of(rows, settings, cohort)
        write_json(path, {**split.to_dict(), "seed": settings.seed})
        return split
    try:
        values = read_json(path)
        split = Split(tuple(values["test"]), tuple(tuple(fold) for fold in values["folds"]))
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: is not a split; delete the study's folder and run again") from error
    _check(path, split, rows, cohort)
    return split


def _check(path: Path, split: Split, rows: list[CohortRow], cohort: Path) -> None:
    counts = Counter([*split.test, *split.training])
    lines = {row.patient_id: row.line for row in rows}
    for patient, times in counts.items():
        if patient not in lines:
            raise InputError(f"{path}: patient {patient} is not in {cohort}; give the cohort the study began with")
        if times > 1:
            raise InputError(
                f"{path}: patient {patient} ({cohort}, line {lines[patient]}) is in {times} sets; "
                "a patient may be in one only, correct the split or delete the study's folder"
            )
    for patient, line in lines.items():
        if patient not in counts:
            raise InputError(
                f"{cohort}, line {line}: patient {patient} is in no set of {path}; "
                "give the cohort the study was begun with, or another --out"
            )
    if not split.test or not split.folds or not all(split.folds):
        raise InputError(f"{path}: the test set or a fold is empty; delete the study's folder and run again")


def _folds(order: np.ndarray, number: int) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(sorted(part.tolist())) for part in np.array_split(order, number))
