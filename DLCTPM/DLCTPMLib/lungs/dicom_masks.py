"""Lungs out of DICOM RT structure sets and segmentations: the structures that are lungs, as CIP labels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.labels.chest_regions import Code, Terminology
from DLCTPMLib.labels.seg_nrrd import Segment
from DLCTPMLib.labels.segments import cip_labels
from DLCTPMLib.volumes.dicom.named_masks import DicomCode, NamedMasks
from DLCTPMLib.volumes.dicom.rtstruct import is_structure_set, structure_masks
from DLCTPMLib.volumes.dicom.seg import is_segmentation_object, segment_masks


@dataclass(frozen=True)
class _Segmentation:
    """What ``cip_labels`` needs of a segmentation."""

    image: sitk.Image
    segments: tuple[Segment, ...]
    masks: tuple[np.ndarray, ...]

    def mask(self, segment: Segment) -> np.ndarray:
        """Where a segment is, file order."""
        return self.masks[segment.value - 1]


def dicom_mask_file(path: Path) -> Path | None:
    """The RT structure set or segmentation that a path is, or that lies alone in the folder it is; None if neither.

    Raises:
        InputError: a folder with several.
    """
    files = sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]
    found = [one for one in files if is_structure_set(one) or is_segmentation_object(one)]
    if len(found) > 1:
        names = ", ".join(one.name for one in found[:6])
        raise InputError(
            f"{path}: holds {len(found)} structure sets or segmentations ({names}); give one of the files"
        )
    return found[0] if found else None


def dicom_lungs(path: Path, ct: sitk.Image, frame_of_reference: str) -> tuple[sitk.Image, list[str]]:
    """The lungs of a DICOM RT structure set or segmentation as a CIP label image, with notes.

    Segments are known by their codes, then by their labels; structures by their names.

    Args:
        path: the file.
        ct: the CT; structures are drawn on its slices.
        frame_of_reference: of the CT, empty where it is not known.

    Raises:
        InputError: a damaged file, no lung in it, or one that belongs to another frame of reference.
    """
    found = structure_masks(path, ct) if is_structure_set(path) else segment_masks(path)
    notes = [*found.notes, *_same_frame(found, frame_of_reference, path)]
    segments = tuple(
        Segment(one.name, one.name, number, terminology=_terminology(one.category, one.kind, one.modifier))
        for number, one in enumerate(found.masks, 1)
    )
    masks = tuple(one.voxels for one in found.masks)
    return cip_labels(_Segmentation(found.grid, segments, masks), str(path)), notes


def _same_frame(found: NamedMasks, frame_of_reference: str, path: Path) -> list[str]:
    if not frame_of_reference or not found.frame_of_reference:
        return [f"whether {path} was drawn on this CT cannot be told: one of them names no frame of reference"]
    if found.frame_of_reference != frame_of_reference:
        raise InputError(
            f"{path}: was drawn in another frame of reference than the CT's, so on another examination; give the one "
            "of this CT"
        )
    return []


def _terminology(
    category: DicomCode | None, kind: DicomCode | None, modifier: DicomCode | None
) -> Terminology | None:
    if kind is None:
        return None
    return Terminology(_code(category) or Code("", "", ""), _code(kind), _code(modifier))


def _code(code: DicomCode | None) -> Code | None:
    return None if code is None else Code(code.value, code.scheme, code.meaning)
