"""The colours of perfusion: the same in the panel, in the report and for a SPECT, and dark where there is none."""

from __future__ import annotations

import numpy as np
import slicer
import slicer.util

INFERNO = (
    (0.001, 0.000, 0.014),
    (0.042, 0.028, 0.141),
    (0.129, 0.047, 0.291),
    (0.238, 0.037, 0.396),
    (0.342, 0.062, 0.429),
    (0.441, 0.099, 0.432),
    (0.541, 0.135, 0.415),
    (0.640, 0.171, 0.381),
    (0.736, 0.216, 0.330),
    (0.822, 0.275, 0.266),
    (0.894, 0.353, 0.194),
    (0.947, 0.449, 0.115),
    (0.978, 0.558, 0.035),
    (0.988, 0.675, 0.065),
    (0.975, 0.798, 0.206),
    (0.948, 0.917, 0.411),
    (0.988, 0.998, 0.645),
)
"""Inferno at equal steps (S. van der Walt, N. Smith; matplotlib, CC0): its zero is black."""
STEPS = 256
INFERNO_NAME = "CT perfusion: Inferno"
COLOUR_MAPS = {
    "inferno": "vtkMRMLColorTableNodeFileInferno.txt",
    "iron": "vtkMRMLColorTableNodeIron",
    "viridis": "vtkMRMLColorTableNodeFileViridis.txt",
    "rainbow": "vtkMRMLColorTableNodeRainbow",
    "grey": "vtkMRMLColorTableNodeGrey",
}
"""Keys of the panel's colour maps and Slicer's nodes; in place of one that is not there comes our own Inferno."""
RANDOM_COLOURS = "vtkMRMLColorTableNodeRandom"


def colourNode(key: str = "inferno") -> slicer.vtkMRMLColorNode:
    """The colour node of a colour map's key."""
    return slicer.mrmlScene.GetNodeByID(COLOUR_MAPS.get(key, "")) or _inferno()


def tableNode(name: str, steps: int) -> slicer.vtkMRMLColorTableNode:
    """A colour table of this module, made once a scene; it is made anew where a scene needs it, never saved."""
    node = slicer.mrmlScene.GetFirstNodeByName(name)
    if node is None:
        node = slicer.vtkMRMLColorTableNode()
        node.SetTypeToUser()
        node.SetName(name)
        node.SetHideFromEditors(True)
        node.SetSaveWithScene(False)
        node.SetNumberOfColors(steps)
        node = slicer.mrmlScene.AddNode(node)
    return node


def _inferno() -> slicer.vtkMRMLColorTableNode:
    node = slicer.mrmlScene.GetFirstNodeByName(INFERNO_NAME)
    if node is not None:
        return node
    node = tableNode(INFERNO_NAME, STEPS)
    places, stops = np.linspace(0, 1, STEPS), np.linspace(0, 1, len(INFERNO))
    channels = [np.interp(places, stops, channel) for channel in np.array(INFERNO).T]
    with slicer.util.NodeModify(node):
        for index, colour in enumerate(zip(*channels, strict=True)):
            node.SetColor(index, *(float(part) for part in colour), 1.0)
        node.GetLookupTable().SetRange(0, 1)
    return node
