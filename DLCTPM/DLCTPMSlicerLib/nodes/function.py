"""High- and low-functional lung in Slicer: the live preview by colours, and the segmentation with terminology."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import slicer
import slicer.util
from slicer.i18n import tr as _

from DLCTPMLib.function.codes import CLASS_CODES, COLOURS, LEFT_LUNG, RIGHT_LUNG, VALUES, colour_of
from DLCTPMLib.function.definitions import HIGH, LOW
from DLCTPMLib.labels.chest_regions import (
    ANATOMICAL_STRUCTURE,
    LEFT,
    LEFT_SIDE,
    LUNG_CODE,
    RIGHT,
    RIGHT_SIDE,
    Code,
)
from DLCTPMSlicerLib.engine.errors import NodeError
from DLCTPMSlicerLib.nodes.colours import tableNode
from DLCTPMSlicerLib.nodes.display import placeBeside
from DLCTPMSlicerLib.nodes.files import isInScene
from DLCTPMSlicerLib.nodes.regions import LungBox
from DLCTPMSlicerLib.nodes.roles import FUNCTION, FUNCTION_ROLE, MADE_HERE
from DLCTPMSlicerLib.segments.label_segments import LabelSegment, addLabelSegments
from DLCTPMSlicerLib.segments.lung_nodes import REGION_CONTEXT, TERMINOLOGY_CONTEXT


@dataclass(frozen=True)
class Part:
    """One of the four functional regions: its segment's id and name, label value, side and colour."""

    id: str
    name: str
    value: int
    side: Code
    function: Code
    colour: tuple[float, float, float]


def parts() -> list[Part]:
    """Right and left, high and low, with their label values."""
    names = {
        (HIGH, RIGHT_LUNG): ("right-high-functional-lung", _("Right high-functional lung")),
        (LOW, RIGHT_LUNG): ("right-low-functional-lung", _("Right low-functional lung")),
        (HIGH, LEFT_LUNG): ("left-high-functional-lung", _("Left high-functional lung")),
        (LOW, LEFT_LUNG): ("left-low-functional-lung", _("Left low-functional lung")),
    }
    sides = {RIGHT_LUNG: RIGHT_SIDE, LEFT_LUNG: LEFT_SIDE}
    return [
        Part(key, name, VALUES[kind, lung], sides[lung], CLASS_CODES[kind], colour_of(kind, lung))
        for (kind, lung), (key, name) in names.items()
    ]


def terminologyOf(part: Part) -> str:
    """Slicer's terminology entry: high- or low-functional lung (private code) in the lung (SCT) of one side."""

    def code(one) -> str:
        return f"{one.scheme}^{one.value}^{one.meaning}"

    kind = [code(ANATOMICAL_STRUCTURE), code(part.function), "^^"]
    return "~".join([TERMINOLOGY_CONTEXT, *kind, REGION_CONTEXT, code(LUNG_CODE), code(part.side)])


PREVIEW_NAME = "CT perfusion: high and low function"
STEPS = 1000


def previewColours(threshold: float) -> slicer.vtkMRMLColorTableNode:
    """A two-colour table that changes at the threshold: showing it costs no computation, so it follows the slider."""
    node = tableNode(PREVIEW_NAME, STEPS)
    first = round(threshold * STEPS)
    with slicer.util.NodeModify(node):
        for index in range(STEPS):
            node.SetColor(index, *COLOURS[HIGH if index >= first else LOW], 1.0)
        node.GetLookupTable().SetRange(0, 1)
    return node


def functionalSegmentation(
    perfusion: slicer.vtkMRMLScalarVolumeNode,
    lungs: slicer.vtkMRMLSegmentationNode,
    threshold: float,
    node: slicer.vtkMRMLSegmentationNode | None = None,
) -> Generator[None, None, slicer.vtkMRMLSegmentationNode]:
    """A segmentation of high- (> threshold) and low-functional lung (≤ threshold) of each side, in steps; the scene
    is touched by the last one alone.

    Args:
        perfusion: relative perfusion.
        lungs: made with it; every lung region counts.
        threshold: relative perfusion, 0…1.
        node: an earlier one to fill anew.

    Raises:
        NodeError: map or lungs were removed meanwhile.
    """
    box = LungBox(perfusion, lungs)
    values = slicer.util.arrayFromVolume(perfusion)[box.box]
    highOf, lowOf = _labelsOfRegions()
    function = np.empty(values.shape, np.uint8)
    for k, regions in enumerate(box.regions()):
        function[k] = np.where(values[k] > threshold, highOf[regions], lowOf[regions])
        yield
    if not (isInScene(perfusion) and isInScene(lungs)):
        raise NodeError(_("The map or its lungs were removed while contours were made; nothing was kept."))
    if not isInScene(node):
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", f"{perfusion.GetName()}: function")
        node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(perfusion)
    node.GetSegmentation().RemoveAllSegments()
    segments = [LabelSegment(one.id, one.name, one.value, one.colour, terminologyOf(one)) for one in parts()]
    addLabelSegments(node, function, box.first, perfusion, segments)
    node.SetAttribute("DLCTPM.Threshold", repr(float(threshold)))
    node.SetAttribute(MADE_HERE, FUNCTION)
    perfusion.SetNodeReferenceID(FUNCTION_ROLE, node.GetID())
    node.GetDisplayNode().SetVisibility2DFill(False)
    node.GetDisplayNode().SetVisibility2DOutline(True)
    placeBeside(perfusion, [node])
    return node


def _labelsOfRegions() -> tuple[np.ndarray, np.ndarray]:
    """For each CIP region the label of high and of low function; what has no side (none is made here) is no lung."""
    high, low = np.zeros(256, np.uint8), np.zeros(256, np.uint8)
    for regions, lung in ((RIGHT, RIGHT_LUNG), (LEFT, LEFT_LUNG)):
        for region in regions:
            high[int(region)], low[int(region)] = VALUES[HIGH, lung], VALUES[LOW, lung]
    return high, low
