"""Lungs as MRML: a segmentation with one segment a region from a CIP label map, and the way back."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import slicer
import slicer.util
import vtk

from DLCTPMSlicerLib.engine.steps import runThrough
from DLCTPMSlicerLib.segments.label_segments import LabelSegment, addLabelSegments

RIGHT_COLOUR, LEFT_COLOUR, OTHER_COLOUR = (0.85, 0.55, 0.45), (0.45, 0.62, 0.85), (0.72, 0.78, 0.72)
TERMINOLOGY_CONTEXT = "Segmentation category and type - 3D Slicer General Anatomy list"
REGION_CONTEXT = "Anatomic codes - DICOM master list"
REGION_TAG = "DLCTPM.Region"
"""Tag of a segment that holds its CIP region, whatever label values Slicer gives it later."""


@dataclass(frozen=True)
class LungRegions:
    """The lung regions of a CIP label map, without the scene.

    Attributes:
        labels: the label map, for its grid; it need not be in the scene.
        first: (k, j, i) of the first voxel of ``regions`` in it.
        regions: uint8 (k, j, i), the box of the lungs; 0 is no lung.
        found: the regions that are there.
    """

    labels: slicer.vtkMRMLLabelMapVolumeNode
    first: list[int]
    regions: np.ndarray
    found: list[int]


def lungsFromLabels(
    labels: slicer.vtkMRMLLabelMapVolumeNode, name: str, reference: slicer.vtkMRMLScalarVolumeNode
) -> slicer.vtkMRMLSegmentationNode:
    """A segmentation of a CIP label map, made now: ``lungsFromRegions`` of its ``regionSteps``."""
    return lungsFromRegions(runThrough(regionSteps(labels)), name, reference)


def regionSteps(labels: slicer.vtkMRMLLabelMapVolumeNode) -> Generator[None, None, LungRegions]:
    """Look for the lung regions of a CIP label map (region in the low byte), a slice at each step."""
    from DLCTPMLib.labels.chest_regions import LUNG
    from DLCTPMLib.volumes.boxes import bounding_box

    array = slicer.util.arrayFromVolume(labels)
    box = bounding_box(array) or (slice(0, 1),) * 3
    yield
    regionOf = np.zeros(256, np.uint8)
    lung = [int(region) for region in LUNG]
    regionOf[lung] = lung
    regions = np.empty(array[box].shape, np.uint8)
    count = np.zeros(256, np.int64)
    for of_slice, plane in zip(array[box], regions, strict=True):  # a slice fits into the processor's cache
        np.take(regionOf, of_slice.astype(np.uint8), out=plane)  # the low byte is the region, the high one the type
        count += np.bincount(plane.ravel(), minlength=256)
        yield
    found = (np.flatnonzero(count[1:]) + 1).tolist()
    return LungRegions(labels, [part.start for part in box], regions, found)


def lungsFromRegions(
    lungs: LungRegions, name: str, reference: slicer.vtkMRMLScalarVolumeNode
) -> slicer.vtkMRMLSegmentationNode:
    """A segmentation in the scene: lung regions as segments with names, colours and terminology.

    Args:
        lungs: of ``regionSteps``.
        name: of the new node.
        reference: the CT, whose grid the segmentation keeps.
    """
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(reference)
    segments = [_segment(region, index) for index, region in enumerate(lungs.found)]
    addLabelSegments(node, lungs.regions, lungs.first, lungs.labels, segments)
    return node


def _segment(region: int, index: int) -> LabelSegment:
    from DLCTPMLib.labels.chest_regions import LEFT, RIGHT, display_name

    name = display_name(region)
    shade = 1 - 0.08 * (index % 4)
    colour = RIGHT_COLOUR if region in RIGHT else LEFT_COLOUR if region in LEFT else OTHER_COLOUR
    return LabelSegment(
        name.replace(" ", "-"),
        name,
        region,
        tuple(shade * part for part in colour),
        regionTerminology(region),
        {REGION_TAG: str(region)},
    )


def regionTerminology(region: int) -> str:
    """Slicer's terminology entry of a CIP region, as a segment's tag holds it."""
    from DLCTPMLib.labels.chest_regions import terminology

    return terminologyEntry(terminology(region))


def terminologyEntry(terms) -> str:
    """Slicer's terminology entry of the engine's ``Terminology``."""

    def code(one) -> str:
        return f"{one.scheme}^{one.value}^{one.meaning}" if one else "^^"

    kind = [code(terms.category), code(terms.type), code(terms.modifier)]
    return "~".join([TERMINOLOGY_CONTEXT, *kind, REGION_CONTEXT, "^^", "^^"])


def regionArray(lungs: slicer.vtkMRMLSegmentationNode, reference: slicer.vtkMRMLScalarVolumeNode) -> np.ndarray:
    """The CIP regions of a segmentation of ``lungsFromLabels`` on the grid of ``reference``: uint16 (k, j, i)."""
    segmentation = lungs.GetSegmentation()
    regionOf = np.zeros(segmentation.GetNumberOfSegments() + 1, np.uint16)
    for index in range(segmentation.GetNumberOfSegments()):
        region = vtk.reference("0")
        segmentation.GetNthSegment(index).GetTag(REGION_TAG, region)
        regionOf[index + 1] = int(str(region))
    lungs.SetReferenceImageGeometryParameterFromVolumeNode(reference)
    labels = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "lung regions")
    try:
        slicer.modules.segmentations.logic().ExportAllSegmentsToLabelmapNode(
            lungs, labels, slicer.vtkSegmentation.EXTENT_REFERENCE_GEOMETRY
        )
        return regionOf[slicer.util.arrayFromVolume(labels)]
    finally:
        slicer.mrmlScene.RemoveNode(labels)
