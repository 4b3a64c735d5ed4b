"""A comparison with a SPECT in the scene: images on the SPECT's grid, difference in colours, joint histogram."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import slicer
import slicer.util
import vtk
from slicer.i18n import tr as _

from DLCTPMSlicerLib.nodes import display
from DLCTPMSlicerLib.nodes.files import readVolume, removeNode
from DLCTPMSlicerLib.nodes.roles import (
    CHART_ROLE,
    COMPARISON,
    CT_ROLE,
    DIFFERENCE_ROLE,
    HISTOGRAM_ROLE,
    MADE_HERE,
    ON_SPECT_ROLE,
    RELATIVE_ROLE,
    partOf,
)

OUTSIDE = -2.0
"""Value of the difference outside the lungs, where 0 would mean agreement; below the window, so it stays clear."""
DIFFERENCE_COLOURS = "CT perfusion: difference"
BLUE, WHITE, RED = (0.13, 0.4, 0.67), (0.97, 0.97, 0.97), (0.7, 0.09, 0.17)
"""Too low, equal, too high: told apart with any colour vision."""
COLOUR_STEPS = 256
LEVELS = 4
LEVEL_COLOURS = ((0.75, 0.78, 0.85), (0.42, 0.63, 0.8), (0.16, 0.47, 0.56), (0.27, 0.0, 0.33))
SPECT_COLUMN, EQUALITY_COLUMN, EQUALITY_ENDS_COLUMN = "SPECT", "equality", "equality: SPECT"
CHART_TOP = 1.5
AXIS_TITLE_SIZE = 14
"""Points: the longer title fits into a plot view of an ordinary width."""


def comparisonNodes(perfusion, spect, results: Path) -> None:
    """Bring what was compared into the scene, beside the map, in place of an earlier comparison's.

    Args:
        perfusion: the map that was compared.
        spect: the SPECT; its transform is put on the images too, since they have its grid.
        results: the folder that ``dlctpm evaluate`` wrote.
    """
    name = perfusion.GetName()
    made = {
        RELATIVE_ROLE: _image(results / "spect_relative.nrrd", f"{name}: SPECT relative to its HIR", spect),
        ON_SPECT_ROLE: _image(results / "perfusion_on_spect.nrrd", f"{name}: on the SPECT's grid", spect),
        DIFFERENCE_ROLE: _image(results / "difference_on_spect.nrrd", f"{name}: minus SPECT", spect),
    }
    for role in (RELATIVE_ROLE, ON_SPECT_ROLE):
        display.setPerfusionDisplay(made[role])
    _markOutside(made[DIFFERENCE_ROLE], made[ON_SPECT_ROLE])
    setDifferenceDisplay(made[DIFFERENCE_ROLE])
    made[HISTOGRAM_ROLE] = _histogramTable(results / "joint_histogram.csv", f"{name}: joint histogram")
    made[CHART_ROLE] = _chart(made[HISTOGRAM_ROLE], f"{name}: joint histogram")
    removeComparison(perfusion)
    for role, node in made.items():
        perfusion.SetNodeReferenceID(role, node.GetID())
    display.placeBeside(perfusion, [made[role] for role in (RELATIVE_ROLE, ON_SPECT_ROLE, DIFFERENCE_ROLE)])
    display.placeBeside(perfusion, [made[HISTOGRAM_ROLE], made[CHART_ROLE]])


def removeComparison(perfusion) -> None:
    """Remove the nodes of the map's last comparison, its series too."""
    chart = partOf(perfusion, CHART_ROLE)
    doomed = (
        [] if chart is None else [chart.GetNthPlotSeriesNode(i) for i in range(chart.GetNumberOfPlotSeriesNodes())]
    )
    doomed += [partOf(perfusion, role) for role in (RELATIVE_ROLE, ON_SPECT_ROLE, DIFFERENCE_ROLE)]
    doomed += [chart, partOf(perfusion, HISTOGRAM_ROLE)]
    for node in doomed:
        if node is not None:
            removeNode(node)


def showDifference(perfusion, opacity: float) -> None:
    """Show the difference over the CT in the slice views, with its own legend."""
    difference = partOf(perfusion, DIFFERENCE_ROLE)
    if difference is None:
        return
    display.showOverlay(partOf(perfusion, CT_ROLE), difference, opacity)
    display.showLegend(perfusion, False)
    display.showLegend(difference, True, _("Map minus SPECT"))


def showHistogram(perfusion) -> None:
    """Show the joint histogram in a plot view."""
    chart = partOf(perfusion, CHART_ROLE)
    if chart is not None:
        slicer.modules.plots.logic().ShowChartInLayout(chart)


def setDifferenceDisplay(difference) -> None:
    """Blue where the map is lower than the SPECT, white where equal, red where higher; window −1…1."""
    if difference.GetDisplayNode() is None:
        difference.CreateDefaultDisplayNodes()
    node = difference.GetDisplayNode()
    with slicer.util.NodeModify(node):
        node.SetAndObserveColorNodeID(_differenceColours().GetID())
        node.SetAutoWindowLevel(False)
        node.SetWindowLevelMinMax(-1.0, 1.0)
        node.SetAutoThreshold(False)
        node.SetThreshold(-1.0, 1.0)
        node.SetApplyThreshold(True)
        node.SetInterpolate(False)


def _differenceColours() -> slicer.vtkMRMLColorTableNode:
    node = slicer.mrmlScene.GetFirstNodeByName(DIFFERENCE_COLOURS)
    if node is not None:
        return node
    node = slicer.vtkMRMLColorTableNode()
    node.SetTypeToUser()
    node.SetName(DIFFERENCE_COLOURS)
    node.SetNumberOfColors(COLOUR_STEPS)
    for index in range(COLOUR_STEPS):
        position = 2 * index / (COLOUR_STEPS - 1) - 1
        end = RED if position > 0 else BLUE
        share = abs(position)
        node.SetColor(index, *((1 - share) * w + share * e for w, e in zip(WHITE, end, strict=True)), 1.0)
    node.GetLookupTable().SetRange(-1, 1)
    return slicer.mrmlScene.AddNode(node)


def _image(path: Path, name: str, spect):
    node = readVolume(path, name)
    node.SetAttribute(MADE_HERE, COMPARISON)
    node.SetAndObserveTransformNodeID(spect.GetTransformNodeID())
    return node


def _markOutside(difference, onSpect) -> None:
    array = slicer.util.arrayFromVolume(difference)
    array[slicer.util.arrayFromVolume(onSpect) <= 0] = OUTSIDE
    slicer.util.arrayFromVolumeModified(difference)
    difference.SetAttribute("DLCTPM.Outside", repr(OUTSIDE))


def _histogramTable(path: Path, name: str) -> slicer.vtkMRMLTableNode:
    """The joint histogram: SPECT, map and voxels of every bin that is not empty; for the chart the map again, in one
    column for each level of frequency, and in the first two rows the ends of the line of equality."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = np.array([[float(value) for value in row] for row in list(csv.reader(file))[1:]]).reshape(-1, 3)
    columns = {SPECT_COLUMN: rows[:, 0], "map": rows[:, 1], "voxels": rows[:, 2]}
    for low, high in levels(int(rows[:, 2].max())):
        inside = (rows[:, 2] >= low) & (rows[:, 2] <= high)
        columns[_levelName(low, high)] = np.where(inside, rows[:, 1], np.nan)
    ends = np.full(len(rows), np.nan)
    ends[:2] = (0.0, CHART_TOP)[: len(rows)]
    columns[EQUALITY_ENDS_COLUMN] = columns[EQUALITY_COLUMN] = ends
    table = vtk.vtkTable()
    for title, values in columns.items():
        array = vtk.vtkDoubleArray()
        array.SetName(title)
        for value in values:
            array.InsertNextValue(float(value))
        table.AddColumn(array)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", name)
    node.SetAndObserveTable(table)
    node.SetUseColumnTitleAsColumnHeader(True)
    return node


def levels(most: int) -> list[tuple[int, int]]:
    """Ranges of voxels a bin, each about as many times the one before; together 1…``most``."""
    ends = sorted({max(1, round(most ** ((i + 1) / LEVELS))) for i in range(LEVELS)})
    return list(zip([1, *(end + 1 for end in ends[:-1])], ends, strict=True))


def _levelName(low: int, high: int) -> str:
    return f"{low} voxel" if low == high == 1 else f"{low}–{high} voxels"


def _chart(table: slicer.vtkMRMLTableNode, name: str) -> slicer.vtkMRMLPlotChartNode:
    chart = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotChartNode", name)
    chart.SetTitle(_("Joint histogram in the lungs"))
    chart.SetXAxisTitle(_("SPECT relative to its high intensity reference (last column: all above)"))
    chart.SetAxisTitleFontSize(AXIS_TITLE_SIZE)
    chart.SetYAxisTitle(_("Perfusion map"))
    for setAuto, setRange in (
        (chart.SetXAxisRangeAuto, chart.SetXAxisRange),
        (chart.SetYAxisRangeAuto, chart.SetYAxisRange),
    ):
        setAuto(False)
        setRange(0.0, CHART_TOP)
    titles = [table.GetTable().GetColumnName(i) for i in range(table.GetTable().GetNumberOfColumns())]
    for index, title in enumerate(title for title in titles[3:] if title != EQUALITY_ENDS_COLUMN):
        series = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotSeriesNode", title)
        series.SetAndObserveTableNodeID(table.GetID())
        series.SetXColumnName(EQUALITY_ENDS_COLUMN if title == EQUALITY_COLUMN else SPECT_COLUMN)
        series.SetYColumnName(title)
        series.SetPlotType(slicer.vtkMRMLPlotSeriesNode.PlotTypeScatter)
        if title == EQUALITY_COLUMN:
            series.SetMarkerStyle(slicer.vtkMRMLPlotSeriesNode.MarkerStyleNone)
            series.SetLineStyle(slicer.vtkMRMLPlotSeriesNode.LineStyleDash)
            series.SetColor(0.3, 0.3, 0.3)
        else:
            series.SetMarkerStyle(slicer.vtkMRMLPlotSeriesNode.MarkerStyleSquare)
            series.SetLineStyle(slicer.vtkMRMLPlotSeriesNode.LineStyleNone)
            series.SetColor(*LEVEL_COLOURS[index])
        chart.AddAndObservePlotSeriesNodeID(series.GetID())
    return chart
