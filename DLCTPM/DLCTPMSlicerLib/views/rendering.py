"""A perfusion map in the 3D view: volume rendering in the map's own colours, in which high perfusion shines."""

from __future__ import annotations

import slicer
import slicer.util

from DLCTPMSlicerLib.nodes.colours import colourNode

STEPS = 16
MOST_OPACITY = 0.25
"""Of one unit of length, at the highest perfusion; at none it is clear."""


def showIn3D(perfusion: slicer.vtkMRMLScalarVolumeNode, visible: bool, window: tuple[float, float] = (0, 1)) -> None:
    """Show the map in the 3D views, or not; nothing is made while it was never asked for."""
    logic = slicer.modules.volumerendering.logic()
    display = logic.GetFirstVolumeRenderingDisplayNode(perfusion)
    if display is None:
        if not visible:
            return
        display = logic.CreateDefaultVolumeRenderingNodes(perfusion)
    colour(display.GetVolumePropertyNode(), window)
    display.SetVisibility(visible)


def colour(node: slicer.vtkMRMLVolumePropertyNode, window: tuple[float, float]) -> None:
    """Give a volume property the colours of perfusion and an opacity that rises with it."""
    table = colourNode().GetLookupTable()
    low, high = window
    with slicer.util.NodeModify(node):
        colours, opacity = node.GetColor(), node.GetScalarOpacity()
        colours.RemoveAllPoints()
        opacity.RemoveAllPoints()
        for step in range(STEPS + 1):
            share = step / STEPS
            value = low + share * (high - low)
            index = round(share * (table.GetNumberOfTableValues() - 1))
            colours.AddRGBPoint(value, *table.GetTableValue(index)[:3])
            opacity.AddPoint(value, MOST_OPACITY * share**2)
        node.GetVolumeProperty().ShadeOff()
