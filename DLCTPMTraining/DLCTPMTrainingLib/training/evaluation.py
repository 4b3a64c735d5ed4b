"""A model on a cohort it has not seen: agreement patient by patient, and the table over all of them."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from DLCTPMLib.agreement.comparison import MODEL
from DLCTPMLib.agreement.scores import METRICS, evaluate_agreement
from DLCTPMLib.agreement.settings import AgreementSettings
from DLCTPMLib.common.errors import InputError
from DLCTPMLib.common.progress import Progress, no_progress
from DLCTPMLib.lungs.masks import read_lungs
from DLCTPMLib.lungs.segmentation import segment_lungs
from DLCTPMLib.mapping.mapping import map_perfusion
from DLCTPMLib.networks.bundle import ModelBundle
from DLCTPMTrainingLib.cohorts.table import CohortRow

HEADLINE = ("r_spearman", "ssim", "dsc_high", "dsc_low", "kappa")
TITLES = {
    "r_spearman": "Spearman R",
    "ssim": "SSIM",
    "dsc_high": "DSC high",
    "dsc_low": "DSC low",
    "kappa": "κ",
}
FIELDS = ("patient_id", "diagnosis", "scope", "part", "prediction", *METRICS)


def evaluate_cohort(
    rows: list[CohortRow], bundle: ModelBundle, device: str = "auto", progress: Progress = no_progress
) -> list[dict]:
    """Map every patient of a cohort and compare with the SPECT.

    Returns:
        one row for each patient, scope ("lungs", "right lung", "left lung"), part ("whole", "core") and
        prediction ("model" or a baseline), with every metric; keys as ``FIELDS``.

    Raises:
        InputError: naming the patient whose images cannot be used.
    """
    results = []
    settings = AgreementSettings.for_model(bundle.preprocessing)
    for number, row in enumerate(rows):
        progress(f"Testing on patient {row.patient_id}", number / len(rows))
        try:
            ct, spect = sitk.ReadImage(str(row.ct)), sitk.ReadImage(str(row.spect))
            lungs = (read_lungs(row.lungs, ct) if row.lungs else segment_lungs(ct)).labels
            perfusion = map_perfusion(ct, lungs, bundle, device, precision="fp32").perfusion
            agreement = evaluate_agreement(
                perfusion, spect, lungs, settings=settings, ct=ct, bundle_preprocessing=bundle.preprocessing
            )
        except InputError as error:
            raise InputError(f"patient {row.patient_id}: {error}") from error
        results += rows_of(row, agreement)
    return results


def rows_of(row: CohortRow, agreement: dict) -> list[dict]:
    """One patient's agreement (``agreement_of``) as rows; keys as ``FIELDS``."""
    rows = []
    for scope, whole in agreement.items():
        for part, figures in (("whole", whole), ("core", whole["core"])):
            for prediction, metrics in {MODEL: figures, **figures["baselines"]}.items():
                values = {name: metrics[name] for name in METRICS}
                rows.append(dict(zip(FIELDS, (row.patient_id, row.diagnosis, scope, part, prediction), strict=False)))
                rows[-1].update(values)
    return rows


def mean_of(
    rows: list[dict], metric: str, prediction: str = MODEL, scope: str = "lungs", part: str = "whole"
) -> float | None:
    """Mean of a metric over the patients; those without a value are left out, None if nobody has one."""
    values = _values(rows, metric, prediction, scope, part)
    return float(np.mean(values)) if values else None


def as_csv(rows: list[dict]) -> str:
    """All rows as comma-separated text."""
    text = io.StringIO()
    writer = csv.DictWriter(text, FIELDS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def as_markdown(rows: list[dict]) -> str:
    """The headline table: mean ± SD over the patients, whole lung and core, model beside every baseline."""
    predictions = [MODEL, *dict.fromkeys(row["prediction"] for row in rows if row["prediction"] != MODEL)]
    lines = [
        "| | " + " | ".join([*(TITLES[m] for m in HEADLINE), "R in the core", "DSC low in the core"]) + " |",
        "|---" * (len(HEADLINE) + 3) + "|",
    ]
    for prediction in predictions:
        columns = [(metric, "whole") for metric in HEADLINE] + [("r_spearman", "core"), ("dsc_low", "core")]
        cells = [_mean_and_sd(_values(rows, metric, prediction, "lungs", part)) for metric, part in columns]
        lines.append(f"| {prediction.replace('_', ' ')} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def by_diagnosis(rows: list[dict]) -> str:
    """Mean R of the model and of geometry for every diagnosis, Markdown."""
    diagnoses = sorted({row["diagnosis"] for row in rows})
    lines = ["| diagnosis | patients | model R | geometry R |", "|---|---|---|---|"]
    for diagnosis in diagnoses:
        of_it = [row for row in rows if row["diagnosis"] == diagnosis]
        count = len({row["patient_id"] for row in of_it})
        r = " | ".join(_mean_and_sd(_values(of_it, "r_spearman", p, "lungs", "whole")) for p in (MODEL, "geometry"))
        lines.append(f"| {diagnosis} | {count} | {r} |")
    return "\n".join(lines)


def write_evaluation(rows: list[dict], out: Path) -> None:
    """Write ``test.csv`` and ``test.md`` into a folder."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "test.csv").write_text(as_csv(rows), encoding="utf-8")
    (out / "test.md").write_text(f"{as_markdown(rows)}\n\n{by_diagnosis(rows)}\n", encoding="utf-8")


def _values(rows: list[dict], metric: str, prediction: str, scope: str, part: str) -> list[float]:
    return [
        row[metric]
        for row in rows
        if (row["prediction"], row["scope"], row["part"]) == (prediction, scope, part) and row[metric] is not None
    ]


def _mean_and_sd(values: list[float]) -> str:
    if not values:
        return "–"
    spread = f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
    return f"{np.mean(values):.3f}{spread}"
