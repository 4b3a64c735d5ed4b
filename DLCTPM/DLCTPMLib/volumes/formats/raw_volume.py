"""What an image file holds before anything is believed of it, and the one rule of what a usable grid is.

Every format is read by a small reader of its own that checks its header against the file before it takes a
voxel. All of them end here, so that sheared axes, axes that are not numbers, and a file that does not say how
it lies in the patient are treated alike, whatever the format.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from DLCTPMLib.common.errors import InputError

SIDEWAYS_MM = 1.0
"""Largest sideways displacement over a whole volume that is taken as rounding of axes at right angles."""

MAX_VOXELS = 1 << 33
"""More voxels than this are a damaged header, not an image."""

MIN_SPACING_MM, MAX_SPACING_MM = 0.01, 100.0
"""Voxels smaller or larger than these are a damaged header, not an image of a body."""

MAX_EXTENT_MM = 10_000.0
"""A volume that is longer is a damaged header, too."""

MAX_AWAY_MM = 1e6
"""A volume whose first voxel lies further from the origin than this has a damaged header."""

WORLD = {"L": (1, 0, 0), "R": (-1, 0, 0), "P": (0, 1, 0), "A": (0, -1, 0), "S": (0, 0, 1), "I": (0, 0, -1)}
"""The LPS direction of each letter of an orientation code: where an axis runs to."""


@dataclass
class RawVolume:
    """The content of one image file.

    Attributes:
        voxels: (z, y, x), or (z, y, x, values) where a voxel has several.
        spacing_mm: between voxels along x, y, z of the array.
        directions: (3, 3), columns are the LPS unit directions of the array's x, y, z; None where the file
            does not say.
        origin_mm: LPS position (x, y, z) of the first voxel's centre.
        keys: the key-value pairs of the header that are of its author's making.
        notes: sentences for the user.
    """

    voxels: np.ndarray
    spacing_mm: np.ndarray
    directions: np.ndarray | None
    origin_mm: np.ndarray
    keys: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def orientation_directions(code: str) -> np.ndarray:
    """The directions (columns, LPS) of a code of three letters, such as LPS: where x, y and z of the array run to.

    Raises:
        InputError: not three letters, one of each of L/R, P/A and S/I.
    """
    letters = code.strip().upper()
    if len(letters) != 3 or any(sum(letter in pair for letter in letters) != 1 for pair in ("LR", "PA", "SI")):
        raise InputError(
            f"--orientation {code}: give three letters that say where the array's axes run to, one each of L or R, "
            "P or A, S or I (LPS, RAS, …)"
        )
    return np.array([WORLD[letter] for letter in letters], float).T


def orientation_code(directions: np.ndarray) -> str:
    """The code of three letters nearest to a direction matrix (columns, LPS)."""
    return sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(directions.ravel().tolist())


def image_of(raw: RawVolume, path: Path, orientation: str | None = None) -> sitk.Image:
    """The image of a file's content, if its grid is one that can be used.

    Args:
        raw: the content.
        path: the file, for messages.
        orientation: where the array's axes run to, for a file that does not say.

    Raises:
        InputError: spacing or axes that are not numbers, makes no sense or are not at right angles; a file that
            does not say how it lies in the patient, or says otherwise than ``orientation``.
    """
    spacing, origin = np.asarray(raw.spacing_mm, float), np.asarray(raw.origin_mm, float)
    directions = raw.directions
    if directions is None:
        if orientation is None:
            raise InputError(
                f"{path}: does not say which way its axes run in the patient, and sides are not guessed; give the "
                "original DICOM or, if you know it, --orientation with where the array's axes run to (LPS, RAS, …)"
            )
        directions = orientation_directions(orientation)
    elif orientation is not None:
        check_agrees(directions, orientation, path)
    check_grid(spacing, directions, origin, raw.voxels.shape[2::-1], path)
    image = sitk.GetImageFromArray(raw.voxels, isVector=raw.voxels.ndim == 4)
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(origin.tolist())
    image.SetDirection(np.asarray(directions, float).ravel().tolist())
    return image


def check_agrees(directions: np.ndarray, orientation: str, path: Path) -> None:
    """Refuse an orientation that is said against what the file says."""
    wanted = orientation_code(orientation_directions(orientation))
    stated = orientation_code(directions) if np.isfinite(directions).all() else wanted
    if stated != wanted:
        raise InputError(
            f"{path}: states that its axes run to {stated}, not {wanted}; --orientation is for files that do not "
            "say, leave it out or correct the file"
        )


def check_grid(spacing: np.ndarray, directions: np.ndarray, origin: np.ndarray, size, path: Path | str) -> None:
    """The one rule for grids of every format; ``size`` is voxels along x, y, z.

    Raises:
        InputError: as ``image_of``.
    """
    if not (np.isfinite(spacing).all() and np.isfinite(directions).all() and np.isfinite(origin).all()):
        raise InputError(f"{path}: its spacing, axes or origin are not finite numbers; write the file again")
    extent = np.asarray(size, float) * spacing
    small, large = min(spacing) < MIN_SPACING_MM, max(spacing) > MAX_SPACING_MM or max(extent) > MAX_EXTENT_MM
    if small or large or np.abs(origin).max() > MAX_AWAY_MM:
        raise InputError(
            f"{path}: its {'×'.join(map(str, size))} voxels of {'×'.join(f'{s:.4g}' for s in spacing)} mm or their "
            f"place ({', '.join(f'{o:.4g}' for o in origin)} mm) make no sense; write the file again"
        )
    lengths = np.linalg.norm(directions, axis=0)
    unit = directions / np.where(lengths > 0, lengths, 1)
    cosines = unit.T @ unit - np.eye(3)
    sideways = np.abs(cosines) * np.maximum.outer(extent, extent)
    if sideways.max() > SIDEWAYS_MM or abs(np.linalg.det(unit)) < 0.5:
        degrees = math.degrees(math.asin(min(1.0, float(np.abs(cosines - np.diag(np.diag(cosines))).max()))))
        raise InputError(
            f"{path}: its axes are not at right angles (sheared by {degrees:.1f}°, as a gantry tilt saved without "
            "regularisation is), which no upright grid can hold; load the original in 3D Slicer with 'Acquisition "
            "geometry regularization', harden the transform and give the saved volume"
        )
    if np.abs(lengths - 1).max() > 0.01:
        raise InputError(f"{path}: its axes are no unit directions; write the file again")


def check_size(size, bytes_a_voxel: int, path: Path) -> int:
    """The bytes that the voxels of a header need.

    Raises:
        InputError: an axis without voxels, or more than any image has.
    """
    shown = "×".join(str(n) for n in list(size)[:6])
    if not len(size) or min(size) < 1:
        raise InputError(f"{path}: its header says {shown} voxels, so it is empty or damaged; write the file again")
    count = math.prod(int(n) for n in size)
    if count > MAX_VOXELS:
        raise InputError(f"{path}: its header says {shown} voxels, which no image has; it is damaged, write it again")
    return count * bytes_a_voxel


def single_volume(size: list[int], path: Path) -> None:
    """Refuse what is not one volume: ``size`` is all of a header's axes, x first.

    Raises:
        InputError: fewer than three axes, or several frames.
    """
    if len(size) < 3:
        raise InputError(f"{path}: is a {len(size)}D image; a 3D volume is needed")
    frames = math.prod(size[3:])
    if frames != 1:
        raise InputError(
            f"{path}: holds {frames} volumes ({'×'.join(str(n) for n in size)}: phases, times or channels); "
            "save the one that is meant as a file of its own"
        )
