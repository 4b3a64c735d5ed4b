"""A comparison with a SPECT as files: the images that were compared, on the SPECT's own grid, and their histogram."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from DLCTPMLib.agreement.comparison import MODEL, SpectComparison
from DLCTPMLib.volumes.patient_axes import file_image
from DLCTPMLib.volumes.reading import write_image

COMPARISON_FILES = (
    "spect_relative.nrrd",
    "perfusion_on_spect.nrrd",
    "difference_on_spect.nrrd",
    "joint_histogram.csv",
)
"""What ``write_comparison`` writes."""


def write_comparison(folder: Path, comparison: SpectComparison, spect: sitk.Image) -> None:
    """Write what was compared.

    - ``spect_relative.nrrd``: the standardised SPECT, S/HIR, not clipped;
    - ``perfusion_on_spect.nrrd``: the map, as means over the lung part of every voxel;
    - ``difference_on_spect.nrrd``: the map minus the standardised SPECT clipped at 1, where the map ends too;
    - ``joint_histogram.csv``: how many voxels of the lungs take each pair of values (centres of the bins; values
      above the last bin are counted in it).

    The images are float32 on the SPECT's grid as its file has it, 0 outside the lungs and in a lung whose SPECT has
    no high intensity region.

    Args:
        folder: an existing folder.
        comparison: what to write.
        spect: the SPECT it was made with; gives the grid.
    """
    reference = np.nan_to_num(comparison.reference())
    perfusion = np.where(comparison.masks["lungs"], comparison.predictions[MODEL], 0).astype(np.float32)
    known = comparison.masks["lungs"] & np.isfinite(comparison.reference())
    difference = np.where(known, perfusion - np.clip(reference, 0, 1), 0).astype(np.float32)
    for name, array in zip(COMPARISON_FILES, (reference, perfusion, difference), strict=False):
        write_image(file_image(array, like=spect), folder / name)

    counts, edges = comparison.joint_histogram()
    centres = (edges[:-1] + edges[1:]) / 2
    with (folder / COMPARISON_FILES[-1]).open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(("spect", "map", "voxels"))
        for row, column in np.argwhere(counts).tolist():
            table.writerow((f"{centres[column]:.6g}", f"{centres[row]:.6g}", int(counts[row, column])))
