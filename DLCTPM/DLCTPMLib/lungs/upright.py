"""The lungs of one CT along the patient's axes: built once, then used by all that looks at lungs.

A third of the CT's voxels and a byte each, where a label image has all of them and two. Label images are made of it
where a file or another program asks for one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import SimpleITK as sitk

from DLCTPMLib.labels.chest_regions import (
    LEFT,
    LEFT_THIRDS,
    LUNG,
    RIGHT,
    RIGHT_THIRDS,
    SIDES,
    ChestRegion,
    is_region,
)
from DLCTPMLib.volumes.boxes import bounding_box
from DLCTPMLib.volumes.patient_axes import PatientAxes, patient_array

if TYPE_CHECKING:
    from DLCTPMLib.lungs.masks import Lungs

Box = tuple[slice, slice, slice]
RIGHT_SIDE, LEFT_SIDE = 1, 2
"""Values of ``UprightLungs.sides``, in the order of ``SIDES``."""
HEIGHT, DEPTH = 0, 1
"""Axes of a (z, y, x) array that run to the patient's head and to the back."""

_CIP_VALUES = np.arange(1 << 16, dtype=np.uint16)
_LUNG_REGION = np.where(is_region(_CIP_VALUES, LUNG), _CIP_VALUES & 255, 0).astype(np.uint8)
_SIDE = is_region(_CIP_VALUES[:256], RIGHT) * np.uint8(RIGHT_SIDE) + is_region(_CIP_VALUES[:256], LEFT) * np.uint8(
    LEFT_SIDE
)
_WHOLE_SIDE = np.array([0, ChestRegion.RIGHT_LUNG, ChestRegion.LEFT_LUNG], np.uint8)


@dataclass(frozen=True)
class UprightLungs:
    """The voxels of both lungs in the box that holds them. Make it with ``of``, ``of_regions`` or ``of_sides``.

    Attributes:
        axes: the CT's grid. On a tilted grid the view is the one nearest to the patient's axes.
        box: where the lungs lie in the (z, y, x) patient-axes view of the CT: no larger than they are, and empty
            where there are none.
        sides: uint8 (z, y, x) of that box: 0 no lung, 1 right lung, 2 left lung.
        parts: the CIP regions of the same voxels, uint8, where the mask has lobes or thirds; None where it has
            nothing but the two sides.
    """

    axes: PatientAxes
    box: Box
    sides: np.ndarray
    parts: np.ndarray | None = None

    @classmethod
    def of(cls, lungs: sitk.Image | UprightLungs | Lungs) -> UprightLungs:
        """The lungs of a label image of CIP values; those that are upright already are given back as they are."""
        lungs = getattr(lungs, "upright", lungs)
        if isinstance(lungs, cls):
            return lungs
        labels = patient_array(lungs)
        box = bounding_box(labels) or (slice(0, 0),) * 3
        return cls.of_regions(PatientAxes.of(lungs), box, lung_regions(labels[box]))

    @classmethod
    def of_regions(cls, axes: PatientAxes, box: Box, regions: np.ndarray) -> UprightLungs:
        """From the CIP regions, uint8, in a box of the view that holds the lungs; what has no side is left out."""
        sides = looked_up(_SIDE, regions)
        whole = np.ones(256, bool)
        whole[[0, ChestRegion.RIGHT_LUNG, ChestRegion.LEFT_LUNG]] = False
        return cls._tight(axes, box, sides, regions if looked_up(whole, regions).any() else None)

    @classmethod
    def of_sides(cls, axes: PatientAxes, box: Box, sides: np.ndarray) -> UprightLungs:
        """From the sides (``sides`` of this class) in a box of the view that holds the lungs."""
        return cls._tight(axes, box, sides, None)

    @classmethod
    def _tight(cls, axes: PatientAxes, box: Box, sides: np.ndarray, parts: np.ndarray | None) -> UprightLungs:
        own = bounding_box(sides) or (slice(0, 0),) * 3
        kept = (None if array is None else np.ascontiguousarray(array[own]) for array in (sides, parts))
        return cls(axes, _within(box, own), *kept)

    def regions(self) -> np.ndarray:
        """The CIP region of every voxel of the box, uint8: lobes and thirds where the mask has them."""
        return looked_up(_WHOLE_SIDE, self.sides) if self.parts is None else self.parts

    def thirds(self) -> np.ndarray:
        """CIP's thirds (9…14) of the box, uint8, whatever parts the mask has.

        As CIP makes them: the two planes across the patient's long axis that cut **both lungs together** into three
        parts of equal volume (not of equal height, and the same planes for both sides). A plane lies between
        slices, so the volumes are equal to about a slice; on a tilted grid voxels are ranked by height.
        """
        table = np.zeros(3 * 3, np.uint8)
        table[3 * RIGHT_SIDE : 3 * RIGHT_SIDE + 3] = RIGHT_THIRDS
        table[3 * LEFT_SIDE : 3 * LEFT_SIDE + 3] = LEFT_THIRDS
        return looked_up(table, np.uint8(3) * self.sides + (np.uint8(2) - _third_of(self, HEIGHT)))

    def ventral_thirds(self) -> np.ndarray:
        """Thirds from front to back of the box, uint8: 1, 2, 3 the right lung's ventral, intermediate and dorsal
        third, 4, 5, 6 the left lung's; 0 no lung.

        Made as ``thirds`` are, across the patient's anterior-posterior axis (LPS y): the two coronal planes that cut
        both lungs together into three parts of equal volume.
        """
        table = np.zeros(3 * 3, np.uint8)
        table[3 * RIGHT_SIDE :] = range(1, 7)
        return looked_up(table, np.uint8(3) * self.sides + _third_of(self, DEPTH))

    def limits_mm(self) -> tuple[np.ndarray, np.ndarray]:
        """The lowest and the highest LPS point (x, y, z) of the box that holds the lungs."""
        corners = product(*((part.start - 0.5, part.stop - 0.5) for part in self.box))
        points = self.axes.points_mm(np.array(list(corners)))
        return points.min(axis=0), points.max(axis=0)

    def crops(self) -> dict[str, tuple[Box, np.ndarray]]:
        """Each lung that is there: its name, its own bounding box in the view, its boolean mask in that box."""
        found = {}
        for value, side in enumerate(SIDES, start=1):
            mask = self.sides == value
            own = bounding_box(mask)
            if own is not None:
                found[side] = _within(self.box, own), np.ascontiguousarray(mask[own])
        return found

    def only(self, regions: Iterable[int]) -> UprightLungs:
        """The same lungs with nothing left but some CIP regions."""
        kept = np.zeros(256, np.uint8)
        kept[[int(region) for region in regions]] = 1
        own = self.regions()
        return self.of_regions(self.axes, self.box, own * looked_up(kept, own))

    def labels(self, ct: sitk.Image) -> sitk.Image:
        """The label image on the CT's grid: uint16 CIP regions, 0 outside the lungs."""
        values = np.zeros(ct.GetSize()[::-1], np.uint16)
        self.axes.view(values)[self.box] = self.regions()
        image = sitk.GetImageFromArray(values)
        image.CopyInformation(ct)
        return image

    def lie_on(self, image: sitk.Image, tolerance_mm: float = 1e-3) -> bool:
        """Whether an image has the voxels of these lungs' CT (corner voxels within ``tolerance_mm``)."""
        axes = PatientAxes.of(image)
        if axes.shape != self.axes.shape:
            return False
        corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array(axes.shape) - 1)
        return np.allclose(axes.points_mm(corners), self.axes.points_mm(corners), atol=tolerance_mm)


def lung_regions(labels: np.ndarray) -> np.ndarray:
    """The CIP region (uint8) of every CIP value that is lung by the rule of ``is_region``, 0 elsewhere."""
    return looked_up(_LUNG_REGION, labels if labels.dtype == np.uint16 else labels.astype(np.uint16))


def looked_up(table: np.ndarray, index: np.ndarray) -> np.ndarray:
    """``table[index]``, slice by slice: NumPy widens every index to 64 bits first."""
    out = np.empty(index.shape, table.dtype)
    for plane, values in zip(out, index, strict=True):
        np.take(table, values, out=plane, mode="clip")
    return out


def _within(outer: Box, inner: Box) -> Box:
    """A box that was found inside another one, in the view that the other lies in."""
    return tuple(slice(o.start + i.start, o.start + i.stop) for o, i in zip(outer, inner, strict=True))


def _third_of(lungs: UprightLungs, axis: int) -> np.ndarray:
    """0, 1 or 2 along a (z, y, x) axis of the patient in LPS, uint8 that broadcasts to the lungs' box."""
    lung, axes = lungs.sides > 0, lungs.axes
    if axes.is_oblique:
        steps = axes.directions[2 - axis] * np.array(axes.spacing_mm[::-1])  # mm gained a voxel along x, y, z
        z, y, x = (np.arange(part.start, part.stop, dtype=np.float32) for part in lungs.box)
        place = z[:, None, None] * steps[2] + y[None, :, None] * steps[1] + x[None, None, :] * steps[0]
        level = np.round((place - place.min(initial=np.inf)) / (abs(steps[2 - axis]) / 4)).astype(np.int32)
        counts = np.bincount(level[lung])
    else:
        counts = np.count_nonzero(lung, axis=tuple(other for other in range(3) if other != axis))
    before = np.cumsum(counts) - counts / 2  # volume before the middle of a level decides its third
    third = np.clip((3 * before / max(counts.sum(), 1)).astype(int), 0, 2).astype(np.uint8)
    if axes.is_oblique:
        return third[np.minimum(level, max(len(third) - 1, 0))]
    return third.reshape([-1 if other == axis else 1 for other in range(3)])
