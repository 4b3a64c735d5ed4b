"""One patient against the SPECT, with everything that the study's tables and figures are made of.

Each patient's figures are one small JSON file, written once: a study that is cut off goes on with the next patient.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch

from DLCTPMLib.agreement.comparison import MODEL, SpectComparison, on_spect_grid
from DLCTPMLib.agreement.metrics import UndefinedMetricError, spearman, ssim_map
from DLCTPMLib.agreement.scores import agreement_of, dice_curves
from DLCTPMLib.agreement.spect_grid import SpectGrid
from DLCTPMLib.common.errors import InputError
from DLCTPMLib.common.progress import Progress, no_progress
from DLCTPMLib.common.stopwatch import Stopwatch
from DLCTPMLib.labels.chest_regions import LOBES, SIDES, display_name
from DLCTPMLib.lungs.upright import UprightLungs
from DLCTPMLib.mapping.mapping import LungGrids, MapLung, map_lungs
from DLCTPMLib.networks.inference import Ensemble, Predictor
from DLCTPMLib.networks.parts import PerfusionNetwork
from DLCTPMLib.preprocessing.enhancement import network_inputs
from DLCTPMLib.preprocessing.settings import PreprocessingSettings
from DLCTPMLib.volumes.patient_axes import patient_array
from DLCTPMTrainingLib.common.files import read_json, write_json
from DLCTPMTrainingLib.statistics.numbers import (
    CALIBRATION_BINS,
    HEADLINE,
    OTHER_HIR,
    SHARE,
    SPECT,
    THRESHOLDS,
    at_threshold,
)
from DLCTPMTrainingLib.statistics.table import WHOLE, TidyTable
from DLCTPMTrainingLib.study.preparation import Patient, PatientImages
from DLCTPMTrainingLib.training.evaluation import rows_of, table_of

JOINT_BINS, JOINT_TOP = 60, 1.5


@dataclass(frozen=True)
class Mapped:
    """A patient's map beside the SPECT, for the pictures."""

    images: PatientImages
    perfusion: sitk.Image
    comparison: SpectComparison


@dataclass(frozen=True)
class Evaluated:
    """Some patients against their SPECT.

    Attributes:
        table: the metrics of ``agreement_of`` lung by lung and of both together; for the model also those under the
            other HIR scope (``OTHER_HIR``), DSC by threshold (``at_threshold``) and the ``SHARE`` of each region.
        joint: histogram of all voxels, rows the map and columns the SPECT, ``JOINT_BINS`` from 0 to ``JOINT_TOP``.
        calibration: ``voxels``, sum of the ``map`` and of the ``spect`` over them, by bins of the map.
    """

    table: TidyTable
    joint: list[list[int]]
    calibration: dict[str, list[float]]

    @classmethod
    def of(cls, figures: Sequence[dict]) -> Evaluated:
        """What ``figures_of`` gave of each patient."""
        sums = {
            name: np.sum([one["calibration"][name] for one in figures], axis=0).tolist()
            for name in (figures[0]["calibration"] if figures else ())
        }
        joint = np.sum([one["joint"] for one in figures], axis=0).tolist() if figures else []
        lines = (line for one in figures for line in _lines_of(one))
        return cls(
            TidyTable.joined([table_of(r for one in figures for r in one["rows"]), TidyTable.of(lines)]), joint, sums
        )


def _lines_of(figures: dict) -> Iterator[tuple]:
    """What stands beside the rows of one patient's figures, as lines of a ``TidyTable``."""
    who = figures["patient_id"], figures["diagnosis"]
    for lung in figures["other_hir"]:
        yield from ((*who, lung["scope"], WHOLE, MODEL, OTHER_HIR + metric, lung[metric]) for metric in HEADLINE)
    for name, curve in figures["thresholds"].items():
        for threshold, value in zip(THRESHOLDS, curve, strict=True):
            yield *who, "lungs", WHOLE, MODEL, at_threshold(name.removeprefix("dsc_"), threshold), value
    for region, shares in figures["shares"].items():
        yield *who, region, WHOLE, SPECT, SHARE, shares["spect"]
        yield *who, region, WHOLE, MODEL, SHARE, shares["map"]


def evaluate_patients(
    patients: Iterable[Patient],
    networks: Sequence[PerfusionNetwork],
    preprocessing: PreprocessingSettings,
    device: torch.device,
    folder: Path,
    progress: Progress = no_progress,
) -> Evaluated:
    """Every patient's figures, computed or read back from ``folder``, where ``figures_of`` says what they are.

    Several ``networks`` are an ensemble; there may be none where nothing is left to compute.
    """
    patients = list(patients)
    predictor = Ensemble(networks, device)
    figures = []
    for number, patient in enumerate(patients):
        path = folder / f"{patient.row.patient_id}.json"
        if not path.is_file():
            progress(f"Comparing patient {patient.row.patient_id} with the SPECT", number / len(patients))
            write_json(path, figures_of(patient, map_patient(patient, predictor, preprocessing)))
        figures.append(read_json(path))
    return Evaluated.of(figures)


def seconds_a_map(
    patients: Sequence[Patient],
    networks: Sequence[PerfusionNetwork],
    preprocessing: PreprocessingSettings,
    device: torch.device,
) -> float:
    """Median time from CT and lungs in memory to the map on the CT's grid, after one map that is not counted."""
    predictor, seconds = Ensemble(networks, device), []
    for patient in [patients[0], *patients]:
        images = patient.load()
        start = time.perf_counter()
        on_grid = LungGrids.of(images.ct, images.lungs, preprocessing)
        on_grid.to_ct(map_lungs(on_grid, preprocessing, predictor, Stopwatch(), no_progress))
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds[1:]))


def map_patient(patient: Patient, predictor: MapLung, preprocessing: PreprocessingSettings) -> Mapped:
    """Map one patient and bring map, baselines and SPECT together.

    Raises:
        InputError: naming the patient whose images cannot be used.
    """
    try:
        images = patient.load()
        lungs = UprightLungs.of(images.lungs)
        on_grid = LungGrids.of(images.ct, lungs, preprocessing)
        cells = map_lungs(on_grid, preprocessing, predictor, Stopwatch(), no_progress)
        perfusion = on_grid.to_ct(cells)
        comparison = on_spect_grid(
            perfusion,
            images.spect,
            lungs,
            images.transform,
            ct=images.ct,
            bundle_preprocessing=preprocessing,
        )
    except InputError as error:
        raise InputError(f"patient {patient.row.patient_id}: {error}") from error
    return Mapped(images, perfusion, comparison)


def figures_of(patient: Patient, mapped: Mapped) -> dict:
    """What is kept of one patient.

    Returns:
        ``rows`` (as ``training.evaluation``: scope, part, prediction, metrics), ``other_hir`` (each lung's metrics
        under the HIR scope not chosen), ``thresholds`` (DSC of both lungs by threshold), ``joint`` (joint histogram),
        ``calibration`` (voxels, sum of the SPECT and of the map by bins of the map) and ``shares`` (percent of the
        perfusion of both lungs by region: ``spect`` and ``map``).
    """
    comparison = mapped.comparison
    joint, _ = comparison.joint_histogram(bins=JOINT_BINS, top=JOINT_TOP)
    agreement = agreement_of(comparison)
    return {
        "patient_id": patient.row.patient_id,
        "diagnosis": patient.row.diagnosis,
        "rows": rows_of(patient.row, agreement),
        "other_hir": [
            {"patient_id": patient.row.patient_id, "scope": side, **agreement[side]["other_hir_scope"]}
            for side in SIDES
        ],
        "thresholds": dice_curves(comparison, THRESHOLDS),
        "joint": joint.tolist(),
        "calibration": calibration_sums(comparison),
        "shares": region_shares(mapped),
    }


def calibration_sums(comparison: SpectComparison) -> dict[str, list[float]]:
    """Voxels, summed map and summed SPECT (clipped to 0…1 as the target) in equal bins of the map."""
    lung = comparison.masks["lungs"]
    prediction = comparison.predictions[MODEL][lung].astype(float)
    reference = np.clip(comparison.reference()[lung], 0, 1).astype(float)
    bins = np.clip((prediction * CALIBRATION_BINS).astype(int), 0, CALIBRATION_BINS - 1)
    return {
        "voxels": np.bincount(bins, minlength=CALIBRATION_BINS).tolist(),
        "map": np.bincount(bins, prediction, CALIBRATION_BINS).tolist(),
        "spect": np.bincount(bins, reference, CALIBRATION_BINS).tolist(),
    }


def region_shares(mapped: Mapped) -> dict[str, dict[str, float]]:
    """Percent of both lungs' perfusion in each lung and, where the mask has them, each lobe.

    The SPECT's share is its counts weighted with the part of every SPECT voxel that is the region; the map's is its
    sum over the region on the CT's grid. The map stops at 1, so its shares lie nearer to the shares of volume.
    """
    images, lungs = mapped.images, UprightLungs.of(mapped.images.lungs)
    values = patient_array(mapped.perfusion)[lungs.box]
    counts = np.clip(mapped.comparison.spect, 0, None).astype(float)
    grid = SpectGrid.of(lungs, images.spect, images.transform)
    whole = float((grid.lung * counts).sum()), float(values[lungs.sides > 0].sum())
    shares = {}
    for value, (name, part) in enumerate(zip(SIDES, (grid.right, grid.left), strict=True), start=1):
        shares[name] = float((part * counts).sum()), float(values[lungs.sides == value].sum())
    regions = lungs.regions()
    for lobe in sorted(LOBES):
        inside = regions == int(lobe)
        if inside.any():
            part = SpectGrid.of(lungs.only([lobe]), images.spect, images.transform).lung
            shares[display_name(lobe)] = float((part * counts).sum()), float(values[inside].sum())
    return {
        name: {"spect": 100 * pair[0] / whole[0], "map": 100 * pair[1] / whole[1]}
        for name, pair in shares.items()
        if whole[0] > 0 and whole[1] > 0
    }


def curve_of(
    patients: Iterable[Patient],
    networks: dict[int, PerfusionNetwork],
    preprocessing: PreprocessingSettings,
    device: torch.device,
    folder: Path,
    progress: Progress = no_progress,
) -> list[dict]:
    """R and SSIM of every lung at every kept epoch, on the SPECT's grid as in the final evaluation (Fig. 4a, b).

    Returns:
        one dict a lung and epoch: ``patient_id``, ``scope``, ``epoch``, ``r_spearman``, ``ssim``.
    """
    patients = list(patients)
    predictors = {epoch: Predictor(network, device) for epoch, network in networks.items()}
    rows = []
    for number, patient in enumerate(patients):
        path = folder / f"{patient.row.patient_id}.json"
        if not path.is_file():
            progress(f"Following patient {patient.row.patient_id} through the epochs", number / len(patients))
            write_json(path, _curve_of_patient(patient, predictors, preprocessing))
        rows += read_json(path)
    return rows


def _curve_of_patient(
    patient: Patient, predictors: dict[int, Predictor], preprocessing: PreprocessingSettings
) -> list[dict]:
    images = patient.load()
    upright = UprightLungs.of(images.lungs)
    on_grid = LungGrids.of(images.ct, upright, preprocessing)
    lungs = {
        name: network_inputs(grid.down(on_grid.hu), grid.mask, preprocessing, grid.lung_part)
        for name, grid in on_grid.grids.items()
    }
    grid = SpectGrid.of(upright, images.spect, images.transform)
    comparison, rows, top = None, [], np.float32(preprocessing.top)
    for epoch, predictor in predictors.items():
        perfusion = on_grid.to_ct({name: predictor(images) * top for name, images in lungs.items()})
        if comparison is None:
            comparison = on_spect_grid(
                perfusion, images.spect, upright, images.transform, bundle_preprocessing=preprocessing
            )
        now = replace(comparison, predictions={MODEL: grid.mean_over_lung(perfusion)})
        rows += [
            {"patient_id": patient.row.patient_id, "scope": side, "epoch": epoch, **lung_r_and_ssim(now, side)}
            for side in SIDES
            if now.masks[side].any()
        ]
    return rows


def lung_r_and_ssim(comparison: SpectComparison, side: str) -> dict[str, float | None]:
    """R and SSIM of one lung alone: the two of ``agreement_of`` that are followed through the epochs."""
    lung = comparison.masks[side]
    prediction = np.where(lung, comparison.predictions[MODEL], 0)
    reference = np.where(lung, comparison.reference(), 0)
    try:
        r = spearman(prediction[lung], reference[lung])
    except UndefinedMetricError:
        r = None
    similarity = ssim_map(np.clip(prediction, 0, 1), np.clip(reference, 0, 1))
    return {"r_spearman": r, "ssim": float(similarity[lung].mean()) if lung.any() else None}
