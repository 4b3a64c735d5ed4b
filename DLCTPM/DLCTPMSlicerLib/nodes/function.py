"""High- and low-functional lung in Slicer: the live preview by colours, and the segmentation with terminology."""

from __future__ import annotations

import numpy as np
import slicer
import slicer.util
from slicer.i18n import tr as _

from DLCTPMSlicerLib.nodes.colours import tableNode
from DLCTPMSlicerLib.nodes.regions import LungBox
from DLCTPMSlicerLib.nodes.roles import FUNCTION, FUNCTION_ROLE, MADE_HERE
from DLCTPMSlicerLib.segments.label_segments import LabelSegment, addLabelSegments
from DLCTPMSlicerLib.segments.lung_nodes import regionTerminology

HIGH_COLOUR, LOW_COLOUR = (0.90, 0.62, 0.0), (0.0, 0.45, 0.70)
"""As in the engine's ``function.seg.nrrd``: told apart with any colour vision."""
HIGH, LOW = 1, 2
"""Label values, as in the engine's file."""
PREVIEW_NAME = "CT perfusion: high and low function"
STEPS = 1000


def previewColours(threshold: float) -> slicer.vtkMRMLColorTableNode:
    """A two-colour table that changes at the threshold: showing it costs no computation, so it follows the slider."""
    node = tableNode(PREVIEW_NAME, STEPS)
    first = round(threshold * STEPS)
    with slicer.util.NodeModify(node):
        for index in range(STEPS):
            node.SetColor(index, *(HIGH_COLOUR if index >= first else LOW_COLOUR), 1.0)
        node.GetLookupTable().SetRange(0, 1)
    return node


def functionalSegmentation(
    perfusion: slicer.vtkMRMLScalarVolumeNode,
    lungs: slicer.vtkMRMLSegmentationNode,
    threshold: float,
    node: slicer.vtkMRMLSegmentationNode | None = None,
) -> slicer.vtkMRMLSegmentationNode:
    """A segmentation of high- (> threshold) and low-functional lung (≤ threshold), as the engine writes it.

    Args:
        perfusion: relative perfusion.
        lungs: made with it; every lung region counts.
        threshold: relative perfusion, 0…1.
        node: an earlier one to fill anew.
    """
    box = LungBox(perfusion, lungs)
    values = slicer.util.arrayFromVolume(perfusion)[box.box]
    function = np.empty(values.shape, np.uint8)
    for k, regions in enumerate(box.regions()):
        function[k] = np.where(regions > 0, np.where(values[k] > threshold, HIGH, LOW), 0)
    if node is None:
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", f"{perfusion.GetName()}: function")
        node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(perfusion)
    node.GetSegmentation().RemoveAllSegments()
    terminology = regionTerminology(1)
    segments = [
        LabelSegment("high-functional-lung", _("High-functional lung"), HIGH, HIGH_COLOUR, terminology),
        LabelSegment("low-functional-lung", _("Low-functional lung"), LOW, LOW_COLOUR, terminology),
    ]
    addLabelSegments(node, function, box.first, perfusion, segments)
    node.SetAttribute("DLCTPM.Threshold", repr(float(threshold)))
    node.SetAttribute(MADE_HERE, FUNCTION)
    perfusion.SetNodeReferenceID(FUNCTION_ROLE, node.GetID())
    display = node.GetDisplayNode()
    display.SetVisibility2DFill(False)
    display.SetVisibility2DOutline(True)
    return node
