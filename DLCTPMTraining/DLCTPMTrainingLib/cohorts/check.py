"""A cohort looked at image by image before anything is trained: every fault with its line in the table."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from DLCTPMLib.agreement.spect_grid import spect_values
from DLCTPMLib.common.errors import InputError
from DLCTPMLib.common.progress import Progress, no_progress
from DLCTPMLib.lungs.masks import read_lungs, side_masks
from DLCTPMLib.volumes.patient_axes import PatientAxes, patient_array
from DLCTPMLib.volumes.reading import read_ct, read_spect
from DLCTPMTrainingLib.cohorts.table import CohortRow

SEEN = 0.5
"""A SPECT that covers less of the lungs than this does not overlap; below ``CUT`` it is told."""
CUT = 0.98
SPACING_RATIO = 1.25
"""CTs (or SPECTs) of one cohort that differ by more than this along any axis are told."""
_LOOKED_AT = 20_000
_SHOWN = 12


@dataclass
class CohortCheck:
    """What was found; lines start with "line N:".

    Attributes:
        problems: faults with which nothing may be trained.
        warnings: what a reader of the results should know.
        spacing_mm: of CT and SPECT by patient, (x, y, z).
    """

    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    spacing_mm: dict[str, dict[str, list[float]]] = field(default_factory=dict)

    def refuse(self, cohort: Path) -> None:
        """Raise every problem in one message.

        Raises:
            InputError: if there is any.
        """
        if not self.problems:
            return
        shown = "; ".join(self.problems[:_SHOWN])
        more = f"; and {len(self.problems) - _SHOWN} more" if len(self.problems) > _SHOWN else ""
        count = len(self.problems)
        raise InputError(f"{cohort} has {count} problem{'s' * (count > 1)}, nothing was trained: {shown}{more}")


def check_cohort(rows: list[CohortRow], too_few: str = "", progress: Progress = no_progress) -> CohortCheck:
    """Look at every patient's images: are they there, are they what they should be, do they lie on each other?

    Args:
        rows: as ``read_cohort`` gives them.
        too_few: a problem of the table as a whole, where it has too few patients for what is planned.
        progress: told after every patient.
    """
    check = CohortCheck()
    if too_few:
        check.problems.append(too_few)
    _same_images(rows, check)
    for number, row in enumerate(rows):
        progress(f"Checking patient {row.patient_id}", number / len(rows))
        try:
            _check_patient(row, check)
        except InputError as error:
            check.problems.append(f"line {row.line}: patient {row.patient_id}: {error}")
    _mixed_spacing(rows, check)
    return check


def _check_patient(row: CohortRow, check: CohortCheck) -> None:
    scan, spect = read_ct(row.ct), read_spect(row.spect).image
    ct = scan.image
    check.spacing_mm[row.patient_id] = {
        "CT": [round(s, 3) for s in ct.GetSpacing()],
        "SPECT": [round(s, 3) for s in spect.GetSpacing()],
    }
    values = spect_values(spect)
    warnings: list[str] = []
    if row.lungs:
        lungs = read_lungs(row.lungs, ct, frame_of_reference=scan.frame_of_reference)
        warnings += lungs.warnings
        right, left = side_masks(lungs.labels)
        warnings += [f"the mask has no {side} lung" for side, m in (("right", right), ("left", left)) if not m.any()]
        index = np.argwhere(right | left)
        what = "lungs"
    else:
        index = np.argwhere(patient_array(ct) < -600)  # air in and around the patient, for want of a mask
        what = "CT"
    points = PatientAxes.of(ct).points_mm(index[:: max(1, len(index) // _LOOKED_AT)])
    inside, counts = _values_at(points, values, PatientAxes.of(spect))
    if not len(points) or inside < (SEEN if row.lungs else 0.05):
        raise InputError(f"the SPECT does not overlap the {what}; check that both are of one session")
    if row.lungs and inside < CUT:
        warnings.append(f"the SPECT covers {100 * inside:.0f} % of the lungs only")
    if row.lungs and not np.percentile(counts, 75) > 0:
        raise InputError("the SPECT has no activity in the lungs; check that it is the perfusion SPECT")
    check.warnings += [f"line {row.line}: patient {row.patient_id}: {warning}" for warning in warnings]


def _values_at(points_mm: np.ndarray, values: np.ndarray, axes: PatientAxes) -> tuple[float, np.ndarray]:
    """Which part of some points lies inside an image, and the nearest voxels' values of those that do."""
    index = np.rint(axes.continuous_index(points_mm)).astype(int)
    inside = ((index >= 0) & (index < values.shape)).all(axis=1)
    return float(inside.mean()) if len(inside) else 0.0, values[tuple(index[inside].T)]


def _same_images(rows: list[CohortRow], check: CohortCheck) -> None:
    """The same CT or SPECT under two ids is one patient who could come into two sets."""
    for name in ("ct", "spect"):
        by_size: dict[int, list[CohortRow]] = defaultdict(list)
        for row in rows:
            path = getattr(row, name)
            if path.is_file():
                by_size[path.stat().st_size].append(row)
        for group in by_size.values():
            seen: dict[str, CohortRow] = {}
            for row in group if len(group) > 1 else []:
                first = seen.setdefault(_hash(getattr(row, name)), row)
                if first is not row:
                    check.problems.append(
                        f"line {row.line}: the {name.upper()} of patient {row.patient_id} is that of patient "
                        f"{first.patient_id} on line {first.line}; one patient could come into two sets"
                    )


def _hash(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _mixed_spacing(rows: list[CohortRow], check: CohortCheck) -> None:
    for what in ("CT", "SPECT"):
        known = [row for row in rows if row.patient_id in check.spacing_mm]
        if len(known) < 2:
            continue
        spacing = np.array([check.spacing_mm[row.patient_id][what] for row in known])
        usual = np.median(spacing, axis=0)
        ratio = np.maximum(spacing / usual, usual / spacing).max(axis=1)
        odd = [row.line for row, value in zip(known, ratio, strict=True) if value > SPACING_RATIO]
        if odd:
            check.warnings.append(
                f"line{'s' * (len(odd) > 1)} {', '.join(map(str, odd))}: {what} spacing differs from the cohort's "
                f"usual {' × '.join(f'{s:g}' for s in usual)} mm; mixed spacing widens the spread of the results"
            )
