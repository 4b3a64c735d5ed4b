"""What ties the nodes of a perfusion map together: the map refers to everything that belongs to it."""

from __future__ import annotations

import json

import slicer
from slicer.i18n import tr as _

from DLCTPMSlicerLib.engine.errors import NodeError

MADE_HERE = "DLCTPM.Made"
"""Attribute of every volume and segmentation that this module made: no such volume is a CT."""
PERFUSION, LUNGS, FUNCTION, COMPARISON = "perfusion", "lungs", "function", "comparison"
"""Its values."""

CT_ROLE, LUNGS_ROLE, FUNCTION_ROLE = "DLCTPM.ct", "DLCTPM.lungs", "DLCTPM.function"
TABLE_ROLE, REPORT_ROLE = "DLCTPM.regions", "DLCTPM.report"
METRICS_ROLE, SPECT_ROLE = "DLCTPM.metrics", "DLCTPM.spect"
RELATIVE_ROLE, ON_SPECT_ROLE = "DLCTPM.spectRelative", "DLCTPM.perfusionOnSpect"
DIFFERENCE_ROLE = "DLCTPM.difference"
HISTOGRAM_ROLE, CHART_ROLE = "DLCTPM.jointHistogram", "DLCTPM.jointHistogramChart"
DOSE_ROLE, DOSE_REPORT_ROLE = "DLCTPM.dose", "DLCTPM.doseReport"
"""Node references of a perfusion map; lungs that were found here refer to their CT by ``CT_ROLE`` too."""


def partOf(node, role: str):
    """A node that belongs to a perfusion map, by one of the roles above; None where it is gone."""
    return node.GetNodeReference(role) if node is not None else None


def isMap(volume) -> bool:
    """Whether a volume is a perfusion map that this module made; the display of no other volume is its business."""
    return volume is not None and volume.GetAttribute(MADE_HERE) == PERFUSION


def resultOf(perfusion) -> dict:
    """The ``result.json`` that a perfusion map keeps; empty for any other volume."""
    text = perfusion.GetAttribute("DLCTPM.Result") if perfusion is not None else None
    return json.loads(text) if text else {}


def lungsOf(perfusion) -> slicer.vtkMRMLSegmentationNode:
    """The lungs that a map was made in.

    Raises:
        NodeError: they were removed, or the volume is not such a map.
    """
    lungs = partOf(perfusion, LUNGS_ROLE)
    if lungs is None:
        raise NodeError(
            _("The lungs of {name} are not in the scene; predict again.").format(
                name=perfusion.GetName() if perfusion is not None else _("no map")
            )
        )
    return lungs


def wasMadeFor(lungs, ct) -> bool:
    """Whether lungs were found in, or drawn on, this CT."""
    if lungs is None or ct is None:
        return False
    reference = partOf(lungs, CT_ROLE)
    if reference is None and lungs.IsA("vtkMRMLSegmentationNode"):
        reference = lungs.GetNodeReference(lungs.GetReferenceImageGeometryReferenceRole())
    return reference is ct
