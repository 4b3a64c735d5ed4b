"""What the checks look at: one CT with its lungs along the patient's axes, and what its DICOM header says."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import numpy as np
import SimpleITK as sitk

from DLCTPMLib.labels.chest_regions import SIDES
from DLCTPMLib.lungs.upright import UprightLungs
from DLCTPMLib.volumes.patient_axes import patient_array

PASS, WARN, FAIL = "PASS", "WARN", "FAIL"

Check = tuple[str, str, float | None, str]
"""Name of a check, PASS, WARN or FAIL, what was measured (None: it could not be), one sentence."""


class ChestMeasurements:
    """HU, and the lungs in their box, along the patient's axes (z, y, x towards head, back and left).

    Args:
        ct: HU.
        lungs: of that CT.
        header: what its DICOM header says (``Scan.description["dicom"]``); None where there is none.
    """

    def __init__(self, ct: sitk.Image, lungs: UprightLungs, header: Mapping | None = None):
        self.axes, self.box, self.header = lungs.axes, lungs.box, header
        self.hu = patient_array(ct)
        self.lowest = float(self.hu.min())
        self.hu_box = self.hu[self.box]
        self.sides = lungs.sides
        self.masks = {side: lungs.sides == value for value, side in enumerate(SIDES, start=1)}
        self.lung = lungs.sides > 0
        self.volume_ml = {side: float(np.count_nonzero(m)) * self.axes.voxel_ml for side, m in self.masks.items()}
        self.mean_hu = {
            side: float(self.hu_box[m].mean(dtype=float)) if m.any() else None for side, m in self.masks.items()
        }
        self.total_ml = sum(self.volume_ml.values())

    @cached_property
    def lung_hu(self) -> np.ndarray:
        """HU of every voxel of lung, in one row."""
        return self.hu_box[self.lung]

    @cached_property
    def right_percent(self) -> float | None:
        """The right lung's share of the volume of both; None without lungs."""
        return 100 * self.volume_ml["right lung"] / self.total_ml if self.total_ml else None

    def blocks(self, cell_mm: float, below_mm: float = 0.0) -> Blocks | None:
        """HU and lungs averaged over blocks in the lungs' box, so that noise counts for little.

        Args:
            cell_mm: about their edge.
            below_mm: how far below the lungs the blocks reach, where the CT does.

        Returns:
            None where the lungs are smaller than one block.
        """
        step = [max(1, round(cell_mm / spacing)) for spacing in self.axes.spacing_mm]
        more = min(self.box[0].start, round(below_mm / self.axes.spacing_mm[0])) if self.lung.size else 0
        more -= more % step[0]  # the lungs' own blocks start at a block's edge
        box = (slice(self.box[0].start - more, self.box[0].stop), *self.box[1:])
        hu = self.hu[box]
        if any(n < s for n, s in zip(self.lung.shape, step, strict=True)):
            return None

        def mean(array: np.ndarray) -> np.ndarray:
            whole = [n // s * s for n, s in zip(array.shape, step, strict=True)]
            cut = array[tuple(map(slice, whole))].astype(np.float32)
            sizes = [part for n, s in zip(whole, step, strict=True) for part in (n // s, s)]
            return cut.reshape(sizes).mean(axis=(1, 3, 5))

        pad = ((more // step[0], 0), (0, 0), (0, 0))
        lungs = [np.pad(mean(self.masks[side]), pad) for side in SIDES]
        size = tuple(float(s * mm) for s, mm in zip(step, self.axes.spacing_mm, strict=True))
        return Blocks(mean(hu), *lungs, size, more // step[0])


class Blocks:
    """Means over blocks (z, y, x): HU, the share of right and of left lung; edges in mm; blocks below the lungs."""

    def __init__(self, hu: np.ndarray, right: np.ndarray, left: np.ndarray, mm: tuple[float, ...], below: int):
        self.hu, self.right, self.left, self.mm, self.below = hu, right, left, mm, below
        self.ml = float(np.prod(mm)) / 1000

    def between_lungs(self) -> np.ndarray:
        """Blocks without lung that have the right lung on one side and the left lung on the other."""
        after_right = np.maximum.accumulate(self.right, axis=2) > 0.5  # x runs to the patient's left
        before_left = np.maximum.accumulate(self.left[:, :, ::-1], axis=2)[:, :, ::-1] > 0.5
        return after_right & before_left & (self.right + self.left == 0)
