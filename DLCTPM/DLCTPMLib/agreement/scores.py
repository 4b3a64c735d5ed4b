"""Agreement of a perfusion map with a SPECT as the numbers of METHOD.md §5.

``on_spect_grid`` (``comparison.py``) brings everything to the SPECT's grid once; ``agreement_of`` makes
the numbers of it, and a report draws its pictures from the same arrays. ``compare`` is both in one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import SimpleITK as sitk

from DLCTPMLib.agreement.comparison import MODEL, SCOPES, SpectComparison, on_spect_grid
from DLCTPMLib.agreement.metrics import (
    SSIM_BOX_CONVENTION,
    SSIM_CONVENTION,
    UndefinedMetricError,
    cohen_kappa,
    dice,
    pearson,
    spearman,
    ssim_map,
)
from DLCTPMLib.agreement.settings import AgreementSettings
from DLCTPMLib.labels.chest_regions import SIDES
from DLCTPMLib.preprocessing.settings import PreprocessingSettings

if TYPE_CHECKING:
    from DLCTPMLib.lungs.masks import Lungs
    from DLCTPMLib.lungs.upright import UprightLungs

METRICS = ("r_spearman", "r_pearson", "ssim", "ssim_box", "dsc_high", "dsc_low", "kappa")
"""Every metric's key in ``result.json``."""

BASELINE_NAMES = {
    "all_high": "baseline: all lung high-functional",
    "geometry": "baseline: geometry only",
    "blurred_mask": "baseline: blurred lung mask",
    "density_median": "baseline: filtered density",
    "enhanced_ct": "baseline: enhanced CT (Eq. 1)",
    "blurred_density": "baseline: blurred density",
}
"""Every baseline's key in ``result.json``, and its name in a table."""


def compare(
    perfusion: sitk.Image,
    spect: sitk.Image,
    lungs: sitk.Image | UprightLungs | Lungs,
    transform: sitk.Transform | None = None,
    settings: AgreementSettings | None = None,
    ct: sitk.Image | None = None,
    bundle_preprocessing: PreprocessingSettings | None = None,
) -> dict:
    """How well a perfusion map agrees with a SPECT: ``agreement`` of ``result.json``.

    Arguments and errors as for ``on_spect_grid``, the result as of ``agreement_of``.
    """
    return agreement_of(on_spect_grid(perfusion, spect, lungs, transform, settings, ct, bundle_preprocessing))


def agreement_of(comparison: SpectComparison) -> dict:
    """Every figure of METHOD.md §5 as plain JSON values.

    Returns:
        by scope ("lungs", "right lung", "left lung") the metrics of the map; beside them ``ssim_convention``,
        ``hir`` and ``hir_scope``, ``voxels`` and ``volume_ml`` of the mask, ``reference_high_percent`` and
        ``prediction_high_percent``; ``baselines`` with the same metrics by name; ``core`` with all of it in
        the eroded lung; and ``other_hir_scope`` with the map's metrics under the HIR scope not chosen. A
        metric without a value is None, and ``undefined`` says why by its name.
    """
    chosen = comparison.settings.hir_scope
    other = "lung" if chosen == "patient" else "patient"
    result = {}
    for scope in SCOPES:
        images = _Scope(comparison, scope, chosen)
        result[scope] = {
            **images.figures(comparison.masks[scope]),
            "core": images.figures(comparison.cores[scope]),
            "other_hir_scope": {
                "hir_scope": other,
                "hir": _hir_of(comparison, scope, other),
                **_Scope(comparison, scope, other).metrics(MODEL, comparison.masks[scope]),
            },
        }
    return result


def dice_curves(comparison: SpectComparison, thresholds: Sequence[float]) -> dict[str, list[float | None]]:
    """``dsc_high`` and ``dsc_low`` of both lungs at each threshold; None where it has no value."""
    lung = comparison.masks["lungs"]
    prediction, reference = comparison.predictions[MODEL][lung], comparison.reference()[lung]
    curves: dict[str, list[float | None]] = {"dsc_high": [], "dsc_low": []}
    for threshold in thresholds:
        for name, a, b in (
            ("dsc_high", prediction > threshold, reference > threshold),
            ("dsc_low", prediction <= threshold, reference <= threshold),
        ):
            try:
                curves[name].append(dice(a, b))
            except UndefinedMetricError:
                curves[name].append(None)
    return curves


_REFERENCE = "reference"


class _Scope:
    """One scope's images, 0 outside its mask, and their SSIM maps, which the whole lung and the core share."""

    def __init__(self, comparison: SpectComparison, scope: str, hir_scope: str):
        self._comparison, self._scope, self._hir_scope = comparison, scope, hir_scope
        self._lung = comparison.masks[scope]
        self._whole = comparison.reference(hir_scope)
        self._reference = np.where(self._lung, self._whole, 0)
        self._similarity: dict[str, np.ndarray] = {}
        self._parts: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def figures(self, mask: np.ndarray) -> dict:
        """The map's metrics in a mask with all that belongs beside them."""
        comparison = self._comparison
        count = int(np.count_nonzero(mask))
        high, high_reference = (self._divided(which)[0][mask] for which in (MODEL, _REFERENCE))
        return {
            **self.metrics(MODEL, mask),
            "ssim_convention": SSIM_CONVENTION,
            "ssim_box_convention": SSIM_BOX_CONVENTION,
            "hir": _hir_of(comparison, self._scope, self._hir_scope),
            "hir_scope": self._hir_scope,
            "voxels": count,
            "volume_ml": count * comparison.axes.voxel_ml,
            "reference_high_percent": _percent(high_reference),
            "prediction_high_percent": _percent(high),
            "baselines": {name: self.metrics(name, mask) for name in comparison.predictions if name != MODEL},
        }

    def metrics(self, name: str, mask: np.ndarray) -> dict:
        """All metrics of one prediction in a mask; None with a reason where one has no value."""
        if reason := self._without_value(mask):
            return {**dict.fromkeys(METRICS), "undefined": dict.fromkeys(METRICS, reason)}
        prediction, reference = self._comparison.predictions[name][mask], self._reference[mask]
        high, low = (part[mask] for part in self._divided(name))
        high_reference, low_reference = (part[mask] for part in self._divided(_REFERENCE))
        return _with_reasons(
            r_spearman=lambda: spearman(prediction, reference),
            r_pearson=lambda: pearson(prediction, reference),
            ssim=lambda: float(self._ssim_map(name)[mask].mean()),
            ssim_box=lambda: float(self._ssim_map(name).mean()),
            dsc_high=lambda: dice(high, high_reference),
            dsc_low=lambda: dice(low, low_reference),
            kappa=lambda: cohen_kappa(high, high_reference),
        )

    def _divided(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Where a prediction, or the reference, is high- and where it is low-functional."""
        if name not in self._parts:
            image = self._whole if name == _REFERENCE else self._comparison.predictions[name]
            self._parts[name] = self._comparison.high_and_low(image, of_map=name == MODEL)
        return self._parts[name]

    def _ssim_map(self, name: str) -> np.ndarray:
        if name not in self._similarity:
            prediction = np.where(self._lung, self._comparison.predictions[name], 0)
            self._similarity[name] = ssim_map(np.clip(prediction, 0, 1), np.clip(self._reference, 0, 1))
        return self._similarity[name]

    def _without_value(self, mask: np.ndarray) -> str | None:
        if not mask.any():
            return f"no voxel of the SPECT lies in this part of the {self._scope}"
        if np.isnan(self._reference).any():
            return f"the SPECT in the {self._scope} has no high intensity region to be normalised by"
        return None


def _with_reasons(**metrics: Callable[[], float]) -> dict:
    figures, undefined = {}, {}
    for name, compute in metrics.items():
        try:
            figures[name] = compute()
        except UndefinedMetricError as reason:
            figures[name], undefined[name] = None, str(reason)
    return {**figures, "undefined": undefined} if undefined else figures


def _hir_of(comparison: SpectComparison, scope: str, hir_scope: str) -> float | dict[str, float | None] | None:
    """The HIR that a scope's voxels are divided by; one a lung where "lungs" has two."""
    if hir_scope == "patient":
        return comparison.hir["patient"]
    return comparison.hir[scope] if scope in SIDES else {side: comparison.hir[side] for side in SIDES}


def _percent(values: np.ndarray) -> float | None:
    return float(100 * values.mean()) if values.size else None
