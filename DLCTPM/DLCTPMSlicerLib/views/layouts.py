"""A layout of this module's own: CT, map and SPECT beside each other, moved together; below, 3D, plot and table."""

from __future__ import annotations

import slicer
import slicer.util

from DLCTPMSlicerLib.nodes import display
from DLCTPMSlicerLib.nodes.roles import CHART_ROLE, CT_ROLE, METRICS_ROLE, SPECT_ROLE, TABLE_ROLE, partOf

LAYOUT_ID = 39607
"""Slicer's own layouts count from 1, those of other extensions are said to start at 500: this is "Lung" in SNOMED CT,
cut to five digits."""
SLICES = tuple(f"{display.OWN_VIEWS}{name}" for name in ("CT", "map", "SPECT"))
LABELS = ("C", "P", "S")
PLOT, TABLE = f"{display.OWN_VIEWS}plot", f"{display.OWN_VIEWS}table"


def _slice(tag: str, label: str) -> str:
    return f"""
    <item><view class="vtkMRMLSliceNode" singletontag="{tag}">
     <property name="orientation" action="default">Axial</property>
     <property name="viewlabel" action="default">{label}</property>
     <property name="viewcolor" action="default">#8C8C8C</property>
     <property name="viewgroup" action="default">1</property>
    </view></item>"""


def layoutXml() -> str:
    """The layout, as Slicer's layout manager reads it."""
    slices = "".join(_slice(tag, label) for tag, label in zip(SLICES, LABELS, strict=True))
    return f"""<layout type="vertical" split="true">
 <item splitSize="600">
  <layout type="horizontal">{slices}
  </layout>
 </item>
 <item splitSize="400">
  <layout type="horizontal">
   <item><view class="vtkMRMLViewNode" singletontag="1">
    <property name="viewlabel" action="default">1</property>
   </view></item>
   <item><view class="vtkMRMLPlotViewNode" singletontag="{PLOT}">
    <property name="viewlabel" action="default">1</property>
   </view></item>
   <item><view class="vtkMRMLTableViewNode" singletontag="{TABLE}">
    <property name="viewlabel" action="default">T</property>
   </view></item>
  </layout>
 </item>
</layout>"""


def showComparisonLayout(perfusion: slicer.vtkMRMLScalarVolumeNode, spect, opacity: float) -> None:
    """Change to the layout, and show a map's CT, the map over it, and the SPECT over it, at the same place.

    Args:
        perfusion: the map.
        spect: of the same patient; None for the one that the map was last compared with, if any.
        opacity: of map and SPECT over the CT.
    """
    manager = slicer.app.layoutManager()
    node = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    if manager is None or node is None:  # Slicer without a main window
        return
    if not node.IsLayoutDescription(LAYOUT_ID):
        node.AddLayoutDescription(LAYOUT_ID, layoutXml())
    manager.setLayout(LAYOUT_ID)
    ct, spect = partOf(perfusion, CT_ROLE), spect or partOf(perfusion, SPECT_ROLE)
    if spect is not None:
        display.setSpectDisplay(spect)
    for tag, overlay in zip(SLICES, (None, perfusion, spect), strict=True):
        fillSlice(tag, ct, overlay, opacity)
    display.showLegend(perfusion)
    display.centreSlices(perfusion)
    for name, role, setter in ((PLOT, CHART_ROLE, "SetPlotChartNodeID"), (TABLE, METRICS_ROLE, "SetTableNodeID")):
        part = partOf(perfusion, role) or (partOf(perfusion, TABLE_ROLE) if name == TABLE else None)
        for view in slicer.util.getNodesByClass("vtkMRMLPlotViewNode" if name == PLOT else "vtkMRMLTableViewNode"):
            if part is not None and view.GetSingletonTag() == name:
                getattr(view, setter)(part.GetID())


def fillSlice(tag: str, ct, overlay, opacity: float) -> None:
    """Show the CT, and over it something else, in the slice view of this name; linked with the others."""
    for view in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
        if view.GetSingletonTag() == tag or view.GetLayoutName() == tag:
            view.SetBackgroundVolumeID(ct.GetID() if ct is not None else None)
            view.SetForegroundVolumeID(overlay.GetID() if overlay is not None else None)
            view.SetForegroundOpacity(opacity)
            view.SetLinkedControl(True)
            logic = slicer.app.applicationLogic().GetSliceLogicByLayoutName(tag)
            if logic is not None:
                logic.FitSliceToAll()
