"""Linear transforms as ITK transform files (.tfm): CT (fixed) points to SPECT (moving) points, LPS millimetres."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from DLCTPMLib.common.atomic_output import whole_file
from DLCTPMLib.common.errors import InputError, naming
from DLCTPMLib.volumes.formats.apart import read_other_transform
from DLCTPMLib.volumes.formats.itk_text_transform import read_text_transform

SCALES = (0.2, 5.0)
"""Stretches beyond these are no registration of one patient's CT and SPECT."""

MAX_SHIFT_MM = 10_000.0
"""Offsets beyond this are no millimetres of a scanner."""


def as_affine(
    transform: sitk.Transform, centre_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
) -> sitk.AffineTransform:
    """Any chain of linear transforms as one ITK affine transform about a centre: the form every program reads.

    Raises:
        InputError: if it is not linear and three-dimensional.
    """
    matrix, offset = linear_map(transform)
    centre = np.array(centre_mm, float)
    affine = sitk.AffineTransform(3)
    affine.SetMatrix(matrix.ravel().tolist())
    affine.SetCenter(centre.tolist())
    affine.SetTranslation((offset - centre + matrix @ centre).tolist())
    return affine


def write_transform(transform: sitk.Transform, path: str | os.PathLike) -> None:
    """Write a linear transform as an ITK text file; it appears under its name only when it is whole.

    Loaded in Slicer and put on the SPECT it lays the SPECT on the CT: Slicer takes ITK files, which map the
    points of the result to points of the image moved, the right way round.

    Raises:
        InputError: the name does not end in .tfm or .txt, the folder is not there, or the disk is full.
    """
    path = Path(path)
    if path.suffix.lower() not in (".tfm", ".txt"):
        raise InputError(f"{path}: a transform is written as an ITK text file; name a file that ends in .tfm")
    affine = transform if isinstance(transform, sitk.AffineTransform) else as_affine(transform)
    with whole_file(path) as partial:
        try:
            sitk.WriteTransform(affine, str(partial))
            written = read_transform(partial)  # the library does not say when it could not write all of a file
            for point in ((0.0, 0.0, 0.0), (1e3, 0.0, 0.0), (0.0, 1e3, 0.0), (0.0, 0.0, 1e3)):
                if not np.allclose(written.TransformPoint(point), affine.TransformPoint(point), atol=1e-6):
                    raise InputError("another map than the one that was written")
        except (RuntimeError, InputError) as error:
            raise InputError(f"{path}: cannot be written whole; choose a folder with room for it") from error


def read_transform(path: str | os.PathLike) -> sitk.AffineTransform:
    """Read a rigid or affine transform from an ITK transform file (.tfm, .txt, .h5, .mat).

    Raises:
        InputError: there is no such file, it is cut off or damaged, holds no transform, or one that is not linear,
            not in three dimensions, not finite, or no registration of one patient.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; check the path")
    if path.suffix.lower() in (".h5", ".hdf5", ".mat"):
        matrix, offset = read_other_transform(path)
        transform = sitk.AffineTransform(3)
        transform.SetMatrix(matrix.ravel().tolist())
        transform.SetTranslation(offset.tolist())
    else:
        transform = read_text_transform(path)
    with naming(path):
        affine = as_affine(transform)
        _check(*linear_map(affine))
    return affine


def _check(matrix: np.ndarray, offset: np.ndarray) -> None:
    """Refuse what can be no registration of one patient."""
    if not (np.isfinite(matrix).all() and np.isfinite(offset).all()):
        raise InputError("the transform is not finite; register again or export the transform again")
    low, high = SCALES
    stretches = np.linalg.svd(matrix, compute_uv=False)
    if stretches.min() < low or stretches.max() > high:
        raise InputError(
            f"the transform stretches by {stretches.min():.3g} to {stretches.max():.3g}, which no registration of "
            "one patient does; export the transform again, in millimetres"
        )
    if np.abs(offset).max() > MAX_SHIFT_MM:
        raise InputError("the transform shifts by more than ten metres; export the transform again, in millimetres")


def linear_map(transform: sitk.Transform | None) -> tuple[np.ndarray, np.ndarray]:
    """The matrix M (3, 3) and offset t (3,) of a rigid or affine transform: point ↦ M·point + t, in mm.

    Raises:
        InputError: if it is not a linear three-dimensional transform.
    """
    if transform is None:
        return np.eye(3), np.zeros(3)
    if transform.GetDimension() != 3 or not transform.IsLinear():
        raise InputError(
            f"the transform ({transform.GetName()}) is not a rigid or affine transform in three dimensions: "
            "give one, or resample the SPECT onto the CT with it beforehand"
        )
    offset = np.array(transform.TransformPoint((0.0, 0.0, 0.0)))
    columns = [np.array(transform.TransformPoint(tuple(unit))) - offset for unit in np.eye(3)]
    return np.stack(columns, axis=1), offset
