"""A fitted model as a bundle: weights, metadata and model card.

Tests of a model read images, training does not; what only a test needs is imported where it is used, so that a
model can be trained and written where there are neither SimpleITK nor SciPy.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from DLCTPMLib import __version__
from DLCTPMLib.common.errors import InputError
from DLCTPMLib.networks.bundle import save_bundle
from DLCTPMLib.networks.inference import Predictor, has_bfloat16
from DLCTPMLib.networks.parts import PerfusionNetwork
from DLCTPMLib.networks.scale import LearnedScale
from DLCTPMLib.networks.settings import network_dict
from DLCTPMLib.preprocessing.settings import PreprocessingSettings
from DLCTPMTrainingLib.cohorts.table import diagnosis_that_travels
from DLCTPMTrainingLib.common.patient_origin import HasOrigin, Origin
from DLCTPMTrainingLib.samples.lung_samples import FULL_SCALE, Samples
from DLCTPMTrainingLib.samples.map_scale import STEP, VALIDATION, scale_of_patients, unrounded
from DLCTPMTrainingLib.statistics.table import TidyTable
from DLCTPMTrainingLib.training.fitting import FittedModel
from DLCTPMTrainingLib.training.model_card import model_card
from DLCTPMTrainingLib.training.validation import Validation, predict_samples

LICENSE = "The weights are licensed under Apache-2.0, as the software that made them.\n"


@dataclass(frozen=True)
class Evaluation:
    """A model's test.

    Attributes:
        table: as ``training.evaluation.evaluate_cohort`` gives it.
        patients: among whom the tested are found.
    """

    table: TidyTable
    patients: Sequence[HasOrigin]


def package(
    fitted: FittedModel,
    folder: Path,
    name: str,
    version: str,
    evaluation: Evaluation | None = None,
    fold: tuple[int, int] | None = None,
) -> Path:
    """Write a fitted model as a bundle with everything that tells what it is.

    Args:
        fitted: the model.
        folder: the bundle's; an older one there is replaced.
        name, version: of the model.
        evaluation: its test, for the card's table; None if it had none yet.
        fold: (K, N) where the Kth of N parts of the patients was left out for validation.

    Returns:
        the bundle's folder.

    Raises:
        InputError: if this Python has no safetensors; the training itself is done and kept.
    """
    if importlib.util.find_spec("safetensors") is None:
        raise InputError(
            f"{folder.parent}: the training is done and kept, but without the package safetensors its model cannot "
            "be written; install it, or copy this folder to where it is, and run the same command again"
        )
    metadata = {"name": name, "version": version, **metadata_of(fitted)}
    if fold:
        metadata["training"]["fold"] = list(fold)
    if evaluation:
        tested = evaluation.table.names("patient")
        origin = Origin.of(one for one in evaluation.patients if one.patient_id in tested)
        metadata["test"] = test_summary(evaluation.table) | {"origin": asdict(origin)}
    card = model_card(metadata, evaluation.table if evaluation else None)
    return save_bundle(folder, fitted.network, metadata, card, LICENSE)


def metadata_of(fitted: FittedModel) -> dict:
    """What ``metadata.json`` says of a fitted model, but for name, version and test."""
    ready, preprocessing = fitted.ready, fitted.ready.preprocessing
    everybody = Origin.of(ready.patients)
    trained_on = [patient for patient in ready.patients if patient.patient_id in ready.training]
    origin, lungs = Origin.of(trained_on), ready.samples.of_patients(ready.training)
    scale = scale_of_samples(fitted.network, ready.samples.of_patients(ready.validation), preprocessing)
    return {
        "task": "Relative lung perfusion from chest CT",
        "intended_use": origin.intended_use,
        "simulated": everybody.simulated > 0,
        "real_cts": everybody.real_cts > 0,
        "software": f"DL-CTPM {__version__}",
        "pytorch_version": torch.__version__.split("+")[0],
        "numpy_version": np.__version__,
        "network": network_dict(fitted.network.settings),
        "preprocessing": preprocessing.to_dict(),
        "training": {
            **fitted.training.to_dict(),
            "epochs_done": fitted.epochs,
            "patients": len(ready.training),
            "lungs": len(lungs),
            "origin": asdict(origin),
            "diagnoses": _counts(diagnosis_that_travels(patient.diagnosis) for patient in trained_on),
        },
        "training_ranges": {
            "lung_volume_ml": _range(lungs.volume_ml),
            "lung_mean_hu": _range(lungs.mean_hu),
        },
        "validation": _validated(fitted.validation),
        "scale": scale.to_dict() if scale else None,
        "bf16_max_error": bfloat16_error(fitted.network, ready.samples),
        "network_data_format": {
            "inputs": {"image": {"type": "image", "format": _input_words(preprocessing.inputs),
                                 "num_channels": len(preprocessing.inputs),
                                 "spatial_shape": list(preprocessing.grid_shape), "value_range": [0, 1]}},
            "outputs": {"pred": {"type": "image", "format": "relative perfusion", "num_channels": 1,
                                 "spatial_shape": list(preprocessing.grid_shape), "value_range": [0, 1]}},
        },
    }  # fmt: skip


def scale_of_samples(
    network: PerfusionNetwork, samples: Samples, preprocessing: PreprocessingSettings
) -> LearnedScale | None:
    """The scale of a network's maps of samples it was not trained on, on its own grid; None without any."""
    if not len(samples):
        return None
    top = preprocessing.top
    pairs = []
    for patient in dict.fromkeys(samples.patient.tolist()):
        own = samples.of_patients([patient])
        maps = predict_samples(network, own, torch.device("cpu"))
        targets = own.target[own.mask] / FULL_SCALE * top
        pairs.append((maps[own.mask] * top, unrounded(targets, preprocessing.levels, top)))
    step = top / (preprocessing.levels - 1) if preprocessing.levels else 0.0
    return scale_of_patients(pairs, VALIDATION, top - step / 2 - STEP)


def bfloat16_error(network: PerfusionNetwork, samples: Samples, lungs: int = 6) -> float | None:
    """Largest change of the map by bfloat16, over a few lungs spread through the samples.

    None on a processor without bfloat16: emulated it takes minutes a lung, and maps stay in single precision then.
    """
    place = torch.device("cpu")
    if not has_bfloat16(place):
        return None
    exact, near = (Predictor(network, place, bfloat16) for bfloat16 in (False, True))
    chosen = np.unique(np.linspace(0, len(samples) - 1, lungs).astype(int))
    errors = []
    for enhanced, mask in zip(samples.enhanced[chosen], samples.mask[chosen], strict=True):
        values = enhanced / np.float32(FULL_SCALE)
        errors.append(float(np.abs(exact(values) - near(values))[mask].max()))
    return round(max(errors), 6)


def test_summary(table: TidyTable) -> dict:
    """The headline figures of a test for ``metadata.json``: means over patients, by part and prediction."""
    from DLCTPMTrainingLib.statistics.numbers import HEADLINE
    from DLCTPMTrainingLib.training.evaluation import mean_of

    return {
        "patients": len(table.names("patient")),
        **{
            part: {
                prediction: {
                    metric: None
                    if (mean := mean_of(table, metric, prediction, part=part)) is None
                    else round(mean, 4)
                    for metric in HEADLINE
                }
                for prediction in table.select(metric=HEADLINE).names("prediction")
            }
            for part in ("whole", "core")
        },
    }


def _input_words(inputs: tuple[str, ...]) -> str:
    return "enhanced CT of one lung (Eq. 1)" + ", then its density (−1000…0 HU)" * ("density" in inputs)


def _range(values: np.ndarray) -> list[float]:
    return [round(float(np.nanmin(values)), 1), round(float(np.nanmax(values)), 1)]


def _counts(names) -> dict[str, int]:
    values, counts = np.unique(list(names), return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


def _validated(found: Validation) -> dict | None:
    if found.r != found.r:
        return None
    return {"r": round(found.r, 4), "bce_above_entropy": round(found.excess, 5)}
