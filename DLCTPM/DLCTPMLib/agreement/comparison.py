"""A SPECT, a perfusion map and the baselines brought together on the SPECT's own grid (METHOD.md §5)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from DLCTPMLib.agreement.settings import AgreementSettings
from DLCTPMLib.agreement.spect_grid import SpectGrid, spect_values
from DLCTPMLib.common.errors import InputError
from DLCTPMLib.function.definitions import HIGH, LOW
from DLCTPMLib.labels.chest_regions import SIDES
from DLCTPMLib.lungs.upright import UprightLungs
from DLCTPMLib.mapping.baselines import SELF_SCALED, baseline_maps
from DLCTPMLib.networks.scale import LearnedScale
from DLCTPMLib.preprocessing.enhancement import high_intensity_reference
from DLCTPMLib.preprocessing.settings import PreprocessingSettings
from DLCTPMLib.volumes.patient_axes import PatientAxes

SCOPES = ("lungs", *SIDES)
MODEL = "model"
"""Name of the evaluated map among the predictions; the others are baselines."""


@dataclass(frozen=True)
class SpectComparison:
    """A SPECT and its predictions on the SPECT's own grid; every array is (z, y, x) along the patient's axes.

    Attributes:
        axes: the SPECT's grid.
        spect: the SPECT as it came, float32.
        predictions: relative perfusion by name, "model" first, then the baselines; means over the lung part
            of every voxel, baselines in their final scale; 0 where there is no lung.
        masks: by scope, the voxels at least half of which are that lung (or either).
        sides: the voxels of "lungs" shared out between "right lung" and "left lung".
        cores: the same, each lung eroded.
        scales: by ``hir_scope``, what the SPECT is divided by in every voxel (HIR × clip_at); NaN where a
            lung has none.
        hir: the high intensity reference by "patient", "right lung", "left lung"; None where a lung has none.
        settings: how it was made.
        scale: of the map's model, where it is known: its line between high and low (``Definition.on_map``).
    """

    axes: PatientAxes
    spect: np.ndarray
    predictions: dict[str, np.ndarray]
    masks: dict[str, np.ndarray]
    sides: dict[str, np.ndarray]
    cores: dict[str, np.ndarray]
    scales: dict[str, np.ndarray]
    hir: dict[str, float | None]
    settings: AgreementSettings
    scale: LearnedScale | None = None

    def reference(self, hir_scope: str | None = None) -> np.ndarray:
        """The normalised SPECT, not clipped: S/HIR inside the lung mask, 0 outside."""
        scale = self.scales[hir_scope or self.settings.hir_scope]
        return np.where(self.masks["lungs"], self.spect / scale, 0).astype(np.float32)

    def limits(self, image: np.ndarray, of_map: bool = False) -> tuple[float, float]:
        """Above which value a ``reference`` or baseline, or the map, is high-functional, and up to which low."""
        definition = self.settings.definition.on_map(self.scale if of_map else None)
        values = image[self.masks["lungs"]] if definition.of_lungs else np.zeros(0)
        values = values[np.isfinite(values)]  # a lung without a HIR has no figures
        return definition.high_above(values), definition.low_up_to(values)

    def high_and_low(self, image: np.ndarray, of_map: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Where a ``reference`` or baseline, or the map, is high- and where it is low-functional lung.

        Returns:
            boolean (z, y, x) each; without islands in each lung where the definition removes them.
        """
        definition = self.settings.definition.on_map(self.scale if of_map else None)
        lung = self.masks["lungs"]
        if not definition.specks_ml:
            above, up_to = self.limits(image, of_map)
            return lung & (image > above), lung & (image <= up_to)
        sides = np.uint8(1) * self.sides["right lung"] + np.uint8(2) * self.sides["left lung"]
        classes = definition.classes(image, sides * np.isfinite(image), self.axes.voxel_ml)
        return classes == HIGH, classes == LOW

    def described(self) -> dict:
        """``settings.agreement`` of ``result.json``: the settings, and where they put the line in the map."""
        return {**self.settings.to_dict(), "threshold": self.limits(self.predictions[MODEL], of_map=True)[0]}

    def with_spect(self, values: np.ndarray) -> SpectComparison:
        """The same lungs and predictions against another SPECT on the same grid, (z, y, x) along the same axes."""
        hir, scales = _references(values, self.sides, self.settings)
        return replace(self, spect=values, hir=hir, scales=scales)

    def joint_histogram(
        self, scope: str = "lungs", bins: int = 60, top: float = 1.5
    ) -> tuple[np.ndarray, np.ndarray]:
        """How often reference and prediction take each pair of values, for the report's picture.

        Returns:
            counts of shape (bins, bins), prediction along rows and reference along columns, values above
            ``top`` in the last bin; and the bins + 1 edges.
        """
        mask = self.masks[scope]
        edges = np.linspace(0, top, bins + 1)
        pair = [np.clip(image[mask], 0, top) for image in (self.predictions[MODEL], self.reference())]
        counts, _, _ = np.histogram2d(*pair, bins=(edges, edges))
        return counts.astype(int), edges


def on_spect_grid(
    perfusion: sitk.Image,
    spect: sitk.Image,
    lungs: sitk.Image | UprightLungs,
    transform: sitk.Transform | None = None,
    settings: AgreementSettings | None = None,
    ct: sitk.Image | None = None,
    bundle_preprocessing: PreprocessingSettings | None = None,
    scale: LearnedScale | None = None,
    grid: SpectGrid | None = None,
) -> SpectComparison:
    """Bring map, baselines and lungs to the SPECT's grid.

    Args:
        perfusion: relative perfusion on the CT's grid.
        spect: perfusion SPECT on its own grid, any units.
        lungs: upright, or as a label image of CIP values on the CT's grid.
        transform: rigid or affine, maps CT points to SPECT points (LPS, mm); identity if None.
        settings: if None, those of ``bundle_preprocessing``, else the defaults.
        ct: HU, for the three baselines that look at it.
        bundle_preprocessing: the model's settings; they also make the baselines.
        scale: the model's, where it is known.
        grid: the lungs on the SPECT's grid, where they were measured there already.

    Raises:
        InputError: the SPECT is not a volume of numbers, all zero or zero in the lungs, does not lie on the
            lungs, or map and lungs lie on different grids.
    """
    preprocessing = bundle_preprocessing or PreprocessingSettings()
    settings = settings or AgreementSettings.for_model(preprocessing)
    values, lungs = spect_values(spect), UprightLungs.of(lungs)
    grid = grid or SpectGrid.of(lungs, spect, transform)
    masks = {name: part >= 0.5 for name, part in zip(SCOPES, (grid.lung, grid.right, grid.left), strict=True)}
    if not masks["lungs"].any():
        raise InputError(
            "the SPECT does not lie on the lungs: no voxel of it is at least half lung; register it to the CT, "
            "or give the transform that maps CT points to SPECT points"
        )
    cores = {side: ndimage.binary_erosion(masks[side], iterations=settings.core_erosions) for side in SIDES}
    cores["lungs"] = cores["right lung"] | cores["left lung"]

    of_right = masks["lungs"] & (grid.right >= grid.left)  # each lung voxel to the lung it holds more of
    sides = {"right lung": of_right, "left lung": masks["lungs"] & ~of_right}
    high_intensity_reference(values[masks["lungs"]], settings.hir_percentile)  # refuses what has none
    hir, scales = _references(values, sides, settings)
    predictions = {MODEL: grid.mean_over_lung(perfusion)}
    for name, view in baseline_maps(lungs, ct, preprocessing):
        image = grid.mean_over_lung(view)
        if name in SELF_SCALED:
            own = _references(image, sides, settings)[1][settings.hir_scope]
            image = np.divide(image, own, out=np.zeros_like(image), where=own > 0)
        predictions[name] = image
    return SpectComparison(
        axes=grid.axes,
        spect=values,
        predictions=predictions,
        masks=masks,
        sides=sides,
        cores=cores,
        scales=scales,
        hir=hir,
        settings=settings,
        scale=scale,
    )


def _references(
    values: np.ndarray, sides: dict[str, np.ndarray], settings: AgreementSettings
) -> tuple[dict[str, float | None], dict[str, np.ndarray]]:
    """HIR of the patient and of each lung, and by HIR scope the image that divides (HIR × clip_at).

    Where a HIR is not positive it is None, and the image is NaN there.
    """
    lung = np.logical_or(*sides.values())
    hir, scales = {}, {scope: np.full(values.shape, np.nan, np.float32) for scope in ("patient", "lung")}
    for name, mask in (("patient", lung), *sides.items()):
        percentile = float(np.percentile(values[mask], settings.hir_percentile)) if mask.any() else 0.0
        hir[name] = percentile if percentile > 0 else None
        if hir[name]:
            scales["patient" if name == "patient" else "lung"][mask] = percentile * settings.clip_at
    return hir, scales
