"""What a user enters on its way into the scene: sliders, folders, and what the panel counts."""

import pytest
from panel_steps import until

ODD = 0.7000000000000001
"""What CTK's slider gives where it shows 0.70."""


@pytest.mark.parametrize(("slider", "parameter"), [("thresholdSlider", "threshold"), ("opacitySlider", "opacity")])
def test_a_slider_brings_only_the_digits_it_shows_into_the_scene(panel, slider, parameter):
    seen = []
    node = panel._parameterNode
    panel.addObserver(node, 33, lambda *_: seen.append(getattr(node, parameter)))  # vtkCommand.ModifiedEvent
    getattr(panel.ui, slider).valueChanged.emit(ODD)
    assert getattr(node, parameter) == 0.7
    assert ODD not in seen
    assert getattr(panel.ui, slider).value == pytest.approx(0.7)


def test_a_window_has_the_digits_it_shows(panel):
    panel.ui.windowRange.valuesChanged.emit(0.1 + 0.2, ODD)
    window = panel._parameterNode.window
    assert (window.minimum, window.maximum) == (0.3, 0.7)


def test_a_script_may_choose_a_threshold_between_the_sliders_steps(mapped):
    """It is kept as it is, and measured in the background like the others."""
    from DLCTPMSlicerLib.nodes.regions import regionTable

    parameters = mapped._parameterNode
    perfusion = parameters.perfusionVolume
    parameters.threshold = 0.655
    assert parameters.threshold == 0.655
    expected = regionTable(perfusion, perfusion.GetNodeReference("DLCTPM.lungs"), 0.655)["lungs"]["high_ml"]
    table = perfusion.GetNodeReference("DLCTPM.regions")
    until(lambda: table.GetAttribute("DLCTPM.Threshold") == "0.655", 300, "the table at 0.655")
    assert table.GetTable().GetValueByName(0, "high_ml").ToDouble() == expected


def test_a_large_map_is_written_for_measuring_between_the_users_clicks(mapped, monkeypatch):
    """Qt's events come through while 20 million voxels are written for the child process, not only afterwards."""
    import numpy as np
    import qt
    import slicer

    from DLCTPMSlicerLib.nodes.regions import RegionMeasure
    from DLCTPMSlicerLib.segments.lung_nodes import lungsFromLabels

    values = np.random.default_rng(0).random((160, 360, 360), np.float32)
    perfusion = slicer.util.addVolumeFromArray(values, name="large")
    regions = np.full(values.shape, 2, np.uint16)
    labels = slicer.util.addVolumeFromArray(regions, nodeClassName="vtkMRMLLabelMapVolumeNode")
    lungs = lungsFromLabels(labels, "large lungs", perfusion)
    beats, when_written, answered = [], [], []
    written = RegionMeasure._written

    def noted(self, done):
        when_written.append(len(beats))
        written(self, done)

    monkeypatch.setattr(RegionMeasure, "_written", noted)
    timer = qt.QTimer()
    timer.timeout.connect(lambda: beats.append(True))
    timer.start(0)
    measure = RegionMeasure(perfusion, lungs, 0.5, lambda: answered.append(True)).start()
    until(lambda: answered, 300, "the measure")
    timer.stop()
    assert when_written[0] >= 3
    assert measure.table(0.5)["lungs"]["mean"] == pytest.approx(float(values.mean()), rel=1e-5)


def test_every_folder_button_opens_a_dialog_for_folders(panel, training_panel):
    edits = [getattr(ui, name) for ui in (panel.ui, training_panel.ui) for name in vars(ui) if "PathLineEdit" in name]
    edits = [edit for edit in edits if hasattr(edit, "currentPath")]
    names = ("cohortPathLineEdit", "dosePathLineEdit", "structuresPathLineEdit")
    files = [edit for edit in edits if edit.objectName in names]
    folders = [edit for edit in edits if edit not in files]
    assert len(folders) >= 4
    assert all(edit.filters == type(edit).Dirs for edit in folders)
    assert len(files) == len(names)
    assert all(edit.filters == type(edit).Files for edit in files)


def test_the_export_folder_is_there_again_after_a_restart(module, panel, tmp_path):
    import qt

    panel.ui.exportPathLineEdit.currentPath = str(tmp_path)
    module.widgetRepresentation().reload()
    again = module.widgetRepresentation().self()
    assert again is not panel
    assert again.ui.exportPathLineEdit.currentPath == str(tmp_path)
    qt.QSettings().remove("DLCTPM/ExportFolder")


@pytest.mark.parametrize(
    ("women", "men", "sentence"),
    [
        (1, 0, "1 patient, 1 woman. No faults."),
        (0, 1, "1 patient, 1 man. No faults."),
        (1, 1, "2 patients, 1 woman and 1 man. No faults."),
        (2, 3, "5 patients, 2 women and 3 men. No faults."),
        (0, 0, "0 patients. No faults."),
    ],
)
def test_a_cohort_is_counted_in_english(slicer_app, women, men, sentence):
    from DLCTPMTrainingSlicerLib.training_job import CohortReport

    assert CohortReport(women + men, women=women, men=men).sentence() == sentence
