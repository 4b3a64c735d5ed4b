"""A volume's array seen along the patient's own axes, whatever order and direction its file has.

Inside the engine every array is (z, y, x) with z towards the head, y towards the back and x towards the
patient's left (the positive directions of DICOM's LPS system). ``PatientAxes`` tells how a file's array is
turned into that view and back; both are NumPy views, so nothing is copied and no voxel moves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

OBLIQUE_TOLERANCE = 1e-3
"""Largest off-axis direction cosine that still counts as lying along the patient's axes."""


@dataclass(frozen=True)
class PatientAxes:
    """How the array axes of one image grid lie in the patient.

    Attributes:
        permutation: for each view axis (z, y, x), the axis of the file's array that runs along it.
        flipped: for each view axis, whether the file runs against it.
        spacing_mm: voxel spacing along the view axes (z, y, x).
        origin_mm: LPS position (x, y, z) of the view's first voxel centre.
        directions: columns are the unit LPS directions of the view axes x, y, z; the identity unless oblique.
    """

    permutation: tuple[int, int, int]
    flipped: tuple[bool, bool, bool]
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    origin_mm: tuple[float, float, float]
    directions: np.ndarray

    @classmethod
    def of(cls, image: sitk.Image) -> PatientAxes:
        """Read the axes of a three-dimensional image from its direction matrix.

        An oblique image gets the view nearest to the patient's axes; ask ``is_oblique``.
        """
        matrix = np.array(image.GetDirection()).reshape(3, 3)
        letters = "LRPASI"  # DICOMOrientImageFilter's letters name where an axis runs to
        code = sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(image.GetDirection())
        world_of_file = [letters.index(letter) // 2 for letter in code]  # file x, y, z → world x, y, z
        reversed_file = [letters.index(letter) % 2 == 1 for letter in code]
        file_of_world = [world_of_file.index(axis) for axis in range(3)]

        size, spacing = image.GetSize(), image.GetSpacing()
        corner = [size[axis] - 1 if reversed_file[axis] else 0 for axis in range(3)]
        signs = np.array([-1.0 if reversed_file[axis] else 1.0 for axis in file_of_world])
        zyx = [file_of_world[world] for world in (2, 1, 0)]
        return cls(
            permutation=tuple(2 - axis for axis in zyx),
            flipped=tuple(reversed_file[axis] for axis in zyx),
            shape=tuple(size[axis] for axis in zyx),
            spacing_mm=tuple(spacing[axis] for axis in zyx),
            origin_mm=tuple(image.TransformIndexToPhysicalPoint([int(i) for i in corner])),
            directions=matrix[:, file_of_world] * signs,
        )

    @property
    def is_oblique(self) -> bool:
        """Whether the grid is tilted against the patient's axes."""
        return bool(np.abs(self.directions - np.eye(3)).max() > OBLIQUE_TOLERANCE)

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in millilitres, by the determinant of its axes."""
        return float(np.prod(self.spacing_mm) * abs(np.linalg.det(self.directions))) / 1000.0

    def view(self, file_array: np.ndarray) -> np.ndarray:
        """See an array in file order (as ``sitk.GetArrayViewFromImage`` gives it) along the patient's axes."""
        return self._flip(np.transpose(file_array, self.permutation))

    def file_order(self, view_array: np.ndarray) -> np.ndarray:
        """The way back: see a (z, y, x) array of the patient's axes in the order of the file."""
        return np.transpose(self._flip(view_array), np.argsort(self.permutation))

    def continuous_index(self, points_mm: np.ndarray) -> np.ndarray:
        """Continuous (z, y, x) view indices of LPS points (x, y, z), both of shape (n, 3)."""
        along = (points_mm - np.array(self.origin_mm)) @ self.directions
        return along[:, ::-1] / self.spacing_mm

    def points_mm(self, index: np.ndarray) -> np.ndarray:
        """LPS points (x, y, z) of continuous (z, y, x) view indices, both of shape (n, 3)."""
        along = (index * self.spacing_mm)[:, ::-1]
        return np.array(self.origin_mm) + along @ self.directions.T

    def image_of_box(self, box: tuple[slice, slice, slice]) -> sitk.Image:
        """An empty 8-bit image of a (z, y, x) box of the view, lying along these axes: a grid to resample onto."""
        start = np.array([[part.start for part in box]])
        image = sitk.Image([part.stop - part.start for part in box[::-1]], sitk.sitkUInt8)
        image.SetSpacing([float(s) for s in self.spacing_mm[::-1]])
        image.SetOrigin([float(o) for o in self.points_mm(start)[0]])
        image.SetDirection([float(d) for d in self.directions.ravel()])
        return image

    def image(self, view_array: np.ndarray) -> sitk.Image:
        """An image of a (z, y, x) view array, lying along these axes (not in file order)."""
        image = sitk.GetImageFromArray(np.ascontiguousarray(view_array))
        image.SetSpacing([float(s) for s in self.spacing_mm[::-1]])
        image.SetOrigin([float(o) for o in self.origin_mm])
        image.SetDirection([float(d) for d in self.directions.ravel()])
        return image

    def _flip(self, array: np.ndarray) -> np.ndarray:
        return array[tuple(slice(None, None, -1) if flipped else slice(None) for flipped in self.flipped)]


def file_image(view_array: np.ndarray, like: sitk.Image) -> sitk.Image:
    """An image on the grid of ``like`` from a (z, y, x) array of the patient's axes."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(PatientAxes.of(like).file_order(view_array)))
    image.CopyInformation(like)
    return image


def patient_array(image: sitk.Image) -> np.ndarray:
    """The voxels of an image as a read-only (z, y, x) view along the patient's axes; nothing is copied."""
    return PatientAxes.of(image).view(np.asarray(_Voxels(image)))


class _Voxels:
    """An image's memory for NumPy. Unlike SimpleITK's own view, the array keeps the image alive."""

    def __init__(self, image: sitk.Image):
        self._image = image
        self.__array_interface__ = sitk.GetArrayViewFromImage(image).__array_interface__


def upright_grid(image: sitk.Image) -> sitk.Image:
    """An empty 8-bit image along the patient's axes that covers a tilted one at its own spacing.

    A reference grid for ``sitk.Resample``; it holds no values of the image.
    """
    axes = PatientAxes.of(image)
    corners = np.array(
        [
            image.TransformContinuousIndexToPhysicalPoint(
                [(image.GetSize()[axis] if bit >> axis & 1 else 0) - 0.5 for axis in range(3)]
            )
            for bit in range(8)
        ]
    )
    spacing = np.array(axes.spacing_mm[::-1])
    low, high = corners.min(axis=0), corners.max(axis=0)
    size = np.ceil((high - low) / spacing - 1e-6).astype(int)
    grid = sitk.Image([int(n) for n in size], sitk.sitkUInt8)
    grid.SetSpacing([float(s) for s in spacing])
    grid.SetOrigin([float(o) for o in low + spacing / 2])
    return grid


def same_grid(a: sitk.Image, b: sitk.Image, tolerance_mm: float = 1e-3) -> bool:
    """Whether two images have the same voxels in space (corner voxels within ``tolerance_mm``)."""
    if a.GetDimension() != b.GetDimension() or a.GetSize() != b.GetSize():
        return False
    return all(
        np.allclose(
            a.TransformIndexToPhysicalPoint(corner),
            b.TransformIndexToPhysicalPoint(corner),
            atol=tolerance_mm,
        )
        for corner in np.ndindex(*(2,) * a.GetDimension())
        for corner in [[int(bit * (n - 1)) for bit, n in zip(corner, a.GetSize(), strict=True)]]
    )
