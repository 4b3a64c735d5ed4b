"""Segments that share one label image: Slicer's own import would copy and compare the whole grid for each of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk

BINARY_LABELMAP = "Binary labelmap"
"""Slicer's name of the representation."""


@dataclass(frozen=True)
class LabelSegment:
    """One segment of a label image.

    Attributes:
        id: in the segmentation.
        name: what the user reads.
        value: in the label image.
        colour: red, green, blue; 0…1.
        terminology: Slicer's terminology entry.
        tags: further tags.
    """

    id: str
    name: str
    value: int
    colour: tuple[float, float, float]
    terminology: str
    tags: dict[str, str] = field(default_factory=dict)


def addLabelSegments(
    node: slicer.vtkMRMLSegmentationNode,
    labels: np.ndarray,
    first: Sequence[int],
    grid: slicer.vtkMRMLVolumeNode,
    segments: Sequence[LabelSegment],
) -> None:
    """Add segments to a segmentation; they share one layer.

    Args:
        node: the segmentation.
        labels: uint8 (k, j, i), a box of the grid; copied.
        first: (k, j, i) of the box's first voxel in the grid.
        grid: gives spacing, origin and directions of the voxels.
        segments: what the labels mean.
    """
    layer = orientedImage(labels, first, grid)
    for one in segments:
        segment = slicer.vtkSegment()
        segment.SetName(one.name)
        segment.SetColor(*one.colour)
        segment.SetTag(segment.GetTerminologyEntryTagName(), one.terminology)
        for tag, text in one.tags.items():
            segment.SetTag(tag, text)
        segment.SetLabelValue(one.value)
        segment.AddRepresentation(BINARY_LABELMAP, layer)
        node.GetSegmentation().AddSegment(segment, one.id)


def orientedImage(
    labels: np.ndarray, first: Sequence[int], grid: slicer.vtkMRMLVolumeNode
) -> slicer.vtkOrientedImageData:
    """A box of labels (k, j, i), whose first voxel is ``first`` of a volume's grid, where it lies in the patient."""
    image, toRas = slicer.vtkOrientedImageData(), vtk.vtkMatrix4x4()
    ends = [(int(start), int(start) + count - 1) for start, count in zip(first, labels.shape, strict=True)]
    image.SetExtent(*(end for axis in reversed(ends) for end in axis))
    grid.GetIJKToRASMatrix(toRas)
    image.SetGeometryFromImageToWorldMatrix(toRas)
    image.GetPointData().SetScalars(numpy_to_vtk(np.ascontiguousarray(labels).ravel(), deep=True))
    return image
