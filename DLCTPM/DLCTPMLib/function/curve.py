"""How the high-functional volume depends on where the line is drawn."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from DLCTPMLib.labels.chest_regions import SIDES
from DLCTPMLib.lungs.upright import UprightLungs
from DLCTPMLib.volumes.patient_axes import patient_array

CURVE_THRESHOLDS = tuple(round(0.02 * step, 2) for step in range(1, 50))
"""Relative perfusion 0.02 … 0.98; the paper's 0.66 is one of them."""


def volume_curve(perfusion: sitk.Image, lungs: UprightLungs) -> dict[str, list[float]]:
    """Volume above each of ``CURVE_THRESHOLDS``, in ml, of "lungs", "right lung" and "left lung".

    Args:
        perfusion: relative perfusion on the CT's grid.
        lungs: of that grid.
    """
    inside = lungs.sides > 0
    values, sides = patient_array(perfusion)[lungs.box][inside], lungs.sides[inside]
    steps = len(CURVE_THRESHOLDS)
    passed = np.searchsorted(np.array(CURVE_THRESHOLDS, values.dtype), values, side="left").astype(np.int32)
    counts = np.bincount(passed + (steps + 1) * (sides - np.int32(1)), minlength=2 * (steps + 1))
    above = np.cumsum(counts.reshape(2, -1)[:, ::-1], axis=1)[:, ::-1][:, 1:] * lungs.axes.voxel_ml
    return {
        "lungs": above.sum(axis=0).tolist(),
        **{side: row.tolist() for side, row in zip(SIDES, above, strict=True)},
    }
