"""A right click on a CT in the Data module: "Map perfusion".

Slicer loads this file by its path, as a module of its own (``qSlicerSubjectHierarchyScriptedPlugin``).
"""

from __future__ import annotations

import qt
import slicer
import slicer.util
from slicer.i18n import tr as _
from SubjectHierarchyPlugins import AbstractScriptedSubjectHierarchyPlugin

from DLCTPMSlicerLib.nodes.roles import MADE_HERE

MODULE = "DLCTPM"
MODALITY = "DICOM.Modality"


class DLCTPMSubjectHierarchyPlugin(AbstractScriptedSubjectHierarchyPlugin):
    """Owns no item; offers one action for volumes that may be a CT."""

    filePath = __file__

    def __init__(self, scriptedPlugin):
        scriptedPlugin.name = MODULE
        AbstractScriptedSubjectHierarchyPlugin.__init__(self, scriptedPlugin)
        self.mapAction = qt.QAction(_("Map perfusion"), scriptedPlugin)
        self.mapAction.objectName = "DLCTPMMapPerfusionAction"
        self.mapAction.setToolTip(_("Predict relative lung perfusion from this chest CT. Research use only."))
        self.mapAction.triggered.connect(self.mapCurrentItem)

    def canOwnSubjectHierarchyItem(self, _itemID) -> float:
        """Every item is another plugin's."""
        return 0.0

    def roleForPlugin(self) -> str:
        """It has none."""
        return "N/A"

    def itemContextMenuActions(self) -> list:
        """What may stand in the menu of an item."""
        return [self.mapAction]

    def showContextMenuActionsForItem(self, itemID) -> None:
        """Show the action for a volume that may be a CT; Slicer hides it before it asks."""
        if ctOf(itemID) is not None:
            self.mapAction.visible = True

    def mapCurrentItem(self, _checked=False) -> None:
        """What a click does: the module opens with this CT and predicts."""
        item = slicer.qSlicerSubjectHierarchyPluginHandler.instance().currentItem()
        ct = ctOf(item)
        if ct is None:
            return
        slicer.util.selectModule(MODULE)
        slicer.util.getModuleWidget(MODULE).mapCt(ct)


def ctOf(itemID):
    """The volume of an item that may be a CT: plain scalar, not made by this module, of no other DICOM modality."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    node = hierarchy.GetItemDataNode(itemID) if itemID else None
    if node is None or node.GetClassName() != "vtkMRMLScalarVolumeNode" or node.GetAttribute(MADE_HERE):
        return None
    return node if hierarchy.GetItemAttribute(itemID, MODALITY) in ("", "CT") else None
