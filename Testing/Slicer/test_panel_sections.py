"""What stands in the panel and when; its tables; the buttons that lead elsewhere."""

import pytest
from panel_steps import click

SECTIONS = ("displaySection", "functionSection", "spectSection", "doseSection", "exportSection")


def shown(ui):
    return [name for name in SECTIONS if not getattr(ui, name).isHidden()]


def test_at_first_use_there_are_inputs_an_output_and_one_button(panel, chest_ct):
    ui = panel.ui
    ui.ctSelector.setCurrentNode(chest_ct)
    assert shown(ui) == []
    assert ui.progressWidget.isHidden()
    assert ui.advancedInputsSection.collapsed
    assert ui.lungSelector.isHidden()
    assert ui.framesComboBox.isHidden()
    assert panel.parent.sizeHint().height() < 500
    assert panel.parent.minimumSizeHint().width() < 380


def test_sections_come_with_a_map_and_go_with_it(mapped):
    import slicer

    assert shown(mapped.ui) == list(SECTIONS)
    slicer.mrmlScene.Clear(0)
    assert shown(mapped.ui) == []


def test_a_chosen_map_is_replaced_by_the_next_prediction(mapped):
    """The node stays, with new voxels and parts; of what belonged to the old voxels nothing is left."""
    import slicer

    parameters = mapped._parameterNode
    perfusion, count = parameters.perfusionVolume, len(slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode"))
    click(mapped, mapped.ui.contoursButton)
    slicer.util.arrayFromVolume(perfusion)[:] = 0.123
    slicer.util.arrayFromVolumeModified(perfusion)
    mapped.ui.outputSelector.setCurrentNode(perfusion)
    click(mapped, mapped.ui.predictButton)
    assert parameters.perfusionVolume is perfusion
    values = slicer.util.arrayFromVolume(perfusion)
    assert (values[0] == 0).all()
    assert values.max() > 0.5
    assert perfusion.GetNodeReference("DLCTPM.function") is None
    assert perfusion.GetNodeReference("DLCTPM.lungs") is not None
    assert len(slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")) == count
    assert len(slicer.util.getNodesByClass("vtkMRMLSegmentationNode")) == 1
    assert len(slicer.util.getNodesByClass("vtkMRMLTextNode")) == 1


@pytest.fixture
def table(slicer_app):
    import qt

    from DLCTPMSlicerLib.widgets.result_table import ResultTable

    shown_table = ResultTable(qt.QTableWidget())
    shown_table.fill(
        ["region", "volume_ml", "mean"], [["lungs", 30.0, 0.5], ["right lung", 4.0, None], ["left lung", 200.0, 0.25]]
    )
    return shown_table


def column(table, index):
    return [table._widget.item(row, index).text() for row in range(table._widget.rowCount)]


def test_a_table_sorts_by_value_both_ways_and_back(table):
    table.sortBy(1)
    assert column(table, 1) == ["4", "30", "200"]  # as numbers, not as texts
    table.sortBy(1)
    assert column(table, 1) == ["200", "30", "4"]
    table.sortBy(1)
    assert column(table, 0) == ["lungs", "right lung", "left lung"]
    table.sortBy(2)
    assert column(table, 2) == ["0.25", "0.50", "–"]  # no value comes last
    table.sortBy(2)
    assert column(table, 2) == ["0.50", "0.25", "–"]


def test_ctrl_c_copies_headings_and_all_digits(table):
    import qt

    table.fill(["region", "mean"], [["lungs", 0.123456], ["left lung", None]])
    table.copy()
    assert qt.QApplication.clipboard().text() == "Region\tMean\nlungs\t0.123456\nleft lung\t"


def test_folded_rows_are_hidden_and_not_copied(table):
    import qt

    table.fold(lambda row: row[0] != "lungs", ("volume_ml",))
    assert [table._widget.isRowHidden(row) for row in range(3)] == [False, True, True]
    table.copy()
    assert qt.QApplication.clipboard().text() == "Region\tMean\nlungs\t0.5"


def test_a_table_is_as_high_as_what_it_shows_and_whole_in_its_width(table):
    heights = []
    for isFolded in (lambda row: False, lambda row: row[0] != "lungs"):
        table.fold(isFolded, ())
        heights.append(table._widget.maximumHeight)
    assert heights[0] - heights[1] == 2 * 22
    table._widget.resize(180, 200)
    table._widget.show()
    assert sum(table._widget.columnWidth(c) for c in range(3)) <= table._widget.viewport().width
    table._widget.hide()


def test_the_maps_own_agreement_stands_first_and_baselines_are_folded(mapped, chest_files):
    import slicer

    spect = slicer.util.loadVolume(chest_files["spect"], {"name": "SPECT", "show": False})
    ui = mapped.ui
    ui.spectSelector.setCurrentNode(spect)
    ui.registrationComboBox.currentIndex = 0
    click(mapped, ui.evaluateButton)

    def visible():
        table = ui.metricsTable
        rows = [row for row in range(table.rowCount) if not table.isRowHidden(row)]
        return [(table.item(row, 0).text(), table.item(row, 1).text()) for row in rows]

    assert visible() == [(part, "Perfusion map") for part in ("lungs", "right lung", "left lung")]
    ui.baselinesCheckBox.click()
    assert ("lungs", "Geometry only") in visible()
    assert ("lungs, core", "Perfusion map") in visible()


def test_the_report_opens_in_the_browser(mapped, monkeypatch):
    from pathlib import Path

    import qt

    opened = []
    monkeypatch.setattr(qt, "QDesktopServices", type("Browser", (), {"openUrl": opened.append}))
    mapped.ui.reportButton.click()
    (url,) = opened
    assert "Research use only" in Path(url.toLocalFile()).read_text(encoding="utf-8")


class SegmentEditor:
    """What the panel asks of Slicer's Segment Editor."""

    def __init__(self):
        self.editor, self.asked = self, []

    def widgetRepresentation(self):
        return self

    def self(self):
        return self

    def setSegmentationNode(self, node):
        self.asked.append(node)

    def setSourceVolumeNode(self, node):
        self.asked.append(node)


def test_lungs_are_edited_in_a_copy_that_the_next_prediction_uses(mapped, monkeypatch):
    """The map keeps the lungs that it was made in: its region table is about them."""
    import slicer

    editor, opened = SegmentEditor(), []
    monkeypatch.setattr(slicer.modules, "segmenteditor", editor, raising=False)
    monkeypatch.setattr(slicer.util, "selectModule", opened.append)
    parameters = mapped._parameterNode
    perfusion = parameters.perfusionVolume
    own = perfusion.GetNodeReference("DLCTPM.lungs")
    mapped.ui.editLungsButton.click()
    edited, source = editor.asked
    assert opened == ["SegmentEditor"]
    assert edited is not own
    assert source is perfusion.GetNodeReference("DLCTPM.ct")
    assert edited.GetSegmentation().GetNumberOfSegments() == own.GetSegmentation().GetNumberOfSegments()
    assert (parameters.lungs, parameters.lungSource) == (edited, "existing")
    mapped.ui.editLungsButton.click()
    assert editor.asked[2] is edited  # no copy of the copy


def test_under_a_models_name_stands_what_it_was_trained_on(panel):
    combo = panel.ui.modelComboBox
    combo.currentIndex = combo.findText("dlctpm-demo-unet 1.1.0")
    assert panel.ui.modelLabel.text == "U-Net · 42 simulated patients"
