"""What is said of the models of a comparison, as plain JSON values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations

from DLCTPMTrainingLib.ceiling.estimate import CEILING, RIGHT_SHARE_ERROR, Ceiling, reached
from DLCTPMTrainingLib.cohorts.table import table_1_row
from DLCTPMTrainingLib.model_comparison.evaluation import AS_IT_STANDS, HIGH, HIGH_BIAS, OWN_P75, SHARE_ERROR
from DLCTPMTrainingLib.statistics.numbers import (
    LUNG,
    MEASURES,
    PATIENT,
    is_acute_embolism,
    summary_of,
    values_of,
)
from DLCTPMTrainingLib.statistics.paired import paired_patients
from DLCTPMTrainingLib.statistics.table import CORE, WHOLE, TidyTable
from DLCTPMTrainingLib.statistics.tests import StatisticsSettings, holm

PER_PATIENT = (SHARE_ERROR, HIGH_BIAS, HIGH_BIAS + AS_IT_STANDS, HIGH, OWN_P75)
"""What a patient has one of: both lungs together."""


def numbers_of(
    table: TidyTable,
    models: Sequence[str],
    baselines: Sequence[str],
    ceiling: Ceiling | None,
    settings: StatisticsSettings,
) -> dict:
    """Every figure of the tables.

    Args:
        table: of ``evaluation.table_of_cohort``.
        models, baselines: labels in its ``prediction``, in the order of the tables.
        ceiling: of the same patients; None if not asked for.
        settings: of the intervals.

    Returns:
        ``headline`` by unit ("patient": both lungs together, "lung") and name (models, baselines, the ceiling) a
        summary for each of ``MEASURES``; ``per_patient`` by name a summary for each of ``PER_PATIENT``;
        ``best_baseline`` by unit and metric; ``gains`` by unit, model and metric: the paired difference from the best
        baseline and, with a ceiling, the part ``reached`` of what it has over that; ``pairs``: every two models'
        paired differences, patient by patient; ``groups`` by disease.
    """
    every = TidyTable.joined([table, *([ceiling.table] if ceiling else [])])
    shown = [*models, *baselines, *([CEILING] if ceiling else [])]
    headline = {
        unit: {
            name: {
                key: summary_of(every, metric, settings, prediction=name, unit=unit, part=part)
                for key, (_, metric, part) in MEASURES.items()
            }
            for name in shown
        }
        for unit in (PATIENT, LUNG)
    }
    best = {unit: {key: _best(headline[unit], baselines, key) for key in MEASURES} for unit in (PATIENT, LUNG)}
    return {
        "models": list(models),
        "baselines": list(baselines),
        "draws": ceiling.draws if ceiling else 0,
        "headline": headline,
        "as_it_stands": {
            name: {
                metric: summary_of(every, metric + AS_IT_STANDS, settings, prediction=name, unit=PATIENT)
                for metric in ("dsc_high", "dsc_low", "kappa")
            }
            for name in models
        },
        "per_patient": _per_patient(every, models, baselines, settings),
        "best_baseline": best,
        "gains": {
            unit: {name: _gains(every, name, best[unit], headline[unit], unit, settings) for name in models}
            for unit in (PATIENT, LUNG)
        },
        "pairs": _pairs(every, models, settings),
        "groups": _groups(every, models, best[PATIENT]["r"], settings),
    }


def _best(headline: dict, baselines: Sequence[str], key: str) -> str | None:
    """The baseline with the highest mean of a metric."""
    means = {name: headline[name][key]["mean"] for name in baselines}
    known = {name: mean for name, mean in means.items() if mean is not None}
    return max(known, key=known.get) if known else None


def _per_patient(
    table: TidyTable, models: Sequence[str], baselines: Sequence[str], settings: StatisticsSettings
) -> dict:
    """Share of the right lung and functional volume: of models, baselines, volume, SPECT and ceiling."""
    found = {
        name: {metric: summary_of(table, metric, settings, prediction=name, unit=PATIENT) for metric in PER_PATIENT}
        for name in (*models, *baselines, "volume", "spect")
    }
    ceiling = summary_of(table, RIGHT_SHARE_ERROR, settings, prediction=CEILING, unit=PATIENT)
    return found | ({CEILING: {SHARE_ERROR: ceiling}} if ceiling["n"] else {})


def _gains(table: TidyTable, model: str, best: dict, headline: dict, unit: str, settings: StatisticsSettings) -> dict:
    """One model less the best baseline of each metric, and how far that is on the way to the ceiling."""
    gains = {}
    for key, (_, metric, part) in MEASURES.items():
        if best[key] is None:
            continue
        pair = (values_of(table, metric, name, unit=unit, part=part) for name in (model, best[key]))
        gains[key] = {"baseline": best[key], **paired_patients(*pair, settings)}
        top = headline.get(CEILING, {}).get(key, {}).get("mean")
        mean, base = headline[model][key]["mean"], headline[best[key]][key]["mean"]
        gains[key]["reached"] = None if top is None or mean is None else reached(mean, base, top)
    return gains


def _pairs(table: TidyTable, models: Sequence[str], settings: StatisticsSettings) -> list[dict]:
    """Every two models on both lungs together; p corrected over the pairs of a metric (Holm)."""
    pairs = []
    for key, (_, metric, part) in MEASURES.items():
        values = {name: values_of(table, metric, name, unit=PATIENT, part=part) for name in models}
        of_metric = [
            {
                "metric": key,
                "first": first,
                "second": second,
                **paired_patients(values[first], values[second], settings),
            }
            for first, second in combinations(models, 2)
        ]
        for one, p in zip(of_metric, holm([one["p"] for one in of_metric]), strict=True):
            one["p_holm"] = p
        pairs += of_metric
    return pairs


def disease_group(diagnosis: str) -> str:
    """The row of the paper's Table 1, with acute embolism by itself: no CT method can see it."""
    return "Acute pulmonary embolism" if is_acute_embolism(diagnosis) else table_1_row(diagnosis)


def _groups(table: TidyTable, models: Sequence[str], baseline: str | None, settings: StatisticsSettings) -> dict:
    """By disease and model what a reader asks of a group: R, that of the best baseline and of the ceiling, the error
    of the share, and the functional volume less the SPECT's own.
    """
    groups = {}
    for name, of_it in _by_group(table, disease_group).items():

        def of(metric: str, prediction: str | None, part: str = WHOLE, of_it: TidyTable = of_it) -> dict:
            return summary_of(of_it, metric, settings, prediction=prediction or "", unit=PATIENT, part=part)

        groups[name] = {
            "patients": len(of_it.names("patient")),
            "baseline": of("r_spearman", baseline),
            "ceiling": of("r_spearman", CEILING),
            "volume": of(SHARE_ERROR, "volume"),
            "spect_high": of(HIGH, "spect"),
            "models": {
                model: {
                    "r": of("r_spearman", model),
                    "core": of("r_spearman", model, CORE),
                    SHARE_ERROR: of(SHARE_ERROR, model),
                    HIGH_BIAS: of(HIGH_BIAS, model),
                }
                for model in models
            },
        }
    return groups


def _by_group(table: TidyTable, group: Callable[[str], str]) -> dict[str, TidyTable]:
    names = table.names("diagnosis")
    return {
        one: table.select(diagnosis=[name for name in names if group(name) == one])
        for one in sorted({group(name) for name in names})
    }
