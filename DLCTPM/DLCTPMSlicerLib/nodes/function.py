"""High- and low-functional lung in Slicer: the live preview by colours, and the segmentation with terminology."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import slicer
import slicer.util
from slicer.i18n import tr as _

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

HIGH_COLOUR, LOW_COLOUR = (0.90, 0.62, 0.0), (0.0, 0.45, 0.70)
"""Told apart with any colour vision; the left lung's are a shade darker."""
LEFT_SHADE = 0.8
SCHEME = "99DLCTPM"
"""Coding scheme of what SNOMED CT has no code for: high and low function."""


@dataclass(frozen=True)
class Part:
    """One of the four functional regions: its segment's id and name, label value, side and colour."""

    id: str
    name: str
    value: int
    side: Code
    function: Code
    colour: tuple[float, float, float]


HIGH = Code("high-functional-lung", SCHEME, "High-functional lung")
LOW = Code("low-functional-lung", SCHEME, "Low-functional lung")
RIGHT_HIGH, RIGHT_LOW, LEFT_HIGH, LEFT_LOW = 1, 2, 3, 4


def parts() -> list[Part]:
    """Right and left, high and low, with their label values."""
    right, left = RIGHT_SIDE, LEFT_SIDE
    dark_high, dark_low = (tuple(LEFT_SHADE * part for part in colour) for colour in (HIGH_COLOUR, LOW_COLOUR))
    return [
        Part("right-high-functional-lung", _("Right high-functional lung"), RIGHT_HIGH, right, HIGH, HIGH_COLOUR),
        Part("right-low-functional-lung", _("Right low-functional lung"), RIGHT_LOW, right, LOW, LOW_COLOUR),
        Part("left-high-functional-lung", _("Left high-functional lung"), LEFT_HIGH, left, HIGH, dark_high),
        Part("left-low-functional-lung", _("Left low-functional lung"), LEFT_LOW, left, LOW, dark_low),
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
            node.SetColor(index, *(HIGH_COLOUR if index >= first else LOW_COLOUR), 1.0)
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
    for regions, high_label, low_label in ((RIGHT, RIGHT_HIGH, RIGHT_LOW), (LEFT, LEFT_HIGH, LEFT_LOW)):
        for region in regions:
            high[int(region)], low[int(region)] = high_label, low_label
    return high, low
