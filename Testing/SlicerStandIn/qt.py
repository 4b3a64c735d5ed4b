"""Stand-in for Slicer's ``qt`` module: PySide6 with the attribute style of PythonQt.

In Slicer ``label.text`` is a property and ``loader.load(file)`` builds CTK and MRML widgets; here both are made
on PySide6's own classes. Only what differs is written; everything else is Qt itself. Signals are connected as
``button.clicked.connect(slot)``; PythonQt's ``button.connect("clicked()", slot)`` cannot be had from PySide6.
"""

import xml.etree.ElementTree as ElementTree

from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets
from PySide6.QtCore import *  # noqa: F403
from PySide6.QtGui import *  # noqa: F403
from PySide6.QtWidgets import *  # noqa: F403

STAY_FUNCTIONS = {"sizeHint", "minimumSizeHint", "singleShot"}
"""Properties whose names are also functions that Qt (``sizeHint``) or modules (``QTimer.singleShot``) call."""


def _property(name):
    return property(
        lambda self: QtCore.QObject.property(self, name),
        lambda self, value: QtCore.QObject.setProperty(self, name, value),
    )


def _own_properties(cls):
    meta = cls.staticMetaObject
    return [meta.property(i).name() for i in range(meta.propertyOffset(), meta.propertyCount())]


def _adopt_pythonqt_style():
    classes = [
        value
        for module in (QtCore, QtGui, QtWidgets)
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, QtCore.QObject)
    ]
    for cls in classes:
        for name in _own_properties(cls):
            if name not in STAY_FUNCTIONS:
                setattr(cls, name, _property(name))
    QtCore.QObject.name = _property("objectName")
    QtCore.QObject.className = lambda self: self.metaObject().className()
    QtCore.QObject.delete = lambda self: self.deleteLater()


_adopt_pythonqt_style()

CUSTOM_WIDGETS = {}
"""Class name in a ``.ui`` file → the Python class that stands in for it."""


class QUiLoader(QtUiTools.QUiLoader):
    """Loads a ``.ui`` file with the stand-in widgets, and makes its ``<connections>`` by name."""

    def createWidget(self, class_name, parent=None, name=""):
        if class_name not in CUSTOM_WIDGETS:
            if class_name not in self.availableWidgets():
                raise RuntimeError(f"The .ui file uses {class_name}, for which there is no stand-in")
            return super().createWidget(class_name, parent, name)
        widget = CUSTOM_WIDGETS[class_name](parent)
        widget.setObjectName(name)
        return widget

    def load(self, file, parent=None):
        """Build the widget of an open ``QFile``."""
        tree = ElementTree.fromstring(bytes(file.readAll().data()))
        connections = tree.find("connections")
        if connections is not None:
            tree.remove(connections)  # Qt cannot make those of the stand-ins; they are made by name below
        buffer = QtCore.QBuffer()
        buffer.setData(ElementTree.tostring(tree))
        buffer.open(QtCore.QIODevice.ReadOnly)
        top = super().load(buffer, parent)
        if top is None:
            raise RuntimeError(f"Cannot load {file.fileName()}: {self.errorString()}")
        for connection in connections if connections is not None else ():
            part = {child.tag: child.text for child in connection}
            sender, receiver = _named(top, part["sender"]), _named(top, part["receiver"])
            signal = getattr(sender, part["signal"].split("(")[0])
            signal.connect(getattr(receiver, part["slot"].split("(")[0]))
        return top


def _named(top, name):
    found = top if top.name == name else top.findChild(QtCore.QObject, name)
    if found is None:
        raise RuntimeError(f"A connection of the .ui file names {name}, which is not there")
    return found
