"""A scripted module of the bench's own: just enough to show that modules run on the stand-in."""

from typing import Annotated

import slicer
import vtk
from slicer import vtkMRMLScalarVolumeNode
from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import Choice, WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin


class TinyModule(ScriptedLoadableModule):
    """Describes the module."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("Tiny module")


@parameterNodeWrapper
class TinyModuleParameterNode:
    """One parameter of each kind."""

    inputVolume: vtkMRMLScalarVolumeNode
    threshold: Annotated[float, WithinRange(-100, 500)] = 100
    invert: bool = True
    side: Annotated[str, Choice(["left", "right"])] = "right"


class TinyModuleWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self._parameterNode = None
        self.fail = False

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        panel = slicer.util.loadUI(self.resourcePath("UI/TinyModule.ui"))
        self.layout.addWidget(panel)
        self.ui = slicer.util.childWidgetVariables(panel)
        panel.setMRMLScene(slicer.mrmlScene)
        self.logic = TinyModuleLogic()
        self.ui.applyButton.clicked.connect(self.onApply)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onEndClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndImportEvent, self.onEndClose)
        self.setParameterNode(self.logic.getParameterNode())

    def cleanup(self):
        self.setParameterNode(None)
        self.removeObservers()

    def onStartClose(self, _caller, _event):
        self.setParameterNode(None)

    def onEndClose(self, _caller, _event):
        self.setParameterNode(self.logic.getParameterNode())

    def setParameterNode(self, node):
        if self._parameterNode:
            self._parameterNode.disconnectGui(self._tag)
            self.removeObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self.onParameter)
        self._parameterNode = node
        if node:
            self._tag = node.connectGui(self.ui)
            self.addObserver(node, vtk.vtkCommand.ModifiedEvent, self.onParameter)
            self.onParameter()

    def onParameter(self, _caller=None, _event=None):
        self.ui.applyButton.enabled = self._parameterNode.inputVolume is not None

    def onApply(self):
        if self.fail:
            raise RuntimeError("the slot fails on purpose")
        node = self._parameterNode
        self.ui.resultLabel.text = str(self.logic.count(node.inputVolume, node.threshold, node.invert))


class TinyModuleLogic(ScriptedLoadableModuleLogic):
    """Counts voxels."""

    def getParameterNode(self):
        return TinyModuleParameterNode(super().getParameterNode())

    def count(self, volume, threshold, invert):
        above = slicer.util.arrayFromVolume(volume) > threshold
        return int((~above if invert else above).sum())


class TinyModuleTest(ScriptedLoadableModuleTest):
    """Run by "Reload & Test"."""

    def runTest(self):
        self.delayDisplay("nothing to test")
        slicer.tinyModuleWasTested = True
