"""A training in the scene: a table of epochs for each fit, and two charts, saved with the scene."""

from __future__ import annotations

from dataclasses import dataclass

import slicer
import slicer.util
from slicer.i18n import tr as _

from DLCTPMSlicerLib.nodes.result_tables import fillTable
from DLCTPMTrainingSlicerLib.run_folder import TrainingRecord, fitTitle

RUN, PART, FIT, MADE = "DLCTPM.TrainingRun", "DLCTPM.TrainingPart", "DLCTPM.TrainingFit", "DLCTPM.Made"
"""Attributes by which the nodes of a run are found again, also after a scene was saved and loaded."""
RESEARCH_USE = "DLCTPM.ResearchUseOnly"
LOSS, SCORES, EPOCHS, SUMMARY = "loss", "scores", "epochs", "summary"
"""Parts of a run: two charts, the fits' tables, and the table of all fits."""
EPOCH_COLUMN = "Epoch"
COLUMNS = {
    EPOCH_COLUMN: "epoch",
    "Loss": "loss",
    "Training": "excess",
    "Validation": "validation_excess",
    "R": "validation_r",
    "SSIM": "validation_ssim",
    "Seconds": "seconds",
}
"""Columns of a fit's table, and what the engine calls them."""
CHART_COLUMNS = {LOSS: ("Training", "Validation"), SCORES: ("R", "SSIM")}
"""Solid line with circles and dashed line with diamonds of each chart: a legend is too short for a dash."""
COLOURS = (
    (0.0, 0.447, 0.698),
    (0.835, 0.369, 0.0),
    (0.0, 0.62, 0.451),
    (0.8, 0.475, 0.655),
    (0.337, 0.706, 0.914),
    (0.902, 0.624, 0.0),
)
"""Okabe and Ito's, told apart with any colour vision."""


@dataclass(frozen=True)
class TrainingNodes:
    """The nodes of one run.

    Attributes:
        loss: chart of training and validation loss by epoch.
        scores: chart of R and SSIM of the validation lungs by epoch.
        summary: table with a row for each fit.
    """

    loss: slicer.vtkMRMLPlotChartNode
    scores: slicer.vtkMRMLPlotChartNode
    summary: slicer.vtkMRMLTableNode


def trainingNodes(record: TrainingRecord) -> TrainingNodes | None:
    """The run's nodes that are in the scene; None if any has been removed or the scene was closed."""
    found = [_find(record, part) for part in (LOSS, SCORES, SUMMARY)]
    return TrainingNodes(*found) if all(found) else None


def showTraining(record: TrainingRecord, results: tuple[list[str], list[list]] | None = None) -> TrainingNodes:
    """Make the run's nodes, or bring those in the scene up to date.

    Args:
        record: the epochs so far.
        results: columns and rows of the results table; None for the fits' last epochs.
    """
    summary = _find(record, SUMMARY)
    columns, rows = results or record.summary()
    summary = _marked(fillTable(columns, rows, _name(record, _("results")), summary), record, SUMMARY)
    nodes = TrainingNodes(_chart(record, LOSS), _chart(record, SCORES), summary)
    for index, (fit, epochs) in enumerate(record.fits.items()):
        values = [[one.get(name) for name in COLUMNS.values()] for one in epochs]
        title = fitTitle(fit)
        table = _find(record, EPOCHS, fit)
        table = fillTable(list(COLUMNS), values, _name(record, title), table)
        _marked(table, record, EPOCHS, fit)
        for chart, part in ((nodes.loss, LOSS), (nodes.scores, SCORES)):
            for dashed, column in enumerate(CHART_COLUMNS[part]):
                if any(one.get(COLUMNS[column]) is not None for one in epochs):
                    _series(record, chart, table, column, fit, COLOURS[index % len(COLOURS)], bool(dashed))
    return nodes


def removeTraining(record: TrainingRecord) -> None:
    """Take the run's nodes out of the scene."""
    for node in _nodesOf(record):
        slicer.mrmlScene.RemoveNode(node)


def showChart(chart: slicer.vtkMRMLPlotChartNode) -> None:
    """Show a chart in a plot view, beside the slices."""
    slicer.modules.plots.logic().ShowChartInLayout(chart)


def _chart(record: TrainingRecord, part: str) -> slicer.vtkMRMLPlotChartNode:
    chart = _find(record, part)
    if chart is not None:
        return chart
    what = {LOSS: _("loss"), SCORES: _("agreement of the validation lungs")}[part]
    chart = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotChartNode", _name(record, what))
    chart.SetTitle(_name(record, what))
    chart.SetXAxisTitle(_("Epoch"))
    chart.SetYAxisTitle(
        {LOSS: _("Cross-entropy above that of the targets"), SCORES: _("R and SSIM on the network's grid")}[part]
    )
    return _marked(chart, record, part)


def _series(record, chart, table, column: str, fit: str, colour, dashed: bool) -> None:
    part = f"{chart.GetAttribute(PART)} {column}"
    series = _find(record, part, fit)
    if series is None:
        title = column if fit == "" else f"{fitTitle(fit)}: {column}"
        series = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotSeriesNode", title)
        series.SetPlotType(slicer.vtkMRMLPlotSeriesNode.PlotTypeScatter)
        series.SetXColumnName(EPOCH_COLUMN)
        series.SetYColumnName(column)
        series.SetColor(*colour)
        series.SetLineWidth(2)
        series.SetMarkerSize(5)
        marker, line = ("MarkerStyleDiamond", "LineStyleDash") if dashed else ("MarkerStyleCircle", "LineStyleSolid")
        series.SetMarkerStyle(getattr(slicer.vtkMRMLPlotSeriesNode, marker))  # one epoch alone is no line
        series.SetLineStyle(getattr(slicer.vtkMRMLPlotSeriesNode, line))
        _marked(series, record, part, fit)
    if series.GetTableNodeID() != table.GetID():  # the user may have removed the table, or the chart
        series.SetAndObserveTableNodeID(table.GetID())
    if not chart.HasPlotSeriesNodeID(series.GetID()):
        chart.AddAndObservePlotSeriesNodeID(series.GetID())


def _name(record: TrainingRecord, what: str) -> str:
    return f"{record.name}: {what}" + (_(" (simulated)") if record.simulated else "")


def _marked(node, record: TrainingRecord, part: str, fit: str = ""):
    for name, value in (
        (MADE, "training"),
        (RUN, str(record.folder)),
        (PART, part),
        (FIT, fit),
        (RESEARCH_USE, "Research use only."),
        ("DLCTPM.Simulated", "yes" if record.simulated else "no"),
    ):
        if value:
            node.SetAttribute(name, value)
    return node


def _nodesOf(record: TrainingRecord) -> list:
    classes = ("vtkMRMLTableNode", "vtkMRMLPlotChartNode", "vtkMRMLPlotSeriesNode")
    nodes = [node for name in classes for node in slicer.util.getNodesByClass(name)]
    return [node for node in nodes if node.GetAttribute(RUN) == str(record.folder)]


def _find(record: TrainingRecord, part: str, fit: str = ""):
    for node in _nodesOf(record):
        if node.GetAttribute(PART) == part and (node.GetAttribute(FIT) or "") == fit:
            return node
    return None
