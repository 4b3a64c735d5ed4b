"""One CT and its lungs as they might have come as well: tilted, segmented a little wider, reconstructed otherwise."""

from __future__ import annotations

import math

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from DLCTPMLib.lungs.upright import UprightLungs
from DLCTPMLib.volumes.patient_axes import PatientAxes, file_image, patient_array
from DLCTPMTrainingLib.samples.scan_variants import moved_border

TILT_DEGREES = 17.0
MASK_MM = 1.0
BLUR_MM = 1.0
"""Standard deviation of the Gaussian that makes a kernel softer, and of the unsharp mask that makes one sharper:
about the difference between a lung's and a soft tissue's."""
SHARPENING = 1.0
AXES = {"tilt about left–right": (1.0, 0.0, 0.0), "tilt about front–back": (0.0, 1.0, 0.0)}


def tilted(ct: sitk.Image, labels: sitk.Image, axis: tuple[float, float, float]) -> tuple[sitk.Image, sitk.Image]:
    """CT and lungs resampled on a grid of the same voxels, turned by ``TILT_DEGREES`` about an axis (LPS) through the
    middle of the lungs; nothing in the patient moves.
    """
    spacing = np.array(ct.GetSpacing())
    turn = np.array(
        sitk.VersorTransform(axis, math.radians(TILT_DEGREES)).GetMatrix()  # about the origin: a matrix
    ).reshape(3, 3)
    turned = turn @ np.array(ct.GetDirection()).reshape(3, 3)
    corners = np.array(
        [ct.TransformIndexToPhysicalPoint([int(n) for n in corner]) for corner in _corners_of_lungs(labels)]
    )
    along = corners @ turned  # coordinates along the turned axes
    low, high = along.min(axis=0) - 5 * spacing, along.max(axis=0) + 5 * spacing
    size = [int(n) for n in np.ceil((high - low) / spacing) + 1]
    grid = sitk.Image(size, sitk.sitkInt16)
    grid.SetSpacing(ct.GetSpacing())
    grid.SetDirection(turned.ravel().tolist())
    grid.SetOrigin((turned @ low).tolist())
    air = float(sitk.GetArrayViewFromImage(ct).min())
    return (
        sitk.Resample(ct, grid, sitk.Transform(), sitk.sitkLinear, air, sitk.sitkFloat32),
        sitk.Resample(labels, grid, sitk.Transform(), sitk.sitkNearestNeighbor, 0, labels.GetPixelID()),
    )


def _corners_of_lungs(labels: sitk.Image) -> np.ndarray:
    """Indices (x, y, z) of the corners of the box that holds the lungs."""
    inside = np.argwhere(sitk.GetArrayViewFromImage(labels) > 0)
    low, high = inside.min(axis=0)[::-1], inside.max(axis=0)[::-1]
    return np.array([np.where(pick, high, low) for pick in np.ndindex(2, 2, 2)])


def with_border(lungs: UprightLungs, ct: sitk.Image, outward_mm: float) -> sitk.Image:
    """Labels of both lungs with their border moved outwards, or inwards where negative."""
    more = math.ceil(abs(outward_mm) / min(lungs.axes.spacing_mm)) + 1
    sides = np.zeros([n + 2 * more for n in lungs.axes.shape], np.uint8)
    whole = sides[(slice(more, -more),) * 3]
    whole[lungs.box] = lungs.sides
    box = tuple(slice(part.start, part.stop + 2 * more) for part in lungs.box)
    sides[box] = moved_border(sides[box], np.array(lungs.axes.spacing_mm), outward_mm)
    return file_image(np.array([0, 2, 3], np.uint16)[whole], like=ct)  # CIP: right lung, left lung


def softer(ct: sitk.Image) -> sitk.Image:
    """The CT blurred."""
    return file_image(_blurred(ct), like=ct)


def sharper(ct: sitk.Image) -> sitk.Image:
    """The CT with an unsharp mask."""
    hu = patient_array(ct).astype(np.float32)
    return file_image(hu + np.float32(SHARPENING) * (hu - _blurred(ct)), like=ct)


def _blurred(ct: sitk.Image) -> np.ndarray:
    spacing = np.array(PatientAxes.of(ct).spacing_mm)
    return ndimage.gaussian_filter(patient_array(ct).astype(np.float32), BLUR_MM / spacing)
