"""What is said of a study's tidy tables, as plain JSON values; no words, no pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from DLCTPMLib.agreement.comparison import MODEL
from DLCTPMLib.labels.chest_regions import SIDES
from DLCTPMTrainingLib.statistics.table import CORE, WHOLE, TidyTable
from DLCTPMTrainingLib.statistics.tests import (
    StatisticsSettings,
    bland_altman,
    fences,
    paired_test,
    patient_means,
    summary,
    unpaired_test,
)

HEADLINE = ("r_spearman", "ssim", "dsc_high", "dsc_low", "kappa")
MEASURES = {
    "r": ("R", "r_spearman", WHOLE),
    "core": ("R, core", "r_spearman", CORE),
    "ssim": ("SSIM", "ssim", WHOLE),
    "dsc_high": ("DSC high", "dsc_high", WHOLE),
    "dsc_low": ("DSC low", "dsc_low", WHOLE),
    "kappa": ("κ", "kappa", WHOLE),
}
"""What networks and models are compared by: title, metric, part of the lung. Of each, more is better."""
LUNG, PATIENT = "lung", "patient"
SPECT = "spect"
"""The prediction of lines that say what the SPECT itself has."""
SHARE = "perfusion_percent"
"""Metric: percent of the perfusion of both lungs that lies in the scope."""
OTHER_HIR = "other_hir_"
"""Before a metric's name: the same map against the SPECT divided by the HIR of the scope that was not chosen."""
THRESHOLDS = tuple(round(0.30 + 0.03 * step, 2) for step in range(21))
"""Thresholds between low- and high-functional lung at which DSC is drawn; 0.66 is one of them."""
CALIBRATION_BINS = 20


def at_threshold(name: str, threshold: float) -> str:
    """The metric of DSC ("high" or "low") of both lungs at one of ``THRESHOLDS``."""
    return f"dsc_{name} at {threshold:.2f}"


def values_of(
    table: TidyTable, metric: str, prediction: str = MODEL, unit: str = LUNG, part: str = WHOLE
) -> TidyTable:
    """One metric of every lung, or of both lungs of every patient together; those without a value are left out."""
    scope = SIDES if unit == LUNG else "lungs"
    return table.select(metric=metric, prediction=prediction, part=part, scope=scope).known()


def of_both(a: TidyTable, b: TidyTable) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The values of those lungs or patients who have both, in one order, and the patients they belong to."""
    first, second = ({(p, s): v for p, s, v in zip(t.patient, t.scope, t.value, strict=True)} for t in (a, b))
    both = [key for key in first if key in second]
    return (
        np.array([first[key] for key in both]),
        np.array([second[key] for key in both]),
        np.array([patient for patient, _ in both]),
    )


def predictions_of(table: TidyTable) -> list[str]:
    """The model and every baseline, the model first."""
    names = table.select(metric=HEADLINE).names("prediction")
    return [MODEL, *(name for name in names if name != MODEL)] if names else []


def is_acute_embolism(diagnosis: str) -> bool:
    """Whether a diagnosis is what no CT method can see: acute pulmonary embolism."""
    words = diagnosis.lower()
    return "acute" in words and "embol" in words


def with_acute_embolism(table: TidyTable) -> TidyTable:
    """The lines of the patients with acute embolism."""
    return table.select(diagnosis=[name for name in table.names("diagnosis") if is_acute_embolism(name)])


def summary_of(table: TidyTable, metric: str, settings: StatisticsSettings, **which: str) -> dict:
    """``summary`` of what ``values_of`` finds."""
    found = values_of(table, metric, **which)
    return summary(found.value, found.patient, settings)


def of_every_prediction(table: TidyTable, settings: StatisticsSettings) -> dict:
    """Summaries by unit, prediction, part and metric."""
    return {
        unit: {
            prediction: {
                part: {
                    metric: summary_of(table, metric, settings, prediction=prediction, unit=unit, part=part)
                    for metric in HEADLINE
                }
                for part in (WHOLE, CORE)
            }
            for prediction in predictions_of(table)
        }
        for unit in (LUNG, PATIENT)
    }


def other_hir(table: TidyTable, settings: StatisticsSettings) -> dict:
    """The model's metrics, lung by lung, under the HIR scope that was not chosen."""
    return {metric: summary_of(table, OTHER_HIR + metric, settings) for metric in HEADLINE}


def advantages(table: TidyTable, part: str, settings: StatisticsSettings) -> dict:
    """By baseline and metric the model's value − the baseline's, lung by lung."""
    result = {}
    for baseline in predictions_of(table)[1:]:
        result[baseline] = {}
        for metric in HEADLINE:
            model, other, patients = of_both(
                *(values_of(table, metric, name, part=part) for name in (MODEL, baseline))
            )
            result[baseline][metric] = summary(model - other, patients, settings)
    return result


def outliers(found: TidyTable) -> dict:
    """Tukey's fences of some values and who lies beyond them."""
    if not len(found):
        return {"low": None, "high": None, "cases": []}
    box = fences(found.value)
    return {"low": box.low, "high": box.high, "cases": [case(found, index) for index in box.outliers]}


def case(table: TidyTable, index: int) -> dict:
    """Who a value belongs to."""
    return {
        "patient_id": str(table.patient[index]),
        "scope": str(table.scope[index]),
        "value": float(table.value[index]),
    }


def validation_against_test(validation: TidyTable, test: TidyTable, metric: str) -> dict:
    """Student's t over the lungs, as the paper, and Welch's over the patients' means."""
    a, b = values_of(validation, metric), values_of(test, metric)
    means = [patient_means(found.value, found.patient) for found in (a, b)]
    return {
        "lungs": unpaired_test(a.value, b.value),
        "patients": unpaired_test(*means, equal_variances=False),
    }


def right_against_left(table: TidyTable, metric: str, margin: float) -> dict:
    """Paired test and equivalence of the two lungs of the patients who have a value of both."""
    found = values_of(table, metric)
    sides = [found.select(scope=side) for side in SIDES]
    by_side = [dict(zip(side.patient, side.value, strict=True)) for side in sides]
    both = [patient for patient in by_side[0] if patient in by_side[1]]
    return paired_test(*(np.array([side[patient] for patient in both]) for side in by_side), margin)


def best_baseline(table: TidyTable, metric: str = "r_spearman", part: str = WHOLE) -> str | None:
    """The baseline with the highest mean of a metric over the lungs; None where none has a value."""
    of = {name: values_of(table, metric, name, part=part).value for name in predictions_of(table)[1:]}
    means = {name: float(values.mean()) for name, values in of.items() if len(values)}
    return max(means, key=means.get) if means else None


def by_diagnosis(
    sets: Mapping[str, TidyTable], group: Callable[[str], str], settings: StatisticsSettings, baseline: str
) -> dict:
    """The model and a baseline by group of diagnoses and set of patients."""
    diagnoses = {name for table in sets.values() for name in table.names("diagnosis")}
    return {
        name: {
            which: {
                prediction: {
                    metric: summary_of(
                        table.select(diagnosis=[one for one in diagnoses if group(one) == name]),
                        metric,
                        settings,
                        prediction=prediction,
                    )
                    for metric in HEADLINE
                }
                for prediction in (MODEL, baseline)
            }
            for which, table in sets.items()
        }
        for name in sorted({group(one) for one in diagnoses})
    }


def shares(table: TidyTable) -> dict:
    """Bland–Altman figures of the percentages of perfusion by region; ``pairs`` are (SPECT, map) by patient."""
    found = table.select(metric=SHARE)
    result = {}
    for region in found.names("scope"):
        reference, measured = (found.select(scope=region, prediction=name) for name in (SPECT, MODEL))
        pairs = zip(reference.value.tolist(), measured.value.tolist(), strict=True)
        result[region] = {
            **bland_altman(measured.value, reference.value),
            "pairs": {patient: list(pair) for patient, pair in zip(measured.patient.tolist(), pairs, strict=True)},
        }
    return result


def thresholds(table: TidyTable) -> dict:
    """Mean and SD of DSC over the patients at every threshold."""
    result: dict = {"thresholds": list(THRESHOLDS)}
    for name in ("high", "low"):
        curves = [table.select(metric=at_threshold(name, each)).known().value for each in THRESHOLDS]
        result[name] = {
            "mean": [float(values.mean()) if len(values) else None for values in curves],
            "sd": [float(values.std(ddof=1)) if len(values) > 1 else None for values in curves],
        }
    return result


def calibration(sums: Mapping[str, list[float]]) -> dict:
    """Mean SPECT (clipped to 0…1) in equal bins of the map, over all voxels; and the slope of a straight line.

    Args:
        sums: ``voxels`` of each bin, and the sums over them of ``map`` and ``spect``; empty without patients.
    """
    if not sums:
        return {"voxels": [], "map": [], "spect": [], "slope": None, "intercept": None}
    voxels, of_map, of_spect = (np.array(sums[name]) for name in ("voxels", "map", "spect"))
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
