"""Lungs on their way into the Segment Editor."""

from __future__ import annotations

import slicer
import slicer.util
from slicer.i18n import tr as _

from DLCTPMSlicerLib.segments.lung_nodes import lungsFromLabels


def editableCopy(lungs, ct: slicer.vtkMRMLScalarVolumeNode) -> slicer.vtkMRMLSegmentationNode:
    """A segmentation to edit: a copy of a segmentation, or the lung regions of a label map."""
    name = slicer.mrmlScene.GenerateUniqueName(_("{ct} lungs, edited").format(ct=ct.GetName()))
    if not lungs.IsA("vtkMRMLSegmentationNode"):
        return lungsFromLabels(lungs, name, ct)
    copy = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    copy.GetSegmentation().DeepCopy(lungs.GetSegmentation())
    copy.CreateDefaultDisplayNodes()
    copy.SetReferenceImageGeometryParameterFromVolumeNode(ct)
    return copy


def openSegmentEditor(segmentation: slicer.vtkMRMLSegmentationNode, volume: slicer.vtkMRMLScalarVolumeNode) -> None:
    """Change to the Segment Editor with this segmentation and the CT behind it."""
    slicer.util.selectModule("SegmentEditor")
    editor = slicer.modules.segmenteditor.widgetRepresentation().self().editor
    editor.setSegmentationNode(segmentation)
    editor.setSourceVolumeNode(volume)
