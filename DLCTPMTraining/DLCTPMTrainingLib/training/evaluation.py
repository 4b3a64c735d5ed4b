"""A model on a cohort it has not seen: agreement patient by patient, and the table over all of them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from DLCTPMLib.agreement.comparison import MODEL
from DLCTPMLib.agreement.scores import METRICS, compare
from DLCTPMLib.agreement.settings import AgreementSettings
from DLCTPMLib.common.errors import InputError
from DLCTPMLib.common.progress import Progress, no_progress
from DLCTPMLib.lungs.masks import read_lungs
from DLCTPMLib.lungs.segmentation import segment_lungs
from DLCTPMLib.mapping.mapping import map_perfusion
from DLCTPMLib.networks.bundle import ModelBundle
from DLCTPMLib.registration.for_position import transform_of_pair
from DLCTPMLib.volumes.reading import read_ct, read_spect
from DLCTPMTrainingLib.cohorts.table import CohortRow
from DLCTPMTrainingLib.statistics.numbers import HEADLINE, predictions_of
from DLCTPMTrainingLib.statistics.table import CORE, WHOLE, TidyTable

TITLES = {
    "r_spearman": "Spearman R",
    "ssim": "SSIM",
    "dsc_high": "DSC high",
    "dsc_low": "DSC low",
    "kappa": "κ",
}
FIELDS = ("patient_id", "diagnosis", "scope", "part", "prediction", *METRICS)


def evaluate_cohort(
    rows: list[CohortRow],
    bundle: ModelBundle,
    register: str = "none",
    device: str = "auto",
    progress: Progress = no_progress,
) -> TidyTable:
    """Map every patient of a cohort and compare with the SPECT.

    Args:
        rows: the patients.
        bundle: the model.
        register: "rigid" or "affine" brings the SPECT to the CT, "none" takes it where it lies.
        device: auto, cpu, cuda or mps.
        progress: told the patient.

    Returns:
        every metric of each patient, scope ("lungs", "right lung", "left lung"), part ("whole", "core") and
        prediction ("model" or a baseline).

    Raises:
        InputError: naming the patient whose images cannot be used.
    """
    results = []
    settings = AgreementSettings.for_model(bundle.preprocessing)
    for number, row in enumerate(rows):
        progress(f"Testing on patient {row.patient_id}", number / len(rows))
        try:
            scan, spect = read_ct(row.ct), read_spect(row.spect).image
            ct, frame = scan.image, scan.frame_of_reference
            found = read_lungs(row.lungs, ct, frame_of_reference=frame) if row.lungs else segment_lungs(ct)
            lungs = found.labels
            perfusion = map_perfusion(ct, lungs, bundle, device, precision="fp32").perfusion
            transform = transform_of_pair(scan, spect, lungs, register)
            agreement = compare(
                perfusion,
                spect,
                lungs,
                transform,
                settings=settings,
                ct=ct,
                bundle_preprocessing=bundle.preprocessing,
            )
        except InputError as error:
            raise InputError(f"patient {row.patient_id}: {error}") from error
        results += rows_of(row, agreement)
    return table_of(results)


def rows_of(row: CohortRow, agreement: dict) -> list[dict]:
    """One patient's agreement (``agreement_of``) as rows; keys as ``FIELDS``."""
    rows = []
    for scope, whole in agreement.items():
        for part, figures in ((WHOLE, whole), (CORE, whole["core"])):
            for prediction, metrics in {MODEL: figures, **figures["baselines"]}.items():
                values = {name: metrics[name] for name in METRICS}
                rows.append(dict(zip(FIELDS, (row.patient_id, row.diagnosis, scope, part, prediction), strict=False)))
                rows[-1].update(values)
    return rows


def table_of(rows: Iterable[dict]) -> TidyTable:
    """Rows as ``rows_of`` gives them, one line a metric."""
    return TidyTable.of(
        (*(row[name] for name in FIELDS[:5]), metric, row[metric]) for row in rows for metric in METRICS
    )


def mean_of(
    table: TidyTable, metric: str, prediction: str = MODEL, scope: str = "lungs", part: str = WHOLE
) -> float | None:
    """Mean of a metric over the patients; those without a value are left out, None if nobody has one."""
    values = _values(table, metric, prediction, scope, part)
    return float(np.mean(values)) if len(values) else None


def as_csv(table: TidyTable) -> str:
    """Every metric of a patient, scope, part and prediction on one line of comma-separated text."""
    found = table.select(metric=METRICS)
    who = zip(found.patient, found.diagnosis, found.scope, found.part, found.prediction, strict=True)
    rows: dict[tuple, dict] = {}
    for key, metric, value in zip(who, found.metric, found.value.tolist(), strict=True):
        row = rows.setdefault(key, dict(zip(FIELDS, key, strict=False)))
        row[str(metric)] = None if value != value else value
    text = io.StringIO()
    writer = csv.DictWriter(text, FIELDS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows.values())
    return text.getvalue()


def as_markdown(table: TidyTable) -> str:
    """The headline table: mean ± SD over the patients, whole lung and core, model beside every baseline."""
    predictions = predictions_of(table)
    lines = [
        "| | " + " | ".join([*(TITLES[m] for m in HEADLINE), "R in the core", "DSC low in the core"]) + " |",
        "|---" * (len(HEADLINE) + 3) + "|",
    ]
    for prediction in predictions:
        columns = [(metric, WHOLE) for metric in HEADLINE] + [("r_spearman", CORE), ("dsc_low", CORE)]
        cells = [_mean_and_sd(_values(table, metric, prediction, "lungs", part)) for metric, part in columns]
        lines.append(f"| {prediction.replace('_', ' ')} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def by_diagnosis(table: TidyTable) -> str:
    """Mean R of the model and of the baseline that is the best over all of them, for every diagnosis, Markdown."""
    means = {name: mean_of(table, "r_spearman", name) for name in predictions_of(table) if name != MODEL}
    known = {name: mean for name, mean in means.items() if mean is not None}
    best = max(known, key=known.get) if known else "all_high"
    lines = [f"| diagnosis | patients | model R | {best.replace('_', ' ')} R |", "|---|---|---|---|"]
    for diagnosis in sorted(table.names("diagnosis")):
        of_it = table.select(diagnosis=diagnosis)
        count = len(of_it.names("patient"))
        r = " | ".join(_mean_and_sd(_values(of_it, "r_spearman", p, "lungs", WHOLE)) for p in (MODEL, best))
        lines.append(f"| {diagnosis} | {count} | {r} |")
    return "\n".join(lines)


def write_evaluation(table: TidyTable, out: Path) -> None:
    """Write ``test.csv`` and ``test.md`` into a folder."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "test.csv").write_text(as_csv(table), encoding="utf-8")
    (out / "test.md").write_text(f"{as_markdown(table)}\n\n{by_diagnosis(table)}\n", encoding="utf-8")


def _values(table: TidyTable, metric: str, prediction: str, scope: str, part: str) -> np.ndarray:
    return table.select(metric=metric, prediction=prediction, scope=scope, part=part).known().value


def _mean_and_sd(values: np.ndarray) -> str:
    if not len(values):
        return "–"
    spread = f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
    return f"{np.mean(values):.3f}{spread}"
