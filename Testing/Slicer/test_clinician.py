"""What a clinician does, with clicks on the real panel: map, look, contour, compare with a SPECT, save, reload."""

import numpy as np
import pytest


def click_and_wait(button, panel, seconds=120):
    from stand_in.probes import wait_until

    assert button.enabled, button.toolTip
    button.click()
    wait_until(lambda: not panel.panel.activity.busy, seconds, panel.ui.statusLabel.text)


@pytest.fixture
def predicted(panel, chest_ct):
    """The panel after a click on "Predict perfusion"."""
    panel.ui.ctSelector.setCurrentNode(chest_ct)
    click_and_wait(panel.ui.predictButton, panel)
    assert panel._parameterNode.perfusionVolume is not None, panel.ui.statusLabel.text
    return panel


def lung_masks(perfusion):
    """Right and left lung of a map (k, j, i), from where they lie in the patient."""
    import slicer

    inside = slicer.util.arrayFromVolume(perfusion) > 0
    middle = inside.shape[2] // 2
    right = inside.copy()
    right[:, :, middle:] = False  # the file's x runs to the patient's left
    return right, inside & ~right


def test_whole_visit(predicted, views, chest_files, tmp_path):
    import slicer

    ui, parameters = predicted.ui, predicted._parameterNode
    perfusion = parameters.perfusionVolume
    assert ui.statusLabel.text == "Perfusion mapped. Research use only."
    assert perfusion.GetAttribute("DLCTPM.Model") == "untrained"

    names = [ui.regionsTable.item(row, 0).text() for row in range(ui.regionsTable.rowCount)]
    assert names[:3] == ["lungs", "right lung", "left lung"]

    threshold = float(np.median(slicer.util.arrayFromVolume(perfusion)[lung_masks(perfusion)[0]]))
    ui.thresholdSlider.value = round(threshold, 2)
    ui.previewCheckBox.click()
    ui.contoursButton.click()
    function = parameters.functionSegmentation
    high = slicer.util.arrayFromSegmentBinaryLabelmap(function, "high-functional-lung", perfusion) > 0
    low = slicer.util.arrayFromSegmentBinaryLabelmap(function, "low-functional-lung", perfusion) > 0
    values = slicer.util.arrayFromVolume(perfusion)
    lung = np.logical_or(*lung_masks(perfusion))
    np.testing.assert_array_equal(high, lung & (values > parameters.threshold))
    np.testing.assert_array_equal(low, lung & (values <= parameters.threshold))

    spect = slicer.util.loadVolume(chest_files["spect"], {"name": "SPECT", "show": False})
    ui.spectSelector.setCurrentNode(spect)
    ui.registrationComboBox.currentIndex = 0
    click_and_wait(ui.evaluateButton, predicted)
    columns = [ui.metricsTable.horizontalHeaderItem(c).text() for c in range(ui.metricsTable.columnCount)]
    assert columns[:3] == ["Part", "What", "R (Spearman)"]
    assert -1 <= float(ui.metricsTable.item(0, 2).text()) <= 1
    what = {ui.metricsTable.item(row, 1).text() for row in range(ui.metricsTable.rowCount)}
    assert what == {"map", "all_high", "geometry", "density_median", "enhanced_ct"}

    metrics = [ui.metricsTable.item(row, 2).text() for row in range(ui.metricsTable.rowCount)]
    regions = [ui.regionsTable.item(row, 1).text() for row in range(ui.regionsTable.rowCount)]
    assert slicer.util.saveScene(str(tmp_path / "visit.mrb"))
    slicer.mrmlScene.Clear(0)
    assert ui.metricsTable.rowCount == ui.regionsTable.rowCount == 0
    slicer.util.loadScene(str(tmp_path / "visit.mrb"))
    parameters = predicted._parameterNode
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(parameters.perfusionVolume), values)
    assert parameters.threshold == round(threshold, 2)
    assert parameters.functionSegmentation.GetSegmentation().GetNumberOfSegments() == 2
    assert parameters.spectVolume.GetName() == "SPECT"
    assert [ui.metricsTable.item(row, 2).text() for row in range(ui.metricsTable.rowCount)] == metrics
    assert [ui.regionsTable.item(row, 1).text() for row in range(ui.regionsTable.rowCount)] == regions
    ui.exportPathLineEdit.currentPath = str(tmp_path / "report")
    ui.exportButton.click()
    written = {path.name for path in (tmp_path / "report").iterdir()}
    assert written >= {"report.html", "result.json", "perfusion.nrrd", "function.seg.nrrd", "agreement.csv"}


def test_overlay_colours_the_lungs_and_nothing_else(predicted, views, chest_ct):
    """Coloured pixels lie in the lungs; the left lung is on the right of the picture."""
    import slicer

    predicted.ui.legendCheckBox.checked = False
    predicted.ui.opacitySlider.value = 1.0
    perfusion = predicted._parameterNode.perfusionVolume
    predicted.panel.results.hang()
    slicer.modules.colors.logic().GetColorLegendDisplayNode(perfusion).SetVisibility(False)
    lungs = perfusion.GetNodeReference("DLCTPM.lungs")
    lungs.GetDisplayNode().SetVisibility(False)
    view = views.sliceWidget("Red").sliceView()
    picture = view.picture().astype(int)
    coloured = picture.max(axis=2) - picture.min(axis=2) > 30
    assert coloured.sum() > 1000

    toIjk = slicer.util.vtkMatrixFromArray(np.eye(4))
    perfusion.GetRASToIJKMatrix(toIjk)
    values = slicer.util.arrayFromVolume(perfusion)
    wrong = 0
    rows, columns = np.nonzero(coloured)
    for row, column in zip(rows[::7], columns[::7], strict=True):
        i, j, k = np.round(toIjk.MultiplyPoint([*view.ras_at(column, row), 1])[:3]).astype(int)
        wrong += not values[k - 1 : k + 2, j - 1 : j + 2, i - 1 : i + 2].any()
    assert wrong == 0

    right, left = lung_masks(perfusion)
    array = slicer.util.arrayFromVolume(perfusion)
    array[right] = 1.0
    array[left] = 0.2
    slicer.util.arrayFromVolumeModified(perfusion)
    picture = view.picture().astype(int)
    bright = picture[coloured & (np.arange(picture.shape[1]) < picture.shape[1] / 2)].mean()
    dark = picture[coloured & (np.arange(picture.shape[1]) > picture.shape[1] / 2)].mean()
    assert bright > dark + 60  # the patient's right is on the picture's left


def test_the_panels_numbers_are_the_command_lines(predicted, chest_files, tmp_path):
    import json
    import os
    import subprocess

    from DLCTPMSlicerLib.engine_command import engineCommand, engineEnvironment

    command = ["predict", chest_files["ct"], "--model", chest_files["model"], "--out", str(tmp_path / "out")]
    subprocess.run(engineCommand(command), env=engineEnvironment(), check=True, stdout=subprocess.DEVNULL)
    expected = json.loads((tmp_path / "out" / "result.json").read_text())
    result = json.loads(predicted._parameterNode.perfusionVolume.GetAttribute("DLCTPM.Result"))
    assert result["regions"] == expected["regions"]
    assert result["model"] == expected["model"]
    assert os.path.exists(tmp_path / "out" / "perfusion.nrrd")


def test_region_table_at_another_threshold_is_the_engines(predicted, logic, chest_files, tmp_path):
    import json
    import subprocess

    from DLCTPMSlicerLib.engine_command import engineCommand, engineEnvironment
    from DLCTPMSlicerLib.result_tables import tableRows

    command = ["predict", chest_files["ct"], "--model", chest_files["model"], "--threshold", "0.4"]
    command += ["--out", str(tmp_path / "out")]
    subprocess.run(engineCommand(command), env=engineEnvironment(), check=True, stdout=subprocess.DEVNULL)
    expected = json.loads((tmp_path / "out" / "result.json").read_text())["regions"]
    names, rows = tableRows(logic.updateRegions(predicted._parameterNode.perfusionVolume, 0.4))
    assert {row[0]: dict(zip(names[1:], row[1:], strict=True)) for row in rows} == expected
