"""Surfaces of a segmentation for the 3D view, coarse enough that making them keeps nobody waiting."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from DLCTPMSlicerLib.engine.steps import runThrough
from DLCTPMSlicerLib.segments.label_segments import BINARY_LABELMAP

SURFACE_MM = 2.5
"""Surfaces are made of every n-th voxel, about so far apart."""
CLOSED_SURFACE = "Closed surface"


def hasSurfaces(node: slicer.vtkMRMLSegmentationNode) -> bool:
    """Whether a segmentation has its surfaces."""
    return node.GetSegmentation().ContainsRepresentation(CLOSED_SURFACE)


def makeSurfaces(node: slicer.vtkMRMLSegmentationNode) -> None:
    """Give every segment a closed surface now."""
    runThrough(surfaceSteps(node))


def surfaceSteps(node: slicer.vtkMRMLSegmentationNode) -> Generator[None, None, None]:
    """Give every segment a closed surface, by Slicer's own conversion of every n-th voxel of its label image; one
    segment at each step, and the last step alone touches the node.

    A segmentation that has surfaces keeps them. The label images, of which everything is measured, stay as they
    are; where a segment is edited, Slicer replaces its surface by one of all its voxels.
    """
    segmentation = node.GetSegmentation()
    if hasSurfaces(node):
        return
    twins, surfaces = {}, {}
    for index in range(segmentation.GetNumberOfLayers(BINARY_LABELMAP)):
        layer = everyNth(segmentation.GetLayerDataObject(index, BINARY_LABELMAP))
        for segmentId in segmentation.GetSegmentIDsForLayer(index, BINARY_LABELMAP):
            twin = slicer.vtkSegment()
            twin.SetLabelValue(segmentation.GetSegment(segmentId).GetLabelValue())
            twin.AddRepresentation(BINARY_LABELMAP, layer)
            twins[segmentId] = twin
    for segmentId, twin in twins.items():
        coarse = slicer.vtkSegmentation()
        coarse.SetSourceRepresentationName(BINARY_LABELMAP)
        coarse.AddSegment(twin, segmentId)
        if coarse.CreateRepresentation(CLOSED_SURFACE):
            surfaces[segmentId] = twin.GetRepresentation(CLOSED_SURFACE)
        yield
    for segmentId, surface in surfaces.items():
        if segmentation.GetSegment(segmentId) is not None:  # the user may have removed it meanwhile
            segmentation.GetSegment(segmentId).AddRepresentation(CLOSED_SURFACE, surface)
    segmentation.InvokeEvent(segmentation.ContainedRepresentationNamesModified)


def everyNth(image: slicer.vtkOrientedImageData) -> slicer.vtkOrientedImageData:
    """Every n-th voxel of a label image along each axis, where it lies; an empty image gives a copy of itself."""
    coarse = slicer.vtkOrientedImageData()
    if not image.GetNumberOfPoints():
        coarse.DeepCopy(image)
        return coarse
    steps = np.maximum(np.round(SURFACE_MM / np.array(image.GetSpacing())), 1).astype(int)
    first = np.array(image.GetExtent())[::2]
    labels = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(image.GetDimensions()[::-1])
    kept = np.ascontiguousarray(labels[:: steps[2], :: steps[1], :: steps[0]])
    toWorld, toFirst = vtk.vtkMatrix4x4(), vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(toWorld)
    for axis in range(3):
        toFirst.SetElement(axis, axis, float(steps[axis]))
        toFirst.SetElement(axis, 3, float(first[axis]))
    vtk.vtkMatrix4x4.Multiply4x4(toWorld, toFirst, toWorld)
    coarse.SetDimensions(*kept.shape[::-1])
    coarse.SetGeometryFromImageToWorldMatrix(toWorld)
    coarse.GetPointData().SetScalars(numpy_to_vtk(kept.ravel(), deep=True))
    return coarse
