"""Where the slices of a DICOM stack lie: their order, spacing and direction, or why they make no volume."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from DLCTPMLib.common.errors import InputError

EVEN_WITHIN = 0.05
"""Largest departure from even spacing that is taken as rounding in the header, in slice steps."""

ROUNDING_MM = 0.11
"""The same in mm: positions rounded to 0.1 mm lie up to twice 0.05 mm off the line from the first to the last …"""

ROUNDING_SHARE = 0.25
"""… but never more than this share of a step."""

SIDEWAYS_MM = 1.0
"""Largest sideways displacement of a slice within the stack that is taken as rounding."""

SAME_PLACE_MM = 0.01
"""Slices closer than this lie at the same place."""


@dataclass(frozen=True)
class StackGeometry:
    """The grid that a stack of parallel slices makes.

    Attributes:
        order: indices of the given slices from the first to the last along the normal (row × column).
        spacing_mm: (x, y, z) = between columns, between rows, between slices.
        origin_mm: LPS position of the first voxel of the first slice.
        direction: the ITK direction matrix, row by row.
    """

    order: tuple[int, ...]
    spacing_mm: tuple[float, float, float]
    origin_mm: tuple[float, float, float]
    direction: tuple[float, ...]


def stack_geometry(
    positions_mm: np.ndarray,
    orientations: np.ndarray,
    pixel_spacing_mm: tuple[float, float],
    name: str,
) -> StackGeometry:
    """Order slices along their normal and check that they make an even, straight, parallel stack.

    Args:
        positions_mm: (n, 3) Image Position (Patient) of every slice.
        orientations: (n, 6) Image Orientation (Patient) of every slice.
        pixel_spacing_mm: Pixel Spacing as DICOM gives it, (between rows, between columns).
        name: what the stack is called in messages.

    Raises:
        InputError: slices at the same place, missing, unevenly spaced, not parallel, or sheared (gantry tilt).
    """
    if np.abs(orientations - orientations[0]).max() > 1e-3:
        raise InputError(
            f"{name}: its slices are not parallel (localizers or a rotating reformat?); "
            "give one stack of parallel slices, chosen with --series"
        )
    row, column = _unit(orientations[0, :3], name), _unit(orientations[0, 3:], name)
    if abs(row @ column) > 1e-3:
        raise InputError(f"{name}: rows and columns of its slices are not at right angles; export the series again")
    normal = np.cross(row, column)
    along = positions_mm @ normal
    order = np.argsort(along, kind="stable")
    step = _even_step(along[order], positions_mm[order], normal, name)
    _check_straight(positions_mm[order], normal, name)
    return StackGeometry(
        order=tuple(int(i) for i in order),
        spacing_mm=(float(pixel_spacing_mm[1]), float(pixel_spacing_mm[0]), step),
        origin_mm=tuple(float(p) for p in positions_mm[order[0]]),
        direction=tuple(float(d) for d in np.column_stack([row, column, normal]).ravel()),
    )


def _unit(vector: np.ndarray, name: str) -> np.ndarray:
    length = np.linalg.norm(vector)
    if not np.isfinite(length) or abs(length - 1) > 0.01:
        raise InputError(
            f"{name}: its Image Orientation (Patient) is no pair of unit vectors; export the series again"
        )
    return vector / length


def _even_step(along: np.ndarray, positions: np.ndarray, normal: np.ndarray, name: str) -> float:
    """The one step between slices, in mm."""
    axis = int(np.abs(normal).argmax())

    def place(index: int) -> str:
        return f"{'xyz'[axis]} = {positions[index, axis]:g}"

    steps = np.diff(along)
    twice = np.flatnonzero(steps < SAME_PLACE_MM)
    if twice.size:
        raise InputError(
            f"{name}: {twice.size} of its {along.size} slices lie where another one does (first at "
            f"{place(twice[0])} mm), as breathing phases or two reconstructions in one series do; "
            "keep one volume"
        )
    typical = float(np.median(steps))
    missing = np.flatnonzero(steps > 1.5 * typical)
    if (
        missing.size
        and missing.size <= max(3, steps.size // 10)
        and np.allclose(steps[missing] / typical, np.round(steps[missing] / typical), atol=0.2)
    ):
        gaps = "; ".join(
            f"{round(steps[i] / typical) - 1} between {place(i)} and {place(i + 1)} mm" for i in missing[:5]
        )
        raise InputError(f"{name}: slices are missing ({gaps}); export or copy the whole series again")
    even = along[0] + (along[-1] - along[0]) * np.linspace(0, 1, along.size)
    step = float(along[-1] - along[0]) / (along.size - 1)
    if np.abs(along - even).max() > max(EVEN_WITHIN * step, min(ROUNDING_MM, ROUNDING_SHARE * step)):
        i, j = int(steps.argmin()), int(steps.argmax())
        raise InputError(
            f"{name}: its slices are unevenly spaced ({steps[i]:.2f} mm after {place(i)}, {steps[j]:.2f} mm "
            f"after {place(j)}); choose an evenly spaced series, or resample it (3D Slicer: Crop Volume)"
        )
    return step


def _check_straight(positions: np.ndarray, normal: np.ndarray, name: str) -> None:
    offsets = positions - positions[0]
    sideways = offsets - np.outer(offsets @ normal, normal)
    distance = np.linalg.norm(sideways, axis=1)
    if distance.max() <= SIDEWAYS_MM:
        return
    degrees = np.degrees(np.arctan2(distance[-1], offsets[-1] @ normal))
    straight = np.outer(offsets @ normal, sideways[-1]) / (offsets[-1] @ normal)
    if np.linalg.norm(sideways - straight, axis=1).max() > SIDEWAYS_MM:
        raise InputError(
            f"{name}: its slices are shifted sideways against each other by up to {distance.max():.1f} mm "
            "(did the table move?); choose another series"
        )
    raise InputError(
        f"{name}: its slices are sheared by {degrees:.1f}° (gantry tilt), which no upright grid can hold; "
        "load it in 3D Slicer with 'Acquisition geometry regularization', harden the transform and give the "
        "saved volume, or convert it with dcm2niix"
    )
