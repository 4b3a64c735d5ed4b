"""What a clinician does, with clicks on the real panel: map, look, contour, compare with a SPECT, save, reload."""

import json
import subprocess

import numpy as np
import pytest
from panel_steps import click, until


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
    click(panel, ui.predictButton)
    perfusion = parameters.perfusionVolume
    said = ui.statusLabel.text.splitlines()
    assert said[0] == "Perfusion mapped. Research use only."
    result = json.loads(perfusion.GetAttribute("DLCTPM.Result"))
    doubts = [check["message"] for check in result["quality"] if check["status"] != "PASS"] + result["warnings"]
    assert said[1:] == [f"Note: {text}" for text in doubts]
    assert doubts  # the small chest gives reason to doubt
    assert perfusion.GetAttribute("DLCTPM.Model") == "untrained"

    names = [ui.regionsTable.item(row, 0).text() for row in range(ui.regionsTable.rowCount)]
    assert names[:3] == ["lungs", "right lung", "left lung"]

    threshold = float(np.median(slicer.util.arrayFromVolume(perfusion)[lung_masks(perfusion)[0]]))
    ui.thresholdSlider.value = round(threshold, 2)
    ui.previewCheckBox.click()
    click(panel, ui.contoursButton)
    function = parameters.functionSegmentation
    values = slicer.util.arrayFromVolume(perfusion)
    high = values > parameters.threshold
    for side, lung in zip(("right", "left"), lung_masks(perfusion), strict=True):
        for part, expected in (("high", lung & high), ("low", lung & ~high)):
            segment = f"{side}-{part}-functional-lung"
            drawn = slicer.util.arrayFromSegmentBinaryLabelmap(function, segment, perfusion) > 0
            np.testing.assert_array_equal(drawn, expected)

    spect = slicer.util.loadVolume(chest_files["spect"], {"name": "SPECT", "show": False})
    ui.spectSelector.setCurrentNode(spect)
    assert [ui.registrationComboBox.itemText(i) for i in range(3)] == ["None", "Rigid", "Affine"]
    ui.registrationComboBox.currentIndex = 0
    click(panel, ui.evaluateButton)
    assert ui.statusLabel.text.splitlines()[0] == "Compared with the SPECT. Research use only."
    assert ui.statusLabel.text.splitlines()[1 : len(doubts) + 1] == [f"Note: {text}" for text in doubts]
    columns = [ui.metricsTable.horizontalHeaderItem(c).text() for c in range(ui.metricsTable.columnCount)]
    assert columns[:3] == ["Part", "What", "R"]
    assert "rank correlation" in ui.metricsTable.horizontalHeaderItem(2).toolTip()
    assert -1 <= float(ui.metricsTable.item(0, 2).text()) <= 1
    what = {ui.metricsTable.item(row, 1).text() for row in range(ui.metricsTable.rowCount)}
    baselines = {"All high", "Geometry only", "CT density", "Enhanced CT", "Blurred mask", "Blurred density"}
    assert what == {"Perfusion map", *baselines}

    parts = {ui.metricsTable.item(row, 0).text() for row in range(ui.metricsTable.rowCount)}
    assert parts == {f"{scope}{core}" for scope in ("lungs", "right lung", "left lung") for core in ("", ", core")}
    check_comparison(perfusion, views, ui)

    metrics = [ui.metricsTable.item(row, 2).text() for row in range(ui.metricsTable.rowCount)]
    regions = [ui.regionsTable.item(row, 1).text() for row in range(ui.regionsTable.rowCount)]
    assert slicer.util.saveScene(str(tmp_path / "visit.mrb"))
    slicer.mrmlScene.Clear(0)
    assert ui.metricsTable.rowCount == ui.regionsTable.rowCount == 0
    slicer.util.loadScene(str(tmp_path / "visit.mrb"))
    parameters = panel._parameterNode
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(parameters.perfusionVolume), values)
    assert parameters.threshold == round(threshold, 2)
    assert parameters.functionSegmentation.GetSegmentation().GetNumberOfSegments() == 4
    assert parameters.spectVolume.GetName() == "SPECT"
    assert [ui.metricsTable.item(row, 2).text() for row in range(ui.metricsTable.rowCount)] == metrics
    assert [ui.regionsTable.item(row, 1).text() for row in range(ui.regionsTable.rowCount)] == regions
    ui.exportPathLineEdit.currentPath = str(tmp_path / "report")
    click(panel, ui.exportButton)
    written = {path.name for path in (tmp_path / "report").iterdir()}
    assert written >= {"report.html", "result.json", "perfusion.nrrd", "function.seg.nrrd", "agreement.csv"}
    assert written >= {"spect_relative.nrrd", "difference_on_spect.nrrd", "joint_histogram.csv"}
    exported = json.loads((tmp_path / "report" / "result.json").read_text())
    assert exported["settings"]["functional_regions"]["threshold"] == parameters.threshold
    report = (tmp_path / "report" / "report.html").read_text()
    assert "Joint histogram of SPECT and map" in report
    assert f"{exported['agreement']['lungs']['r_spearman']:.2f}".replace("-", "−") in report
    assert ui.differenceButton.enabled
    assert ui.histogramButton.enabled


def test_the_names_that_scripts_lean_on_are_there(panel):
    names = "ctSelector lungSourceComboBox lungSelector modelComboBox spectSelector thresholdSlider predictButton "
    names += "cancelButton progressBar evaluateButton metricsTable regionsTable exportButton"
    assert [name for name in names.split() if not hasattr(panel.ui, name)] == []
    assert panel.ui.predictButton.text == "Predict perfusion"


def check_comparison(perfusion, views, ui):
    """Difference map in diverging colours over the CT, clear outside the lungs; a plot whose series count all."""
    import slicer

    difference = perfusion.GetNodeReference("DLCTPM.difference")
    shown = difference.GetDisplayNode()
    assert (shown.GetWindowLevelMin(), shown.GetWindowLevelMax()) == (-1, 1)
    values = slicer.util.arrayFromVolume(difference)
    onSpect = slicer.util.arrayFromVolume(perfusion.GetNodeReference("DLCTPM.perfusionOnSpect"))
    relative = slicer.util.arrayFromVolume(perfusion.GetNodeReference("DLCTPM.spectRelative"))
    lung = onSpect > 0
    np.testing.assert_allclose(values[lung], onSpect[lung] - np.clip(relative[lung], 0, 1), atol=1e-6)
    assert (values[~lung] == -2).all()
    ui.differenceButton.click()
    composite = views.sliceWidget("Red").mrmlSliceCompositeNode()
    assert composite.GetForegroundVolumeID() == difference.GetID()
    assert not slicer.modules.colors.logic().GetColorLegendDisplayNode(perfusion).GetVisibility()
    chart = perfusion.GetNodeReference("DLCTPM.jointHistogramChart")
    table = perfusion.GetNodeReference("DLCTPM.jointHistogram").GetTable()
    columns = [table.GetColumnName(i) for i in range(table.GetNumberOfColumns())]
    assert columns[:3] == ["SPECT", "map", "voxels"]
    array = {
        name: slicer.util.arrayFromTableColumn(perfusion.GetNodeReference("DLCTPM.jointHistogram"), name)
        for name in columns
    }
    assert array["voxels"].sum() == lung.sum()
    series = [chart.GetNthPlotSeriesNode(i).GetYColumnName() for i in range(chart.GetNumberOfPlotSeriesNodes())]
    assert series == [name for name in columns[3:] if name != "equality: SPECT"]
    levels = np.array([array[name] for name in series[:-1]])
    np.testing.assert_array_equal(np.isfinite(levels).sum(axis=0), 1)  # every bin belongs to one level
    ui.histogramButton.click()
    check_histogram_picture(views.plotWidget(0).plotView(), chart)
    ui.hangingButton.click()
    assert composite.GetForegroundVolumeID() == perfusion.GetID()


def check_histogram_picture(view, chart):
    """Every series is drawn in its colour; the line of equality rises from the lower left corner."""
    assert view.mrmlPlotViewNode().GetPlotChartNode() is chart
    picture = view.picture().astype(int)
    shown = {}
    for index in range(chart.GetNumberOfPlotSeriesNodes()):
        series = chart.GetNthPlotSeriesNode(index)
        colour = np.round(255 * np.array(series.GetColor()))
        shown[series.GetName()] = np.argwhere(np.abs(picture - colour).max(axis=2) < 6)
        assert len(shown[series.GetName()]) > 20, series.GetName()
    rows, columns = shown["equality"].T
    left = columns < picture.shape[1] / 2
    assert rows[left].mean() > rows[~left].mean()
    assert rows[left].max() > 0.8 * picture.shape[0]


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


def test_the_legend_is_drawn_for_a_map_that_no_view_showed_before(mapped, views):
    """As after loading a scene that a script saved: the panel is open, then the map is put into the views."""
    import slicer

    perfusion = mapped._parameterNode.perfusionVolume
    assert mapped.ui.legendCheckBox.checked
    mapped.panel.results.hang()
    view = views.sliceWidget("Red").sliceView()
    drawn = view.picture().astype(int)
    legend = slicer.modules.colors.logic().GetColorLegendDisplayNode(perfusion)
    legend.SetVisibility(False)
    assert (np.abs(view.picture().astype(int) - drawn).max(axis=2) > 60).sum() > 150


def test_the_panels_numbers_are_the_command_lines(mapped, chest_files, tmp_path):
    from DLCTPMSlicerLib.engine.command import engineCommand, engineEnvironment

    command = ["predict", chest_files["ct"], "--model", chest_files["model"], "--out", str(tmp_path / "out")]
    subprocess.run(engineCommand(command), env=engineEnvironment(), check=True, stdout=subprocess.DEVNULL)
    expected = json.loads((tmp_path / "out" / "result.json").read_text())
    result = json.loads(mapped._parameterNode.perfusionVolume.GetAttribute("DLCTPM.Result"))
    assert result["regions"] == expected["regions"]
    assert result["model"] == expected["model"]


def test_region_table_at_another_threshold_is_the_engines(mapped, logic, tmp_path):
    """The table from the scene's nodes, and the engine's from the files that the export writes: digit by digit."""
    import SimpleITK as sitk

    from DLCTPMLib.function.regions import region_table
    from DLCTPMLib.lungs.masks import read_lungs
    from DLCTPMSlicerLib.nodes.result_tables import REGION_COLUMNS, tableRows

    perfusion = mapped._parameterNode.perfusionVolume
    logic.exportReport(perfusion, str(tmp_path))
    image = sitk.ReadImage(str(tmp_path / "perfusion.nrrd"))
    expected = region_table(image, read_lungs(tmp_path / "lungs.seg.nrrd", image).labels, 0.4)
    names, rows = tableRows(logic.updateRegions(perfusion, 0.4))
    shown = {row[0]: dict(zip(names[1:], row[1:], strict=True)) for row in rows}
    assert shown == {name: {key: row[key] for key in REGION_COLUMNS} for name, row in expected.items()}


def test_region_table_follows_the_slider_without_blocking_it(mapped):
    from DLCTPMSlicerLib.nodes.regions import regionTable

    perfusion = mapped._parameterNode.perfusionVolume
    lungs = perfusion.GetNodeReference("DLCTPM.lungs")
    for threshold in (0.5, 0.45):
        mapped.ui.thresholdSlider.value = threshold
        expected = f"{regionTable(perfusion, lungs, threshold)['lungs']['high_ml']:.0f}"
        until(lambda text=expected: mapped.ui.regionsTable.item(0, 4).text() == text, 300, "the table")


def test_lungs_on_another_grid_are_measured_too(mapped):
    """Lungs that were edited on a finer grid take the slow way, with the same figures to a voxel's share."""
    import slicer

    from DLCTPMSlicerLib.nodes.regions import regionTable

    perfusion = mapped._parameterNode.perfusionVolume
    lungs = perfusion.GetNodeReference("DLCTPM.lungs")
    before = regionTable(perfusion, lungs, 0.5)
    geometry = slicer.vtkOrientedImageData()
    image = lungs.GetSegmentation().GetLayerDataObject(0, "Binary labelmap")
    geometry.SetExtent(0, 199, 0, 149, 0, 149)
    geometry.SetGeometryFromImageToWorldMatrix(matrixOf(image))
    geometry.SetSpacing([s * 0.9 for s in image.GetSpacing()])
    slicer.vtkOrientedImageDataResample.ResampleOrientedImageToReferenceOrientedImage(image, geometry, image)
    after = regionTable(perfusion, lungs, 0.5)
    assert after["lungs"]["volume_ml"] == pytest.approx(before["lungs"]["volume_ml"], rel=0.05)
    assert after["lungs"]["mean"] == pytest.approx(before["lungs"]["mean"], rel=0.02)


def matrixOf(image):
    import vtk

    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    return matrix
