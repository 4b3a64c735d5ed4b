"""From a perfusion map, lungs, a dose and targets to the figures of dose and function."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import SimpleITK as sitk

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.dose.histogram import STEP_GY, DoseHistogram, dose_steps
from DLCTPMLib.dose.sampling import sampled_gy
from DLCTPMLib.function.definitions import HIGH, LOW, Definition
from DLCTPMLib.labels.chest_regions import SIDES
from DLCTPMLib.lungs.upright import UprightLungs
from DLCTPMLib.volumes.boxes import bounding_box
from DLCTPMLib.volumes.patient_axes import PatientAxes, patient_array

LEAST_COVERED = 0.5
"""A dose grid that holds less of the lungs gives no lung dose."""

REGIONS = ("lungs", *SIDES)


@dataclass(frozen=True)
class DoseImages:
    """What dose–function figures are made of.

    Attributes:
        perfusion: the map.
        lungs: of its grid.
        dose: Gy, on any grid.
        transform: maps points of the map to points of the dose; None where they lie in the same place.
        excluded: masks of targets that are no lung, by name: boolean, of the shape of ``lungs.box``.
    """

    perfusion: sitk.Image
    lungs: UprightLungs
    dose: sitk.Image
    transform: sitk.Transform | None = None
    excluded: Mapping[str, np.ndarray] = field(default_factory=dict)


class LungDose:
    """Dose and perfusion of every lung voxel, targets left out; the histograms of all regions and definitions.

    Attributes:
        warnings: sentences for the user.

    Raises:
        InputError: the dose grid holds less than half of the lungs, or the targets leave no lung.
    """

    def __init__(self, images: DoseImages):
        lungs = images.lungs
        self.warnings: list[str] = []
        self._voxel_ml = lungs.axes.voxel_ml
        inside = lungs.sides > 0
        self._images = images
        perfusion = patient_array(images.perfusion)[lungs.box]
        self._whole = np.sort(perfusion[inside])  # each definition takes percentiles, quick of what is in order
        self.excluded_ml = {}
        for name, mask in images.excluded.items():
            in_lungs = mask & (lungs.sides > 0)
            self.excluded_ml[name] = np.count_nonzero(in_lungs) * self._voxel_ml
            if not in_lungs.any():
                self.warnings.append(f"{name} does not touch the lungs, so leaving it out changes nothing")
            inside &= ~in_lungs
        if not inside.any():
            raise InputError("the targets leave no lung; name those to leave out with --exclude")
        dose = sampled_gy(images.dose, lungs.axes, lungs.box, inside, images.transform)
        self._dose = self._covered(dose)
        self._steps = dose_steps(self._dose)
        self._perfusion, self._sides, self._inside = perfusion[inside], lungs.sides[inside], inside

    def _covered(self, dose: np.ndarray) -> np.ndarray:
        """The doses with 0 Gy outside the dose grid."""
        outside = np.isnan(dose)
        self.outside_percent = 100 * float(np.count_nonzero(outside)) / dose.size
        if 1 - self.outside_percent / 100 < LEAST_COVERED:
            raise InputError(
                f"its grid holds {100 - self.outside_percent:.0f} % of the lungs, too little for a lung dose; give "
                "the dose planned on this CT, on a grid that covers the lungs"
            )
        if self.outside_percent > 0:
            self.warnings.append(
                f"{self.outside_percent:.1f} % of the lungs lie outside the dose grid and count with 0 Gy"
            )
            dose[outside] = 0
        return np.maximum(dose, 0, out=dose)

    def measured(self, definition: Definition) -> tuple[dict[str, dict], dict]:
        """The figures of both lungs and of each, and the cumulative histograms behind them.

        Args:
            definition: of high- and low-functional lung.

        Returns:
            by region the dose of all lung, ``weighted`` with function, of ``high``- and of ``low``-functional lung;
            and the curves of the same, from 0 Gy in steps of ``STEP_GY``.
        """
        regions, curves = {}, {"step_gy": STEP_GY}
        steps = int(self._steps.max()) + 2
        high_everywhere, low_everywhere = self.classes(definition)
        for region in REGIONS:
            own = slice(None) if region == REGIONS[0] else self._sides == 1 + SIDES.index(region)
            dose, reached, perfusion = self._dose[own], self._steps[own], self._perfusion[own]
            high, low = high_everywhere[own], low_everywhere[own]
            whole = DoseHistogram(dose, steps=reached)
            parts = {
                "weighted": DoseHistogram(dose, perfusion, reached),
                "high": DoseHistogram(dose[high], steps=reached[high]),
                "low": DoseHistogram(dose[low], steps=reached[low]),
            }
            voxels = {"high": np.count_nonzero(high), "low": np.count_nonzero(low)}
            regions[region] = {
                "volume_ml": dose.size * self._voxel_ml,
                **whole.figures(),
                "maximum_gy": whole.maximum_gy,
                "weighted": parts["weighted"].figures(),
                **{
                    name: {"volume_ml": count * self._voxel_ml, **parts[name].figures()}
                    for name, count in voxels.items()
                },
            }
            drawn = {"volume": whole, "function": parts["weighted"], "high": parts["high"], "low": parts["low"]}
            curves[region] = {
                f"{name}_percent": np.round(one.curve_percent(steps), 4).tolist() for name, one in drawn.items()
            }
        return regions, curves

    def by_definition(self, definitions: Iterable[Definition]) -> list[dict]:
        """What high-functional lung of both lungs gets by each definition of it."""
        rows = []
        for definition in definitions:
            high, _ = self.classes(definition)
            volume_ml = np.count_nonzero(high) * self._voxel_ml
            rows.append(
                {
                    "definition": definition.name,
                    "threshold": self.threshold(definition),
                    "volume_ml": volume_ml,
                    "volume_percent": 100 * volume_ml / (high.size * self._voxel_ml),
                    **DoseHistogram(self._dose[high], steps=self._steps[high]).figures(),
                }
            )
        return rows

    def threshold(self, definition: Definition) -> float:
        """A definition's threshold in these lungs, the targets in them included: as their contours have it."""
        return definition.high_above(self._whole)

    def classes(self, definition: Definition) -> tuple[np.ndarray, np.ndarray]:
        """Where lung without the targets is high- and where it is low-functional: boolean (n,) each."""
        if not definition.specks_ml:
            high_above, low_up_to = definition.high_above(self._whole), definition.low_up_to(self._whole)
            return self._perfusion > high_above, self._perfusion <= low_up_to
        lungs = self._images.lungs
        perfusion = patient_array(self._images.perfusion)[lungs.box]
        classes = definition.classes(perfusion, lungs.sides, self._voxel_ml)[self._inside]
        return classes == HIGH, classes == LOW


def structure_dose(
    mask: np.ndarray, axes: PatientAxes, dose: sitk.Image, transform: sitk.Transform | None = None
) -> dict:
    """Volume and dose of one structure.

    Args:
        mask: boolean (z, y, x) along the patient's axes of the grid.
        axes: the grid.
        dose: Gy.
        transform: as for ``sampled_gy``.

    Returns:
        ``volume_ml``, ``mean_gy``, ``minimum_gy``, ``maximum_gy``, ``at_least_percent``, ``d98_gy``, ``d50_gy``,
        ``d2_gy`` (ICRU 83: what at least that percentage of the volume gets), ``outside_percent`` (outside the dose
        grid, where 0 Gy is counted); volume 0 and nothing of the rest for an empty mask.
    """
    box = bounding_box(mask)
    if box is None:
        return {"volume_ml": 0.0}
    found = sampled_gy(dose, axes, box, mask[box], transform)
    outside = np.isnan(found)
    found = np.where(outside, np.float32(0), np.maximum(found, 0))
    d98, d50, d2 = (float(value) for value in np.quantile(found, (0.02, 0.5, 0.98)))
    return {
        "volume_ml": found.size * axes.voxel_ml,
        **DoseHistogram(found).figures(),
        "minimum_gy": float(found.min()),
        "maximum_gy": float(found.max()),
        "d98_gy": d98,
        "d50_gy": d50,
        "d2_gy": d2,
        "outside_percent": 100 * float(outside.mean()),
    }
