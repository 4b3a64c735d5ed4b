"""Every number of a study as plain values (``numbers.json``); tables and figures only show what is computed here."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from DLCTPMLib.networks.settings import ARCHITECTURES
from DLCTPMTrainingLib.ceiling.estimate import CEILING, ERROR, HALF, RIGHT_SHARE_ERROR, Ceiling, reached
from DLCTPMTrainingLib.cohorts.table import CohortRow, table_1_row
from DLCTPMTrainingLib.statistics import numbers as found
from DLCTPMTrainingLib.statistics.numbers import HEADLINE, summary_of, values_of
from DLCTPMTrainingLib.statistics.paired import TEST, VALIDATION, paired_comparisons
from DLCTPMTrainingLib.statistics.table import CORE, WHOLE, TidyTable
from DLCTPMTrainingLib.statistics.tests import StatisticsSettings
from DLCTPMTrainingLib.statistics.variants import compared
from DLCTPMTrainingLib.study.plan import Candidate
from DLCTPMTrainingLib.study.results import LEARNING_CURVE, SENSITIVITY, StudyResults
from DLCTPMTrainingLib.study_report.side_by_side import side_by_side

TESTED = ("r_spearman", "ssim", "dsc_high", "dsc_low")
"""Metrics that tests and outliers are given for; the paper has the first two."""


def numbers_of(results: StudyResults) -> dict:
    """Everything that is said of a study, as plain JSON values."""
    settings, margin = results.plan.statistics, results.plan.statistics.margin
    validation, test = results.all_validation, results.test.table
    sets = {"test": test, "validation": validation}
    baseline = found.best_baseline(validation) or "all_high"
    return {
        "best_baseline": baseline,
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
        "test": found.of_every_prediction(test, settings),
        "validation": found.of_every_prediction(validation, settings),
        "other_hir": {
            "hir_scope": "lung" if results.chosen.preprocessing.hir_scope == "patient" else "patient",
            **found.other_hir(test, settings),
        },
        "folds": [_headline(fold.table, settings) for fold in results.validation],
        "acute_embolism": {
            name: found.of_every_prediction(found.with_acute_embolism(table), settings)
            for name, table in sets.items()
        },
        "advantage": {part: found.advantages(test, part, settings) for part in (WHOLE, CORE)},
        "outliers": {
            name: {metric: found.outliers(values_of(table, metric)) for metric in TESTED}
            for name, table in sets.items()
        },
        "validation_against_test": {
            metric: found.validation_against_test(validation, test, metric) for metric in TESTED
        },
        "right_against_left": {metric: found.right_against_left(test, metric, margin) for metric in TESTED},
        "diagnoses": found.by_diagnosis(sets, lambda diagnosis: diagnosis or "not given", settings, baseline),
        "table_1_rows": found.by_diagnosis(sets, table_1_row, settings, baseline),
        "without": _without(results, settings),
        "bland_altman": found.shares(test),
        "calibration": found.calibration(results.test.calibration),
        "thresholds": found.thresholds(test),
        "search": [{name: trial[name] for name in ("label", "epochs", "r", "mean")} for trial in results.trials],
        "statistics": settings.to_dict(),
        "side_by_side": side_by_side(results),
        "paired": _paired(results),
        "ceiling": _ceiling(results, settings),
        SENSITIVITY: _variants(results.sensitivity, 0, settings),
        LEARNING_CURVE: _variants(results.learning_curve, -1, settings),
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


def _headline(table: TidyTable, settings: StatisticsSettings) -> dict:
    return {metric: summary_of(table, metric, settings) for metric in HEADLINE}


def _without(results: StudyResults, settings: StatisticsSettings) -> dict | None:
    """The second model, and the first on the same patients and on the excluded ones."""
    if results.without is None:
        return None
    test, kept = results.test.table, results.without.table.names("patient")
    groups = {
        "retrained": results.without.table,
        "same patients": test.select(patient=kept),
        "excluded patients": test.select(patient=[one for one in test.names("patient") if one not in kept]),
    }
    return {
        "diagnosis": results.plan.without,
        **{name: _headline(table, settings) for name, table in groups.items()},
    }


def _ceiling(results: StudyResults, settings: StatisticsSettings) -> dict | None:
    """``ceiling_numbers`` of the main network, its alternatives and the folds' mean; None if not asked for."""
    if results.ceiling is None:
        return None
    networks = {_title(results.chosen): results.test.table}
    networks |= {_title(arm.choice): arm.test.table for arm in results.alternatives.values()}
    networks[f"mean of the {len(results.split.folds)} folds' networks"] = results.ensemble.table
    return ceiling_numbers(results.ceiling, results.test.table, networks, settings)


def ceiling_numbers(
    ceiling: Ceiling, test: TidyTable, networks: dict[str, TidyTable], settings: StatisticsSettings
) -> dict:
    """The ceiling's figures as of any prediction, and how far each network gets to it from the best baseline."""
    table = ceiling.table
    figures = found.of_every_prediction(table, settings)
    return {
        "draws": ceiling.draws,
        "cuts": ceiling.cuts,
        "figures": {unit: of[CEILING] for unit, of in figures.items()},
        "rows": [_towards(part, metric, table, test, networks) for part in (WHOLE, CORE) for metric in HEADLINE],
        "right_share_error": mean_value(values_of(table, RIGHT_SHARE_ERROR, CEILING, unit=found.PATIENT)),
        "half_r": mean_value(values_of(table, HALF + "r_spearman", CEILING)),
    }


def _towards(part: str, metric: str, ceiling: TidyTable, test: TidyTable, networks: dict[str, TidyTable]) -> dict:
    """One metric of the lungs: the best baseline, the ceiling, and each network on the way from one to the other."""
    best = found.best_baseline(test, metric, part)
    bottom = mean_value(values_of(test, metric, best, part=part)) if best else None
    limit = values_of(ceiling, metric, CEILING, part=part)
    errors = values_of(ceiling, ERROR + metric, CEILING, part=part).value
    means = {name: mean_value(values_of(table, metric, part=part)) for name, table in networks.items()}
    top = mean_value(limit)
    return {
        "part": part,
        "metric": metric,
        "lungs": len(limit),
        "baseline": best,
        "baseline_mean": bottom,
        "ceiling": top,
        "error": float(np.sqrt(np.sum(errors**2)) / len(errors)) if len(errors) else None,
        "networks": {
            name: {
                "mean": mean,
                "reached": None if None in (mean, top, bottom) else reached(mean, bottom, top),
            }
            for name, mean in means.items()
        },
    }


def mean_value(table: TidyTable) -> float | None:
    """Mean of the lines' values; None without any."""
    return float(table.value.mean()) if len(table) else None


def _paired(results: StudyResults) -> dict:
    """The main network, its alternatives and, on the test set, the mean of the folds' networks."""
    baselines = {VALIDATION: results.all_validation, TEST: results.test.table}
    networks = {_title(results.chosen): baselines}
    for arm in results.alternatives.values():
        networks[_title(arm.choice)] = {VALIDATION: arm.all_validation, TEST: arm.test.table}
    networks[f"mean of the {len(results.split.folds)} folds' networks"] = {TEST: results.ensemble.table}
    return paired_comparisons(networks, baselines, results.plan.statistics)


def _title(choice: Candidate) -> str:
    return ARCHITECTURES[choice.network.ARCHITECTURE].title


def _variants(evaluated: dict | None, reference: int, settings: StatisticsSettings) -> dict | None:
    """Variants against the reference at a place among them; None for what was not asked for."""
    if evaluated is None:
        return None
    tables = {name: one.table for name, one in evaluated.items()}
    return compared(tables, list(tables)[reference], settings)
