"""The panel touches what it made and nothing else, and keeps track of which map, lungs and model belong together."""

import numpy as np
import pytest
from panel_steps import click, until_idle


def plain_volume(name, values=None):
    """A volume of somebody else, shown in a way of their own."""
    import slicer

    volume = slicer.util.addVolumeFromArray(np.arange(60.0).reshape(3, 4, 5) if values is None else values, name=name)
    volume.CreateDefaultDisplayNodes()
    volume.GetDisplayNode().SetAutoWindowLevel(False)
    volume.GetDisplayNode().SetWindowLevel(77, 33)
    volume.GetDisplayNode().SetAndObserveColorNodeID("vtkMRMLColorTableNodeRainbow")
    return volume


def display_of(volume):
    node = volume.GetDisplayNode()
    return node.GetColorNodeID(), node.GetWindow(), node.GetLevel(), node.GetApplyThreshold()


def test_only_maps_made_here_can_be_chosen_as_the_map(mapped):
    perfusion = mapped._parameterNode.perfusionVolume
    other = plain_volume("MRI")
    selector = mapped.ui.perfusionSelector
    selector.setCurrentNode(other)
    assert selector.currentNode() is not other
    selector.setCurrentNode(perfusion)
    assert selector.currentNode() is perfusion


def test_the_display_of_a_volume_of_somebody_else_is_left_alone(mapped):
    """As CT, as SPECT, and as a map that only a script can have chosen."""
    other = plain_volume("MRI")
    before = display_of(other)
    parameters = mapped._parameterNode
    for name in ("ctVolume", "spectVolume", "perfusionVolume"):
        setattr(parameters, name, other)
        parameters.opacity, parameters.threshold = 0.3, 0.5
        parameters.preview = not parameters.preview
    assert display_of(other) == before
    assert not mapped.ui.contoursButton.enabled
    assert not mapped.ui.exportButton.enabled


def test_perfusion_has_the_reports_colours_with_a_dark_zero(slicer_app):
    """Ours where Slicer's Inferno is missing, against matplotlib's, which the report uses."""
    matplotlib = pytest.importorskip("matplotlib")
    import slicer

    from DLCTPMLib.results.figures import COLOUR_MAP
    from DLCTPMSlicerLib.nodes import colours

    for node in (colours.colourNode(), colours._inferno()):
        table = node.GetLookupTable()
        values = np.linspace(0, 1, 64)
        shown = np.array([table.GetTableValue(round(v * (table.GetNumberOfTableValues() - 1)))[:3] for v in values])
        expected = matplotlib.colormaps[COLOUR_MAP](values)[:, :3]
        assert np.abs(shown - expected).max() < 0.04
        assert shown[0].max() < 0.05
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLColorTableNode") > 0


def test_a_spect_over_the_ct_is_clear_where_there_are_no_counts(slicer_app):
    from DLCTPMSlicerLib.nodes import colours, display

    counts = np.zeros((20, 20, 20), np.float32)
    counts[5:15, 5:15, 5:15] = 100
    counts[0, 0, 0] = 5000  # a hot spot of the injection
    counts[1] = 3  # scatter
    spect = plain_volume("SPECT", counts)
    display.showSpect(plain_volume("CT"), spect, 0.5)
    node = spect.GetDisplayNode()
    assert node.GetApplyThreshold()
    assert 3 < node.GetLowerThreshold() <= 20
    assert node.GetUpperThreshold() >= 5000
    assert (node.GetWindowLevelMin(), node.GetWindowLevelMax()) == (0, 100)
    assert node.GetColorNode() is colours.colourNode()


def test_a_second_prediction_shows_its_own_lungs_and_contours_only(mapped):
    import slicer

    parameters = mapped._parameterNode
    first = parameters.perfusionVolume
    drawn = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "drawn by hand")
    drawn.CreateDefaultDisplayNodes()
    click(mapped, mapped.ui.contoursButton)
    contours = parameters.functionSegmentation
    oldLungs = first.GetNodeReference("DLCTPM.lungs")
    assert oldLungs.GetDisplayNode().GetVisibility()
    assert contours.GetDisplayNode().GetVisibility()
    click(mapped, mapped.ui.predictButton)
    second = parameters.perfusionVolume
    assert second is not first
    newLungs = second.GetNodeReference("DLCTPM.lungs")
    assert newLungs.GetDisplayNode().GetVisibility()
    assert not oldLungs.GetDisplayNode().GetVisibility()
    assert not contours.GetDisplayNode().GetVisibility()
    assert drawn.GetDisplayNode().GetVisibility()
    mapped.ui.perfusionSelector.setCurrentNode(first)
    assert oldLungs.GetDisplayNode().GetVisibility()
    assert contours.GetDisplayNode().GetVisibility()
    assert not newLungs.GetDisplayNode().GetVisibility()


def test_another_ct_does_not_keep_the_lungs_of_the_first(panel, chest_ct, chest_files):
    import slicer

    ui, parameters = panel.ui, panel._parameterNode
    ui.ctSelector.setCurrentNode(chest_ct)
    click(panel, ui.segmentButton)
    lungs = parameters.lungs
    assert parameters.lungSource == "existing"
    second = slicer.util.loadVolume(chest_files["ct"], {"name": "second patient"})
    ui.ctSelector.setCurrentNode(second)
    assert parameters.lungs is None
    assert parameters.lungSource == "automatic"
    assert ui.predictButton.enabled
    parameters.lungSource, parameters.lungs = "existing", lungs  # chosen on purpose
    ui.thresholdSlider.value = 0.4
    assert parameters.lungs is lungs


def test_a_comparison_takes_the_model_that_made_the_map(mapped, engine, chest_files, monkeypatch):
    import slicer

    asked = engine("import sys; sys.exit(1)")
    spect = slicer.util.loadVolume(chest_files["spect"], {"name": "SPECT", "show": False})
    mapped.ui.spectSelector.setCurrentNode(spect)
    mapped.ui.registrationComboBox.currentIndex = 0
    mapped.ui.modelComboBox.currentIndex = 0
    assert mapped.panel.inputs.model() != chest_files["model"]
    click(mapped, mapped.ui.evaluateButton)
    (arguments,) = asked
    assert arguments[arguments.index("--model") + 1] == chest_files["model"]


def test_leaving_the_module_during_a_prediction_loses_nothing(panel, module, chest_ct, views):
    """The map is chosen, shown and tabled when the user comes back; the warnings stand in the panel."""
    ui = panel.ui
    ui.ctSelector.setCurrentNode(chest_ct)
    ui.predictButton.click()
    module.widgetRepresentation().exit()
    until_idle(panel)
    composite = views.sliceWidget("Red").mrmlSliceCompositeNode()
    shown = composite.GetForegroundVolumeID()
    module.widgetRepresentation().enter()
    perfusion = panel._parameterNode.perfusionVolume
    assert perfusion.GetID() != shown  # the views were left alone while the user was elsewhere
    assert composite.GetForegroundVolumeID() == perfusion.GetID()
    assert ui.regionsTable.rowCount > 2
    assert ui.statusLabel.text.splitlines()[0] == "Perfusion mapped. Research use only."
    assert ui.statusLabel.text.splitlines()[1].startswith("Note: ")


def test_leaving_the_module_does_not_stop_an_evaluation_that_registers_first(mapped, module, chest_files):
    import slicer

    spect = slicer.util.loadVolume(chest_files["spect"], {"name": "SPECT", "show": False})
    mapped.ui.spectSelector.setCurrentNode(spect)
    mapped.ui.registrationComboBox.currentIndex = 1
    mapped.ui.evaluateButton.click()
    module.widgetRepresentation().exit()
    until_idle(mapped)
    module.widgetRepresentation().enter()
    assert spect.GetParentTransformNode() is not None
    assert mapped.ui.metricsTable.rowCount > 0
    assert mapped.ui.statusLabel.text.startswith("Compared with the SPECT.")


def test_what_was_said_goes_with_the_scene(mapped, module):
    import slicer

    mapped.panel.activity.say("Perfusion mapped. Research use only.\nNote: contrast medium.")
    slicer.mrmlScene.Clear(0)
    assert mapped.ui.statusLabel.text == "Research use only."


def test_only_standard_views_changes_the_layout(mapped, views):
    import slicer

    layouts = slicer.vtkMRMLLayoutNode
    views.setLayout(layouts.SlicerLayoutOneUpRedSliceView)
    click(mapped, mapped.ui.predictButton)
    click(mapped, mapped.ui.contoursButton)
    assert views.layout == layouts.SlicerLayoutOneUpRedSliceView
    mapped.ui.hangingButton.click()
    assert views.layout == layouts.SlicerLayoutFourUpView


def test_after_a_comparison_the_map_lies_over_the_ct_again(mapped, chest_files, views):
    """The SPECT was shown to judge its registration; the comparison is about the map."""
    import slicer

    spect = slicer.util.loadVolume(chest_files["spect"], {"name": "SPECT", "show": False})
    mapped.ui.spectSelector.setCurrentNode(spect)
    mapped.ui.hangingButton.click()
    click(mapped, mapped.ui.registerButton)
    composite = views.sliceWidget("Red").mrmlSliceCompositeNode()
    assert composite.GetForegroundVolumeID() == spect.GetID()
    click(mapped, mapped.ui.evaluateButton)
    assert composite.GetForegroundVolumeID() == mapped._parameterNode.perfusionVolume.GetID()
