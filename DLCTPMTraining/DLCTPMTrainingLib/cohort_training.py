"""From a cohort of SPECT/CT pairs to a model bundle: samples, split by patient, training, model card."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch

from DLCTPMLib import __version__
from DLCTPMLib.arnn import ArnnSettings
from DLCTPMLib.errors import InputError
from DLCTPMLib.inference import Predictor, choose_device
from DLCTPMLib.model_bundle import load_bundle, save_bundle
from DLCTPMLib.network_parts import PerfusionNetwork
from DLCTPMLib.networks import ARCHITECTURES, NetworkSettings, check_inputs, network_dict
from DLCTPMLib.preprocessing import PreprocessingSettings
from DLCTPMLib.progress import Progress, Tell, silent, untold, within
from DLCTPMTrainingLib.cohort import CohortRow, read_cohort
from DLCTPMTrainingLib.cohort_evaluation import (
    HEADLINE,
    as_markdown,
    by_diagnosis,
    evaluate_cohort,
    mean_of,
    write_evaluation,
)
from DLCTPMTrainingLib.samples import FULL_SCALE, Samples, cached_samples
from DLCTPMTrainingLib.training import EpochRecord, TrainingSettings, train

SIMULATED_USE = "Trained on simulated patients only; shows the workflow; not for any use on patients."
RESEARCH_USE = "Research use only; not for diagnosis or treatment decisions."
SAMPLES_SHARE = 0.1
"""Part of the progress bar that preparing the samples takes."""


@dataclass(frozen=True)
class TrainingPlan:
    """What ``dlctpm train`` is asked for.

    Attributes:
        cohort: the cohort's CSV file.
        out: the run's folder: samples, checkpoint, history and, in ``model``, the bundle.
        name, version: of the model.
        network, training, preprocessing: settings of the three stages.
        validation_share: part of the patients that is only watched; whole patients, drawn by the seed.
        test: CSV file of a cohort that training never sees, for the model card's table; None for none.
        device: auto, cpu, cuda or mps.
    """

    cohort: Path
    out: Path
    name: str = "dlctpm"
    version: str = "1"
    network: NetworkSettings = field(default_factory=ArnnSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    preprocessing: PreprocessingSettings = field(default_factory=PreprocessingSettings)
    validation_share: float = 0.2
    test: Path | None = None
    device: str = "auto"

    def __post_init__(self):
        if not 0 <= self.validation_share < 1:
            raise InputError(
                "the validation share must lie in 0…1, 1 excluded: some patients must be left to learn from"
            )
        check_inputs(self.network, self.preprocessing)


def train_cohort(plan: TrainingPlan, progress: Progress = silent, tell: Tell = untold) -> Path:
    """Train a model on a cohort, or go on where a cut-off run stopped.

    Args:
        plan: what to do.
        progress: told after every patient prepared and every training step.
        tell: told ``cohort`` once it is accepted (``patients``, ``simulated``) and every ``epoch`` (an EpochRecord).

    Returns:
        the folder of the finished model bundle.
    """
    device = choose_device(plan.device)
    rows = read_cohort(plan.cohort)
    test_rows = _unseen(read_cohort(plan.test), rows, plan) if plan.test else []
    tell(cohort={"patients": len(rows), "simulated": sum(row.simulated for row in rows)})
    samples = prepared_samples(rows, plan, within(progress, 0, SAMPLES_SHARE))
    learning, watching = split_patients([row.patient_id for row in rows], plan.validation_share, plan.training.seed)
    records: list[EpochRecord] = []
    training_progress = within(progress, SAMPLES_SHARE, 0.9)

    def tell_epoch(record: EpochRecord) -> None:
        records.append(record)
        tell(epoch=asdict(record))

    def tell_step(done: int, steps: int) -> None:
        last = records[-1] if records else None
        result = f", validation R {last.validation_r:.3f}" if last and last.validation_r == last.validation_r else ""
        training_progress(f"Training, step {done} of {steps}{result}", done / steps)

    network = train(
        samples.of_patients(learning),
        samples.of_patients(watching),
        plan.network,
        plan.training,
        plan.out,
        device,
        tell_epoch,
        tell_step,
    )
    history = read_history(plan.out)
    (plan.out / "split.json").write_text(json.dumps({"training": learning, "validation": watching}, indent=1))
    folder = write_bundle(plan, rows, samples, learning, network, history)
    if test_rows:
        results = evaluate_cohort(test_rows, load_bundle(folder), plan.device, within(progress, 0.9, 0.99))
        write_evaluation(results, plan.out)
        folder = write_bundle(plan, rows, samples, learning, network, history, results)
    progress("Model written", 1.0)
    return folder


def prepared_samples(rows: list[CohortRow], plan: TrainingPlan, progress: Progress) -> Samples:
    """Samples of every patient of a cohort, from the run's cache where they are already there."""
    parts = []
    for number, row in enumerate(rows):
        progress(f"Preparing patient {row.patient_id}", number / len(rows))
        files = {"ct": row.ct, "spect": row.spect, **({"lungs": row.lungs} if row.lungs else {})}
        parts.append(cached_samples(row.patient_id, files, plan.preprocessing, plan.out / "samples"))
    return Samples.joined(parts)


def split_patients(patients: list[str], validation_share: float, seed: int) -> tuple[list[str], list[str]]:
    """Draw the patients that are only watched: whole patients, never lungs. Returns (training, validation)."""
    order = np.random.default_rng([seed, 1]).permutation(len(patients))
    watched = {patients[i] for i in order[: round(validation_share * len(patients))]}
    return [p for p in patients if p not in watched], [p for p in patients if p in watched]


def _unseen(test: list[CohortRow], rows: list[CohortRow], plan: TrainingPlan) -> list[CohortRow]:
    seen = {row.ct.resolve(): row.patient_id for row in rows}
    for row in test:
        if row.ct.resolve() in seen:
            raise InputError(
                f"{plan.test}, line {row.line}: the CT of {row.patient_id} is also trained on in {plan.cohort}, "
                "test on patients that training never sees"
            )
    return test


def read_history(run: Path) -> list[dict]:
    """The epochs of a run, oldest first."""
    lines = (run / "history.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def write_bundle(
    plan: TrainingPlan,
    rows: list[CohortRow],
    samples: Samples,
    learning: list[str],
    network: PerfusionNetwork,
    history: list[dict],
    test_results: list[dict] | None = None,
) -> Path:
    """Write the trained network as a bundle with everything that tells what it is.

    ``test_results`` are the rows of ``evaluate_cohort``, for the card's table.
    """
    simulated = any(row.simulated for row in rows)
    learned = samples.of_patients(learning)
    metadata = {
        "name": plan.name,
        "version": plan.version,
        "task": "Relative lung perfusion from chest CT",
        "intended_use": SIMULATED_USE if simulated else RESEARCH_USE,
        "simulated": simulated,
        "software": f"DL-CTPM {__version__}",
        "pytorch_version": torch.__version__.split("+")[0],
        "numpy_version": np.__version__,
        "network": network_dict(plan.network),
        "preprocessing": plan.preprocessing.to_dict(),
        "training": {
            **plan.training.to_dict(),
            "epochs_done": len(history),
            "patients": len(learning),
            "lungs": len(learned),
            "diagnoses": _counts(row.diagnosis for row in rows if row.patient_id in learning),
        },
        "training_ranges": {
            "lung_volume_ml": _range(learned.volume_ml),
            "lung_mean_hu": _range(learned.mean_hu),
        },
        "validation": _last_finite(history),
        "bf16_max_error": bfloat16_error(network, samples),
        "network_data_format": {
            "inputs": {"image": {"type": "image", "format": _input_words(plan.preprocessing.inputs),
                                 "num_channels": len(plan.preprocessing.inputs),
                                 "spatial_shape": list(plan.preprocessing.grid_shape), "value_range": [0, 1]}},
            "outputs": {"pred": {"type": "image", "format": "relative perfusion", "num_channels": 1,
                                 "spatial_shape": list(plan.preprocessing.grid_shape), "value_range": [0, 1]}},
        },
    }  # fmt: skip
    if test_results:
        metadata["test"] = test_summary(test_results)
    card = model_card(metadata, test_results)
    license_text = "The weights are licensed under Apache-2.0, as the software that made them.\n"
    return save_bundle(plan.out / "model", network, metadata, card, license_text)


def bfloat16_error(network: PerfusionNetwork, samples: Samples, lungs: int = 6) -> float:
    """Largest change of the map by bfloat16, over a few lungs spread through the samples."""
    exact, near = (Predictor(network, torch.device("cpu"), bfloat16) for bfloat16 in (False, True))
    chosen = np.unique(np.linspace(0, len(samples) - 1, lungs).astype(int))
    errors = []
    for enhanced, mask in zip(samples.enhanced[chosen], samples.mask[chosen], strict=True):
        values = enhanced / np.float32(FULL_SCALE)
        errors.append(float(np.abs(exact(values) - near(values))[mask].max()))
    return round(max(errors), 6)


def test_summary(results: list[dict]) -> dict:
    """The headline figures of a test for ``metadata.json``: means over patients, by part and prediction."""
    return {
        "patients": len({row["patient_id"] for row in results}),
        **{
            part: {
                prediction: {
                    metric: None
                    if (mean := mean_of(results, metric, prediction, part=part)) is None
                    else round(mean, 4)
                    for metric in HEADLINE
                }
                for prediction in dict.fromkeys(row["prediction"] for row in results)
            }
            for part in ("whole", "core")
        },
    }


def model_card(metadata: dict, test_results: list[dict] | None = None) -> str:
    """The model card in Markdown: what the model is, what it learned from, how good it was, what it is not for."""
    training, preprocessing = metadata["training"], metadata["preprocessing"]
    origin = "**simulated** patients" if metadata["simulated"] else "patients"
    validation = metadata["validation"]
    diagnoses = ", ".join(f"{name} {count}" for name, count in training["diagnoses"].items())
    watched = (
        f"Mean Spearman R of the validation lungs on the network's grid after the last epoch: {validation['r']:.3f}."
        if validation
        else "No patients were kept for validation."
    )
    test = "Not tested on patients of its own yet."
    if test_results:
        test = (
            f"{metadata['test']['patients']} {origin} whom training never saw; both lungs together, on the SPECT's "
            f"own grid, mean ± SD over patients. The core is each lung eroded by two SPECT voxels.\n\n"
            f"{as_markdown(test_results)}\n\n{by_diagnosis(test_results)}"
        )
    return f"""# {metadata["name"]}, version {metadata["version"]}

**{metadata["intended_use"]}**

Maps *relative* lung perfusion from a chest CT: 1 is the patient's own {preprocessing["hir_percentile"]:g}th
percentile. It is not blood flow in absolute units. Method: Ren et al., *Deep Learning-Based Computed Tomography
Perfusion Mapping (DL-CTPM) for Pulmonary CT-to-Perfusion Translation*; {_title(metadata["network"])},
channels {"-".join(map(str, metadata["network"]["channels"]))}.

## Training
{training["patients"]} {origin} ({training["lungs"]} lungs): {diagnoses}.
{training["epochs_done"]} epochs, batch size {training["batch_size"]}, Adam, learning rate
{training["learning_rate"]:g}, seed {training["seed"]}, {metadata["software"]}, PyTorch {metadata["pytorch_version"]}.
{watched}

## Test
{test}

## Limits
- It sees anatomy and density. Perfusion defects that leave no trace in the CT, such as acute pulmonary embolism,
  cannot be seen by it or by any other method that has only the CT.
- Values are clipped at the {preprocessing["hir_percentile"]:g}th percentile, so shares of total perfusion computed
  from the map are compressed towards shares of volume.
- Trained lungs had {_words(metadata["training_ranges"]["lung_volume_ml"], "ml")} of volume and a mean density of
  {_words(metadata["training_ranges"]["lung_mean_hu"], "HU")}; outside of that it has learned nothing.
"""


def _input_words(inputs: tuple[str, ...]) -> str:
    return "enhanced CT of one lung (Eq. 1)" + ", then its density (−1000…0 HU)" * ("density" in inputs)


def _title(network: dict) -> str:
    return ARCHITECTURES[network["architecture"]].title


def _words(bounds: list[float], unit: str) -> str:
    return f"{bounds[0]:g} to {bounds[1]:g} {unit}"


def _range(values: np.ndarray) -> list[float]:
    return [round(float(values.min()), 1), round(float(values.max()), 1)]


def _counts(names) -> dict[str, int]:
    values, counts = np.unique(list(names), return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


def _last_finite(history: list[dict]) -> dict | None:
    last = history[-1]
    if last["validation_r"] is None:
        return None
    return {"r": round(last["validation_r"], 4), "bce_above_entropy": round(last["validation_excess"], 5)}
