"""The bench itself: scripted modules, scene files, views and probes behave on the stand-in as modules expect."""

import weakref
from pathlib import Path
from typing import Annotated

import numpy as np
import pytest

TINY_MODULE = Path(__file__).parent / "TinyModule" / "TinyModule.py"


@pytest.fixture
def tiny_panel(slicer_app):
    from stand_in.modules import ScriptedModule

    module = ScriptedModule.load(TINY_MODULE)
    module.widgetRepresentation().enter()
    yield module.widgetRepresentation().self()
    module.unload()


@pytest.fixture
def a_volume(slicer_app):
    """60 × 40 × 20 voxels of 4 × 5 × 6 mm; a bright block towards the patient's left, front and head."""
    import slicer

    array = np.zeros((20, 40, 60), np.int16)
    array[12:18, 4:16, 35:55] = 200  # LPS-oriented array: high x is left, low y is front, high z is head
    volume = slicer.util.addVolumeFromArray(array, ijkToRAS=np.diag([-4.0, -5.0, 6.0, 1.0]), name="block")
    volume.CreateDefaultDisplayNodes()
    return volume


def test_parameters_and_widgets_follow_each_other(tiny_panel, a_volume):
    ui, parameters = tiny_panel.ui, tiny_panel._parameterNode
    assert (ui.thresholdSlider.value, ui.invertCheckBox.checked) == (100, True)
    assert (ui.sideComboBox.count, ui.sideComboBox.currentText) == (2, "right")
    ui.thresholdSlider.value = 150
    ui.sideComboBox.currentIndex = 0
    ui.invertCheckBox.click()
    assert (parameters.threshold, parameters.side, parameters.invert) == (150, "left", False)
    parameters.threshold = 42
    parameters.inputVolume = a_volume
    assert (ui.thresholdSlider.value, ui.inputSelector.currentNode()) == (42, a_volume)
    with pytest.raises(ValueError, match="within range"):
        parameters.threshold = 501


def test_a_range_whose_default_stands_after_the_equals_sign_cannot_be_bound_as_in_slicer(slicer_app):
    import ctk
    import slicer
    from slicer.parameterNodeWrapper import Default, FloatRange, RangeBounds, parameterNodeWrapper

    @parameterNodeWrapper
    class ByEqualsSign:
        window: Annotated[FloatRange, RangeBounds(0, 1)] = FloatRange(0, 1)

    @parameterNodeWrapper
    class ByAnnotation:
        window: Annotated[FloatRange, RangeBounds(0, 1), Default(FloatRange(0, 1))]

    for wrapped in (ByEqualsSign, ByAnnotation):
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")
        parameters, widget = wrapped(node), ctk.ctkRangeWidget()
        if wrapped is ByAnnotation:
            parameters.connectParametersToGui({"window": widget})
            assert (widget.minimumValue, widget.maximumValue) == (0, 1)
        else:
            with pytest.raises(AttributeError, match="minimum"):
                parameters.connectParametersToGui({"window": widget})


def test_a_click_runs_the_logic(tiny_panel, a_volume):
    assert not tiny_panel.ui.applyButton.enabled
    tiny_panel.ui.inputSelector.setCurrentNode(a_volume)
    tiny_panel.ui.invertCheckBox.checked = False
    assert tiny_panel.ui.applyButton.enabled
    tiny_panel.ui.applyButton.click()
    assert tiny_panel.ui.resultLabel.text == str(6 * 12 * 20)


def test_an_error_in_a_slot_is_seen(tiny_panel, a_volume):
    from stand_in.probes import SlotErrors

    tiny_panel.fail = True
    tiny_panel.ui.inputSelector.setCurrentNode(a_volume)
    with SlotErrors() as errors:
        tiny_panel.ui.applyButton.click()
    assert "the slot fails on purpose" in errors.tracebacks[0]


def test_an_error_in_an_observer_is_seen(slicer_app, a_volume):
    import vtk
    from stand_in.probes import SlotErrors

    def fail(_caller, _event):
        raise RuntimeError("the observer fails on purpose")

    tag = a_volume.AddObserver(vtk.vtkCommand.ModifiedEvent, fail)
    with SlotErrors() as errors:
        a_volume.Modified()
    a_volume.RemoveObserver(tag)
    assert "the observer fails on purpose" in errors.tracebacks[0]


def test_choices_come_back_with_a_saved_scene(tiny_panel, a_volume, tmp_path):
    import slicer

    tiny_panel.ui.inputSelector.setCurrentNode(a_volume)
    tiny_panel.ui.thresholdSlider.value = 77
    expected = slicer.util.arrayFromVolume(a_volume).copy()
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    slicer.mrmlScene.Clear(0)
    assert tiny_panel.ui.inputSelector.currentNode() is None
    assert tiny_panel.ui.thresholdSlider.value == 100
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    assert tiny_panel.ui.thresholdSlider.value == 77
    restored = tiny_panel.ui.inputSelector.currentNode()
    assert restored.GetName() == "block"
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(restored), expected)


def test_a_panel_leaves_nothing_behind_when_it_goes(slicer_app):
    import slicer
    from stand_in.modules import ScriptedModule
    from stand_in.probes import is_released, nothing_left_behind

    ScriptedModule.load(TINY_MODULE).widgetRepresentation()  # the parameter node stays in the scene
    slicer.modules.tinymodule.unload()
    with nothing_left_behind():
        module = ScriptedModule.load(TINY_MODULE)
        panel = weakref.ref(module.widgetRepresentation().self())
        module.unload()
    assert is_released(panel)
    assert not hasattr(slicer.modules, "tinymodule")


def test_a_forgotten_observer_keeps_its_panel_alive(tiny_panel, a_volume):
    import vtk
    from stand_in.probes import is_released

    class Forgetful:
        def watch(self, _caller, _event):
            pass

    forgetful = Forgetful()
    tag = a_volume.AddObserver(vtk.vtkCommand.ModifiedEvent, forgetful.watch)
    reference = weakref.ref(forgetful)
    del forgetful
    assert not is_released(reference)
    a_volume.RemoveObserver(tag)
    assert is_released(reference)


def test_nothing_left_behind_sees_a_forgotten_node_and_observer(slicer_app):
    import slicer
    import vtk
    from stand_in.probes import nothing_left_behind

    with pytest.raises(AssertionError, match="vtkMRMLTextNode"), nothing_left_behind():
        slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode")
    with pytest.raises(AssertionError, match="observers"), nothing_left_behind():
        tag = slicer.mrmlScene.AddObserver(vtk.vtkCommand.UserEvent, lambda caller, event: None)
    slicer.mrmlScene.RemoveObserver(tag)


def test_a_module_reloads(tiny_panel):
    import slicer
    from stand_in.probes import nothing_left_behind

    with nothing_left_behind():
        tiny_panel.onReload()
    assert slicer.modules.TinyModuleWidget is not tiny_panel
    slicer.modules.TinyModuleWidget.ui.thresholdSlider.value = 12
    assert slicer.modules.TinyModuleWidget._parameterNode.threshold == 12


def test_the_modules_own_test_runs(tiny_panel):
    import slicer

    slicer.selfTests["TinyModule"]()
    assert slicer.tinyModuleWasTested


def test_slice_views_show_the_volume_where_it_is(views, a_volume):
    import slicer

    slicer.util.setSliceViewerLayers(background=a_volume, fit=True)
    a_volume.GetDisplayNode().SetAutoWindowLevel(False)
    a_volume.GetDisplayNode().SetWindowLevelMinMax(0, 200)
    view = views.sliceWidget("Red").sliceView()
    views.sliceWidget("Red").sliceLogic().SetSliceOffset(6.0 * 14)
    bright = np.argwhere(view.picture().min(axis=2) > 200)
    assert len(bright) > 500
    row, column = bright.mean(axis=0)
    right, anterior, superior = view.ras_at(column, row)
    assert right == pytest.approx(-4 * 44.5, abs=6)  # the block's middle, in patient space
    assert anterior == pytest.approx(-5 * 9.5, abs=6)
    assert superior == pytest.approx(6 * 14, abs=0.1)
    assert column > view.picture().shape[1] / 2  # the patient's left is on the right of the picture


def test_3d_view_shows_a_segmentation(views, a_volume):
    import slicer

    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    segmentation.CreateDefaultDisplayNodes()
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(a_volume)
    segment = segmentation.GetSegmentation().AddEmptySegment("block", "block", [1.0, 0.0, 0.0])
    mask = (slicer.util.arrayFromVolume(a_volume) > 0).astype(np.uint8)
    slicer.util.updateSegmentBinaryLabelmapFromArray(mask, segmentation, segment, a_volume)
    empty = views.threeDWidget(0).threeDView().picture()
    segmentation.CreateClosedSurfaceRepresentation()
    views.resetThreeDViews()
    picture = views.threeDWidget(0).threeDView().picture().astype(int)
    red = (picture[..., 0] > 60) & (picture[..., 0] > 2 * picture[..., 2])
    assert red.sum() > 500
    assert (picture != empty).any()
