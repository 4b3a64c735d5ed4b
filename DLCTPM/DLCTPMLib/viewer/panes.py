"""What the interactive view shows: CT, map, spread and SPECT as small volumes on one upright grid.

One grid for all, so that one cursor is at the same place in each. A volume is NIfTI-1 with a byte a voxel, gzipped:
what NiiVue reads.
"""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import SimpleITK as sitk

from DLCTPMLib.lungs.upright import UprightLungs
from DLCTPMLib.volumes.patient_axes import patient_array

if TYPE_CHECKING:
    from DLCTPMLib.agreement.comparison import SpectComparison

SPACING_MM = 3.0
"""Of the view's cubic voxels."""
MARGIN_MM = 20.0
"""Of CT around the box of the lungs."""
AIR_HU = -1024.0
WINDOW_HU = (-1100.0, 400.0)
"""As in the pictures of the report."""


@dataclass(frozen=True)
class ViewedImages:
    """The images of one patient.

    Attributes:
        ct, perfusion: on the CT's grid.
        lungs: of that grid.
        spread: of an ensemble's maps on the same grid; None of one network.
        spect: relative SPECT on its own grid; None where there is none.
        to_spect: maps CT points to SPECT points (LPS, mm).
    """

    ct: sitk.Image
    perfusion: sitk.Image
    lungs: UprightLungs
    spread: sitk.Image | None = None
    spect: sitk.Image | None = None
    to_spect: sitk.Transform | None = None

    @classmethod
    def of(
        cls,
        ct: sitk.Image,
        perfusion: sitk.Image,
        lungs: UprightLungs,
        spread: sitk.Image | None,
        comparison: SpectComparison | None,
        to_spect: sitk.Transform | None,
    ) -> ViewedImages:
        """The same with the SPECT of a comparison, which is relative there."""
        spect = None if comparison is None else comparison.axes.image(np.nan_to_num(comparison.reference()))
        return cls(ct, perfusion, lungs, spread, spect, to_spect)


@dataclass(frozen=True)
class Pane:
    """One volume of the view.

    Attributes:
        name: stands above it.
        unit: stands behind its values.
        colours: NiiVue's name of them.
        low, high: values of the first and the last colour; what lies outside is shown as they are.
        decimals: of a value under the cursor.
        nifti: the file, gzipped.
    """

    name: str
    unit: str
    colours: str
    low: float
    high: float
    decimals: int
    nifti: bytes


def viewer_panes(images: ViewedImages) -> list[Pane]:
    """The volumes of the view, in its order."""
    return [
        Pane(name, unit, colours, low, high, decimals, gzip.compress(_nifti(array, grid, low, high), 6, mtime=0))
        for grid in [_grid(images.lungs)]
        for name, unit, colours, low, high, decimals, array in _shown(images, grid)
    ]


def _shown(images: ViewedImages, grid: sitk.Image) -> Iterator[tuple]:
    def on_grid(image: sitk.Image, transform: sitk.Transform | None = None) -> np.ndarray:
        nearest = sitk.sitkNearestNeighbor  # a value of the image itself, and no rim between lung and nothing
        return patient_array(sitk.Resample(image, grid, transform or sitk.Transform(), nearest, 0.0))

    yield "CT", "HU", "gray", *WINDOW_HU, 0, _averaged(images.ct, grid)
    yield "map", "", "inferno", 0.0, 1.0, 2, on_grid(images.perfusion)
    if images.spread is not None:
        spread = on_grid(images.spread)
        yield "spread of the networks", "", "viridis", 0.0, max(float(spread.max()), 0.01), 3, spread
    if images.spect is not None:
        yield "SPECT / HIR", "", "inferno", 0.0, 1.0, 2, on_grid(images.spect, images.to_spect)


def _grid(lungs: UprightLungs) -> sitk.Image:
    """An upright grid of cubic voxels around the lungs."""
    low, high = lungs.limits_mm()
    size = np.ceil((high - low + 2 * MARGIN_MM) / SPACING_MM)
    grid = sitk.Image([int(n) for n in size], sitk.sitkUInt8)
    grid.SetSpacing([SPACING_MM] * 3)
    grid.SetOrigin([float(mm) for mm in (low + high) / 2 - (size - 1) / 2 * SPACING_MM])
    return grid


def _averaged(ct: sitk.Image, grid: sitk.Image) -> np.ndarray:
    """The CT on the grid, finer voxels averaged: noise would take most of the file."""
    ct = sitk.BinShrink(ct, [max(int(SPACING_MM // mm), 1) for mm in ct.GetSpacing()])
    return patient_array(sitk.Resample(ct, grid, sitk.Transform(), sitk.sitkLinear, AIR_HU, sitk.sitkFloat32))


def _nifti(array: np.ndarray, grid: sitk.Image, low: float, high: float) -> bytes:
    """A (z, y, x) array on an upright LPS grid as NIfTI-1 (nifti.nimh.nih.gov), ``low`` to ``high`` in a byte."""
    step = (high - low) / 255
    stored = np.round((np.clip(np.nan_to_num(array), low, high) - low) / step).astype(np.uint8)
    x, y, z = grid.GetOrigin()
    size, mm = grid.GetSize(), SPACING_MM
    header = bytearray(352)
    put: Callable = lambda place, kind, *values: struct.pack_into("<" + kind, header, place, *values)  # noqa: E731
    put(0, "i", 348)
    put(40, "8h", 3, *size, 1, 1, 1, 1)
    put(70, "2h", 2, 8)  # unsigned byte
    put(76, "8f", 1, mm, mm, mm, 1, 1, 1, 1)
    put(108, "3f", 352, step, low)  # where voxels start, scl_slope, scl_inter
    put(123, "B", 2)  # mm
    put(124, "2f", high, low)  # cal_max, cal_min
    put(252, "2h", 0, 1)  # the sform alone says where voxels lie: RAS, where LPS has the first two axes turned
    put(280, "12f", -mm, 0, 0, -x, 0, -mm, 0, -y, 0, 0, mm, z)
    put(344, "4s", b"n+1\0")
    return bytes(header) + stored.tobytes()
