"""One patient under one model: agreement, functional volume and the right lung's share, kept as a small JSON file.

All models, baselines and the ceiling are judged by the same standardised SPECT: the paper's Eq. 2, whatever a model
was trained with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from DLCTPMLib.agreement.comparison import MODEL, SpectComparison, on_spect_grid
from DLCTPMLib.agreement.metrics import UndefinedMetricError, cohen_kappa, dice
from DLCTPMLib.agreement.scores import agreement_of
from DLCTPMLib.agreement.spect_grid import SpectGrid
from DLCTPMLib.common.errors import naming
from DLCTPMLib.common.progress import no_progress
from DLCTPMLib.common.stopwatch import Stopwatch
from DLCTPMLib.labels.chest_regions import SIDES
from DLCTPMLib.lungs.upright import RIGHT_SIDE, UprightLungs
from DLCTPMLib.mapping.mapping import LungGrids, map_lungs
from DLCTPMLib.networks.bundle import ModelBundle
from DLCTPMLib.networks.inference import Ensemble
from DLCTPMLib.preprocessing.settings import PreprocessingSettings
from DLCTPMLib.volumes.patient_axes import patient_array
from DLCTPMTrainingLib.common.files import read_json, write_json
from DLCTPMTrainingLib.statistics.table import WHOLE, TidyTable
from DLCTPMTrainingLib.study.preparation import Patient, PatientImages
from DLCTPMTrainingLib.training.evaluation import rows_of, table_of

JUDGE = PreprocessingSettings()
"""How the SPECT is standardised for every model and baseline."""
BASELINES = "baselines"
SHARE_ERROR, HIGH_BIAS, HIGH, OWN_P75 = "right_share_error", "high_bias", "high_percent", "map_p75"
"""Metrics beside those of the agreement: error of the right lung's share in points; high-functional volume less the
SPECT's own in points of the lung; that volume itself; the map's own 75th percentile."""
AS_IT_STANDS = " at 0.66 of the map"
"""After a metric's name: the threshold taken as it stands on the map's scale, where the model's is calibrated."""


@dataclass(frozen=True, eq=False)
class Contender:
    """A model that is compared, or one member of it.

    Attributes:
        label: in tables.
        bundle: it comes from.
        member: number of the member from 0; None is the whole bundle.
    """

    label: str
    bundle: ModelBundle
    member: int | None = None

    @property
    def key(self) -> str:
        """Names its figures: the same for the same weights."""
        return self.bundle.sha256[:16] + ("" if self.member is None else f"-{self.member + 1}")

    def predictor(self, device: torch.device) -> Ensemble:
        """Its networks on a device, in single precision."""
        networks = self.bundle.networks()
        return Ensemble(networks if self.member is None else [networks[self.member]], device)


@dataclass(frozen=True)
class PatientCase:
    """A patient's images with all that every map of it is compared by."""

    patient: Patient
    images: PatientImages
    lungs: UprightLungs
    grid: SpectGrid
    comparison: SpectComparison
    spect_share: float

    @classmethod
    def of(cls, patient: Patient) -> PatientCase:
        """Read the images and put SPECT and baselines on one grid.

        Raises:
            InputError: naming the patient whose images cannot be used.
        """
        with naming(f"patient {patient.row.patient_id}"):
            images = patient.load()
            lungs = UprightLungs.of(images.lungs)
            comparison = on_spect_grid(
                images.lungs, images.spect, lungs, images.transform, ct=images.ct, bundle_preprocessing=JUDGE
            )
            grid = SpectGrid.of(lungs, images.spect, images.transform)
        counts = comparison.spect.astype(float)  # unclipped, its negative voxels with it
        return cls(
            patient,
            images,
            lungs,
            grid,
            comparison,
            _percent((grid.right * counts).sum(), (grid.lung * counts).sum()),
        )

    def baselines(self) -> dict:
        """Figures of every baseline, and of the SPECT and the lungs' volumes themselves."""
        predictions = self.comparison.predictions
        agreement = agreement_of(self.comparison)
        rows = [row for row in rows_of(self.patient.row, agreement) if row["prediction"] != MODEL]
        volume = self._share_of((self.lungs.sides > 0).astype(float))
        lines = [("volume", SHARE_ERROR, abs(volume - self.spect_share)), ("spect", HIGH, self._spect_high())]
        lung, sides = self.comparison.masks["lungs"], self.comparison.sides
        for name in (name for name in predictions if name != MODEL):
            image = predictions[name]
            share = _percent(image[sides["right lung"]].sum(), image[lung].sum())
            high = 100 * float((image[lung] > self.comparison.limits(image)[0]).mean())
            lines += [
                (name, SHARE_ERROR, abs(share - self.spect_share)),
                (name, HIGH_BIAS, high - self._spect_high()),
            ]
        return {"rows": rows, "lines": lines}

    def figures(self, bundle: ModelBundle, predictor: Ensemble) -> dict:
        """Figures of one model's map."""
        settings = bundle.preprocessing
        on_grid = LungGrids.of(self.images.ct, self.lungs, settings)
        cells = map_lungs(on_grid, settings, predictor, Stopwatch(), no_progress, balance=bundle.balance)
        perfusion = on_grid.to_ct(cells)
        values = patient_array(perfusion)[self.lungs.box]
        inside = values[self.lungs.sides > 0]
        comparison = replace(
            self.comparison, predictions={MODEL: self.grid.mean_over_lung(perfusion)}, scale=bundle.scale
        )
        line = comparison.limits(inside, of_map=True)[0]
        as_it_stands = replace(comparison, scale=None)
        threshold = as_it_stands.limits(inside, of_map=True)[0]
        lines = [
            (MODEL, SHARE_ERROR, abs(self._share_of(values) - self.spect_share)),
            (MODEL, HIGH, 100 * float((inside > line).mean())),
            (MODEL, HIGH_BIAS, 100 * float((inside > line).mean()) - self._spect_high()),
            (MODEL, HIGH_BIAS + AS_IT_STANDS, 100 * float((inside > threshold).mean()) - self._spect_high()),
            (MODEL, OWN_P75, float(np.percentile(inside, JUDGE.hir_percentile))),
        ]
        return {
            "rows": rows_of(self.patient.row, agreement_of(comparison)),
            "lines": lines,
            "cut": [(scope, *line) for scope in ("lungs", *SIDES) for line in _cut(as_it_stands, scope)],
        }

    def _share_of(self, values: np.ndarray) -> float:
        """Percent of a map's sum, in the box of the lungs, that lies in the right one."""
        sides = self.lungs.sides
        return _percent(values[sides == RIGHT_SIDE].sum(dtype=float), values[sides > 0].sum(dtype=float))

    def _spect_high(self) -> float:
        """Percent of the lung that is high-functional in the SPECT."""
        reference = self.comparison.reference()
        limit = self.comparison.limits(reference)[0]
        return 100 * float((reference[self.comparison.masks["lungs"]] > limit).mean())


def _cut(comparison: SpectComparison, scope: str) -> Iterator[tuple[str, float | None]]:
    """DSC and κ of the map in one scope."""
    lung, reference = comparison.masks[scope], comparison.reference()
    image = comparison.predictions[MODEL]
    high, truth = (
        picture[lung] > comparison.limits(picture, of_map)[0]
        for picture, of_map in ((image, True), (reference, False))
    )
    for name, metric, pair in (
        ("dsc_high", dice, (high, truth)),
        ("dsc_low", dice, (~high, ~truth)),
        ("kappa", cohen_kappa, (high, truth)),
    ):
        try:
            yield name, float(metric(*pair))
        except UndefinedMetricError:
            yield name, None


def keep_figures(
    patient: Patient, contenders: Sequence[Contender], folder: Path, predictor_of: Callable[[Contender], Ensemble]
) -> None:
    """Compute what is missing of one patient's figures; each contender's lie in a folder of its own."""
    name = f"{patient.row.patient_id}.json"
    missing = [one for one in contenders if not (folder / one.key / name).is_file()]
    if not missing and (folder / BASELINES / name).is_file():
        return
    case = PatientCase.of(patient)
    if not (folder / BASELINES / name).is_file():
        write_json(folder / BASELINES / name, case.baselines())
    for one in missing:
        write_json(folder / one.key / name, case.figures(one.bundle, predictor_of(one)))


def table_of_cohort(patients: Sequence[Patient], contenders: Sequence[Contender], folder: Path) -> TidyTable:
    """All figures of a cohort; ``prediction`` is a contender's label, a baseline, "volume" or "spect"."""
    tables = []
    for key, label in ((BASELINES, None), *((one.key, one.label) for one in contenders)):
        kept = [read_json(folder / key / f"{patient.row.patient_id}.json") for patient in patients]
        rows = [row for one in kept for row in one["rows"]]
        tables.append(table_of({**row, "prediction": label or row["prediction"]} for row in rows))
        lines = []
        for patient, one in zip(patients, kept, strict=True):
            who = patient.row.patient_id, patient.row.diagnosis
            for prediction, metric, value in one["lines"]:
                lines.append((*who, "lungs", WHOLE, label or prediction, metric, value))
            for scope, metric, value in one.get("cut", ()):
                lines.append((*who, scope, WHOLE, label, metric + AS_IT_STANDS, value))
        tables.append(TidyTable.of(lines))
    return TidyTable.joined(tables)


def _percent(part: float, whole: float) -> float:
    return 100 * float(part) / float(whole) if whole > 0 else 50.0
