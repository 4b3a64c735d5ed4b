"""Stand-ins for the MRML widgets: the same names, properties and signals over the real scene."""

import weakref

import qt
import slicer
from PySide6.QtCore import Property, Signal


class qMRMLWidget(qt.QWidget):
    """A widget that passes the scene on to the widgets in it."""

    mrmlSceneChanged = Signal(object)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._scene = None

    def setMRMLScene(self, scene):
        if scene is not self._scene:
            self._scene = scene
            self.mrmlSceneChanged.emit(scene)

    def mrmlScene(self):
        return self._scene


class SceneObservation:
    """Scene observers that go with their widget, so that no callback reaches a widget that is gone."""

    def __init__(self, owner, callback_name, events):
        self._owner, self._callback_name, self._events = weakref.ref(owner), callback_name, events
        self._scene, self._tags = None, []
        owner.destroyed.connect(self.stop)

    def start(self, scene):
        """Observe this scene and no other."""
        self.stop()
        self._scene = scene
        if scene is not None:
            self._tags = [scene.AddObserver(event, self._changed) for event in self._events]

    def stop(self):
        """Observe nothing."""
        for tag in self._tags:
            self._scene.RemoveObserver(tag)
        self._scene, self._tags = None, []

    def _changed(self, _scene, event):
        owner = self._owner()
        if owner is not None:
            getattr(owner, self._callback_name)(event)


class qMRMLNodeComboBox(qt.QWidget):
    """Lets the user choose a node of the scene."""

    currentNodeChanged = Signal(object)
    currentNodeIDChanged = Signal(str)
    nodeActivated = Signal(object)
    nodeAddedByUser = Signal(object)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._scene, self._types, self._attributes = None, [], {}
        self._options = {"noneEnabled": False, "addEnabled": True, "removeEnabled": True}
        self._none_text, self._shown_id = "None", None
        self._requested_id = None  # asked for while the scene is being read, shown when it has been
        self._combo = qt.QComboBox()
        layout = qt.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._combo)
        self._combo.currentIndexChanged.connect(self._index_changed)
        scene_class = slicer.vtkMRMLScene
        events = (
            scene_class.NodeAddedEvent,
            scene_class.NodeRemovedEvent,
            scene_class.EndCloseEvent,
            scene_class.EndImportEvent,
            scene_class.EndBatchProcessEvent,
        )
        self._observation = SceneObservation(self, "_refresh", events)

    def setMRMLScene(self, scene):
        self._scene = scene
        self._observation.start(scene)
        self._refresh()

    def mrmlScene(self):
        return self._scene

    def nodes(self):
        """The nodes on offer, in the scene's order."""
        if self._scene is None:
            return []
        every = (self._scene.GetNthNode(i) for i in range(self._scene.GetNumberOfNodes()))
        return [node for node in every if self._is_offered(node)]

    def _is_offered(self, node):
        if node.GetHideFromEditors() or not any(self._is_type(node, name) for name in self._types):
            return False
        wanted = self._attributes.get(node.GetClassName(), {})
        return all(
            node.GetAttribute(name) is not None and (value is None or node.GetAttribute(name) == value)
            for name, value in wanted.items()
        )

    def _is_type(self, node, name):
        return node.GetClassName() == name or (self._show_children and node.IsA(name))

    _show_children = True

    def _refresh(self, _event=None):
        if self._scene is not None and (self._scene.IsBatchProcessing() or self._scene.IsClosing()):
            return
        nodes, before = self.nodes(), self._requested_id or self._combo.currentData
        self._requested_id = None
        self._combo.blockSignals(True)
        self._combo.clear()
        if self._options["noneEnabled"]:
            self._combo.addItem(self._none_text, None)
        for node in nodes:
            self._combo.addItem(node.GetName() or node.GetID(), node.GetID())
        index = self._combo.findData(before) if before else -1
        if index < 0 and self._combo.count:
            index = 0
        self._combo.setCurrentIndex(index)
        self._combo.blockSignals(False)
        self._announce()

    def _index_changed(self, _index):
        self._announce()

    def _announce(self):
        node_id = self._combo.currentData
        if node_id == self._shown_id:
            return
        self._shown_id = node_id
        self.currentNodeChanged.emit(self.currentNode())
        self.currentNodeIDChanged.emit(node_id or "")

    def currentNode(self):
        node_id = self._combo.currentData
        return self._scene.GetNodeByID(node_id) if node_id and self._scene is not None else None

    def setCurrentNode(self, node):
        if isinstance(node, str):
            self.setCurrentNodeID(node)
            return
        self.setCurrentNodeID(node.GetID() if node is not None else "")

    def setCurrentNodeID(self, node_id):
        if self._scene is not None and self._scene.IsBatchProcessing():
            self._requested_id = node_id or None
            return
        if not node_id and not self._options["noneEnabled"]:
            self._combo.setCurrentIndex(-1)
            return
        index = self._combo.findData(node_id or None)
        if index < 0:  # a node whose class or name became right after it was added
            self._refresh()
            index = self._combo.findData(node_id or None)
        self._combo.setCurrentIndex(index)

    def nodeCount(self):
        return len(self.nodes())

    def addAttribute(self, node_type, attribute, value=None):
        self._attributes.setdefault(node_type, {})[attribute] = value
        self._refresh()

    def addNode(self, node_type=None):
        """What a click on "Create new …" does."""
        node = self._scene.AddNewNodeByClass(node_type or self._types[0])
        self.setCurrentNode(node)
        self.nodeAddedByUser.emit(node)
        return node

    def _set_types(self, types):
        self._types = list(types)
        self._refresh()

    def _set_show_children(self, on):
        self._show_children = on
        self._refresh()

    def _set_none_text(self, text):
        self._none_text = text
        self._refresh()

    def _option(name):  # noqa: N805
        def write(self, on):
            self._options[name] = on
            self._refresh()

        return Property(bool, lambda self: self._options[name], write)

    nodeTypes = Property("QStringList", lambda self: self._types, _set_types)
    noneEnabled = _option("noneEnabled")
    addEnabled = _option("addEnabled")
    removeEnabled = _option("removeEnabled")
    renameEnabled = Property(bool, lambda self: False, lambda self, on: None)
    editEnabled = Property(bool, lambda self: False, lambda self, on: None)
    showHidden = Property(bool, lambda self: False, lambda self, on: None)
    selectNodeUponCreation = Property(bool, lambda self: True, lambda self, on: None)
    showChildNodeTypes = Property(bool, lambda self: self._show_children, _set_show_children)
    noneDisplay = Property(str, lambda self: self._none_text, _set_none_text)
    currentNodeID = Property(str, lambda self: self._combo.currentData or "", setCurrentNodeID)


class qSlicerScriptedLoadableModuleWidget(qMRMLWidget):
    """The empty panel that Slicer hands to a scripted module's widget class."""

    def __init__(self, make_python_widget, parent=None):
        super().__init__(parent)
        self._make, self._python_widget, self.isEntered = make_python_widget, None, False
        self.setLayout(qt.QVBoxLayout())
        self.setMRMLScene(slicer.mrmlScene)
        self.reload()

    def reload(self):
        """Make the Python widget anew, as Slicer does after the module's source was read again."""
        for child in self.children():
            if isinstance(child, qt.QWidget):
                child.deleteLater()
        self._python_widget = self._make(self)
        self._python_widget.setup()

    def self(self):
        """The Python object of the panel."""
        return self._python_widget

    def enter(self):
        self.isEntered = True
        getattr(self._python_widget, "enter", lambda: None)()

    def exit(self):
        self.isEntered = False
        getattr(self._python_widget, "exit", lambda: None)()


class qSlicerScriptedLoadableModule:
    """Named by ``slicer.util.getModuleLogic`` to tell scripted modules from C++ ones."""


for _widget in (qMRMLWidget, qMRMLNodeComboBox):
    qt.CUSTOM_WIDGETS[_widget.__name__] = _widget
