"""Finished models on a cohort, from its table to the tables: nothing is trained, nothing is chosen.

Every patient's figures under every model are a small file that is written once: a comparison that is cut off goes on,
and further models may be added to it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from DLCTPMLib.common.atomic_output import OutputFolder
from DLCTPMLib.common.errors import InputError
from DLCTPMLib.common.progress import Progress, no_progress, within
from DLCTPMLib.networks.bundle import ModelBundle, load_bundle
from DLCTPMLib.networks.inference import Ensemble, choose_device
from DLCTPMLib.networks.settings import network_words
from DLCTPMLib.results.settings import PredictionSettings
from DLCTPMTrainingLib.ceiling.estimate import Ceiling, ceiling_of_patients
from DLCTPMTrainingLib.cohorts.table import CohortRow, read_cohort
from DLCTPMTrainingLib.common.files import read_json, write_json
from DLCTPMTrainingLib.common.patient_origin import Origin
from DLCTPMTrainingLib.model_comparison.evaluation import (
    JUDGE,
    Contender,
    keep_figures,
    table_of_cohort,
)
from DLCTPMTrainingLib.model_comparison.numbers import numbers_of
from DLCTPMTrainingLib.model_comparison.tables import all_tables, as_markdown
from DLCTPMTrainingLib.statistics.numbers import HEADLINE
from DLCTPMTrainingLib.statistics.table import TidyTable
from DLCTPMTrainingLib.statistics.tests import StatisticsSettings
from DLCTPMTrainingLib.study.preparation import Patient, prepare_patient
from DLCTPMTrainingLib.training.evaluation import as_csv

NOTE = "comparison.json"


@dataclass(frozen=True)
class ComparisonPlan:
    """What ``dlctpm study --models`` is asked for.

    Attributes:
        cohort: the cohort's CSV file.
        models: bundles; of an ensemble every member is compared too.
        out: folder of everything.
        register: "none", "rigid" or "affine": how the SPECT is brought to the CT.
        ceiling: SPECTs drawn anew of each patient; 0 for no ceiling.
        device: auto, cpu, cuda or mps.
        statistics: of the intervals.
    """

    cohort: Path
    models: tuple[str, ...]
    out: Path
    register: str = PredictionSettings.registration
    ceiling: int = 0
    device: str = PredictionSettings.device
    statistics: StatisticsSettings = field(default_factory=StatisticsSettings)


def compare_models(plan: ComparisonPlan, progress: Progress = no_progress) -> Path:
    """Compare finished models, or go on where it was cut off.

    Returns:
        ``comparison.md`` in the folder ``results``, beside the tables (CSV), every figure (``numbers.json``) and
        every patient's (``rows.csv``).

    Raises:
        InputError: a model or a patient cannot be used, or the folder holds a comparison on another cohort.
    """
    rows = read_cohort(plan.cohort)
    contenders = contenders_of([load_bundle(model) for model in plan.models])
    _begin(plan, rows, contenders)
    device = choose_device(plan.device)

    @cache
    def predictor_of(contender: Contender) -> Ensemble:
        return contender.predictor(device)

    patients = []
    mapped = within(progress, 0, 0.5 if plan.ceiling else 0.95)
    for number, row in enumerate(rows):
        mapped(f"Comparing patient {row.patient_id} with the SPECT", number / len(rows))
        patients.append(prepare_patient(row, plan.register, plan.out / "patients"))
        keep_figures(patients[-1], contenders, plan.out / "figures", predictor_of)
    ceiling = _ceiling(plan, patients, within(progress, 0.5, 0.95))
    table = table_of_cohort(patients, contenders, plan.out / "figures")
    return _write(plan, rows, [one.label for one in contenders], table, ceiling)


def contenders_of(bundles: Sequence[ModelBundle]) -> list[Contender]:
    """Every model, and behind each ensemble its members.

    Raises:
        InputError: the same model twice.
    """
    hashes = [bundle.sha256 for bundle in bundles]
    names = [bundle.name for bundle in bundles]
    contenders = []
    for place, bundle in enumerate(bundles):
        if bundle.sha256 in hashes[:place]:
            raise InputError(f"{bundle.path}: this model was given before; give each once")
        label = bundle.name if names.count(bundle.name) == 1 else f"{bundle.name} ({bundle.path})"
        contenders.append(Contender(label, bundle))
        if len(bundle.members) > 1:
            contenders += [
                Contender(f"{label}, member {number + 1}: {network_words(member)}", bundle, number)
                for number, member in enumerate(bundle.members)
            ]
    return contenders


def _begin(plan: ComparisonPlan, rows: Sequence[CohortRow], contenders: Sequence[Contender]) -> None:
    """Note which models look at which patients, or see that these are the patients the folder is about."""
    path = plan.out / NOTE
    asked = {"register": plan.register, "cohort": [[r.patient_id, r.ct.name, r.spect.name] for r in rows]}
    begun = read_json(path) if path.is_file() else asked
    if not isinstance(begun, dict) or not isinstance(begun.get("models", {}), dict):
        raise InputError(f"{path}: is damaged, so the comparison cannot go on; give another --out")
    if any(begun.get(name) != asked[name] for name in asked):
        raise InputError(f"{path}: is about another cohort or registration; give the same, or another --out")
    models = begun.get("models", {}) | {one.key: one.label for one in contenders}
    write_json(path, asked | {"models": models})


def _ceiling(plan: ComparisonPlan, patients: Sequence[Patient], progress: Progress) -> Ceiling | None:
    if not plan.ceiling:
        return None
    return ceiling_of_patients(patients, JUDGE, plan.out / "ceiling", plan.ceiling, progress)


def _write(
    plan: ComparisonPlan, rows: Sequence[CohortRow], models: Sequence[str], table: TidyTable, ceiling: Ceiling | None
) -> Path:
    """All tables and figures; they appear together or not at all."""
    origin = Origin.of(rows)
    others = [name for name in table.select(metric=HEADLINE).names("prediction") if name not in models]
    numbers = numbers_of(table, models, others, ceiling, plan.statistics)
    tables = all_tables(numbers)
    names = ["comparison.md", "numbers.json", "rows.csv", *(f"{one.name}.csv" for one in tables)]
    folder = plan.out / "results"
    with OutputFolder(folder, names) as out:
        for one in tables:
            (out.work / f"{one.name}.csv").write_text(one.as_csv(), encoding="utf-8")
        (out.work / "rows.csv").write_text(as_csv(table), encoding="utf-8")
        text = json.dumps(numbers, indent=1, ensure_ascii=False, allow_nan=False)
        (out.work / "numbers.json").write_text(text + "\n", encoding="utf-8")
        (out.work / "comparison.md").write_text(as_markdown(tables, origin, len(rows)), encoding="utf-8")
    return folder / "comparison.md"
