"""A dose brought to the voxels where it is wanted: trilinear, a slab of slices at a time."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from DLCTPMLib.volumes.patient_axes import PatientAxes

Box = tuple[slice, slice, slice]
_SLAB_VOXELS = 8_000_000


def sampled_gy(
    dose: sitk.Image, axes: PatientAxes, box: Box, inside: np.ndarray, transform: sitk.Transform | None = None
) -> np.ndarray:
    """The dose at some voxels of a grid.

    Args:
        dose: Gy, on any grid.
        axes: the grid.
        box: a box of its (z, y, x) patient-axes view.
        inside: boolean, of the box's shape: the voxels that are wanted.
        transform: maps points of the grid to points of the dose; None where they lie in the same place.

    Returns:
        float32 (n,) in the order of ``inside``; not a number outside the dose grid.
    """
    found = np.empty(np.count_nonzero(inside), np.float32)
    layers = max(1, _SLAB_VOXELS // max(1, inside[0].size)) if inside.size else 1
    at = 0
    for start in range(0, len(inside), layers):
        wanted = inside[start : start + layers]
        if not wanted.any():
            continue
        first = box[0].start + start
        grid = axes.image_of_box((slice(first, first + len(wanted)), box[1], box[2]))
        brought = sitk.Resample(
            dose, grid, transform or sitk.Transform(), sitk.sitkLinear, float("nan"), sitk.sitkFloat32
        )
        values = sitk.GetArrayViewFromImage(brought)[wanted]
        found[at : at + values.size] = values
        at += values.size
    return found
