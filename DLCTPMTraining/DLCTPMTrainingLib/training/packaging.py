"""The trained network as a bundle: metadata and model card.

Tests of a model read images, training does not; what only a test needs is imported where it is used, so that a
model can be trained and written where there are neither SimpleITK nor SciPy.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from DLCTPMLib import __version__
from DLCTPMLib.networks.bundle import save_bundle
from DLCTPMLib.networks.inference import Predictor
from DLCTPMLib.networks.parts import PerfusionNetwork
from DLCTPMLib.networks.settings import ARCHITECTURES, network_dict
from DLCTPMTrainingLib.common.patient_origin import HasOrigin, Origin
from DLCTPMTrainingLib.samples.lung_samples import FULL_SCALE, Samples
from DLCTPMTrainingLib.samples.sample_file import PatientFacts
from DLCTPMTrainingLib.training.plan import TrainingPlan


def read_history(run: Path) -> list[dict]:
    """The epochs of a run, oldest first."""
    lines = (run / "history.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def write_bundle(
    plan: TrainingPlan,
    patients: Sequence[PatientFacts],
    samples: Samples,
    learning: list[str],
    network: PerfusionNetwork,
    history: list[dict],
    test_results: list[dict] | None = None,
    tested: Sequence[HasOrigin] | None = None,
) -> Path:
    """Write the trained network as a bundle with everything that tells what it is.

    Args:
        plan: names, settings and the folder ``out``.
        patients: everybody in the cohort.
        samples: their lungs.
        learning: ids of those that were learned from.
        network: the trained network.
        history: its epochs, as ``read_history`` gives them.
        test_results: rows of ``evaluate_cohort``, for the card's table.
        tested: the patients of a test table of its own; None if they are among ``patients``.

    Returns:
        the bundle's folder.
    """
    everybody = Origin.of(patients)
    origin = Origin.of(patient for patient in patients if patient.patient_id in learning)
    learned = samples.of_patients(learning)
    metadata = {
        "name": plan.name,
        "version": plan.version,
        "task": "Relative lung perfusion from chest CT",
        "intended_use": origin.intended_use,
        "simulated": everybody.simulated > 0,
        "real_cts": everybody.real_cts > 0,
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
            "origin": asdict(origin),
            "diagnoses": _counts(p.diagnosis for p in patients if p.patient_id in learning),
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
        seen = {row["patient_id"] for row in test_results}
        test_origin = Origin.of(one for one in tested or patients if one.patient_id in seen)
        metadata["test"] = test_summary(test_results) | {"origin": asdict(test_origin)}
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
    from DLCTPMTrainingLib.training.evaluation import HEADLINE, mean_of

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
    origin = Origin(**training["origin"]).kind("**simulated**")
    validation = metadata["validation"]
    diagnoses = ", ".join(f"{name} {count}" for name, count in training["diagnoses"].items())
    watched = (
        f"Mean Spearman R of the validation lungs on the network's grid after the last epoch: {validation['r']:.3f}."
        if validation
        else "No patients were kept for validation."
    )
    test = "Not tested on patients of its own yet."
    if test_results:
        from DLCTPMTrainingLib.training.evaluation import as_markdown, by_diagnosis

        tested = Origin(**metadata["test"]["origin"]).kind("**simulated**")
        test = (
            f"{metadata['test']['patients']} {tested} whom training never saw; both lungs together, on the SPECT's "
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
