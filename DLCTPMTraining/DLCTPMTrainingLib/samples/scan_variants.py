"""The same patient scanned and segmented in another way: what a network must not mind.

A variant has another HU offset, reconstruction kernel, noise, slice thickness and lung mask, each drawn by itself.
They act on the CT before it is brought to the network's grid, hence once, while samples are made. What is as honest
on the grid (movement, contrast) is drawn anew at every step (``augmentation``).
"""

from __future__ import annotations

import hashlib
import math

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from DLCTPMLib.labels.chest_regions import ChestRegion
from DLCTPMLib.lungs.upright import LEFT_SIDE, RIGHT_SIDE, UprightLungs
from DLCTPMLib.preprocessing.grid import area_weights
from DLCTPMLib.volumes.patient_axes import patient_array

OFFSET_HU = 15.0
"""Standard deviation of the offset between scanners, calibrations and beam qualities."""
BLUR_MM, SHARPENING = 1.2, 1.5
"""Widest Gaussian of a soft kernel; strongest unsharp mask (of 1 mm) of a sharp one."""
NOISE_HU = 60.0
"""Largest standard deviation of the noise of a voxel."""
THICKNESS_MM = (1.0, 10.0)
"""Thinnest and thickest slices."""
MASK_MM = 2.0
"""How far a mask's border moves in or out at most."""
EXCLUDED_HU = (-600.0, -200.0)
"""Range of the density from which a segmentation may leave out vessels and dense lung."""
HOLE_MM = (3.0, 10.0)
"""Radii of holes."""
MOST_HOLES = 6


def variant_stream(patient_id: str, number: int) -> np.random.Generator:
    """Where chance comes from for one variant of one patient, the same on every run."""
    digest = hashlib.sha256(f"{patient_id}/{number}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "little"))


def varied(
    ct: sitk.Image, lungs: sitk.Image | UprightLungs, rng: np.random.Generator
) -> tuple[sitk.Image, UprightLungs]:
    """A variant of a CT and its lungs, along the patient's axes.

    Args:
        ct: HU.
        lungs: of this CT, upright or as a label image of CIP values on its grid.
        rng: where chance comes from.

    Returns:
        the CT around the lungs, and the two lungs, without lobes.
    """
    lungs = UprightLungs.of(lungs)
    spacing = np.array(lungs.axes.spacing_mm)
    around = [math.ceil(2 * MASK_MM / one) + 1 for one in lungs.axes.spacing_mm]
    box = tuple(
        slice(max(part.start - more, 0), min(part.stop + more, n))
        for part, more, n in zip(lungs.box, around, lungs.axes.shape, strict=True)
    )
    sides = np.zeros(lungs.axes.shape, np.uint8)
    sides[lungs.box] = lungs.sides
    hu, sides = patient_array(ct)[box].astype(np.float32), sides[box]
    sides = _with_holes(moved_border(sides, spacing, MASK_MM * rng.uniform(-1, 1)), hu, spacing, rng)
    hu = _other_kernel(hu, spacing, rng) + np.float32(OFFSET_HU * rng.standard_normal())
    hu += np.float32(NOISE_HU * rng.random()) * rng.standard_normal(hu.shape, dtype=np.float32)
    slices = len(hu)
    if rng.random() < 0.5:
        hu, sides = _thicker(hu, sides, spacing[0], rng)
    reference = lungs.axes.image_of_box(box)
    images = []
    for values in (hu, np.array([0, ChestRegion.RIGHT_LUNG, ChestRegion.LEFT_LUNG], np.uint16)[sides]):
        image = sitk.GetImageFromArray(values)
        image.CopyInformation(reference) if len(values) == slices else _stack_along(image, reference, slices)
        images.append(image)
    return images[0], UprightLungs.of(images[1])


def moved_border(sides: np.ndarray, spacing: np.ndarray, outward_mm: float) -> np.ndarray:
    """Both lungs with their border moved out, or in where that is negative; neither grows into the other.

    Args:
        sides: 0 no lung, 1 right lung, 2 left lung, (z, y, x); with room around it to grow into.
        spacing: of the voxels, mm.
        outward_mm: to the nearest voxel.
    """
    lung = sides > 0
    if outward_mm < 0:
        depth = ndimage.distance_transform_edt(np.pad(lung, 1), spacing)[1:-1, 1:-1, 1:-1]
        return np.where(depth > -outward_mm + spacing.min() / 2, sides, 0).astype(np.uint8)
    away, nearest = ndimage.distance_transform_edt(~lung, spacing, return_indices=True)
    return np.where(away <= outward_mm + spacing.min() / 2, sides[tuple(nearest)], 0).astype(np.uint8)


def _with_holes(sides: np.ndarray, hu: np.ndarray, spacing: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Lungs without what is dense, in a third of cases; with some balls missing, in another third."""
    kind = rng.integers(3)
    if kind == 0:
        return np.where(hu > rng.uniform(*EXCLUDED_HU), 0, sides).astype(np.uint8)
    if kind == 1:
        inside = np.argwhere(sides)
        for centre in inside[rng.integers(len(inside), size=rng.integers(1, MOST_HOLES + 1))]:
            axes = [((np.arange(n) - c) * s) ** 2 for n, c, s in zip(sides.shape, centre, spacing, strict=True)]
            ball = axes[0][:, None, None] + axes[1][:, None] + axes[2] < rng.uniform(*HOLE_MM) ** 2
            sides = np.where(ball, 0, sides).astype(np.uint8)
    return sides


def _other_kernel(hu: np.ndarray, spacing: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A softer or a sharper reconstruction."""
    if rng.random() < 0.5:
        return ndimage.gaussian_filter(hu, BLUR_MM * rng.random() / spacing)
    return hu + np.float32(SHARPENING * rng.random()) * (hu - ndimage.gaussian_filter(hu, 1 / spacing))


def _thicker(
    hu: np.ndarray, sides: np.ndarray, spacing_mm: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Fewer, thicker slices; a voxel is a lung's where at least half of it is."""
    low, high = np.log(THICKNESS_MM)
    slices = max(round(len(hu) * spacing_mm / np.exp(rng.uniform(low, high))), 1)
    if slices >= len(hu):
        return hu, sides
    weights = area_weights(len(hu), slices)
    down = [np.tensordot(weights, values, 1) for values in (hu, sides == RIGHT_SIDE, sides == LEFT_SIDE)]
    return down[0], (down[1] >= 0.5) * np.uint8(RIGHT_SIDE) + (down[2] > 0.5) * np.uint8(LEFT_SIDE)


def _stack_along(image: sitk.Image, reference: sitk.Image, slices: int) -> None:
    """Give an image of fewer slices the extent of its reference."""
    spacing = list(reference.GetSpacing())
    shift = (slices / image.GetSize()[2] - 1) / 2  # the first slice's centre, in slices of the reference
    image.SetOrigin(reference.TransformContinuousIndexToPhysicalPoint((0, 0, shift)))
    image.SetDirection(reference.GetDirection())
    spacing[2] *= slices / image.GetSize()[2]
    image.SetSpacing(spacing)
