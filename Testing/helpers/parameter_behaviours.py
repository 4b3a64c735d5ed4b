"""What a parameter node does, asked of whichever ``parameterNodeWrapper`` the stand-in has loaded; printed as JSON.

Runs as a program of its own, so that both implementations can be asked in one test session.
"""

import enum
import json
import logging
import os
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Annotated

sys.path.insert(0, str(Path(__file__).parents[1] / "SlicerStandIn"))
from stand_in.start import start

start(views=False)
import ctk  # noqa: E402
import numpy as np  # noqa: E402
import qt  # noqa: E402
import slicer  # noqa: E402
import vtk  # noqa: E402
from slicer import vtkMRMLLabelMapVolumeNode, vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode  # noqa: E402
from slicer.parameterNodeWrapper import (  # noqa: E402
    Choice,
    Decimals,
    Default,
    FloatRange,
    Maximum,
    Minimum,
    RangeBounds,
    SingleStep,
    WithinRange,
    parameterNodeWrapper,
)


class Side(enum.Enum):
    """An enumeration whose names and labels differ."""

    left = 1
    right = 2

    def label(self):
        """What a combo box shows."""
        return f"{self.name} lung"


@parameterNodeWrapper
class Parameters:
    """One parameter of every kind that the modules use."""

    text: str
    textByEquals: str = "automatic"
    textByAnnotation: Annotated[str, Default("automatic")]
    flag: bool
    flagByEquals: bool = True
    count: int
    countByEquals: int = 3
    number: float
    share: Annotated[float, WithinRange(0, 1)] = 0.6
    rest: Annotated[float, WithinRange(0, 1), Default(0.4)]
    few: Annotated[int, Minimum(1), Maximum(9)] = 2
    word: Annotated[str, Choice(["a", "b"])] = "b"
    side: Side
    sideByEquals: Side = Side.right
    path: Path
    window: Annotated[FloatRange, RangeBounds(0, 1), Default(FloatRange(0, 1))]
    step: Annotated[float, WithinRange(0, 2), Decimals(3), SingleStep(0.125)] = 1.0
    volume: vtkMRMLScalarVolumeNode
    lungs: vtkMRMLSegmentationNode | vtkMRMLLabelMapVolumeNode | None


WIDGETS = {
    "text": qt.QLineEdit,
    "flag": qt.QCheckBox,
    "count": qt.QSpinBox,
    "number": qt.QDoubleSpinBox,
    "share": ctk.ctkSliderWidget,
    "side": qt.QComboBox,
    "word": qt.QComboBox,
    "path": ctk.ctkPathLineEdit,
    "window": ctk.ctkRangeWidget,
    "step": ctk.ctkSliderWidget,
    "volume": slicer.qMRMLNodeComboBox,
}


class Log(logging.Handler):
    """Keeps warnings."""

    def __init__(self):
        super().__init__()
        self.messages = []
        logging.getLogger().addHandler(self)

    def emit(self, record):
        """Keep one."""
        self.messages.append(record.getMessage())


def fresh(cls=Parameters):
    """Parameters over a new node of an empty scene."""
    slicer.mrmlScene.Clear(0)
    return cls(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode"))


def shown(value):
    """A value as JSON can hold it."""
    if isinstance(value, slicer.vtkMRMLNode):
        return value.GetName()
    if isinstance(value, FloatRange):
        return [value.minimum, value.maximum]
    return str(value) if isinstance(value, (enum.Enum, Path)) else value


def outcome(action):
    """What an action gives, or what kind of error it raises."""
    try:
        return shown(action())
    except Exception as error:
        return type(error).__name__


def set_and_get(name, value):
    """What is there after a value was given, and whether it was refused."""
    parameters = fresh()
    refused = outcome(lambda: setattr(parameters, name, value))
    return [refused, shown(getattr(parameters, name))]


def defaults():
    parameters = fresh()
    names = list(Parameters.__annotations__)
    return {name: shown(getattr(parameters, name)) for name in names}


def accepted():
    return {
        "integer as float": set_and_get("number", 2),
        "ends of a range": [set_and_get("share", 0.0), set_and_get("share", 1.0)],
        "another choice": set_and_get("word", "a"),
        "another member": set_and_get("side", Side.right),
        "a narrower window": set_and_get("window", FloatRange(0.25, 0.5)),
        "a path": set_and_get("path", Path("a/b")),
        "special text": set_and_get("text", "äöü % {x} 'quoted' \"twice\"\nnext"),
    }


def refused():
    return {
        "text as number": set_and_get("number", "2"),
        "number as text": set_and_get("text", 2),
        "float as integer": set_and_get("count", 2.5),
        "text as flag": set_and_get("flag", "True"),
        "above the range": set_and_get("share", 1.5),
        "below the minimum": set_and_get("few", 0),
        "no such choice": set_and_get("word", "c"),
        "name of a member": set_and_get("side", "right"),
        "window out of bounds": set_and_get("window", FloatRange(0.0, 2.0)),
        "None as text": set_and_get("text", None),
        "text as node": set_and_get("volume", "vtkMRMLScalarVolumeNode1"),
        "text as path": set_and_get("path", "a/b"),
    }


def nodes():
    parameters = fresh()
    add = slicer.mrmlScene.AddNewNodeByClass
    volume, labels = add("vtkMRMLScalarVolumeNode", "ct"), add("vtkMRMLLabelMapVolumeNode", "labels")
    segments, transform = add("vtkMRMLSegmentationNode", "segments"), add("vtkMRMLTransformNode", "transform")
    found = {}
    for name, values in (("volume", (volume, None)), ("lungs", (labels, segments, None))):
        for value in values:
            setattr(parameters, name, value)
            found[f"{name} {shown(value)}"] = shown(getattr(parameters, name))
    found["a class of neither kind"] = outcome(lambda: setattr(parameters, "lungs", transform))
    found["a derived class"] = [outcome(lambda: setattr(parameters, "volume", labels)), shown(parameters.volume)]
    parameters.volume = volume
    slicer.mrmlScene.RemoveNode(volume)
    found["after its node is gone"] = shown(parameters.volume)
    return found


def changes():
    """Modified events of single changes, of the same value again, and of several changes at once."""
    parameters, heard = fresh(), []
    tag = parameters.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda caller, event: heard.append(1))
    counts = {}

    def count(name, action):
        heard.clear()
        action()
        counts[name] = len(heard)

    count("one", lambda: setattr(parameters, "text", "x"))
    count("the same again", lambda: setattr(parameters, "text", "x"))
    count("a window", lambda: setattr(parameters, "window", FloatRange(0.1, 0.2)))

    def several():
        with slicer.util.NodeModify(parameters):
            parameters.text, parameters.count, parameters.flag = "y", 7, True

    count("several in a batch", several)
    parameters.RemoveObserver(tag)
    return counts


def bound(names=None):
    """Parameters bound to widgets of a panel that has these only."""
    parameters, panel = fresh(), qt.QWidget()
    ui = type("Ui", (), {})()
    for name in names or WIDGETS:
        widget = WIDGETS[name](panel)
        widget.setProperty("SlicerParameterName", name)
        if isinstance(widget, slicer.qMRMLNodeComboBox):
            widget.noneEnabled = True
            widget.setMRMLScene(slicer.mrmlScene)
        setattr(ui, name, widget)
    ui.panel = panel
    return parameters, ui, parameters.connectGui(ui)


def widgets():
    parameters, ui, tag = bound()
    first = [
        ui.text.text,
        ui.flag.checked,
        ui.share.value,
        ui.side.currentText,
        ui.word.currentText,
        ui.window.maximumValue,
    ]
    parameters.text, parameters.flag, parameters.share, parameters.side = "x", True, 0.25, Side.right
    parameters.window = FloatRange(0.25, 0.5)
    followed = [ui.text.text, ui.flag.checked, ui.share.value, ui.side.currentText, ui.window.minimumValue]
    ui.text.text, ui.share.value, ui.word.currentIndex, ui.count.value = "by hand", 0.75, 0, 5
    ui.window.setValues(0.1, 0.9)
    ui.flag.click()
    read = [parameters.text, parameters.share, parameters.word, parameters.count, parameters.flag]
    limits = [ui.share.minimum, ui.share.maximum, ui.window.minimum, ui.window.maximum]
    steps = [ui.step.decimals, ui.step.singleStep]
    parameters.disconnectGui(tag)
    ui.text.text = "not any more"
    after = [parameters.text]
    parameters.text = "nor this"
    after.append(ui.text.text)
    items = [ui.side.itemText(index) for index in range(ui.side.count)]
    return {
        "first": first,
        "followed": followed,
        "read": read,
        "limits": limits,
        "steps": steps,
        "window": shown(parameters.window),
        "after parting": after,
        "items": items,
    }


def missing_widgets():
    parameters, ui, _tag = bound(["text"])
    ui.text.text = "x"
    parameters.flag = True
    found = {"few widgets": [parameters.text, parameters.flag]}
    stray, alone = qt.QLineEdit(), type("Ui", (), {})()
    stray.setProperty("SlicerParameterName", "noSuchParameter")
    alone.stray = stray
    found["a widget of no parameter"] = outcome(lambda: parameters.connectGui(alone))
    found["by name"] = outcome(lambda: parameters.connectParametersToGui({"noSuchParameter": stray}))
    return found


def cannot_be_bound():
    @parameterNodeWrapper
    class Others:
        window: Annotated[FloatRange, RangeBounds(0, 1)] = FloatRange(0, 1)
        plain: float
        text: str

    def bind(name, widget):
        return outcome(lambda: fresh(Others).connectParametersToGui({name: widget}) and "bound")

    return {
        "range with its default by =": bind("window", ctk.ctkRangeWidget()),
        "slider without limits": bind("plain", ctk.ctkSliderWidget()),
        "combo box without choices": bind("text", qt.QComboBox()),
        "number in a line edit": bind("plain", qt.QLineEdit()),
    }


def cannot_be_declared():
    def declare(annotation, **default):
        def make():
            made = parameterNodeWrapper(type("Made", (), {"__annotations__": {"x": annotation}, **default}))
            return shown(fresh(made).x)

        return outcome(make)

    return {
        "a default of the wrong type": declare(int, x="many"),
        "a default outside its range": declare(Annotated[float, WithinRange(0, 1)], x=2.0),
        "a type that cannot be kept": declare(complex),
        "two defaults": declare(Annotated[int, Default(1)], x=2),
    }


def unknown_annotation():
    log = Log()

    @parameterNodeWrapper
    class Odd:
        x: Annotated[int, "unheard of"] = 4

    value = fresh(Odd).x
    return {"value": value, "warned": any("nused annotation" in message for message in log.messages)}


def save_and_load():
    parameters = fresh()
    volume = slicer.util.addVolumeFromArray(np.zeros((2, 3, 4), np.int16), name="ct")
    parameters.text, parameters.side, parameters.share, parameters.volume = "saved", Side.right, 0.125, volume
    parameters.window, parameters.path, parameters.flag = FloatRange(0.25, 0.75), Path("a/b"), True
    with tempfile.TemporaryDirectory() as folder:
        assert slicer.util.saveScene(f"{folder}/scene.mrb")
        slicer.mrmlScene.Clear(0)
        slicer.util.loadScene(f"{folder}/scene.mrb")
    loaded = Parameters(slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScriptedModuleNode"))
    names = ("text", "side", "share", "volume", "window", "path", "flag", "lungs", "countByEquals")
    return {name: shown(getattr(loaded, name)) for name in names}


def as_kept():
    """How values lie in the node: a scene saved with one implementation is read with the other."""
    parameters = fresh()
    parameters.text, parameters.side, parameters.window = "x", Side.right, FloatRange(0.25, 0.5)
    parameters.flag, parameters.share = True, 0.125
    node = parameters.parameterNode
    return {
        name: node.GetParameter(name)
        for name in sorted(node.GetParameterNames())
        if name.split(".")[0] in ("text", "side", "window", "flag", "share")
    }


BEHAVIOURS = (
    defaults,
    accepted,
    refused,
    nodes,
    changes,
    widgets,
    missing_widgets,
    cannot_be_bound,
    cannot_be_declared,
    unknown_annotation,
    save_and_load,
    as_kept,
)

if __name__ == "__main__":
    answers = {}
    for behaviour in BEHAVIOURS:
        try:
            answers[behaviour.__name__] = behaviour()
        except Exception as error:
            traceback.print_exc()
            answers[behaviour.__name__] = f"{type(error).__name__}: {error}"
    print("ANSWERS " + json.dumps(answers, ensure_ascii=True), flush=True)
    os._exit(0)  # no tear-down of Qt and VTK in random order
