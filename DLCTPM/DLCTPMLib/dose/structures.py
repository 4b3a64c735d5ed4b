"""Targets and organs by name, from an RT structure set, a DICOM segmentation or Slicer's ``.seg.nrrd``.

Structures are made into masks one at a time and only where they are asked for: a planning system exports dozens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.dose.targets import is_target
from DLCTPMLib.labels.seg_nrrd import is_segmentation, segments_of
from DLCTPMLib.volumes.dicom.belonging import Belonging
from DLCTPMLib.volumes.dicom.rtstruct import (
    SAME_PLANE_MM,
    Structure,
    contour_mask,
    is_structure_set,
    read_structure_set,
)
from DLCTPMLib.volumes.dicom.seg import is_segmentation_object, segment_labels, segment_masks
from DLCTPMLib.volumes.formats.any_format import read_file
from DLCTPMLib.volumes.patient_axes import same_grid

_FINEST_MM, _MOST_CELLS = 0.5, 512


@dataclass(frozen=True)
class Structures:
    """The structures of one file.

    Attributes:
        path: the file, for messages.
        kind: RTSTRUCT, SEG or segmentation.
        names: of all structures, in the file's order.
        targets: names of those that are gross or internal target volumes, by name or by their RT ROI type.
        belonging: of a DICOM file; None of another.
        empty: names of those that nothing is drawn of.
    """

    path: Path
    kind: str
    names: list[str]
    targets: list[str]
    belonging: Belonging | None
    _mask: Callable[[str, sitk.Image, sitk.Transform | None], np.ndarray]
    empty: frozenset[str] = field(default_factory=frozenset)

    def named(self, wanted: Sequence[str]) -> list[str]:
        """The structures that names or patterns (``GTV*``) mean, small and capital letters alike.

        Raises:
            InputError: nothing has that name, several have the very same one, or nothing is drawn of it.
        """
        found: list[str] = []
        for name in wanted:
            same = [one for one in self.names if one.casefold() == name.casefold()]
            same = same or [one for one in self.names if fnmatchcase(one.casefold(), name.casefold())]
            if not same:
                there = ", ".join(self.names[:40]) + (" …" if len(self.names) > 40 else "")
                raise InputError(f"{self.path}: has no structure {name}; it has {there}")
            found += same
        for name in found:
            if self.names.count(name) > 1:
                raise InputError(f"{self.path}: several structures are called {name}; rename all but one")
            if name in self.empty:
                raise InputError(f"{self.path}: its structure {name} has no contours; draw it, or name another one")
        return list(dict.fromkeys(found))

    def mask(self, name: str, grid: sitk.Image, transform: sitk.Transform | None = None) -> np.ndarray:
        """Where a structure is: boolean, in the file order (z, y, x) of ``grid``.

        Args:
            name: one of ``names``.
            grid: an image whose grid is meant.
            transform: maps points of the grid to points of the structure; None where they lie in the same place.
        """
        return self._mask(name, grid, transform)


def read_structures(path: str | Path) -> Structures:
    """Open a file of structures.

    Raises:
        InputError: missing, damaged, or of another kind.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; give one RT structure set or segmentation")
    if is_structure_set(path):
        return _of_structure_set(path)
    if is_segmentation_object(path):
        return _of_segmentation(path)
    image, _ = read_file(path, None)
    if not is_segmentation(image):
        raise InputError(f"{path}: is no RT structure set, DICOM segmentation or .seg.nrrd; give one of these")
    segments = segments_of(image, str(path))

    def mask(name: str, grid: sitk.Image, transform: sitk.Transform | None) -> np.ndarray:
        of_name = next(one for one in segments.segments if one.name == name)
        return _on_grid(segments.mask(of_name), segments.image, grid, transform)

    names = [segment.name for segment in segments.segments]
    return Structures(path, "segmentation", names, _targets(names), None, mask)


def _of_structure_set(path: Path) -> Structures:
    read = read_structure_set(path)
    typed = {one.name for one in read.structures if one.interpreted_type in ("GTV", "ITV")}
    names = [one.name for one in read.structures]
    empty = frozenset(one.name for one in read.structures if not one.contours)
    targets = [name for name in names if (name in typed or is_target(name)) and name not in empty]

    def mask(name: str, grid: sitk.Image, transform: sitk.Transform | None) -> np.ndarray:
        structure = next(one for one in read.structures if one.name == name)
        if transform is None:
            return contour_mask(structure.contours, grid, str(path))
        own = _own_grid(structure, grid)
        return _on_grid(contour_mask(structure.contours, own, str(path)), own, grid, transform)

    drawn = frozenset(one.frame_of_reference for one in read.structures if one.contours and one.frame_of_reference)
    return Structures(path, "RTSTRUCT", names, targets, replace(read.belonging, frames=drawn), mask, empty)


def _of_segmentation(path: Path) -> Structures:
    names, belonging = segment_labels(path)

    def mask(name: str, grid: sitk.Image, transform: sitk.Transform | None) -> np.ndarray:
        found = segment_masks(path, name)
        return _on_grid(found.masks[0].voxels, found.grid, grid, transform)

    return Structures(path, "SEG", names, _targets(names), belonging, mask)


def _targets(names: list[str]) -> list[str]:
    return [name for name in names if is_target(name)]


def _own_grid(structure: Structure, grid: sitk.Image) -> sitk.Image:
    """An empty image of the planes that a structure was drawn on, fine within them, in its own coordinates."""
    points = np.concatenate(structure.contours)
    low, high = points.min(axis=0), points.max(axis=0)
    heights = np.unique([contour[:, 2].mean() for contour in structure.contours])
    heights = heights[np.diff(heights, prepend=-np.inf) > SAME_PLANE_MM]
    gap = float(np.median(np.diff(heights))) if heights.size > 1 else max(grid.GetSpacing())
    fine = max(_FINEST_MM, min(grid.GetSpacing()) / 2, float((high - low)[:2].max()) / _MOST_CELLS)
    own = sitk.Image([*(int(n) for n in np.ceil((high - low)[:2] / fine) + 3), heights.size + 2], sitk.sitkUInt8)
    own.SetSpacing([fine, fine, gap])
    own.SetOrigin([float(v) for v in (*(low[:2] - fine), heights[0] - gap)])
    return own


def _on_grid(mask: np.ndarray, own: sitk.Image, grid: sitk.Image, transform: sitk.Transform | None) -> np.ndarray:
    """A mask brought to another grid, nearest neighbour."""
    if transform is None and same_grid(own, grid):
        return mask
    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    image.SetSpacing(own.GetSpacing())
    image.SetOrigin(own.GetOrigin())
    image.SetDirection(own.GetDirection())
    brought = sitk.Resample(image, grid, transform or sitk.Transform(), sitk.sitkNearestNeighbor, 0)
    return sitk.GetArrayFromImage(brought) > 0
