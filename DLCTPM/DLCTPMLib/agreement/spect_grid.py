"""What the SPECT's own grid sees of the lungs (METHOD.md §5): lung part of every SPECT voxel, means over it.

A CT voxel is taken as the little box it is: inside it the label and the map are constant. The lung part of a
SPECT voxel is then a volume of boxes, measured at 128 points that are spread evenly through the voxel, whatever
the two grids' spacings and directions and whatever rigid or affine transform lies between them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.lungs.upright import LEFT_SIDE, RIGHT_SIDE, UprightLungs
from DLCTPMLib.volumes.patient_axes import PatientAxes, patient_array
from DLCTPMLib.volumes.transform_files import linear_map

SAMPLES = 128
"""Points in a SPECT voxel. A plane through it is placed within 1 % (rms) of its volume."""

_VOXELS_AT_ONCE = 4096  # 4096 × 128 points in 32 bits are 2 MB: the work stays in the processor's cache


def voxel_samples() -> np.ndarray:
    """The sample points of one voxel: shape (128, 3), in voxels from its centre, −0.5…0.5.

    A Korobov lattice: on every axis the 128 coordinates are evenly spaced, so a face parallel to the grid
    (the usual case) is placed to 1/128 of a voxel, where a 5×5×5 grid of points would place it to a fifth.
    The generator 25 has the smallest error for planes in any direction among all for 128 points.
    """
    generator = np.array([1, 25, 25 * 25])
    return np.mod(np.outer(np.arange(SAMPLES), generator) / SAMPLES + 0.5 / SAMPLES, 1) - 0.5


def spect_values(spect: sitk.Image) -> np.ndarray:
    """The voxels of a SPECT as float32, (z, y, x) along the patient's axes.

    Raises:
        InputError: if it is not one volume of finite numbers, or all zero.
    """
    if spect.GetDimension() != 3 or spect.GetNumberOfComponentsPerPixel() != 1:
        raise InputError("the SPECT is not one three-dimensional volume: give the reconstructed perfusion SPECT")
    values = patient_array(spect).astype(np.float32)
    if not np.isfinite(values).all():
        raise InputError("the SPECT has voxels that are not numbers: export it again")
    if not values.any():
        raise InputError("the SPECT is zero everywhere: give the reconstructed perfusion SPECT")
    return values


@dataclass(frozen=True)
class SpectGrid:
    """The lungs on the SPECT's grid. Make it with ``SpectGrid.of``.

    Attributes:
        axes: the SPECT's grid; every array here is its (z, y, x) view along the patient's axes.
        right, left: part of every voxel that is right or left lung, 0…1, float32.
    """

    axes: PatientAxes
    right: np.ndarray
    left: np.ndarray
    _box: tuple[slice, slice, slice]
    _ct_shape: tuple[int, int, int]
    _voxels: np.ndarray  # flat SPECT index of every voxel with some lung, ascending
    _starts: np.ndarray  # where each voxel's samples start in _samples
    _samples: np.ndarray  # flat index in the lungs' padded CT box of every sample that lies in lung

    @classmethod
    def of(
        cls, lungs: sitk.Image | UprightLungs, spect: sitk.Image, transform: sitk.Transform | None = None
    ) -> SpectGrid:
        """Measure the lungs on the SPECT's grid.

        Args:
            lungs: upright, or as a label image of CIP values on the CT's grid.
            spect: only its grid is read.
            transform: maps CT points to SPECT points (LPS, mm), as ``sitk.Resample(spect, ct, transform)``
                needs it; identity if None.

        Raises:
            InputError: if the transform is not linear, or cannot be inverted.
        """
        lungs, axes = UprightLungs.of(lungs), PatientAxes.of(spect)
        sides = np.pad(lungs.sides, 1)  # rim of 0: outside the box is no lung
        to_ct, shift = _index_map(axes, lungs.axes, transform)  # SPECT index → CT index, both (z, y, x)
        shift = shift - [b.start - 1 for b in lungs.box]  # → index in the padded box

        candidates = _voxels_over(sides.shape, to_ct, shift, axes.shape)
        fractions = np.zeros((2, int(np.prod(axes.shape))), np.float32)
        parts = [
            _sample(sides, candidates[i : i + _VOXELS_AT_ONCE], axes.shape, to_ct, shift, fractions)
            for i in range(0, len(candidates), _VOXELS_AT_ONCE)
        ]
        counts = np.concatenate([p[1] for p in parts]) if parts else np.zeros(0, int)
        seen = counts > 0
        return cls(
            axes=axes,
            right=fractions[0].reshape(axes.shape),
            left=fractions[1].reshape(axes.shape),
            _box=lungs.box,
            _ct_shape=lungs.axes.shape,
            _voxels=candidates[seen],
            _starts=np.concatenate([[0], np.cumsum(counts[seen])[:-1]]).astype(int),
            _samples=np.concatenate([p[0] for p in parts]) if parts else np.zeros(0, np.int32),
        )

    @property
    def lung(self) -> np.ndarray:
        """Part of every SPECT voxel that is lung, either side, 0…1, float32."""
        return self.right + self.left

    def mean_over_lung(self, image: sitk.Image | np.ndarray) -> np.ndarray:
        """Mean of a map over the lung part of every SPECT voxel; 0 where a voxel has none.

        Args:
            image: the map on the CT's grid, an image or its (z, y, x) view along the patient's axes.

        Returns:
            float32 array on the SPECT's grid.
        """
        view = image if isinstance(image, np.ndarray) else patient_array(image)
        if view.shape != self._ct_shape:
            raise InputError(
                f"the map has {view.shape[::-1]} voxels but the lungs have {self._ct_shape[::-1]}: "
                "give both on the CT's grid"
            )
        mean = np.zeros(self.right.shape, np.float32)
        if not len(self._voxels):
            return mean
        padded = np.zeros([b.stop - b.start + 2 for b in self._box], np.float32)
        padded[1:-1, 1:-1, 1:-1] = view[self._box]
        total = np.add.reduceat(padded.ravel()[self._samples], self._starts)
        mean.ravel()[self._voxels] = total / np.diff(self._starts, append=len(self._samples))
        return mean

    def parts(self, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Part of every SPECT voxel that has each label.

        Args:
            labels: uint8 (z, y, x) in the box of the lungs that this was made of.

        Returns:
            flat indices of the SPECT voxels with some lung, (n,), and the parts, 0…1, (n, 1 + highest label).
        """
        kinds = int(labels.max(initial=0)) + 1
        of_sample = np.pad(labels, 1).ravel()[self._samples]
        voxel = np.repeat(np.arange(len(self._voxels)), np.diff(self._starts, append=len(self._samples)))
        counts = np.bincount(voxel * kinds + of_sample, minlength=kinds * len(self._voxels))
        return self._voxels, counts.reshape(-1, kinds) / SAMPLES


def _index_map(
    spect: PatientAxes, ct: PatientAxes, transform: sitk.Transform | None
) -> tuple[np.ndarray, np.ndarray]:
    """Matrix and offset from a SPECT voxel's index to the CT's, both (z, y, x) along the patient's axes."""
    matrix, offset = linear_map(transform)
    if abs(np.linalg.det(matrix)) < 1e-9:
        raise InputError("the transform flattens space and cannot be inverted: give a rigid or affine one")
    inverse = np.linalg.inv(matrix)
    spect_mm = spect.directions * spect.spacing_mm[::-1]  # columns: LPS step of one voxel along x, y, z
    ct_mm = ct.directions * ct.spacing_mm[::-1]
    xyz = np.linalg.solve(ct_mm, inverse @ spect_mm)
    shift = np.linalg.solve(ct_mm, inverse @ (np.array(spect.origin_mm) - offset) - ct.origin_mm)
    return xyz[::-1, ::-1], shift[::-1]


def _voxels_over(
    shape: tuple[int, ...], to_ct: np.ndarray, shift: np.ndarray, spect_shape: tuple[int, int, int]
) -> np.ndarray:
    """Flat indices of the SPECT voxels that may touch the padded CT box, ascending."""
    corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array(shape) - 1.0)
    in_spect = np.linalg.solve(to_ct, (corners - shift).T)
    low = np.clip(np.floor(in_spect.min(axis=1) - 0.5), 0, spect_shape).astype(int)
    high = np.clip(np.ceil(in_spect.max(axis=1) + 0.5) + 1, 0, spect_shape).astype(int)
    axes = [np.arange(a, b) for a, b in zip(low, high, strict=True)]
    return np.ravel_multi_index(np.meshgrid(*axes, indexing="ij"), spect_shape).ravel()


def _sample(
    sides: np.ndarray,
    voxels: np.ndarray,
    spect_shape: tuple[int, int, int],
    to_ct: np.ndarray,
    shift: np.ndarray,
    fractions: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Look up all samples of some voxels; fill their lung parts in; return the samples in lung and their counts."""
    centres = to_ct @ np.array(np.unravel_index(voxels, spect_shape)) + shift[:, None]
    steps = to_ct @ voxel_samples().T
    flat = np.zeros((len(voxels), SAMPLES), np.int32)
    position = np.empty(flat.shape, np.float32)
    for axis, size in enumerate(sides.shape):
        np.add((centres[axis] + 0.5).astype(np.float32)[:, None], steps[axis].astype(np.float32), out=position)
        np.clip(position, 0, size - 1, out=position)  # beyond the rim is as good as in the rim
        flat *= size
        flat += position.astype(np.int32)
    side = sides.ravel()[flat]
    fractions[0, voxels] = np.count_nonzero(side == RIGHT_SIDE, axis=1) / np.float32(SAMPLES)
    fractions[1, voxels] = np.count_nonzero(side == LEFT_SIDE, axis=1) / np.float32(SAMPLES)
    inside = side > 0
    return flat[inside], np.count_nonzero(inside, axis=1)
