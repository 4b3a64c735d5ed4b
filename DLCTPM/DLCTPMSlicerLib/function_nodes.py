"""High- and low-functional lung in Slicer: the live preview by colours, and the segmentation with terminology."""

from __future__ import annotations

import numpy as np
import slicer
import slicer.util
from slicer.i18n import tr as _

HIGH_COLOUR, LOW_COLOUR = (0.90, 0.62, 0.0), (0.0, 0.45, 0.70)
"""As in the engine's ``function.seg.nrrd``: told apart with any colour vision."""
PREVIEW_NAME = "CT perfusion: high and low function"
STEPS = 1000


def previewColours(threshold: float) -> slicer.vtkMRMLColorTableNode:
    """A two-colour table that changes at the threshold: showing it costs no computation, so it follows the slider."""
    node = slicer.mrmlScene.GetFirstNodeByName(PREVIEW_NAME)
    if node is None:
        node = slicer.vtkMRMLColorTableNode()
        node.SetTypeToUser()
        node.SetName(PREVIEW_NAME)
        node.SetHideFromEditors(True)
        node.SetSaveWithScene(False)
        node.SetNumberOfColors(STEPS)
        node = slicer.mrmlScene.AddNode(node)
    first = round(threshold * STEPS)
    with slicer.util.NodeModify(node):
        for index in range(STEPS):
            node.SetColor(index, *(HIGH_COLOUR if index >= first else LOW_COLOUR), 1.0)
        node.GetLookupTable().SetRange(0, 1)
    return node


def functionalSegmentation(
    perfusion: slicer.vtkMRMLScalarVolumeNode,
    regions: np.ndarray,
    threshold: float,
    node: slicer.vtkMRMLSegmentationNode | None = None,
) -> slicer.vtkMRMLSegmentationNode:
    """A segmentation of high- (> threshold) and low-functional lung (≤ threshold), as the engine writes it.

    Args:
        perfusion: relative perfusion.
        regions: CIP regions on its grid (k, j, i); 0 is not lung.
        threshold: relative perfusion, 0…1.
        node: an earlier one to fill anew.
    """
    from DLCTPMLib.chest_regions import LUNG
    from DLCTPMSlicerLib.lung_nodes import regionTerminology

    if node is None:
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", f"{perfusion.GetName()}: function")
        node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(perfusion)
    segmentation = node.GetSegmentation()
    segmentation.RemoveAllSegments()
    lung = np.isin(regions, [int(region) for region in LUNG])
    high = slicer.util.arrayFromVolume(perfusion) > threshold
    for segmentId, name, colour, mask in (
        ("high-functional-lung", _("High-functional lung"), HIGH_COLOUR, lung & high),
        ("low-functional-lung", _("Low-functional lung"), LOW_COLOUR, lung & ~high),
    ):
        segmentation.AddEmptySegment(segmentId, name, colour)
        segment = segmentation.GetSegment(segmentId)
        segment.SetTag(segment.GetTerminologyEntryTagName(), regionTerminology(1))
        slicer.util.updateSegmentBinaryLabelmapFromArray(mask.astype(np.uint8), node, segmentId, perfusion)
    node.SetAttribute("DLCTPM.Threshold", repr(float(threshold)))
    display = node.GetDisplayNode()
    display.SetVisibility2DFill(False)
    display.SetVisibility2DOutline(True)
    return node
