"""Trainings that change one thing, each against one reference: the same patients under every variant.

What counts is the difference patient by patient; the patients themselves differ far more than the variants.
"""

from __future__ import annotations

from collections.abc import Mapping

from DLCTPMLib.agreement.scores import BASELINE_NAMES
from DLCTPMTrainingLib.statistics.numbers import values_of
from DLCTPMTrainingLib.statistics.paired import best_baseline, paired_patients
from DLCTPMTrainingLib.statistics.table import WHOLE, TidyTable
from DLCTPMTrainingLib.statistics.tests import StatisticsSettings, patient_means, summary

METRICS = ("r_spearman", "ssim", "dsc_high", "dsc_low")


def compared(tables: Mapping[str, TidyTable], reference: str, settings: StatisticsSettings) -> dict:
    """Variants by name against one of them.

    Returns:
        ``reference``, its name; ``variants``, by name and metric the ``summary`` over the lungs, ``patients_mean``
        over the patients and, as ``less_reference``, the ``paired_difference``; ``baselines``, by metric the ``name``
        and ``patients_mean`` of the best one.
    """
    baselines = {}
    for metric in METRICS:
        name = best_baseline(tables[reference], metric, WHOLE)
        if name is not None:
            found = values_of(tables[reference], metric, name)
            mean = float(patient_means(found.value, found.patient).mean())
            baselines[metric] = {"name": BASELINE_NAMES.get(name, name), "patients_mean": mean}
    return {
        "reference": reference,
        "variants": {
            name: {metric: _figures(table, tables[reference], metric, settings) for metric in METRICS}
            for name, table in tables.items()
        },
        "baselines": baselines,
    }


def _figures(table: TidyTable, reference: TidyTable, metric: str, settings: StatisticsSettings) -> dict:
    own = values_of(table, metric)
    less = paired_patients(own, values_of(reference, metric), settings)
    mean = float(patient_means(own.value, own.patient).mean()) if len(own) else None
    return {**summary(own.value, own.patient, settings), "patients_mean": mean, "less_reference": less}
