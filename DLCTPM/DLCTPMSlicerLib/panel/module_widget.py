"""The life of a module's panel, the same for both modules: from its .ui file to the last observer taken off."""

from __future__ import annotations

import re
import sys

import slicer
import slicer.util
import vtk
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleWidget
from slicer.util import VTKObservationMixin


class ModuleWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """What Slicer calls when a module is opened, left, reloaded, and when the scene is closed or read.

    A module's own widget class gives ``makeLogic`` and ``makePanel``; Slicer goes by that class's name. The panel has
    ``close()``, ``refreshChoices()``, ``setParameters(parameterNode or None)``, ``update()`` and ``sceneClosed()``.
    """

    def __init__(self, parent=None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self._parameterNode = None
        self._guiTag = None

    def makeLogic(self):
        """The module's logic."""
        raise NotImplementedError

    def makePanel(self):
        """What is behind the widgets ``self.ui``, working with ``self.logic``."""
        raise NotImplementedError

    def setup(self) -> None:
        """Called once, when the user opens the module the first time."""
        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath(f"UI/{self.moduleName}.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = self.makeLogic()
        self.panel = self.makePanel()
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(scene, scene.EndCloseEvent, self.onSceneEndClose)
        self.addObserver(scene, scene.EndImportEvent, self.onSceneEndImport)
        self.initializeParameterNode()

    def cleanup(self) -> None:
        """Called before the panel goes: nothing may keep running or observing."""
        self.setParameterNode(None)
        self.removeObservers()
        self.panel.close()

    def onReload(self) -> None:
        """What "Reload" of Slicer's developer mode does: besides the module's file, its helpers are read again.

        Those of both modules: one that kept its own would go on with parts of the other's that are gone.
        """
        helpers = re.compile(r"DLCTPM\w*Lib(\.|$)")
        for name in [name for name in sys.modules if helpers.match(name)]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)

    def enter(self) -> None:
        """Called each time the user opens this module."""
        self.initializeParameterNode()
        self.panel.refreshChoices()

    def exit(self) -> None:
        """Called each time the user opens a different module: what the engine computes goes on."""
        self.setParameterNode(None)

    def onSceneStartClose(self, _caller, _event) -> None:
        """The scene is about to be closed."""
        self.setParameterNode(None)

    def onSceneEndClose(self, _caller, _event) -> None:
        """The scene was closed."""
        self.panel.sceneClosed()
        if self.parent.isEntered:
            self.initializeParameterNode()

    def onSceneEndImport(self, _caller, _event) -> None:
        """A scene was read: node references are only now complete, and no event says so."""
        if self.parent.isEntered:
            self.setParameterNode(None)
            self.initializeParameterNode()

    def initializeParameterNode(self) -> None:
        """Make sure that there is a parameter node, observed."""
        self.setParameterNode(self.logic.getParameterNode())

    def setParameterNode(self, parameterNode) -> None:
        """Bind the widgets to a parameter node, or to none."""
        if self._parameterNode:
            self._parameterNode.disconnectGui(self._guiTag)
            self.removeObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self.onParameterModified)
        self._parameterNode = parameterNode
        self.panel.setParameters(parameterNode)
        if parameterNode:
            self._guiTag = parameterNode.connectGui(self.ui)
            self.addObserver(parameterNode, vtk.vtkCommand.ModifiedEvent, self.onParameterModified)
            self.onParameterModified()

    def onParameterModified(self, _caller=None, _event=None) -> None:
        """Something was chosen."""
        self.panel.update()
