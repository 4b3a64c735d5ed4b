"""The two images that registration compares: what a SPECT of these lungs would look like, and the SPECT itself."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from DLCTPMLib.errors import InputError
from DLCTPMLib.lungs import bounding_box, side_masks
from DLCTPMLib.patient_axes import PatientAxes, patient_array
from DLCTPMLib.spect_grid import SpectGrid, spect_values


def expected_spect(
    ct: sitk.Image, lungs: sitk.Image, spect: sitk.Image, blur_mm: float, margin_mm: float
) -> tuple[sitk.Image, tuple[float, float, float]]:
    """The lungs' mass on an upright grid of the SPECT's spacing, blurred as a SPECT; and the lungs' centre.

    Mass rather than volume: blood flow follows tissue, and both are higher in the dependent lung.

    Args:
        ct: HU.
        lungs: label image with CIP values on the CT's grid.
        spect: only its spacing is read.
        blur_mm: Gaussian σ.
        margin_mm: how far the grid reaches beyond the lungs.

    Raises:
        InputError: if there is no lung.
    """
    axes = PatientAxes.of(lungs)
    right, left = side_masks(lungs)
    box = bounding_box(right | left)
    if box is None:
        raise InputError("the lung mask is empty: give a mask in which both lungs are labelled, or none")
    grid = _grid_over(axes, box, np.array(PatientAxes.of(spect).spacing_mm[::-1]), margin_mm)
    part = SpectGrid.of_masks(right, left, axes, PatientAxes.of(grid))
    density = np.zeros(axes.shape, np.float32)
    density[box] = np.clip((patient_array(ct)[box].astype(np.float32) + 1000) / 1000, 0, 1)
    mass = part.lung * part.mean_over_lung(density)
    centre = part.axes.points_mm(np.array([_centre_of(part.lung)]))[0]
    image = sitk.SmoothingRecursiveGaussian(part.axes.image(mass), blur_mm)
    return image, tuple(float(c) for c in centre)


def _grid_over(axes: PatientAxes, box: tuple[slice, ...], spacing_mm: np.ndarray, margin_mm: float) -> sitk.Image:
    """An empty upright image around a box of a CT."""
    ends = np.array([[part.start, part.stop - 1] for part in box])
    corners = axes.points_mm(np.array([ends[range(3), bits] for bits in np.ndindex(2, 2, 2)]))
    low = corners.min(axis=0) - margin_mm
    size = np.ceil((corners.max(axis=0) + margin_mm - low) / spacing_mm).astype(int) + 1
    grid = sitk.Image([int(n) for n in size], sitk.sitkUInt8)
    grid.SetSpacing(spacing_mm.tolist())
    grid.SetOrigin(low.tolist())
    return grid


def _centre_of(weights: np.ndarray) -> list[float]:
    """Index (z, y, x) of the centre of a volume."""
    sums = [weights.sum(axis=tuple(b for b in range(3) if b != a), dtype=float) for a in range(3)]
    return [float(np.average(np.arange(len(s)), weights=s)) for s in sums]


def coarse_ct(ct: sitk.Image, spect: sitk.Image) -> tuple[sitk.Image, tuple[float, float, float]]:
    """The CT averaged to about the SPECT's spacing, and its centre."""
    factors = [max(1, round(min(spect.GetSpacing()) / spacing)) for spacing in ct.GetSpacing()]
    coarse = sitk.BinShrink(sitk.Clamp(sitk.Cast(ct, sitk.sitkFloat32), lowerBound=-1000, upperBound=300), factors)
    return coarse, coarse.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in coarse.GetSize()])


def saturated_spect(spect: sitk.Image, share: float) -> sitk.Image:
    """The SPECT clipped at ``share`` of its mean level in the lungs, so that their outline counts; float32.

    It lies along the patient's axes, so that the order of the file's axes changes nothing.

    That level is the mean above Otsu's threshold, with the hottest 0.2 % of the voxels clipped beforehand (clumps
    of particles, the injected vein).

    Raises:
        InputError: if the SPECT is no volume of numbers, or has none above zero.
    """
    values = spect_values(spect)
    positive = values[values > 0]
    if not len(positive):
        raise InputError("the SPECT has no positive value: give the reconstructed perfusion SPECT")
    capped = np.minimum(positive, np.percentile(positive, 99.8))
    lung = capped[capped > _otsu(capped)]
    level = float(lung.mean()) if len(lung) else float(capped.max())
    return PatientAxes.of(spect).image(np.clip(values, 0, np.float32(share * level)))


def _otsu(values: np.ndarray) -> float:
    """The threshold that divides values best into two classes (Otsu 1979)."""
    counts, edges = np.histogram(values, 256)
    middles = (edges[1:] + edges[:-1]) / 2
    below, moment = np.cumsum(counts)[:-1], np.cumsum(counts * middles)[:-1]
    total, mean = counts.sum(), (counts * middles).sum() / counts.sum()
    between = (mean * below - moment) ** 2 / np.maximum(below * (total - below), 1)
    return float(edges[1:-1][between.argmax()])
