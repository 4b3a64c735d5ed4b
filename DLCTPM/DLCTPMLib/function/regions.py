"""High- and low-functional lung, and what each region of the lungs holds: volume, mean, share of the perfusion."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import SimpleITK as sitk

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.function.settings import FUNCTIONAL_THRESHOLD
from DLCTPMLib.labels.chest_regions import (
    LEFT,
    LEFT_THIRDS,
    LOBES,
    LUNG,
    RIGHT,
    RIGHT_THIRDS,
    display_name,
)
from DLCTPMLib.lungs.upright import UprightLungs
from DLCTPMLib.volumes.patient_axes import file_image, patient_array

HIGH, LOW = 1, 2
"""Values of ``functional_labels``: high-functional lung (above the threshold), low-functional lung."""


def functional_labels(
    perfusion: sitk.Image, lungs: sitk.Image | UprightLungs, threshold: float = FUNCTIONAL_THRESHOLD
) -> sitk.Image:
    """Divide the lungs into high-functional (> threshold, value 1) and low-functional (≤ threshold, value 2).

    Args:
        perfusion: relative perfusion on the CT's grid.
        lungs: of that CT, upright or as a label image of CIP values on its grid.
        threshold: relative perfusion, 0…1; the paper's by default.

    Returns:
        uint8 label image on the CT's grid, 0 outside the lungs.

    Raises:
        InputError: the two lie on different grids, or the threshold is not between 0 and 1.
    """
    _check_threshold(threshold)
    lungs = _of_map(lungs, perfusion)
    high = patient_array(perfusion)[lungs.box] > threshold
    labels = np.zeros(lungs.axes.shape, np.uint8)
    labels[lungs.box] = np.where(high, np.uint8(HIGH), np.uint8(LOW)) * (lungs.sides > 0)
    return file_image(labels, like=perfusion)


def region_table(
    perfusion: sitk.Image, lungs: sitk.Image | UprightLungs, threshold: float = FUNCTIONAL_THRESHOLD
) -> dict[str, dict]:
    """Volume, mean perfusion, share of the total perfusion, and functional volumes of every region.

    Arguments and errors as for ``functional_labels``; the result as of ``MeasuredRegions.table``.
    """
    return MeasuredRegions(perfusion, lungs).table(threshold)


class MeasuredRegions:
    """The regions of a map, gone through once; ``table`` then answers for any threshold.

    Args:
        perfusion: relative perfusion on the CT's grid.
        lungs: of that CT, upright or as a label image of CIP values on its grid.
    """

    def __init__(self, perfusion: sitk.Image, lungs: sitk.Image | UprightLungs):
        lungs = _of_map(lungs, perfusion)
        self._voxel_ml = lungs.axes.voxel_ml
        inside = lungs.sides > 0
        values = patient_array(perfusion)[lungs.box][inside]
        self._regions = _Sums(lungs.regions()[inside], values)
        self._by_third = _Sums(lungs.thirds()[inside], values)

    def sort(self) -> MeasuredRegions:
        """Spend a while now so that every threshold is answered at once."""
        self._regions.sort()
        self._by_third.sort()
        return self

    def table(self, threshold: float = FUNCTIONAL_THRESHOLD) -> dict[str, dict]:
        """The region table.

        Args:
            threshold: relative perfusion, 0…1; the paper's by default.

        Returns:
            by region name ("lungs", "right lung", "left lung", the lobes that the mask has, the thirds of each
            lung) a dict of ``volume_ml``, ``mean`` (None where the region is empty), ``perfusion_percent`` of the
            total in both lungs (None where nothing is perfused), ``high_ml`` and ``low_ml``.

        Raises:
            InputError: the threshold is not between 0 and 1.
        """
        _check_threshold(threshold)
        table = {}
        rows = dict(self._rows(threshold))
        whole = rows["lungs"]
        for name, (count, total, high) in rows.items():
            table[name] = {
                "volume_ml": count * self._voxel_ml,
                "mean": total / count if count else None,
                "perfusion_percent": 100 * total / whole[1] if whole[1] > 0 else None,
                "high_ml": high * self._voxel_ml,
                "low_ml": (count - high) * self._voxel_ml,
            }
        return table

    def _rows(self, threshold: float) -> Iterator[tuple[str, tuple[int, float, int]]]:
        high, high_by_third = self._regions.high(threshold), self._by_third.high(threshold)
        for name, parts in (("lungs", LUNG), ("right lung", RIGHT), ("left lung", LEFT)):
            yield name, self._regions.of(parts, high)
        for lobe in sorted(LOBES):
            if self._regions.count[int(lobe)]:
                yield display_name(lobe), self._regions.of([lobe], high)
        for third in (*RIGHT_THIRDS, *LEFT_THIRDS):
            if self._by_third.count[int(third)]:
                yield display_name(third), self._by_third.of([third], high_by_third)


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
            return np.bincount(self._regions, weights=self._values > float(threshold), minlength=256)
        counts = np.zeros(256, int)
        for region, values in self._sorted.items():
            limit = np.asarray(float(threshold), values.dtype)  # compared in the map's own precision, as above
            counts[region] = values.size - np.searchsorted(values, limit, side="right")
        return counts

    def of(self, regions, high: np.ndarray) -> tuple[int, float, int]:
        """Voxels, summed perfusion and high-functional voxels of some regions together."""
        index = [int(region) for region in regions]
        return int(self.count[index].sum()), float(self.total[index].sum()), int(high[index].sum())


def _check_threshold(threshold: float) -> None:
    if not 0 < threshold < 1:
        raise InputError(f"the threshold between high- and low-functional lung is {threshold:g}: give one in 0…1")


def _of_map(lungs: sitk.Image | UprightLungs, perfusion: sitk.Image) -> UprightLungs:
    """The lungs upright, once they are known to lie on the map's grid."""
    lungs = UprightLungs.of(lungs)
    if not lungs.lie_on(perfusion):
        raise InputError("the perfusion map and the lungs lie on different grids: give both on the CT's grid")
    return lungs
