"""Which widget can show which type, and how it is read, written and listened to."""

import enum
from pathlib import Path

import ctk
import qt
import slicer
from slicer.parameterNodeWrapper.annotations import (
    Choice,
    Decimals,
    Default,
    FloatRange,
    Maximum,
    Minimum,
    RangeBounds,
    SingleStep,
    WithinRange,
    first,
)
from slicer.parameterNodeWrapper.serializers import node_classes


class Connector:
    """Ties one widget to one parameter; ``prepare`` gives the widget its range and items."""

    signal, attribute = "", ""

    def __init__(self, widget, kind, annotations):
        self.widget, self.kind, self._callback = widget, kind, None
        self.prepare(annotations)

    def prepare(self, annotations):
        pass

    def read(self):
        return getattr(self.widget, self.attribute)

    def write(self, value):
        setattr(self.widget, self.attribute, value)

    def listen(self, callback):
        """Call back when the user changes the widget; None ends it."""
        signal = getattr(self.widget, self.signal)
        if self._callback is not None:
            signal.disconnect(self._heard)
        self._callback = callback
        if callback is not None:
            signal.connect(self._heard)

    def _heard(self):
        self._callback()


class CheckConnector(Connector):
    """A check box or a checkable button, and bool."""

    signal, attribute = "toggled", "checked"

    def prepare(self, _annotations):
        if isinstance(self.widget, qt.QPushButton):
            self.widget.setCheckable(True)


class NumberConnector(Connector):
    """A slider or spin box, and a number."""

    signal, attribute = "valueChanged", "value"

    def prepare(self, annotations):
        bounds, low, high = (first(annotations, kind) for kind in (WithinRange, Minimum, Maximum))
        bounded = bounds is not None or (low is not None and high is not None)
        if isinstance(self.widget, (ctk.ctkSliderWidget, qt.QSlider)) and not bounded:
            raise RuntimeError(f"{self.widget.objectName} is a slider, so its parameter needs both bounds")
        decimals, step = first(annotations, Decimals), first(annotations, SingleStep)
        if decimals is not None:
            self.widget.decimals = decimals.value
        elif self.kind is int and not isinstance(self.widget, (qt.QSpinBox, qt.QSlider)):
            self.widget.decimals = 0
        if step is not None:
            self.widget.singleStep = step.value
        limit = 2**31 - 1 if isinstance(self.widget, qt.QSpinBox) else float(2**31)
        self.widget.minimum = bounds.minimum if bounds else low.minimum if low else -limit
        self.widget.maximum = bounds.maximum if bounds else high.maximum if high else limit

    def read(self):
        return self.kind(self.widget.value)

    def write(self, value):
        self.widget.value = self.kind(value)


class ItemConnector(Connector):
    """A combo box, and a Choice of values or an Enum; it fills the box itself, as Slicer does."""

    signal = "currentIndexChanged"

    def prepare(self, annotations):
        if isinstance(self.kind, type) and issubclass(self.kind, enum.Enum):
            self._values = list(self.kind)
            label = getattr(self.kind, "label", lambda member: member.name)
            texts = [label(member) for member in self._values]
        else:
            choice = first(annotations, Choice)
            if choice is None:
                raise RuntimeError(f"{self.widget.objectName} is a combo box, so its parameter needs a Choice")
            self._values = list(choice.choices)
            texts = [str(value) for value in self._values]
        self.widget.clear()
        self.widget.addItems(texts)

    def read(self):
        return self._values[self.widget.currentIndex]

    def write(self, value):
        self.widget.currentIndex = self._values.index(value)


class TextConnector(Connector):
    """A line edit, and str."""

    signal, attribute = "textChanged", "text"

    def write(self, value):
        if value != self.widget.text:
            self.widget.text = value


class LabelConnector(Connector):
    """A label, and str: shown only."""

    attribute = "text"

    def listen(self, callback):
        pass


class PathConnector(Connector):
    """A path edit, and Path."""

    signal = "currentPathChanged"

    def read(self):
        return Path(self.widget.currentPath)

    def write(self, value):
        self.widget.currentPath = str(value)


class RangeConnector(Connector):
    """A range widget, and FloatRange."""

    signal = "valuesChanged"

    def prepare(self, annotations):
        bounds = first(annotations, RangeBounds)
        if bounds is None:
            raise RuntimeError(f"{self.widget.objectName} is a range, so its parameter needs RangeBounds")
        if first(annotations, Default) is None:
            bounds.validate(0)  # as Slicer does: a default given by "=" is not seen here, and 0 is no range
        self.widget.setRange(bounds.minimum, bounds.maximum)

    def read(self):
        return FloatRange(self.widget.minimumValue, self.widget.maximumValue)

    def write(self, value):
        self.widget.setValues(value.minimum, value.maximum)


class NodeConnector(Connector):
    """A node selector, and a node class; the class decides which nodes are offered, as in Slicer."""

    signal = "currentNodeChanged"

    def prepare(self, _annotations):
        self.widget.nodeTypes = [cls.__name__ for cls in node_classes(self.kind)]

    def read(self):
        return self.widget.currentNode()

    def write(self, value):
        self.widget.setCurrentNode(value)


def connector_for(widget, kind, annotations):
    """The connector of a widget and a type; raises RuntimeError where Slicer has none."""
    is_enum = isinstance(kind, type) and issubclass(kind, enum.Enum)
    for connector, widgets, fits in (
        (CheckConnector, (qt.QCheckBox, qt.QPushButton), kind is bool),
        (NumberConnector, (qt.QSpinBox, qt.QSlider), kind is int),
        (NumberConnector, (qt.QDoubleSpinBox, ctk.ctkSliderWidget), kind in (int, float)),
        (ItemConnector, (qt.QComboBox,), kind in (int, float, str, bool) or is_enum),
        (TextConnector, (qt.QLineEdit,), kind is str),
        (LabelConnector, (qt.QLabel,), kind is str),
        (PathConnector, (ctk.ctkPathLineEdit,), kind is Path),
        (RangeConnector, (ctk.ctkRangeWidget,), kind is FloatRange),
        (NodeConnector, (slicer.qMRMLNodeComboBox,), bool(node_classes(kind))),
    ):
        if fits and type(widget) in widgets:
            return connector(widget, kind, annotations)
    raise RuntimeError(f"Slicer cannot connect a {type(widget).__name__} to a parameter of type {kind}")
