"""The ceiling, an estimate (simulated): how near any map that is made from a CT could come to a SPECT.

A virtual patient's CT is kept and what no CT shows is drawn anew several times (``patients.redraws``). The mean of
the other draws' SPECTs is the best guess at each of them; its agreement with that one, by the same metrics on the
same grid as everything else, is what a perfect method would reach on average. For DSC the guess is the share of the
other draws above the functional threshold, cut where the cohort's mean DSC is highest.

Two errors remain. Of Monte Carlo: few draws (``ERROR``). And a bias: the mean of a few draws is not yet the mean of
all, so the ceiling lies a little higher; ``HALF`` is R with half of the other draws, and about as much as it gains to
all of them is still missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import SimpleITK as sitk

from DLCTPMLib.agreement.comparison import SpectComparison, on_spect_grid
from DLCTPMLib.agreement.metrics import UndefinedMetricError, cohen_kappa, dice, spearman, ssim_map
from DLCTPMLib.common.errors import InputError
from DLCTPMLib.common.progress import Progress, no_progress
from DLCTPMLib.labels.chest_regions import SIDES
from DLCTPMLib.preprocessing.settings import PreprocessingSettings
from DLCTPMLib.volumes.patient_axes import patient_array
from DLCTPMTrainingLib.ceiling.settings import FEWEST_DRAWS
from DLCTPMTrainingLib.cohorts.table import CohortRow
from DLCTPMTrainingLib.common.files import read_json, write_json
from DLCTPMTrainingLib.patients.redraws import Redraws
from DLCTPMTrainingLib.patients.virtual_patient import VirtualPatientSettings
from DLCTPMTrainingLib.statistics.table import CORE, WHOLE, TidyTable

CEILING = "ceiling"
"""Name of the prediction in tables."""
CUT_METRICS = ("dsc_high", "dsc_low", "kappa")
ERROR, HALF = "error_", "half_"
"""Before a metric's name: its Monte-Carlo error, and R with half of the other draws."""
RIGHT_SHARE_ERROR = "right_share_error"
"""Percentage points between the right lung's share of the mean of the others and of each SPECT."""


class Drawn(Protocol):
    """A patient of a study: its line of the cohort table and its images (CT, lungs, SPECT, transform)."""

    row: CohortRow

    def load(self) -> Any:
        """Read the images."""
        ...


def settings_of(row: CohortRow) -> VirtualPatientSettings:
    """What a virtual patient of a cohort was made from (``patient.json`` beside its CT).

    Raises:
        InputError: it is no virtual patient, or another version of the simulator has made it.
    """
    note = row.ct.parent / "patient.json"
    if not note.is_file():
        raise InputError(f"{note}: is not there; a ceiling can only be drawn for cohorts of dlctpm cohort simulate")
    told = read_json(note)
    names = {field.name for field in fields(VirtualPatientSettings)}
    if not set(told.get("settings", ())) <= names:
        raise InputError(f"{note}: patient {row.patient_id} is no virtual patient; leave --ceiling away")
    values = {name: tuple(v) if isinstance(v, list) else v for name, v in told["settings"].items()}
    settings = VirtualPatientSettings(**values)
    if settings.sha256 != told.get("configuration_sha256"):
        raise InputError(f"{note}: another version of the simulator made this patient; simulate the cohort again")
    return settings


def figures_of(patient: Drawn, preprocessing: PreprocessingSettings, draws: int) -> dict:
    """One patient's ceiling: each of its own SPECT and ``draws`` further ones against the mean of the others.

    Returns:
        ``patient_id``, ``diagnosis``, ``draws``, and in ``values`` by scope, part and metric one number a SPECT (for
        ``CUT_METRICS`` one list of numbers, a cut each).
    """
    images = patient.load()
    redraws = Redraws(settings_of(patient.row), images.ct)
    spects = [images.spect, *(redraws.draw(number)[0] for number in range(1, draws + 1))]
    return {
        "patient_id": patient.row.patient_id,
        "diagnosis": patient.row.diagnosis,
        "draws": draws,
        "values": agreement_of_draws(images.lungs, spects, images.transform, preprocessing),
    }


def agreement_of_draws(
    lungs: sitk.Image,
    spects: Sequence[sitk.Image],
    transform: sitk.Transform | None,
    preprocessing: PreprocessingSettings,
) -> dict:
    """Each SPECT against the mean of the others; see ``figures_of``. All lie on the first one's grid."""
    nothing = sitk.Cast(lungs > 0, sitk.sitkFloat32)
    first = on_spect_grid(nothing, spects[0], lungs, transform, bundle_preprocessing=preprocessing)
    compared = [first.with_spect(patient_array(spect).astype(np.float32)) for spect in spects]
    references = np.array([one.reference() for one in compared])
    high = references > first.limits(references[0])[0]
    found: dict = {}
    for target in range(len(spects)):
        others = [number for number in range(len(spects)) if number != target]
        guess = references[others].mean(axis=0)
        half = references[others[: len(others) // 2]].mean(axis=0)
        clipped = np.clip(references[others], 0, 1).mean(axis=0)
        share = high[others].mean(axis=0)
        for scope, lung in first.masks.items():
            reference = np.where(lung, references[target], 0)
            similar = ssim_map(np.where(lung, clipped, 0), np.clip(reference, 0, 1))
            for part, mask in ((WHOLE, lung), (CORE, first.cores[scope])):
                metrics = {
                    "r_spearman": _value(spearman, guess[mask], reference[mask]),
                    HALF + "r_spearman": _value(spearman, half[mask], reference[mask]),
                    "ssim": float(similar[mask].mean()) if mask.any() else None,
                    **_by_cut(share[mask], high[target][mask], len(others)),
                }
                for name, value in metrics.items():
                    found.setdefault(scope, {}).setdefault(part, {}).setdefault(name, []).append(value)
        error = 100 * abs(_right_share(first, guess) - _right_share(first, references[target]))
        found["lungs"][WHOLE].setdefault(RIGHT_SHARE_ERROR, []).append(float(error))
    return found


def _by_cut(share: np.ndarray, high: np.ndarray, others: int) -> dict[str, list[float | None]]:
    """DSC of high and low lung and κ when lung counts as high above each share of the other draws."""
    cuts = (np.arange(others) + 0.5) / others
    return {
        "dsc_high": [_value(dice, share > cut, high) for cut in cuts],
        "dsc_low": [_value(dice, share <= cut, ~high) for cut in cuts],
        "kappa": [_value(cohen_kappa, share > cut, high) for cut in cuts],
    }


def _value(metric: Callable[..., float], *images: np.ndarray) -> float | None:
    try:
        return float(metric(*images)) if images[0].size else None
    except UndefinedMetricError:
        return None


def _right_share(comparison: SpectComparison, values: np.ndarray) -> float:
    right, both = (float(values[comparison.masks[scope]].sum()) for scope in ("right lung", "lungs"))
    return right / both if both > 0 else 0.5


@dataclass(frozen=True)
class Ceiling:
    """The ceiling of some patients.

    Attributes:
        table: a line a patient, scope, part and metric, prediction ``CEILING``; the metrics' ``ERROR`` beside them.
        draws: drawn anew for each patient, besides the SPECT of the cohort.
        cuts: the share of draws above which lung counts as high, by metric, where the cohort's mean is highest.
    """

    table: TidyTable
    draws: int
    cuts: dict[str, float]

    @classmethod
    def of(cls, figures: Sequence[dict]) -> Ceiling:
        """What ``figures_of`` gave of each patient."""
        draws = min(one["draws"] for one in figures)
        best = {name: _best_cut(figures, name) for name in CUT_METRICS}
        table = TidyTable.of(line for one in figures for line in _lines_of(one, best))
        return cls(table, draws, {name: (index + 0.5) / draws for name, index in best.items()})


def _best_cut(figures: Sequence[dict], name: str) -> int:
    """The cut at which the mean over the patients' lungs is highest."""
    curves = [
        np.array(curve, float)
        for one in figures
        for side in SIDES
        for curve in one["values"].get(side, {}).get(WHOLE, {}).get(name, [])
    ]
    return int(np.nanargmax(np.nanmean(curves, axis=0)))


def _lines_of(figures: dict, best: dict[str, int]) -> Iterator[tuple]:
    who = figures["patient_id"], figures["diagnosis"]
    for scope, parts in figures["values"].items():
        for part, metrics in parts.items():
            for name, per_spect in metrics.items():
                values = [one[best[name]] if name in best else one for one in per_spect]
                known = np.array([value for value in values if value is not None], float)
                mean = float(known.mean()) if len(known) else None
                error = float(known.std(ddof=1) / np.sqrt(len(known))) if len(known) > 1 else None
                yield *who, scope, part, CEILING, name, mean
                yield *who, scope, part, CEILING, ERROR + name, error


def ceiling_of_patients(
    patients: Iterable[Drawn],
    preprocessing: PreprocessingSettings,
    folder: Path,
    draws: int = FEWEST_DRAWS,
    progress: Progress = no_progress,
) -> Ceiling:
    """Every patient's ceiling, computed or read back from ``folder``.

    Raises:
        InputError: fewer than ``FEWEST_DRAWS``, or a patient that is not virtual.
    """
    if draws < FEWEST_DRAWS:
        raise InputError(f"{draws} draws are too few for a ceiling; give at least {FEWEST_DRAWS}")
    patients, figures = list(patients), []
    for number, patient in enumerate(patients):
        path = folder / f"{patient.row.patient_id}.json"
        kept = read_json(path) if path.is_file() else {}
        if kept.get("draws") != draws:
            progress(f"Drawing patient {patient.row.patient_id} anew", number / len(patients))
            kept = figures_of(patient, preprocessing, draws)
            write_json(path, kept)
        figures.append(kept)
    return Ceiling.of(figures)


def reached(network: float, baseline: float, ceiling: float) -> float | None:
    """How far a network gets from the best baseline (0) to the ceiling (1); None where there is no room."""
    room = ceiling - baseline
    return (network - baseline) / room if room > 1e-6 else None
