"""The two images that registration compares: what a SPECT of these lungs would look like, and the SPECT itself."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import SimpleITK as sitk

from DLCTPMLib.agreement.spect_grid import spect_values
from DLCTPMLib.common.errors import InputError
from DLCTPMLib.lungs.upright import UprightLungs
from DLCTPMLib.volumes.patient_axes import PatientAxes, patient_array


@dataclass(frozen=True)
class FixedImage:
    """What the SPECT is laid on.

    Attributes:
        image: float32.
        centre_mm: LPS centre of what is compared; the SPECT is turned about it.
        spread_mm2: mean squared distance of what is compared from its centre, along LPS x, y and z.
    """

    image: sitk.Image
    centre_mm: tuple[float, float, float]
    spread_mm2: tuple[float, float, float]

    @classmethod
    def of(cls, image: sitk.Image, weights: np.ndarray, axes: PatientAxes) -> FixedImage:
        """With the centre and the spread of ``weights``, an array (z, y, x) along ``axes``."""
        index = np.argwhere(weights > 0)
        share = weights[weights > 0].astype(float) / weights.sum(dtype=float)
        points = axes.points_mm(index)
        centre = share @ points
        spread = share @ (points - centre) ** 2
        return cls(image, tuple(map(float, centre)), tuple(map(float, spread)))


def expected_spect(
    ct: sitk.Image,
    lungs: sitk.Image | UprightLungs,
    spect: sitk.Image,
    blur_mm: float,
    margin_mm: float,
    gravity_percent_per_cm: float,
) -> FixedImage:
    """The lungs' mass in cells of about the SPECT's spacing, blurred as a SPECT; with the lungs' centre and spread.

    Mass rather than volume: blood flow follows tissue, and both are higher in the dependent lung. Flow in each
    gram of tissue rises towards the back too. The cells are blocks of whole CT voxels, along the CT's own axes.

    Args:
        ct: HU.
        lungs: upright, or as a label image of CIP values on the CT's grid.
        spect: only its spacing is read.
        blur_mm: Gaussian σ.
        margin_mm: how far the cells reach beyond the lungs.
        gravity_percent_per_cm: by how much flow per gram rises towards the back of a patient who lies on it.

    Raises:
        InputError: if there is no lung.
    """
    lungs = UprightLungs.of(lungs)
    axes, box = lungs.axes, lungs.box
    if not lungs.sides.size:
        raise InputError("the lung mask is empty: give a mask in which both lungs are labelled, or none")
    block = np.maximum(1, np.round(np.divide(PatientAxes.of(spect).spacing_mm, axes.spacing_mm))).astype(int)
    volume, mass = _volume_and_mass(patient_array(ct)[box], lungs.sides, block)
    cell = np.array(axes.spacing_mm) * block
    margin = np.ceil(margin_mm / cell).astype(int)
    first = np.array([part.start for part in box]) - margin * block + (block - 1) / 2
    cells = PatientAxes(
        (0, 1, 2),
        (False,) * 3,
        tuple(int(n) for n in mass.shape + 2 * margin),
        tuple(float(c) for c in cell),
        tuple(float(o) for o in axes.points_mm(first[None])[0]),
        axes.directions,
    )
    around = [(int(n), int(n)) for n in margin]
    place = FixedImage.of(cells.image(np.pad(mass, around)), np.pad(volume, around), cells)
    flow = np.pad(mass, around) * _gravity(cells, place.centre_mm[1], gravity_percent_per_cm)
    return replace(place, image=sitk.SmoothingRecursiveGaussian(cells.image(flow), blur_mm))


def _gravity(cells: PatientAxes, centre_mm: float, percent_per_cm: float) -> np.ndarray:
    """Flow per gram in every cell, 1 at the height ``centre_mm`` (LPS y) of the lungs' centre; float32 (z, y, x)."""
    corner, *ends = cells.points_mm(np.vstack([np.zeros(3), np.eye(3)]))[:, 1]
    behind = corner - centre_mm
    for axis, (end, count) in enumerate(zip(ends, cells.shape, strict=True)):
        behind = behind + np.expand_dims((end - corner) * np.arange(count), [a for a in range(3) if a != axis])
    return np.clip(1 + percent_per_cm / 100 * behind / 10, 0.2, None).astype(np.float32)


def _volume_and_mass(hu: np.ndarray, sides: np.ndarray, block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lung part and mean lung density (water is 1) of every block of CT voxels: two float32 arrays (z, y, x).

    Worked out slab by slab, so that nothing as large as the CT is made.
    """
    layers = int(block[0])
    rows, columns = (np.arange(0, n, b) for n, b in zip(hu.shape[1:], block[1:], strict=True))
    shape = (-(-hu.shape[0] // layers), len(rows), len(columns))
    volume, mass = np.empty(shape, np.float32), np.empty(shape, np.float32)
    for z in range(shape[0]):
        slab = slice(z * layers, (z + 1) * layers)
        lung = sides[slab] > 0
        density = np.clip(hu[slab].astype(np.float32), -1000, 0) / 1000 + 1
        for out, values in ((volume, lung), (mass, density * lung)):
            flat = values.sum(axis=0, dtype=np.float32)
            out[z] = np.add.reduceat(np.add.reduceat(flat, rows, axis=0), columns, axis=1)
    return volume / np.float32(block.prod()), mass / np.float32(block.prod())


def coarse_ct(ct: sitk.Image, spect: sitk.Image) -> FixedImage:
    """The CT averaged to about the SPECT's spacing; with the centre and spread of what is not air."""
    factors = [max(1, round(min(spect.GetSpacing()) / spacing)) for spacing in ct.GetSpacing()]
    coarse = sitk.BinShrink(sitk.Clamp(sitk.Cast(ct, sitk.sitkFloat32), lowerBound=-1000, upperBound=300), factors)
    axes = PatientAxes.of(coarse)
    return FixedImage.of(coarse, patient_array(coarse) > -500, axes)


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
