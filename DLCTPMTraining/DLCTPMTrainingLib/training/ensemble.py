"""From finished models to one bundle whose map is their mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from pathlib import Path

import numpy as np

from DLCTPMLib.common.errors import InputError, naming
from DLCTPMLib.common.progress import Progress, no_progress
from DLCTPMLib.common.stopwatch import Stopwatch
from DLCTPMLib.labels.chest_regions import SIDES
from DLCTPMLib.mapping.left_right import balance_lungs
from DLCTPMLib.networks.balance import LungBalance, LungLevel
from DLCTPMLib.networks.bundle import load_bundle, save_bundle
from DLCTPMLib.networks.inference import Ensemble, choose_device
from DLCTPMLib.networks.parts import PerfusionNetwork
from DLCTPMLib.networks.scale import LearnedScale
from DLCTPMLib.preprocessing.settings import PreprocessingSettings
from DLCTPMTrainingLib.samples.left_right import fit_balance
from DLCTPMTrainingLib.samples.map_scale import NEVER_SEEN, pooled_scale, scale_of_patients
from DLCTPMTrainingLib.training.model_card import model_card
from DLCTPMTrainingLib.training.packaging import LICENSE

LEAST_MEMBERS = 2


def combine(
    models: Sequence[Path | str],
    folder: Path,
    name: str,
    version: str,
    calibration: Path | None = None,
    register: str = "none",
    progress: Progress = no_progress,
) -> Path:
    """Write one bundle of several models.

    Args:
        models: bundles, trained with the same preprocessing; those of the folds of one cohort, or of several cohorts.
        folder: the new bundle's.
        name, version: of the new model.
        calibration: cohort of patients whom no member has seen, on whom the balance of right and left lung and the
            scale of the new model's own maps are taken; None has no balance, and takes the scale from the members'
            validation patients, as their bundles have it.
        register: how the SPECTs of that cohort are brought to the CTs: "rigid", "affine" or "none".
        progress: told the patient.

    Returns:
        the folder.

    Raises:
        InputError: for fewer than two models, or if their preprocessing differs.
    """
    bundles = [load_bundle(model) for model in models]
    if len(bundles) < LEAST_MEMBERS:
        raise InputError("an ensemble needs two members at least: give --members MODEL MODEL …")
    first = bundles[0].metadata
    for bundle in bundles[1:]:
        if bundle.preprocessing != bundles[0].preprocessing:
            raise InputError(
                f"{bundle.path}: its preprocessing differs from that of {bundles[0].path}; give models that see the "
                "same images"
            )
    every = [bundle.metadata for bundle in bundles]
    known = [one["training_ranges"] for one in every]
    ranges = {key: [min(one[key][0] for one in known), max(one[key][1] for one in known)] for key in known[0]}
    errors = [one.get("bf16_max_error") for one in every]
    networks = [network for bundle in bundles for network in bundle.networks()]
    if calibration is None:
        scale, balance = pooled_scale([bundle.scale for bundle in bundles]), None
    else:
        scale, balance = calibrate(calibration, networks, bundles[0].preprocessing, register, progress)
    validated = [one["validation"] for one in every if one.get("validation")]
    metadata = {
        **{key: value for key, value in first.items() if key not in ("members", "test")},
        "name": name,
        "version": version,
        "training_ranges": ranges,
        "bf16_max_error": None if None in errors else max(errors),
        "simulated": any(one.get("simulated") for one in every),
        "validation": {key: round(float(np.mean([one[key] for one in validated])), 5) for key in validated[0]}
        if validated
        else None,
        "scale": None if scale is None else scale.to_dict(),
        "balance": None if balance is None else balance.to_dict(),
        "members_training": [told for one in every for told in one.get("members_training", [one["training"]])],
    }
    members = [member for bundle in bundles for member in bundle.members]
    return save_bundle(folder, networks, metadata, model_card(metadata | {"members": members}), LICENSE)


@dataclass
class _Calibrated:
    """One patient of a calibration cohort.

    Attributes:
        levels: what a balance sees of right and left lung; None where one is missing or both lie on one grid.
        log_ratio: logarithm of the ratio of the SPECT's mean counts, right over left.
        maps: the map in the voxels of each lung, by its side.
        relative: the SPECT in the lungs, divided by what the map's 1 stands for.
    """

    levels: tuple[LungLevel, LungLevel] | None
    log_ratio: float
    maps: dict[str, np.ndarray]
    relative: np.ndarray


def calibrate(
    cohort: Path,
    networks: Sequence[PerfusionNetwork],
    preprocessing: PreprocessingSettings,
    register: str = "none",
    progress: Progress = no_progress,
) -> tuple[LearnedScale, LungBalance | None]:
    """The scale of an ensemble's maps on the CT's grid, beside SPECTs on their own, both as a report has them, and
    the balance of right and left that the maps have before.

    Args:
        cohort: table of patients whom no network has learned from.
        networks: the members.
        preprocessing: of their images.
        register: how a SPECT is brought to its CT: "rigid", "affine" or "none".
        progress: told the patient.

    Returns:
        the scale, and the balance; None where both lungs lie on one grid, or the patients are too few for one.

    Raises:
        InputError: naming the patient whose images cannot be used.
    """
    patients = _calibrated(cohort, networks, preprocessing, register, progress)
    whole = [one for one in patients if one.levels is not None]
    balance = fit_balance([one.levels for one in whole], [one.log_ratio for one in whole], NEVER_SEEN)
    if balance is not None:
        for one in whole:
            balance_lungs(dict(zip(SIDES, one.levels, strict=True)), balance, preprocessing.top, one.maps)
    pairs = [(np.concatenate(list(one.maps.values())), one.relative) for one in patients]
    return scale_of_patients(pairs, NEVER_SEEN), balance


def _calibrated(
    cohort: Path,
    networks: Sequence[PerfusionNetwork],
    preprocessing: PreprocessingSettings,
    register: str,
    progress: Progress,
) -> list[_Calibrated]:
    """Map every patient of a cohort."""
    from DLCTPMLib.agreement.spect_grid import SpectGrid  # images need more than training on samples
    from DLCTPMLib.lungs.masks import read_lungs
    from DLCTPMLib.lungs.segmentation import segment_lungs
    from DLCTPMLib.lungs.upright import UprightLungs
    from DLCTPMLib.mapping.mapping import LungGrids, map_lungs
    from DLCTPMLib.preprocessing.enhancement import high_intensity_reference
    from DLCTPMLib.registration.for_position import transform_of_pair
    from DLCTPMLib.volumes.patient_axes import patient_array
    from DLCTPMLib.volumes.reading import read_ct, read_spect
    from DLCTPMTrainingLib.cohorts.table import read_cohort

    rows, patients = read_cohort(cohort), []
    predictor = Ensemble(networks, choose_device())
    for number, row in enumerate(rows):
        progress(f"Calibrating on patient {row.patient_id}", number / len(rows))
        with naming(f"patient {row.patient_id}"):
            scan, spect = read_ct(row.ct), read_spect(row.spect).image
            found = (
                read_lungs(row.lungs, scan.image, frame_of_reference=scan.frame_of_reference) if row.lungs else None
            )
            lungs = UprightLungs.of((found or segment_lungs(scan.image)).labels)
            on_grid = LungGrids.of(scan.image, lungs, preprocessing)
            seen: dict[str, LungLevel | None] = {}
            cells = map_lungs(on_grid, preprocessing, predictor, Stopwatch(), no_progress, levels=seen)
            view = on_grid.to_view(cells)[lungs.box]
            transform = transform_of_pair(scan, spect, lungs, register)
            grid, counts = SpectGrid.of(lungs, spect, transform), patient_array(spect)
            in_lungs = counts[grid.lung >= 0.5]
            reference = high_intensity_reference(in_lungs, preprocessing.hir_percentile) * preprocessing.clip_at
            parts = (grid.right, grid.left)
            means = [float(np.average(counts, weights=part)) if part.any() else 0.0 for part in parts]
        levels = tuple(seen.get(side) for side in SIDES)
        whole = None not in levels and min(means) > 0
        patients.append(
            _Calibrated(
                levels if whole else None,
                log(means[0] / means[1]) if whole else 0.0,
                {side: view[lungs.sides == value] for value, side in enumerate(SIDES, start=1)},
                in_lungs / reference,
            )
        )
    return patients
