"""Named masks out of DICOM: what the readers of RT structure sets and segmentations give."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import SimpleITK as sitk


@dataclass(frozen=True)
class DicomCode:
    """A coded term: value, scheme, meaning."""

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True)
class NamedMask:
    """One structure or segment.

    Attributes:
        name: its name or label, as a person typed it.
        voxels: boolean (z, y, x), in the file order of the grid.
        category, kind, modifier: its codes, where it has them (the modifier of a lung is its side).
    """

    name: str
    voxels: np.ndarray
    category: DicomCode | None = None
    kind: DicomCode | None = None
    modifier: DicomCode | None = None


@dataclass(frozen=True)
class NamedMasks:
    """The masks of one file.

    Attributes:
        grid: an image whose geometry the masks have (its voxels mean nothing).
        masks: in the order of the file.
        frame_of_reference: DICOM Frame of Reference UID that they were drawn in, empty where it does not stand.
        notes: sentences for the user.
    """

    grid: sitk.Image
    masks: list[NamedMask]
    frame_of_reference: str
    notes: list[str] = field(default_factory=list)
