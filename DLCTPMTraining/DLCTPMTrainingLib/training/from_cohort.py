"""From a cohort of SPECT/CT pairs to a model bundle: samples, split by patient, training, test."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.common.progress import EventSink, Progress, no_events, no_progress, within
from DLCTPMLib.networks.bundle import load_bundle
from DLCTPMLib.networks.inference import choose_device
from DLCTPMLib.networks.settings import network_dict
from DLCTPMTrainingLib.cohorts.table import CohortRow, diagnosis_that_travels, read_cohort
from DLCTPMTrainingLib.samples.from_images import cached_samples
from DLCTPMTrainingLib.samples.lung_samples import Samples
from DLCTPMTrainingLib.samples.sample_file import PatientFacts, SampleSet
from DLCTPMTrainingLib.training.evaluation import evaluate_cohort, write_evaluation
from DLCTPMTrainingLib.training.from_samples import fit_plan
from DLCTPMTrainingLib.training.packaging import Evaluation, package
from DLCTPMTrainingLib.training.plan import TrainingPlan, split_patients
from DLCTPMTrainingLib.training.ranks import ranks_of_torchrun

SAMPLES_SHARE = 0.1
"""Part of the progress bar that preparing the samples takes."""


def train_cohort(plan: TrainingPlan, progress: Progress = no_progress, emit: EventSink = no_events) -> Path | None:
    """Train a model on a cohort, or go on where a cut-off run stopped.

    Started by ``torchrun``, several processes train together; the first prepares the samples, writes and tests.

    Args:
        plan: what to do.
        progress: told after every patient prepared and every training step.
        emit: given ``cohort`` once it is accepted (``patients``, ``simulated``) and every ``epoch`` (an EpochRecord).

    Returns:
        the folder of the finished model bundle; None on all but the first of several processes.
    """
    with ranks_of_torchrun(choose_device(plan.device)) as ranks:
        ready = ranks.from_first(lambda: prepared(plan, within(progress, 0, SAMPLES_SHARE), emit))
        fitted = fit_plan(plan, ready, ranks, within(progress, SAMPLES_SHARE, 0.9), emit)
    if not ranks.first:
        return None
    folder = package(fitted, plan.out / "model", plan.name, plan.version, fold=plan.fold)
    if plan.test:
        test_rows = read_cohort(plan.test)
        results = evaluate_cohort(
            test_rows, load_bundle(folder), plan.register, plan.device, within(progress, 0.9, 0.99)
        )
        write_evaluation(results, plan.out)
        package(fitted, folder, plan.name, plan.version, Evaluation(results, test_rows), plan.fold)
    progress("Model written", 1.0)
    return folder


def export_samples(plan: TrainingPlan, path: Path, progress: Progress = no_progress) -> SampleSet:
    """Make a cohort ready for training and write it to one file, for ``train_samples`` on another machine.

    The file leaves the site, so its patients are numbered and of their diagnoses only Table 1's are named.

    Args:
        plan: what to do there; ``out`` keeps the samples patient by patient.
        path: the file.
        progress: told after every patient prepared.
    """
    ready = _pseudonymous(prepared(plan, progress))
    ready.save(path)
    return ready


def _pseudonymous(ready: SampleSet) -> SampleSet:
    number = {one.patient_id: f"P{i:04d}" for i, one in enumerate(ready.patients, start=1)}
    patients = [
        replace(one, patient_id=number[one.patient_id], diagnosis=diagnosis_that_travels(one.diagnosis))
        for one in ready.patients
    ]
    samples = replace(ready.samples, patient=np.array([number[str(one)] for one in ready.samples.patient]))
    training, validation = ([number[one] for one in ids] for ids in (ready.training, ready.validation))
    return replace(ready, samples=samples, patients=patients, training=training, validation=validation)


def prepared(plan: TrainingPlan, progress: Progress = no_progress, emit: EventSink = no_events) -> SampleSet:
    """Check the cohort, make its samples or take them from the run's cache, and split its patients."""
    rows = read_cohort(plan.cohort)
    if plan.test:
        _unseen(read_cohort(plan.test), rows, plan)
    patients = [PatientFacts.of(row) for row in rows]
    ids, seed = [row.patient_id for row in rows], plan.training.seed
    training, validation = split_patients(ids, plan.validation_share, seed, plan.fold)
    settings = {
        "name": plan.name,
        "version": plan.version,
        "network": network_dict(plan.network),
        "training": plan.training.to_dict(),
    }
    emit(cohort={"patients": len(rows), "simulated": sum(row.simulated for row in rows)})
    samples = prepared_samples(rows, plan, progress)
    return SampleSet(samples, patients, training, validation, plan.preprocessing, settings)


def prepared_samples(rows: list[CohortRow], plan: TrainingPlan, progress: Progress) -> Samples:
    """Samples of every patient of a cohort, from the run's cache where they are already there."""
    parts = []
    for number, row in enumerate(rows):
        progress(f"Preparing patient {row.patient_id}", number / len(rows))
        files = {"ct": row.ct, "spect": row.spect, **({"lungs": row.lungs} if row.lungs else {})}
        kept = plan.out / "samples"
        parts.append(cached_samples(row.patient_id, files, plan.preprocessing, kept, plan.variants, plan.register))
    return Samples.joined(parts)


def _unseen(test: list[CohortRow], rows: list[CohortRow], plan: TrainingPlan) -> None:
    seen = {row.ct.resolve(): row.patient_id for row in rows}
    for row in test:
        if row.ct.resolve() in seen:
            raise InputError(
                f"{plan.test}, line {row.line}: the CT of {row.patient_id} is also trained on in {plan.cohort}, "
                "test on patients that training never sees"
            )
