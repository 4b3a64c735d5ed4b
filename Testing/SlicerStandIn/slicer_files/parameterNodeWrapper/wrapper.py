"""The class decorator: typed attributes over a parameter node, bound to widgets by their name property."""

import logging
import typing

import qt
import slicer
import vtk
from slicer.parameterNodeWrapper.annotations import Default, first, split
from slicer.parameterNodeWrapper.connectors import connector_for
from slicer.parameterNodeWrapper.serializers import serializer_for

NAME_PROPERTY = "SlicerParameterName"


class Parameter:
    """One typed attribute: reads and writes the parameter node of its owner."""

    def __init__(self, name, annotated_type, default):
        self.name, self.annotated_type = name, annotated_type
        self.kind, self.annotations = split(annotated_type)
        self.serializer = serializer_for(self.kind)
        beside = first(self.annotations, Default)
        if default is not None:
            self.default = default
        else:
            self.default = beside.value if beside else self.serializer.default()
        unused = [
            annotation
            for annotation in self.annotations
            if not hasattr(annotation, "validate") and (default is not None or annotation is not beside)
        ]
        if unused:
            logging.warning("Unused annotations: %s", unused)

    def __get__(self, owner, _cls=None):
        if owner is None:
            return self
        if not self.serializer.is_in(owner.parameterNode, self.name):
            self.write(owner.parameterNode, self.default)
        return self.serializer.read(owner.parameterNode, self.name)

    def __set__(self, owner, value):
        self.write(owner.parameterNode, value)

    def write(self, node, value):
        self.serializer.check(value)
        for annotation in self.annotations:
            if hasattr(annotation, "validate"):
                annotation.validate(value)
        with slicer.util.NodeModify(node):
            self.serializer.write(node, self.name, value)


class WrapperMethods:
    """What Slicer adds to a wrapped class."""

    def __init__(self, parameterNode):
        self.parameterNode = parameterNode
        self._bindings, self._next_tag, self._showing = {}, 0, False
        for parameter in self.allParameters.values():
            if not parameter.serializer.is_in(parameterNode, parameter.name):
                parameter.write(parameterNode, parameter.default)

    def getValue(self, name):
        return getattr(self, self.allParameters[name].name)

    def setValue(self, name, value):
        setattr(self, self.allParameters[name].name, value)

    def connectGui(self, gui):
        """Bind every widget that carries the name property; gives the tag to unbind them."""
        widgets = gui.findChildren(qt.QWidget) if isinstance(gui, qt.QWidget) else vars(gui).values()
        named = {w.property(NAME_PROPERTY): w for w in widgets if w.property(NAME_PROPERTY)}
        return self.connectParametersToGui(named)

    def connectParametersToGui(self, mapping):
        unknown = [name for name in mapping if name not in self.allParameters]
        if unknown:
            raise ValueError(f"No such parameters: {', '.join(unknown)}")
        connectors = {}
        for name, widget in mapping.items():
            parameter = self.allParameters[name]
            connectors[name] = connector_for(widget, parameter.kind, parameter.annotations)
        for name, connector in connectors.items():
            connector.write(self.getValue(name))
            connector.listen(self._listener(name, connector))
        observer = self.AddObserver(vtk.vtkCommand.ModifiedEvent, self._show)
        tag, self._next_tag = self._next_tag, self._next_tag + 1
        self._bindings[tag] = connectors, observer
        return tag

    def disconnectGui(self, tag):
        connectors, observer = self._bindings.pop(tag, ({}, None))
        for connector in connectors.values():
            connector.listen(None)
        if observer is not None:
            self.RemoveObserver(observer)

    def _listener(self, name, connector):
        def heard():
            if not self._showing:
                self.setValue(name, connector.read())

        return heard

    def _show(self, _caller, _event):
        if self._showing:
            return
        self._showing = True
        try:
            for connectors, _ in list(self._bindings.values()):
                for name, connector in connectors.items():
                    connector.write(self.getValue(name))
        finally:
            self._showing = False

    def StartModify(self):
        return self.parameterNode.StartModify()

    def EndModify(self, before):
        return self.parameterNode.EndModify(before)

    def AddObserver(self, event, callback, priority=0.0):
        return self.parameterNode.AddObserver(event, callback, priority)

    def RemoveObserver(self, tag):
        self.parameterNode.RemoveObserver(tag)

    def Modified(self):
        self.parameterNode.Modified()


def parameterNodeWrapper(classtype=None):
    """Turn a class of annotated names into a typed view of a parameter node."""
    if classtype is None:
        return parameterNodeWrapper
    parameters = {}
    for name, annotated_type in typing.get_type_hints(classtype, include_extras=True).items():
        parameters[name] = Parameter(name, annotated_type, getattr(classtype, name, None))
        setattr(classtype, name, parameters[name])
    for name, method in vars(WrapperMethods).items():
        if callable(method) and (name == "__init__" or not name.startswith("__")):
            if name != "__init__" and hasattr(classtype, name):
                raise ValueError(f"Cannot use reserved name '{name}' in a parameterNodeWrapper")
            setattr(classtype, name, method)
    classtype.allParameters = parameters
    return classtype
