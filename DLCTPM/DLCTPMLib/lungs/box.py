"""Right and left lung of a CT in the box that holds them: what finding the lungs hands to mapping them.

A third of the CT's voxels and a byte each, where a label image has all of them and two.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from DLCTPMLib.labels.chest_regions import LEFT, RIGHT, SIDES, ChestRegion, is_region
from DLCTPMLib.volumes.boxes import bounding_box
from DLCTPMLib.volumes.patient_axes import PatientAxes, patient_array


@dataclass(frozen=True)
class LungBox:
    """The voxels of both lungs.

    Attributes:
        box: where they lie in the (z, y, x) patient-axes view of the CT.
        sides: uint8 (z, y, x) of that box: 0 no lung, 1 right lung, 2 left lung.
    """

    box: tuple[slice, slice, slice]
    sides: np.ndarray

    @classmethod
    def of(cls, labels: sitk.Image) -> LungBox:
        """Read them from a label image of CIP values; an image without lungs gives an empty box."""
        array = patient_array(labels)
        box = bounding_box(array) or (slice(0, 0),) * 3
        part = np.ascontiguousarray(array[box])
        right, left = (is_region(part, regions).view(np.uint8) for regions in (RIGHT, LEFT))
        return cls(box, right + np.uint8(2) * left)

    def crops(self) -> dict[str, tuple[tuple[slice, slice, slice], np.ndarray]]:
        """Each lung that is there: its name, its own bounding box in the view, its boolean mask in that box."""
        found = {}
        for value, side in enumerate(SIDES, start=1):
            mask = self.sides == value
            own = bounding_box(mask)
            if own is not None:
                place = tuple(slice(b.start + o.start, b.start + o.stop) for b, o in zip(self.box, own, strict=True))
                found[side] = place, np.ascontiguousarray(mask[own])
        return found

    def labels(self, ct: sitk.Image) -> sitk.Image:
        """The label image on the CT's grid: uint16, CIP's whole right and whole left lung."""
        values = np.zeros(ct.GetSize()[::-1], np.uint16)
        table = np.array([0, ChestRegion.RIGHT_LUNG, ChestRegion.LEFT_LUNG], np.uint16)
        PatientAxes.of(ct).view(values)[self.box] = table[self.sides]
        image = sitk.GetImageFromArray(values)
        image.CopyInformation(ct)
        return image
