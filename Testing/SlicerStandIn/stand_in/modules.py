"""Modules by name: loadable ones by their real logic, scripted ones from their Python file."""

import importlib.util
import os
import sys

import qt
import slicer
from PySide6.QtCore import Signal

from stand_in.qmrml import qSlicerScriptedLoadableModule, qSlicerScriptedLoadableModuleWidget


class LoadableModule:
    """A C++ module of Slicer, of which only the logic is here."""

    def __init__(self, name, logic):
        self.name, self.title, self._logic = name, name, logic

    def logic(self):
        """The real logic."""
        return self._logic


class ModuleManager(qt.QObject):
    """What ``slicer.app.moduleManager()`` gives."""

    moduleAboutToBeUnloaded = Signal(str)

    def __init__(self):
        super().__init__()
        self._modules = {}

    def connect(self, signal, slot):
        getattr(self, signal.split("(")[0]).connect(slot)

    def disconnect(self, signal, slot):
        getattr(self, signal.split("(")[0]).disconnect(slot)

    def add(self, module):
        """Make a module known as ``slicer.modules.<name in lower case>``."""
        self._modules[module.name] = module
        setattr(slicer.modules, module.name.lower(), module)

    def remove(self, name):
        """Forget a module."""
        self._modules.pop(name)
        delattr(slicer.modules, name.lower())

    def module(self, name):
        return self._modules.get(name)

    def factoryManager(self):
        return self

    def loadedModuleNames(self):
        return list(self._modules)

    def isLoaded(self, name):
        return name in self._modules


class ScriptedModule(qSlicerScriptedLoadableModule):
    """A scripted module as Slicer's module factory would present it; load it with ``load``."""

    def __init__(self, path):
        self.path = str(path)
        self.name = os.path.splitext(os.path.basename(path))[0]
        self.title = self.name
        self.icon = None
        self._widget = None

    @classmethod
    def load(cls, path):
        """Import the module's file, instantiate its module class and make it known."""
        module = cls(path)
        folder = os.path.dirname(module.path)
        if folder not in sys.path:
            sys.path.insert(0, folder)
        spec = importlib.util.spec_from_file_location(module.name, module.path)
        python_module = importlib.util.module_from_spec(spec)
        sys.modules[module.name] = python_module
        spec.loader.exec_module(python_module)
        instance = getattr(python_module, module.name)(module)
        setattr(slicer.modules, f"{module.name}Instance", instance)
        slicer.app.moduleManager().add(module)
        return module

    def widgetRepresentation(self):
        """The panel, made when first asked for."""
        if self._widget is None:
            self._widget = qSlicerScriptedLoadableModuleWidget(self._make_python_widget)
        return self._widget

    def _make_python_widget(self, parent):
        widget = getattr(sys.modules[self.name], f"{self.name}Widget")(parent)
        setattr(slicer.modules, f"{self.name}Widget", widget)
        return widget

    def unload(self):
        """Close the panel and forget the module, as Slicer does when it quits."""
        slicer.app.moduleManager().moduleAboutToBeUnloaded.emit(self.name)
        if self._widget is not None:
            self._widget.deleteLater()
            self._widget = None
            delattr(slicer.modules, f"{self.name}Widget")
        slicer.app.moduleManager().remove(self.name)
        delattr(slicer.modules, f"{self.name}Instance")
        sys.modules.pop(self.name)
