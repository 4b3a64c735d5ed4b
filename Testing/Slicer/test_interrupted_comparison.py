"""Whatever interrupts a registration or a comparison with a SPECT, with the real engine: the panel recovers."""

import pytest
from panel_steps import process_of, temporary_folders, until, until_idle


@pytest.fixture
def comparing(mapped, chest_files):
    """The panel with a map and a SPECT of the same chest."""
    import slicer

    spect = slicer.util.loadVolume(chest_files["spect"], {"name": "SPECT", "show": False})
    mapped.ui.spectSelector.setCurrentNode(spect)
    return mapped


def at_first_report(panel, act):
    """Let ``act`` happen as soon as the engine says what it does; gives the stages that were reported."""
    shown, stages = panel.panel.activity.progress, []

    def watch(progress):
        shown(progress)
        stages.append(progress.stage)
        if len(stages) == 1:
            act()

    panel.panel.activity.progress = watch
    return stages


@pytest.mark.parametrize(("work", "registers"), [("registerButton", True), ("evaluateButton", False)])
def test_cancel_leaves_the_scene_as_before(comparing, work, registers):
    from stand_in.probes import nothing_left_behind

    ui = comparing.ui
    ui.registrationComboBox.currentIndex = 1 if registers else 0
    stages = at_first_report(comparing, ui.cancelButton.click)
    with nothing_left_behind():
        getattr(ui, work).click()
        until_idle(comparing)
    assert stages
    assert ui.statusLabel.text == "Cancelled; the scene is as before."
    assert comparing._parameterNode.spectVolume.GetParentTransformNode() is None
    assert getattr(ui, work).enabled
    assert temporary_folders() == []


def test_cancel_of_the_comparison_says_that_the_spect_stays_registered(comparing):
    """Evaluate registers first; Cancel comes when the comparison itself has begun."""
    ui = comparing.ui
    ui.registrationComboBox.currentIndex = 1
    shown = comparing.panel.activity.progress

    def watch(progress):
        shown(progress)
        if progress.stage.startswith("Comparing"):
            ui.cancelButton.click()

    comparing.panel.activity.progress = watch
    ui.evaluateButton.click()
    until_idle(comparing)
    assert ui.statusLabel.text == "Cancelled; the SPECT stays registered."
    assert comparing._parameterNode.spectVolume.GetParentTransformNode().IsLinear()
    assert ui.metricsTable.rowCount == 0
    assert not ui.differenceButton.enabled


@pytest.mark.parametrize("work", ["registerButton", "evaluateButton"])
def test_spect_removed_meanwhile(comparing, work):
    """The engine goes on to its end; its results have no place any more."""
    import slicer
    from stand_in.probes import scene_census

    ui, spect = comparing.ui, comparing._parameterNode.spectVolume
    ui.registrationComboBox.currentIndex = 1 if work == "registerButton" else 0
    at_first_report(comparing, lambda: slicer.mrmlScene.RemoveNode(spect))
    before = scene_census()
    getattr(ui, work).click()
    until_idle(comparing)
    assert "was removed while" in ui.statusLabel.text
    assert ui.metricsTable.rowCount == 0
    after = scene_census()
    lost = {name: before[name] - after.get(name, 0) for name in before if before[name] != after.get(name, 0)}
    assert lost.pop("vtkMRMLScalarVolumeNode") == 1
    assert set(lost) <= {"vtkMRMLScalarVolumeDisplayNode", "vtkMRMLVolumeArchetypeStorageNode"}
    assert not set(after) - set(before)
    assert temporary_folders() == []


@pytest.mark.parametrize("work", ["registerButton", "evaluateButton"])
def test_scene_closed_meanwhile(comparing, work):
    import slicer

    ui, processes = comparing.ui, []
    ui.registrationComboBox.currentIndex = 1 if work == "registerButton" else 0

    def close():
        processes.append(process_of(comparing))
        slicer.mrmlScene.Clear(0)

    at_first_report(comparing, close)
    getattr(ui, work).click()
    until_idle(comparing)
    until(lambda: processes[0].poll() is not None, 20, "the end of the engine")
    assert slicer.mrmlScene.GetFirstNodeByName("SPECT to CT") is None
    assert slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") == []
    assert slicer.util.getNodesByClass("vtkMRMLTableNode") == []
    assert not ui.evaluateButton.enabled
    assert ui.spectSelector.currentNode() is None
    assert temporary_folders() == []
