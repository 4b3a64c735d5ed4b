"""High- and low-functional lung, and what each region of the lungs holds: volume, mean, share of the perfusion."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import SimpleITK as sitk

from DLCTPMLib.chest_regions import (
    LEFT,
    LEFT_THIRDS,
    LOBES,
    LUNG,
    RIGHT,
    RIGHT_THIRDS,
    display_name,
    is_region,
    region_of,
)
from DLCTPMLib.errors import InputError
from DLCTPMLib.lungs import bounding_box, thirds
from DLCTPMLib.patient_axes import PatientAxes, patient_array, same_grid

HIGH, LOW = 1, 2
"""Values of ``functional_labels``: high-functional lung (above the threshold), low-functional lung."""

PERFUSION_SHARE_NOTE = (
    "Shares of perfusion are the map's sum over a region against that over both lungs. The map stops at 1, the "
    "75th percentile of the patient's lung perfusion, so shares lie nearer to the shares of volume than those of "
    "a perfusion scan."
)
"""To be shown wherever shares of perfusion are."""


def functional_labels(perfusion: sitk.Image, lungs: sitk.Image, threshold: float = 0.66) -> sitk.Image:
    """Divide the lungs into high-functional (> threshold, value 1) and low-functional (≤ threshold, value 2).

    Args:
        perfusion: relative perfusion on the CT's grid.
        lungs: label image with CIP values on the same grid.
        threshold: relative perfusion, 0…1; the paper's 0.66.

    Returns:
        uint8 label image on the CT's grid, 0 outside the lungs.

    Raises:
        InputError: the two lie on different grids, or the threshold is not between 0 and 1.
    """
    _check(perfusion, lungs, threshold)
    lung = is_region(sitk.GetArrayViewFromImage(lungs), LUNG)
    high = sitk.GetArrayViewFromImage(perfusion) > threshold
    labels = sitk.GetImageFromArray(np.where(lung, np.where(high, HIGH, LOW), 0).astype(np.uint8))
    labels.CopyInformation(lungs)
    return labels


def region_table(perfusion: sitk.Image, lungs: sitk.Image, threshold: float = 0.66) -> dict[str, dict]:
    """Volume, mean perfusion, share of the total perfusion, and functional volumes of every region.

    Arguments and errors as for ``functional_labels``.

    Returns:
        by region name ("lungs", "right lung", "left lung", the lobes that the mask has, the thirds of each
        lung) a dict of ``volume_ml``, ``mean`` (None where the region is empty), ``perfusion_percent`` of the
        total in both lungs (None where nothing is perfused), ``high_ml`` and ``low_ml``. Put
        ``PERFUSION_SHARE_NOTE`` beside the shares.
    """
    _check(perfusion, lungs, threshold)
    voxel_ml = PatientAxes.of(lungs).voxel_ml
    labels = patient_array(lungs)
    box = bounding_box(labels) or (slice(0, 0),) * 3
    inside = is_region(labels[box], LUNG)
    values = patient_array(perfusion)[box][inside]
    regions = _Sums(region_of(labels[box][inside]), values, threshold)
    by_third = _Sums(region_of(patient_array(thirds(lungs))[box][inside]), values, threshold)

    whole = regions.of(LUNG)
    table = {}
    for name, sums in _rows(regions, by_third):
        count, total, high = sums
        table[name] = {
            "volume_ml": count * voxel_ml,
            "mean": total / count if count else None,
            "perfusion_percent": 100 * total / whole[1] if whole[1] > 0 else None,
            "high_ml": high * voxel_ml,
            "low_ml": (count - high) * voxel_ml,
        }
    return table


class _Sums:
    """Voxels, summed perfusion and high-functional voxels of every CIP region."""

    def __init__(self, regions: np.ndarray, values: np.ndarray, threshold: float):
        self.count = np.bincount(regions, minlength=256)
        self.total = np.bincount(regions, weights=values, minlength=256)
        self.high = np.bincount(regions, weights=values > threshold, minlength=256)

    def of(self, regions) -> tuple[int, float, int]:
        """The three sums over some regions together."""
        index = [int(region) for region in regions]
        return int(self.count[index].sum()), float(self.total[index].sum()), int(self.high[index].sum())


def _rows(regions: _Sums, by_third: _Sums) -> Iterator[tuple[str, tuple[int, float, int]]]:
    yield "lungs", regions.of(LUNG)
    yield "right lung", regions.of(RIGHT)
    yield "left lung", regions.of(LEFT)
    for lobe in sorted(LOBES):
        if regions.count[int(lobe)]:
            yield display_name(lobe), regions.of([lobe])
    for third in (*RIGHT_THIRDS, *LEFT_THIRDS):
        if by_third.count[int(third)]:
            yield display_name(third), by_third.of([third])


def _check(perfusion: sitk.Image, lungs: sitk.Image, threshold: float) -> None:
    if not 0 < threshold < 1:
        raise InputError(f"the threshold between high- and low-functional lung is {threshold:g}: give one in 0…1")
    if not same_grid(perfusion, lungs):
        raise InputError("the perfusion map and the lungs lie on different grids: give both on the CT's grid")
