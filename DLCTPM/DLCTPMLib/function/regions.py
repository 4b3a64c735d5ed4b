"""High- and low-functional lung, and what each region of the lungs holds: volume, mean, share of the perfusion."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.function.definitions import DEFAULT, HIGH, LOW, Definition
from DLCTPMLib.function.heterogeneity import heterogeneity
from DLCTPMLib.function.partitions import partitions_of
from DLCTPMLib.function.settings import FUNCTIONAL_THRESHOLD
from DLCTPMLib.labels.chest_regions import BOTH
from DLCTPMLib.lungs.upright import UprightLungs
from DLCTPMLib.volumes.patient_axes import file_image, patient_array


@dataclass(frozen=True)
class FunctionalLung:
    """The lungs of a map as a definition divides them. Make it with ``of``.

    Attributes:
        definition: of high-functional lung.
        high_above: the map's value above which lung is high-functional.
        low_up_to: that up to which it is low-functional; lower than ``high_above`` with tertiles only.
        classes: HIGH, LOW or MIDDLE (``function.definitions``) in the box of the lungs, 0 outside them, uint8.
        perfusion, lungs: what was divided.
    """

    definition: Definition
    high_above: float
    low_up_to: float
    classes: np.ndarray
    perfusion: sitk.Image
    lungs: UprightLungs

    @classmethod
    def of(
        cls, perfusion: sitk.Image, lungs: sitk.Image | UprightLungs, definition: Definition | float = DEFAULT
    ) -> FunctionalLung:
        """Divide the lungs.

        Args:
            perfusion: relative perfusion on the CT's grid.
            lungs: of that CT, upright or as a label image of CIP values on its grid.
            definition: of high-functional lung; a number is that share of the 75th percentile.

        Raises:
            InputError: the two lie on different grids, or the number is not between 0 and 1.
        """
        if not isinstance(definition, Definition):
            _check_threshold(definition)
            definition = Definition(value=float(definition))
        lungs = _of_map(lungs, perfusion)
        values = patient_array(perfusion)[lungs.box]
        inside = values[lungs.sides > 0] if definition.of_lungs else np.zeros(0)
        limits = definition.high_above(inside), definition.low_up_to(inside)
        classes = definition.classes(values, lungs.sides, lungs.axes.voxel_ml)
        return cls(definition, *limits, classes, perfusion, lungs)

    def labels(self) -> sitk.Image:
        """The classes as a uint8 label image on the CT's grid."""
        labels = np.zeros(self.lungs.axes.shape, np.uint8)
        labels[self.lungs.box] = self.classes
        return file_image(labels, like=self.perfusion)

    def table(self) -> dict[str, dict]:
        """The region table: ``MeasuredRegions.divided`` and the figures of ``function.heterogeneity``."""
        measured = MeasuredRegions(self.perfusion, self.lungs)
        table, uneven = measured.divided(self.classes), measured.heterogeneity()
        return {name: row | uneven[name] for name, row in table.items()}

    def settings(self) -> dict:
        """``functional_regions`` of ``result.json``."""
        between = {"low_up_to": self.low_up_to} if self.low_up_to < self.high_above else {}
        return {"definition": self.definition.name, "threshold": self.high_above, **between}


def functional_labels(
    perfusion: sitk.Image, lungs: sitk.Image | UprightLungs, definition: Definition | float = DEFAULT
) -> sitk.Image:
    """Divide the lungs into high- (1) and low-functional (2), and with tertiles what lies between them (3).

    Arguments and errors as for ``FunctionalLung.of``.

    Returns:
        uint8 label image on the CT's grid, 0 outside the lungs.
    """
    return FunctionalLung.of(perfusion, lungs, definition).labels()


def region_table(
    perfusion: sitk.Image, lungs: sitk.Image | UprightLungs, definition: Definition | float = DEFAULT
) -> dict[str, dict]:
    """Volume, mean perfusion, share of the total perfusion, functional volumes and unevenness of every region.

    Arguments and errors as for ``FunctionalLung.of``; the result as of ``FunctionalLung.table``.
    """
    return FunctionalLung.of(perfusion, lungs, definition).table()


def percentile_in_lungs(perfusion: sitk.Image, lungs: sitk.Image | UprightLungs, percent: float) -> float:
    """A percentile of a map over both lungs.

    Raises:
        InputError: the two lie on different grids.
    """
    lungs = _of_map(lungs, perfusion)
    return float(np.percentile(patient_array(perfusion)[lungs.box][lungs.sides > 0], percent))


class MeasuredRegions:
    """The regions of a map, gone through once; ``table`` then answers for any threshold.

    Args:
        perfusion: relative perfusion on the CT's grid.
        lungs: of that CT, upright or as a label image of CIP values on its grid.
    """

    def __init__(self, perfusion: sitk.Image, lungs: sitk.Image | UprightLungs):
        lungs = _of_map(lungs, perfusion)
        self._voxel_ml = lungs.axes.voxel_ml
        inside = self._inside = lungs.sides > 0
        values = patient_array(perfusion)[lungs.box][inside]
        self._parts = [(_Sums(part.labels[inside], values), part) for part in partitions_of(lungs)]

    def sort(self) -> MeasuredRegions:
        """Spend a while now so that every threshold is answered at once."""
        for sums, _ in self._parts:
            sums.sort()
        return self

    def table(self, threshold: float = FUNCTIONAL_THRESHOLD) -> dict[str, dict]:
        """The region table.

        Args:
            threshold: relative perfusion, 0…1; the paper's by default.

        Returns:
            by region name ("lungs", "right lung", "left lung", the lobes that the mask has, the thirds of each
            lung from above downwards and from front to back) a dict of ``volume_ml``, ``mean`` (None where the
            region is empty), ``perfusion_percent`` of the total in both lungs (None where nothing is perfused),
            ``high_ml`` and ``low_ml``.

        Raises:
            InputError: the threshold is not between 0 and 1.
        """
        _check_threshold(threshold)
        high = [sums.high(threshold) for sums, _ in self._parts]
        low = [sums.count - above for (sums, _), above in zip(self._parts, high, strict=True)]
        return self._table(high, low)

    def divided(self, classes: np.ndarray) -> dict[str, dict]:
        """The same table by the class of every voxel in the box of the lungs, before ``sort``.

        Where there is lung between high and low, every region has ``middle_ml`` too.
        """
        of_voxels = classes[self._inside]
        high, low = ([sums.count_of(of_voxels == kind) for sums, _ in self._parts] for kind in (HIGH, LOW))
        return self._table(high, low)

    def heterogeneity(self) -> dict[str, dict]:
        """By region name the figures of ``function.heterogeneity``, before ``sort``."""
        own = {name: sums.values_of(labels) for sums, part in self._parts for name, labels in part.there(sums.count)}
        mean = own[BOTH].mean(dtype=np.float64) if own[BOTH].size else 0.0
        return {name: heterogeneity(values, mean) for name, values in own.items()}

    def _table(self, high: list[np.ndarray], low: list[np.ndarray]) -> dict[str, dict]:
        rows = dict(self._rows(high, low))
        count, all_perfusion, *divided = rows["lungs"]
        has_middle = sum(divided) < count
        table = {}
        for name, (count, total, in_high, in_low) in rows.items():
            table[name] = {
                "volume_ml": count * self._voxel_ml,
                "mean": total / count if count else None,
                "perfusion_percent": 100 * total / all_perfusion if all_perfusion > 0 else None,
                "high_ml": in_high * self._voxel_ml,
                "low_ml": in_low * self._voxel_ml,
            }
            if has_middle:
                table[name]["middle_ml"] = (count - in_high - in_low) * self._voxel_ml
        return table

    def _rows(self, high: list[np.ndarray], low: list[np.ndarray]) -> Iterator[tuple[str, tuple]]:
        for (sums, part), above, below in zip(self._parts, high, low, strict=True):
            for name, labels in part.there(sums.count):
                yield name, sums.of(labels, above, below)


class _Sums:
    """Voxels and summed perfusion of every CIP region, and the values themselves for the functional volumes."""

    def __init__(self, regions: np.ndarray, values: np.ndarray):
        self.count = np.bincount(regions, minlength=256)
        self.total = np.bincount(regions, weights=values, minlength=256)
        self._regions, self._values = regions, values
        self._sorted: dict[int, np.ndarray] | None = None

    def sort(self) -> None:
        """Sort every region's values."""
        self._sorted = {int(r): np.sort(self._values[self._regions == r]) for r in np.flatnonzero(self.count)}
        self._regions = self._values = np.empty(0, np.float32)

    def high(self, threshold: float) -> np.ndarray:
        """High-functional voxels of every region."""
        if self._sorted is None:
            return self.count_of(self._values > float(threshold))
        counts = np.zeros(256, int)
        for region, values in self._sorted.items():
            limit = np.asarray(float(threshold), values.dtype)  # compared in the map's own precision, as above
            counts[region] = values.size - np.searchsorted(values, limit, side="right")
        return counts

    def count_of(self, voxels: np.ndarray) -> np.ndarray:
        """How many of some voxels lie in every region, before ``sort``."""
        return np.bincount(self._regions, weights=voxels, minlength=256)

    def values_of(self, regions: Iterable[int]) -> np.ndarray:
        """The values of some regions together, before ``sort``."""
        chosen = np.zeros(256, bool)
        chosen[[int(region) for region in regions]] = True
        return self._values[chosen[self._regions]]

    def of(self, regions: Iterable[int], high: np.ndarray, low: np.ndarray) -> tuple[int, float, int, int]:
        """Voxels, summed perfusion, high- and low-functional voxels of some regions together."""
        index = [int(region) for region in regions]
        return (
            int(self.count[index].sum()),
            float(self.total[index].sum()),
            int(high[index].sum()),
            int(low[index].sum()),
        )


def _check_threshold(threshold: float) -> None:
    if not 0 < threshold < 1:
        raise InputError(f"the threshold between high- and low-functional lung is {threshold:g}: give one in 0…1")


def _of_map(lungs: sitk.Image | UprightLungs, perfusion: sitk.Image) -> UprightLungs:
    """The lungs upright, once they are known to lie on the map's grid."""
    lungs = UprightLungs.of(lungs)
    if not lungs.lie_on(perfusion):
        raise InputError("the perfusion map and the lungs lie on different grids: give both on the CT's grid")
    return lungs
