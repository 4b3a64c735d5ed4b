"""What a clinician does, with clicks on the real panel: map, look, contour, compare with a SPECT, save, reload."""

import json
import subprocess

import numpy as np
import pytest


def click_and_wait(button, panel, seconds=120):
    from stand_in.probes import wait_until

    assert button.enabled, button.toolTip
    button.click()
    wait_until(lambda: not panel.panel.activity.busy, seconds, panel.ui.statusLabel.text)


@pytest.fixture(scope="session")
def mapped_scene(slicer_session, module_path, chest_files, tmp_path_factory):
    """A saved scene with a CT and its perfusion map, made by the logic alone."""
    import slicer
    from stand_in.modules import ScriptedModule

    slicer.mrmlScene.Clear(0)
    module = ScriptedModule.load(module_path)
    import DLCTPM

    ct = slicer.util.loadVolume(chest_files["ct"], {"name": "chest"})
    logic = DLCTPM.DLCTPMLogic()
    parameters = logic.getParameterNode()
    parameters.ctVolume = ct
    parameters.perfusionVolume = logic.predict(ct, model=chest_files["model"]).perfusion
    path = tmp_path_factory.mktemp("scene") / "mapped.mrb"
    assert slicer.util.saveScene(str(path))
    module.unload()
    slicer.mrmlScene.Clear(0)
    return path


@pytest.fixture
def mapped(mapped_scene, panel):
    """The open panel after that scene was loaded."""
    import slicer

    slicer.util.loadScene(str(mapped_scene))
    return panel


def lung_masks(perfusion):
    """Right and left lung of a map (k, j, i), from where they lie in the patient."""
    import slicer

    inside = slicer.util.arrayFromVolume(perfusion) > 0
    middle = inside.shape[2] // 2
    right = inside.copy()
    right[:, :, middle:] = False  # the file's x runs to the patient's left
    return right, inside & ~right


def test_whole_visit(panel, chest_ct, views, chest_files, tmp_path):
    import slicer

    ui, parameters = panel.ui, panel._parameterNode
    ui.ctSelector.setCurrentNode(chest_ct)
    click_and_wait(ui.predictButton, panel)
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
    assert [ui.registrationComboBox.itemText(i) for i in range(3)] == ["None", "Rigid", "Affine"]
    ui.registrationComboBox.currentIndex = 0
    click_and_wait(ui.evaluateButton, panel)
    columns = [ui.metricsTable.horizontalHeaderItem(c).text() for c in range(ui.metricsTable.columnCount)]
    assert columns[:3] == ["Part", "What", "R (Spearman)"]
    assert -1 <= float(ui.metricsTable.item(0, 2).text()) <= 1
    what = {ui.metricsTable.item(row, 1).text() for row in range(ui.metricsTable.rowCount)}
    assert what == {"Perfusion map", "All high", "Geometry only", "CT density (median)", "Enhanced CT"}

    metrics = [ui.metricsTable.item(row, 2).text() for row in range(ui.metricsTable.rowCount)]
    regions = [ui.regionsTable.item(row, 1).text() for row in range(ui.regionsTable.rowCount)]
    assert slicer.util.saveScene(str(tmp_path / "visit.mrb"))
    slicer.mrmlScene.Clear(0)
    assert ui.metricsTable.rowCount == ui.regionsTable.rowCount == 0
    slicer.util.loadScene(str(tmp_path / "visit.mrb"))
    parameters = panel._parameterNode
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


def test_overlay_colours_the_lungs_and_nothing_else(mapped, views):
    """Coloured pixels lie in the lungs; the left lung is on the right of the picture."""
    import slicer

    mapped.ui.legendCheckBox.checked = False
    mapped.ui.opacitySlider.value = 1.0
    perfusion = mapped._parameterNode.perfusionVolume
    mapped.panel.results.hang()
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
    assert bright > dark + 30  # the patient's right is on the picture's left


def test_the_panels_numbers_are_the_command_lines(mapped, chest_files, tmp_path):
    from DLCTPMSlicerLib.engine_command import engineCommand, engineEnvironment

    command = ["predict", chest_files["ct"], "--model", chest_files["model"], "--out", str(tmp_path / "out")]
    subprocess.run(engineCommand(command), env=engineEnvironment(), check=True, stdout=subprocess.DEVNULL)
    expected = json.loads((tmp_path / "out" / "result.json").read_text())
    result = json.loads(mapped._parameterNode.perfusionVolume.GetAttribute("DLCTPM.Result"))
    assert result["regions"] == expected["regions"]
    assert result["model"] == expected["model"]


def test_region_table_at_another_threshold_is_the_engines(mapped, logic, tmp_path):
    """The table from the scene's nodes, and the engine's from the files that the export writes: digit by digit."""
    import SimpleITK as sitk

    from DLCTPMLib.functional_regions import region_table
    from DLCTPMLib.lungs import read_lungs
    from DLCTPMSlicerLib.result_tables import tableRows

    perfusion = mapped._parameterNode.perfusionVolume
    logic.exportReport(perfusion, str(tmp_path))
    image = sitk.ReadImage(str(tmp_path / "perfusion.nrrd"))
    expected = region_table(image, read_lungs(tmp_path / "lungs.seg.nrrd", image).labels, 0.4)
    names, rows = tableRows(logic.updateRegions(perfusion, 0.4))
    assert {row[0]: dict(zip(names[1:], row[1:], strict=True)) for row in rows} == expected
