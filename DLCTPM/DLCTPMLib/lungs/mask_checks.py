"""Whether a lung mask is what it claims: its sides the two lungs of its own shape, its place that of the CT's air.

Everything here is judged on cells of a few millimetres: enough for lungs, and quick.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from DLCTPMLib.labels.chest_regions import (
    LEFT,
    LEFT_LOBES,
    LEFT_THIRDS,
    LUNG,
    RIGHT,
    RIGHT_LOBES,
    RIGHT_THIRDS,
    is_region,
)
from DLCTPMLib.lungs.cells import CellGrid
from DLCTPMLib.lungs.sides import CELL_MM, split_cells
from DLCTPMLib.volumes.patient_axes import PatientAxes, patient_array

OWN_LUNG = 0.8
"""At least this share of what a mask calls one lung lies in one of the two lungs that its shape shows."""

EQUAL_THIRDS = 1.5
"""CIP's thirds cut both lungs together into equal volumes; up to this ratio is rounding to slices."""

AERATED_HU = -500
"""Lung and gas lie below."""

LUNG_ML = 300.0
"""A piece of air inside the body that is larger than this is lung, not gas in stomach or bowel."""

BETTER_BY = 0.05
"""A mirrored or turned mask that holds so much more of the CT's air, as a share of the mask, fits better …"""

BETTER_TIMES = 2.0
"""… if it also leaves at most half as much outside the air."""

MOST_UNCOVERED = 0.2
"""A mask that leaves out a larger share of the aerated lung is said to cover it in part."""


def contradiction(cip: np.ndarray, axes: PatientAxes) -> str | None:
    """Why labels can not be what they are taken for, as half a sentence; None where nothing speaks against them.

    Args:
        cip: CIP values (z, y, x) along the patient's axes.
        axes: of their grid.
    """
    step = tuple(max(1, round(CELL_MM / spacing)) for spacing in axes.spacing_mm)
    coarse = cip[tuple(slice(s // 2, None, s) for s in step)]
    lung = is_region(coarse, LUNG)
    right, left = is_region(coarse, RIGHT), is_region(coarse, LEFT)
    if not (right.any() and left.any()):
        return None
    spacing = tuple(mm * s for mm, s in zip(axes.spacing_mm, step, strict=True))
    grid_axes = replace(axes, shape=coarse.shape, spacing_mm=spacing)
    sides = split_cells(lung, CellGrid(coarse.shape, (1, 1, 1), spacing), grid_axes)
    shares = np.array([[np.mean(sides[part] == one) for one in (1, 2)] for part in (right, left)])
    if max(shares.diagonal().min(), shares[::-1].diagonal().min()) < OWN_LUNG:
        ml = grid_axes.voxel_ml
        return (
            f"what would be its right ({right.sum() * ml:.0f} ml) and left lung ({left.sum() * ml:.0f} ml) are not "
            "the two lungs that lie side by side in it (a lesion, or lobes of one lung?)"
        )
    heights = np.arange(coarse.shape[0])

    def height(region: int) -> float | None:
        counts = np.count_nonzero(is_region(coarse, {region}), axis=(1, 2))
        return float(counts @ heights / counts.sum()) if counts.any() else None

    for lobes in (RIGHT_LOBES, LEFT_LOBES):
        upper, lower = height(lobes[0]), height(lobes[-1])
        if upper is not None and lower is not None and upper <= lower:
            return "what would be an upper lobe lies below the lower one"
    volumes = [np.count_nonzero(is_region(coarse, set(pair))) for pair in zip(RIGHT_THIRDS, LEFT_THIRDS, strict=True)]
    if min(volumes) and max(volumes) > EQUAL_THIRDS * min(volumes):
        return "what would be thirds of the lungs are not of equal volume"
    return None


TURNS = tuple(itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3)))
"""Every way to exchange and mirror three axes."""


class AirOfCt:
    """The air inside the body of a CT on cells: what lungs should cover."""

    def __init__(self, ct: sitk.Image):
        self._full = PatientAxes.of(ct)
        self._step = tuple(max(1, round(CELL_MM / spacing)) for spacing in self._full.spacing_mm)
        hu = self._coarse(patient_array(ct))
        pieces, count = ndimage.label(hu < AERATED_HU)
        faces = (pieces[:, 0], pieces[:, -1], pieces[:, :, 0], pieces[:, :, -1])
        inside = np.ones(count + 1, bool)
        inside[0] = False
        for face in faces:
            inside[np.unique(face)] = False
        self.ml = self._full.voxel_ml * float(np.prod(self._step))
        self._air = inside[pieces]
        large = np.bincount(pieces.ravel(), minlength=count + 1) * self.ml >= LUNG_ML
        self._lung = (inside & large)[pieces]

    def _coarse(self, view: np.ndarray) -> np.ndarray:
        return view[tuple(slice(s // 2, None, s) for s in self._step)]

    def better_turn(self, lung: np.ndarray) -> str | None:
        """How a mask (boolean, patient axes) would have to be mirrored or turned to fit clearly better, in words."""
        cells = np.argwhere(self._coarse(lung))
        if not len(cells) or not self._lung.any():
            return None
        cells = cells[:: max(1, len(cells) // 20_000)]
        spacing = np.array(self._full.spacing_mm) * self._step
        now = self._share(cells)
        best, words = now, None
        for centre in ((np.array(self._air.shape) - 1) / 2, (cells.min(axis=0) + cells.max(axis=0)) / 2):
            away = (cells - centre) * spacing
            for axes, signs in TURNS:
                turned = np.round(away[:, axes] * signs / spacing + centre).astype(int)
                share = self._share(turned)
                if share > best:
                    best, words = share, _words(axes, signs)
        much_better = best >= now + BETTER_BY and 1 - now >= BETTER_TIMES * (1 - best)
        return words if much_better else None

    def _share(self, cells: np.ndarray) -> float:
        """The share of cells that lie in air inside the body."""
        there = np.all((cells >= 0) & (cells < self._air.shape), axis=1)
        return float(np.count_nonzero(self._air[tuple(cells[there].T)])) / len(cells)

    def uncovered(self, lung: np.ndarray) -> tuple[float, float]:
        """The aerated lung that a mask leaves out: its share of all aerated lung, and millilitres."""
        beside = np.count_nonzero(self._lung & ~self._coarse(lung))
        return beside / max(np.count_nonzero(self._lung), 1), beside * self.ml


def _words(axes: tuple[int, ...], signs: tuple[int, ...]) -> str:
    names = ("head and feet", "front and back", "right and left")
    flipped = [name for name, sign in zip(names, signs, strict=True) if sign < 0]
    if axes != (0, 1, 2):
        return "turned about an axis"
    return f"with {' and with '.join(flipped)} exchanged"
