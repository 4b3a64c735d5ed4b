"""How a perfusion map is shown: over the CT in three planes, lungs in 3D, a colour legend with numbers."""

from __future__ import annotations

import numpy as np
import slicer
import slicer.util
from slicer.i18n import tr as _

from DLCTPMSlicerLib.nodes.colours import RANDOM_COLOURS, colourNode
from DLCTPMSlicerLib.nodes.roles import FUNCTION_ROLE, LUNGS_ROLE, MADE_HERE, partOf
from DLCTPMSlicerLib.segments.surfaces import makeSurfaces

OWN_VIEWS = "DLCTPM "
"""How the names of the views in this module's own layout begin."""
CT_WINDOW, CT_LEVEL = 1400, -500
"""The usual lung window, HU."""
JUST_ABOVE_ZERO = 1e-6
"""Lower display threshold: voxels outside the lungs are exactly 0 and stay clear."""
ABOVE_ALL = 1000.0
"""Upper display threshold: no relative perfusion comes near it."""
SPECT_TOP_PERCENTILE = 99.9
SPECT_CLEAR_BELOW = 0.1
"""Part of the brightest counts below which a SPECT is clear, so that the CT is seen beside the lungs."""
LEGEND_SIZE, LEGEND_PLACE = (0.045, 0.22), (0.965, 0.16)
"""Parts of a view's width and height; the place is that of its middle: the lower right corner, beside the patient."""
LEGEND_FONT, LEGEND_LABELS = 9, 3


def setPerfusionDisplay(
    perfusion: slicer.vtkMRMLScalarVolumeNode,
    colour: slicer.vtkMRMLColorNode | None = None,
    window: tuple[float, float] = (0.0, 1.0),
) -> None:
    """Give a perfusion map its colours and window, clear outside the lungs; nothing is left to chance."""
    if perfusion.GetDisplayNode() is None:
        plain = slicer.vtkMRMLScalarVolumeDisplayNode()
        plain.SetAutoWindowLevel(False)  # Slicer's default node would look for a window of its own first
        slicer.mrmlScene.AddNode(plain)
        perfusion.SetAndObserveDisplayNodeID(plain.GetID())
    display = perfusion.GetDisplayNode()
    with slicer.util.NodeModify(display):
        display.SetAndObserveColorNodeID((colour or colourNode()).GetID())
        display.SetAutoWindowLevel(False)
        display.SetWindowLevelMinMax(*window)
        display.SetAutoThreshold(False)
        display.SetThreshold(JUST_ABOVE_ZERO, ABOVE_ALL)  # the highest value itself would take a pass over the map
        display.SetApplyThreshold(True)
        display.SetInterpolate(False)  # else a rim of low perfusion that is not there surrounds the lungs


def setCtDisplay(ct: slicer.vtkMRMLScalarVolumeNode, randomColours: bool = False) -> None:
    """Show the CT in the lung window, or in the 256 random colours of the paper's Fig. 3."""
    if ct.GetDisplayNode() is None:
        ct.CreateDefaultDisplayNodes()
    display = ct.GetDisplayNode()
    with slicer.util.NodeModify(display):
        display.SetAutoWindowLevel(False)
        if randomColours:
            display.SetAndObserveColorNodeID(RANDOM_COLOURS)
            display.SetWindowLevelMinMax(-1000, -400)
            display.SetInterpolate(False)
        else:
            display.SetAndObserveColorNodeID("vtkMRMLColorTableNodeGrey")
            display.SetWindowLevel(CT_WINDOW, CT_LEVEL)
            display.SetInterpolate(True)


def showOverlay(
    ct: slicer.vtkMRMLScalarVolumeNode,
    overlay: slicer.vtkMRMLScalarVolumeNode | None,
    opacity: float = 0.6,
    fit: bool = False,
) -> None:
    """Put the CT behind and the overlay in front of it in every slice view."""
    slicer.util.setSliceViewerLayers(
        background=ct, foreground=overlay, foregroundOpacity=opacity if overlay is not None else 0.0, fit=fit
    )


def showSpect(ct: slicer.vtkMRMLScalarVolumeNode, spect: slicer.vtkMRMLScalarVolumeNode, opacity: float) -> None:
    """Show a SPECT over the CT, to judge how well it is registered."""
    setSpectDisplay(spect)
    setCtDisplay(ct)
    showOverlay(ct, spect, opacity)


def setSpectDisplay(spect: slicer.vtkMRMLScalarVolumeNode) -> None:
    """Give a SPECT the colours of perfusion, clear where it has hardly any counts."""
    if spect.GetDisplayNode() is None:
        spect.CreateDefaultDisplayNodes()
    top = spectTop(spect)
    node = spect.GetDisplayNode()
    with slicer.util.NodeModify(node):
        node.SetAndObserveColorNodeID(colourNode().GetID())
        node.SetAutoWindowLevel(False)
        node.SetWindowLevelMinMax(0.0, top)
        node.SetAutoThreshold(False)
        node.SetThreshold(SPECT_CLEAR_BELOW * top, max(top, spect.GetImageData().GetScalarRange()[1]))
        node.SetApplyThreshold(True)


def putBack(overlay, instead: slicer.vtkMRMLScalarVolumeNode, opacity: float) -> None:
    """Show something else where a slice view shows ``overlay``; the views of this module's own layout stay."""
    for view in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
        own = (view.GetSingletonTag() or "").startswith(OWN_VIEWS)
        if not own and overlay is not None and view.GetForegroundVolumeID() == overlay.GetID():
            view.SetForegroundVolumeID(instead.GetID())
            view.SetForegroundOpacity(opacity)


def spectTop(spect: slicer.vtkMRMLScalarVolumeNode) -> float:
    """The counts that get the brightest colour: few voxels have more (a hot spot would leave the lungs dark)."""
    voxels = slicer.util.arrayFromVolume(spect)
    return float(np.percentile(voxels, SPECT_TOP_PERCENTILE)) or float(voxels.max()) or 1.0


def showLegend(volume: slicer.vtkMRMLScalarVolumeNode, visible: bool = True, title: str = "") -> None:
    """A colour legend with numbers in the slice views that show the volume; none is made while no view does."""
    logic = slicer.modules.colors.logic()
    legend = logic.GetColorLegendDisplayNode(volume)
    if legend is None:
        if not visible or not isShown(volume):  # made before its volume is in a view, it would never be drawn
            return
        legend = logic.AddDefaultColorLegendDisplayNode(volume)
    if legend is None:
        return
    with slicer.util.NodeModify(legend):
        legend.SetTitleText(title or _("Perfusion"))
        legend.SetLabelFormat("%.1f")
        legend.SetNumberOfLabels(LEGEND_LABELS)
        legend.SetSize(*LEGEND_SIZE)
        legend.SetPosition(*LEGEND_PLACE)
        for text in (legend.GetTitleTextProperty(), legend.GetLabelTextProperty()):
            text.SetFontSize(LEGEND_FONT)
        legend.SetVisibility(visible)


def isShown(volume: slicer.vtkMRMLScalarVolumeNode) -> bool:
    """Whether a slice view shows the volume."""
    return any(
        volume.GetID() in (view.GetForegroundVolumeID(), view.GetBackgroundVolumeID())
        for view in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    )


def showLungs3D(lungs: slicer.vtkMRMLSegmentationNode | None, visible: bool = True, opacity: float = 0.4) -> None:
    """Show the lungs as surfaces in the 3D view and as outlines in the slice views."""
    if lungs is None:
        return
    if visible:
        makeSurfaces(lungs)
    display = lungs.GetDisplayNode()
    with slicer.util.NodeModify(display):
        display.SetVisibility(True)
        display.SetVisibility2DFill(False)
        display.SetVisibility2DOutline(True)
        display.SetVisibility3D(visible)
        display.SetOpacity3D(opacity)


def hang(ct: slicer.vtkMRMLScalarVolumeNode, perfusion: slicer.vtkMRMLScalarVolumeNode, opacity: float = 0.6) -> None:
    """CT with overlay in every slice view, moved to the middle of the lungs, with a colour legend; in any layout."""
    setCtDisplay(ct)
    showOverlay(ct, perfusion, opacity, fit=True)
    showLegend(perfusion)
    if slicer.app.layoutManager() is not None:
        centreSlices(perfusion)


def standardLayout() -> None:
    """Three planes and a 3D view."""
    if slicer.app.layoutManager() is not None:
        slicer.app.layoutManager().setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)


def reset3D() -> None:
    """Let the 3D views show everything."""
    if slicer.app.layoutManager() is not None:
        slicer.app.layoutManager().resetThreeDViews()


def hideOthers(perfusion: slicer.vtkMRMLScalarVolumeNode) -> None:
    """Of the lungs and contours that this module made, let none be seen but this map's."""
    own = [partOf(perfusion, LUNGS_ROLE), partOf(perfusion, FUNCTION_ROLE)]
    for node in slicer.util.getNodesByClass("vtkMRMLSegmentationNode"):
        if node.GetAttribute(MADE_HERE) and node.GetDisplayNode() is not None:
            node.GetDisplayNode().SetVisibility(any(node is one for one in own))


def centreSlices(volume: slicer.vtkMRMLScalarVolumeNode) -> None:
    """Move the slice views to the middle of a map's lungs, the sagittal one through the right lung."""
    middle, rightLung = _lungCentres(partOf(volume, LUNGS_ROLE) or volume)
    for name in slicer.app.layoutManager().sliceViewNames():
        view = slicer.app.layoutManager().sliceWidget(name).mrmlSliceNode()
        sagittal = view.GetOrientation() == "Sagittal"
        view.JumpSlice(*(rightLung if sagittal else middle))


def _lungCentres(node: slicer.vtkMRMLDisplayableNode) -> tuple[np.ndarray, np.ndarray]:
    """RAS middle of lungs (of the whole image where there are none), and the middle of the patient's right half.

    A segmentation made here has label images that end where the lungs do, so no voxel is looked at.
    """
    bounds = [0.0] * 6
    node.GetRASBounds(bounds)
    corners = np.array(bounds).reshape(3, 2).T
    middle = corners.mean(axis=0)
    rightLung = middle.copy()
    rightLung[0] = (middle[0] + corners[:, 0].max()) / 2
    return middle, rightLung


def placeBeside(ct: slicer.vtkMRMLScalarVolumeNode, nodes) -> None:
    """Put nodes into the CT's study in the subject hierarchy (beside the CT where it has no study)."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    ctItem = _item(hierarchy, ct)
    parent = hierarchy.GetItemParent(ctItem)
    for node in nodes:
        hierarchy.SetItemParent(_item(hierarchy, node), parent)


def _item(hierarchy, node) -> int:
    item = hierarchy.GetItemByDataNode(node)
    return item or hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)
