"""Every number of a study as plain values (``numbers.json``); tables and figures only show what is computed here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np

from DLCTPMLib.agreement.comparison import MODEL
from DLCTPMLib.labels.chest_regions import SIDES
from DLCTPMTrainingLib.cohorts.table import CohortRow, table_1_row
from DLCTPMTrainingLib.statistics.tests import (
    StatisticsSettings,
    bland_altman,
    fences,
    paired_test,
    patient_means,
    summary,
    unpaired_test,
)
from DLCTPMTrainingLib.study.evaluation import CALIBRATION_BINS, THRESHOLDS
from DLCTPMTrainingLib.study.results import StudyResults
from DLCTPMTrainingLib.training.evaluation import HEADLINE

WHOLE, CORE = "whole", "core"
LUNG, PATIENT = "lung", "patient"
TESTED = ("r_spearman", "ssim")
"""Metrics that the paper's tests and outliers are given for."""


@dataclass(frozen=True)
class Values:
    """One metric over a cohort: a value each of some lungs or patients."""

    values: np.ndarray
    patients: np.ndarray
    scopes: np.ndarray

    def named(self, index: int) -> dict:
        """Who a value belongs to."""
        return {
            "patient_id": str(self.patients[index]),
            "scope": str(self.scopes[index]),
            "value": float(self.values[index]),
        }


def values_of(
    figures: list[dict], metric: str, prediction: str = MODEL, unit: str = LUNG, part: str = WHOLE
) -> Values:
    """One metric of every lung, or of both lungs of every patient together; those without a value are left out."""
    scopes = SIDES if unit == LUNG else ("lungs",)
    found = [
        (row[metric], row["patient_id"], row["scope"])
        for patient in figures
        for row in patient["rows"]
        if row["scope"] in scopes
        and (row["prediction"], row["part"]) == (prediction, part)
        and row[metric] is not None
    ]
    columns = [np.array(column) for column in zip(*found, strict=True)] if found else [np.array([])] * 3
    return Values(columns[0].astype(float), columns[1], columns[2])


def of_both(a: Values, b: Values) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The values of those lungs or patients who have both, in one order, and the patients they belong to."""
    first, second = ({(p, s): v for v, p, s in zip(f.values, f.patients, f.scopes, strict=True)} for f in (a, b))
    both = [key for key in first if key in second]
    return (
        np.array([first[key] for key in both]),
        np.array([second[key] for key in both]),
        np.array([patient for patient, _ in both]),
    )


def predictions_of(figures: list[dict]) -> list[str]:
    """The model and every baseline, the model first."""
    names = dict.fromkeys(row["prediction"] for patient in figures for row in patient["rows"])
    return [MODEL, *(name for name in names if name != MODEL)] if names else []


def is_acute_embolism(diagnosis: str) -> bool:
    """Whether a diagnosis is what no CT method can see: acute pulmonary embolism."""
    words = diagnosis.lower()
    return "acute" in words and "embol" in words


def numbers_of(results: StudyResults) -> dict:
    """Everything that is said of a study, as plain JSON values."""
    settings = results.plan.statistics
    validation = [patient for fold in results.validation for patient in fold]
    test = results.test
    return {
        "simulated": results.simulated,
        "origin": asdict(results.origin),
        "patients": {
            "all": len(results.rows),
            "training": len(results.split.training),
            "folds": [len(fold) for fold in results.split.folds],
            "test": len(results.split.test),
        },
        "characteristics": characteristics(results.rows),
        "chosen": results.chosen.to_dict(),
        "test": _of_every_prediction(test, settings),
        "validation": _of_every_prediction(validation, settings),
        "other_hir": _other_hir(test, settings),
        "folds": [{metric: _summary(fold, metric, settings) for metric in HEADLINE} for fold in results.validation],
        "acute_embolism": {
            name: _of_every_prediction([p for p in part if is_acute_embolism(p["diagnosis"])], settings)
            for name, part in (("test", test), ("validation", validation))
        },
        "advantage": {part: _advantages(test, part, settings) for part in (WHOLE, CORE)},
        "outliers": {
            name: {metric: _outliers(values_of(part, metric)) for metric in (*TESTED, "dsc_high", "dsc_low")}
            for name, part in (("test", test), ("validation", validation))
        },
        "validation_against_test": {
            metric: _validation_against_test(validation, test, metric) for metric in (*TESTED, "dsc_high", "dsc_low")
        },
        "right_against_left": {
            metric: paired_test(*_sides(test, metric), settings.margin) for metric in (*TESTED, "dsc_high", "dsc_low")
        },
        "diagnoses": _by(test, validation, lambda p: p["diagnosis"] or "not given", settings),
        "table_1_rows": _by(test, validation, lambda p: table_1_row(p["diagnosis"]), settings),
        "without": _without(results, settings),
        "bland_altman": shares(test),
        "calibration": calibration(test),
        "thresholds": thresholds(test),
        "search": [{name: trial[name] for name in ("label", "epochs", "r", "mean")} for trial in results.trials],
        "statistics": settings.to_dict(),
    }


def characteristics(rows: list[CohortRow]) -> dict:
    """What Table 1 of the paper says of its patients."""
    ages = np.array([row.age for row in rows if row.age is not None])
    sexes = [row.sex.strip().upper()[:1] for row in rows]
    diagnoses = [table_1_row(row.diagnosis) for row in rows]
    return {
        "n": len(rows),
        "men": sexes.count("M"),
        "women": sum(sexes.count(letter) for letter in "FW"),
        "age_mean": float(ages.mean()) if len(ages) else None,
        "age_sd": float(ages.std(ddof=1)) if len(ages) > 1 else None,
        "diagnoses": {name: diagnoses.count(name) for name in dict.fromkeys(diagnoses)},
        "others": sorted({r.diagnosis for r in rows if r.diagnosis and table_1_row(r.diagnosis) == "Others"}),
    }


def calibration(figures: list[dict]) -> dict:
    """Mean SPECT (clipped to 0…1) in equal bins of the map, over all voxels; and the slope of a straight line."""
    if not figures:
        return {"voxels": [], "map": [], "spect": [], "slope": None, "intercept": None}
    voxels, of_map, of_spect = (
        np.sum([p["calibration"][name] for p in figures], axis=0) for name in ("voxels", "map", "spect")
    )
    some = voxels > 0
    x, y = of_map[some] / voxels[some], of_spect[some] / voxels[some]
    line = np.polyfit(x, y, 1, w=np.sqrt(voxels[some])) if some.sum() > 1 else (None, None)
    return {
        "voxels": voxels.astype(int).tolist(),
        "map": [float(a / b) if b else None for a, b in zip(of_map, voxels, strict=True)],
        "spect": [float(a / b) if b else None for a, b in zip(of_spect, voxels, strict=True)],
        "slope": None if line[0] is None else float(line[0]),
        "intercept": None if line[1] is None else float(line[1]),
        "bins": CALIBRATION_BINS,
    }


def thresholds(figures: list[dict]) -> dict:
    """Mean and SD of DSC over the patients at every threshold."""
    result = {"thresholds": list(THRESHOLDS)}
    for name in ("high", "low"):
        curves = [
            [v for v in column if v is not None]
            for column in zip(*(p["thresholds"][name] for p in figures), strict=True)
        ]
        result[name] = {
            "mean": [float(np.mean(column)) if column else None for column in curves],
            "sd": [float(np.std(column, ddof=1)) if len(column) > 1 else None for column in curves],
        }
    return result


def shares(figures: list[dict]) -> dict:
    """Bland–Altman figures of the percentages of perfusion by region; ``pairs`` are (SPECT, map) by patient."""
    regions = dict.fromkeys(region for patient in figures for region in patient["shares"])
    result = {}
    for region in regions:
        pairs = {p["patient_id"]: p["shares"][region] for p in figures if region in p["shares"]}
        measured = np.array([pair["map"] for pair in pairs.values()])
        reference = np.array([pair["spect"] for pair in pairs.values()])
        result[region] = {
            **bland_altman(measured, reference),
            "pairs": {patient: [pair["spect"], pair["map"]] for patient, pair in pairs.items()},
        }
    return result


def _summary(figures: list[dict], metric: str, settings: StatisticsSettings, **which) -> dict:
    found = values_of(figures, metric, **which)
    return summary(found.values, found.patients, settings)


def _of_every_prediction(figures: list[dict], settings: StatisticsSettings) -> dict:
    """By unit, prediction, part and metric."""
    return {
        unit: {
            prediction: {
                part: {
                    metric: _summary(figures, metric, settings, prediction=prediction, unit=unit, part=part)
                    for metric in HEADLINE
                }
                for part in (WHOLE, CORE)
            }
            for prediction in predictions_of(figures)
        }
        for unit in (LUNG, PATIENT)
    }


def _other_hir(figures: list[dict], settings: StatisticsSettings) -> dict:
    """The model's metrics, lung by lung, under the HIR scope that was not chosen."""
    lungs = [lung for patient in figures for lung in patient["other_hir"]]
    result: dict = {"hir_scope": lungs[0]["hir_scope"] if lungs else None}
    for metric in HEADLINE:
        known = [lung for lung in lungs if lung[metric] is not None]
        values, patients = [lung[metric] for lung in known], [lung["patient_id"] for lung in known]
        result[metric] = summary(np.array(values), np.array(patients), settings)
    return result


def _advantages(figures: list[dict], part: str, settings: StatisticsSettings) -> dict:
    """The model's metrics less each baseline's, lung by lung."""
    result = {}
    for baseline in predictions_of(figures)[1:]:
        result[baseline] = {}
        for metric in HEADLINE:
            model, other, patients = of_both(
                *(values_of(figures, metric, name, part=part) for name in (MODEL, baseline))
            )
            result[baseline][metric] = summary(model - other, patients, settings)
    return result


def _outliers(found: Values) -> dict:
    if not len(found.values):
        return {"low": None, "high": None, "cases": []}
    box = fences(found.values)
    return {"low": box.low, "high": box.high, "cases": [found.named(i) for i in box.outliers]}


def _validation_against_test(validation: list[dict], test: list[dict], metric: str) -> dict:
    a, b = values_of(validation, metric), values_of(test, metric)
    return {
        "lungs": unpaired_test(a.values, b.values),
        "patients": unpaired_test(
            patient_means(a.values, a.patients), patient_means(b.values, b.patients), equal_variances=False
        ),
    }


def _sides(figures: list[dict], metric: str) -> tuple[np.ndarray, np.ndarray]:
    """Right and left values of the patients who have both, in the same order."""
    found = values_of(figures, metric)
    by_side = {
        side: dict(zip(found.patients[found.scopes == side], found.values[found.scopes == side], strict=True))
        for side in SIDES
    }
    both = [patient for patient in by_side[SIDES[0]] if patient in by_side[SIDES[1]]]
    return tuple(np.array([by_side[side][patient] for patient in both]) for side in SIDES)


def _by(test: list[dict], validation: list[dict], group: Callable[[dict], str], settings) -> dict:
    """The model and geometry by groups of patients."""
    names = sorted({group(patient) for patient in (*test, *validation)})
    return {
        name: {
            part: {
                prediction: {
                    metric: _summary([p for p in of if group(p) == name], metric, settings, prediction=prediction)
                    for metric in HEADLINE
                }
                for prediction in (MODEL, "geometry")
            }
            for part, of in (("test", test), ("validation", validation))
        }
        for name in names
    }


def _without(results: StudyResults, settings: StatisticsSettings) -> dict | None:
    """The second model, and the first on the same patients and on the excluded ones."""
    if results.without is None:
        return None
    kept = {patient["patient_id"] for patient in results.without}
    groups = {
        "retrained": results.without,
        "same patients": [p for p in results.test if p["patient_id"] in kept],
        "excluded patients": [p for p in results.test if p["patient_id"] not in kept],
    }
    return {
        "diagnosis": results.plan.without,
        **{name: {m: _summary(of, m, settings) for m in HEADLINE} for name, of in groups.items()},
    }
