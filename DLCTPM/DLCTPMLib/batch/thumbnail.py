"""A small picture of a map: the coronal slice through the middle of the lungs, the map over the CT."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk
from matplotlib import colormaps, image

from DLCTPMLib.results.figures import COLOUR_MAP, WINDOW_HU
from DLCTPMLib.volumes.patient_axes import PatientAxes, patient_array

PIXEL_MM = 3.0
OVERLAY = 0.6
"""How much of a lung's colour is the map's."""


def write_thumbnail(path: Path, ct: sitk.Image, perfusion: sitk.Image, lungs: sitk.Image) -> None:
    """Write the picture as PNG, pixels of ``PIXEL_MM``, the patient's right on the left, the head at the top.

    Args:
        path: the file.
        ct: HU.
        perfusion: relative perfusion on the CT's grid.
        lungs: labels on that grid, not 0 in the lungs.
    """
    axes, lung = PatientAxes.of(ct), patient_array(lungs) > 0
    along = np.flatnonzero(lung.any(axis=(0, 2)))
    middle = int(along.mean()) if len(along) else lung.shape[1] // 2
    rows, columns = (
        np.linspace(0, count - 1, max(1, round(count * mm / PIXEL_MM))).round().astype(int)
        for count, mm in ((lung.shape[0], axes.spacing_mm[0]), (lung.shape[2], axes.spacing_mm[2]))
    )
    at = np.ix_(rows[::-1], [middle], columns)  # z runs upward, rows of a picture downward
    hu, values, inside = (patient_array(one)[at][:, 0] for one in (ct, perfusion, lungs))
    low, high = WINDOW_HU
    picture = np.repeat(np.clip((hu.astype(np.float32) - low) / (high - low), 0, 1)[..., None], 3, axis=2)
    coloured = (1 - OVERLAY) * picture + OVERLAY * colormaps[COLOUR_MAP](np.clip(values, 0, 1))[..., :3]
    image.imsave(path, np.where((inside > 0)[..., None], coloured, picture).astype(np.float32))
