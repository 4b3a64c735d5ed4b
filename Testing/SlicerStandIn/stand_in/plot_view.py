"""A plot view drawn off screen: VTK's chart filled from a chart node, as Slicer's plot widget fills it.

Only what a series or chart node says is taken over: kind of plot, columns, colour, line and marker, titles, ranges,
grid, legend, fonts. No picking, panning or logarithmic axes.
"""

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

_SERIES = slicer.vtkMRMLPlotSeriesNode
LINES = {
    _SERIES.LineStyleNone: vtk.vtkPen.NO_PEN,
    _SERIES.LineStyleSolid: vtk.vtkPen.SOLID_LINE,
    _SERIES.LineStyleDash: vtk.vtkPen.DASH_LINE,
    _SERIES.LineStyleDot: vtk.vtkPen.DOT_LINE,
    _SERIES.LineStyleDashDot: vtk.vtkPen.DASH_DOT_LINE,
    _SERIES.LineStyleDashDotDot: vtk.vtkPen.DASH_DOT_DOT_LINE,
}
MARKERS = {
    _SERIES.MarkerStyleNone: vtk.vtkPlotPoints.NONE,
    _SERIES.MarkerStyleCross: vtk.vtkPlotPoints.CROSS,
    _SERIES.MarkerStylePlus: vtk.vtkPlotPoints.PLUS,
    _SERIES.MarkerStyleSquare: vtk.vtkPlotPoints.SQUARE,
    _SERIES.MarkerStyleCircle: vtk.vtkPlotPoints.CIRCLE,
    _SERIES.MarkerStyleDiamond: vtk.vtkPlotPoints.DIAMOND,
}
BARS = (_SERIES.PlotTypeBar, _SERIES.PlotTypeScatterBar)
BACKGROUND = (255, 253, 246, 255)


class PlotView:
    """What ``plotWidget(0).plotView()`` gives: the chart of a plot view node."""

    def __init__(self, view_node, size):
        self._view_node, self._size = view_node, size

    def mrmlPlotViewNode(self):
        return self._view_node

    def chart(self):
        """A ``vtkChartXY`` made of the view's chart node; empty where it shows none."""
        chart = vtk.vtkChartXY()
        chart.GetBackgroundBrush().SetColor(*BACKGROUND)
        node = self._view_node.GetPlotChartNode()
        if node is None:
            return chart
        for index in range(node.GetNumberOfPlotSeriesNodes()):
            plot = plot_of(node.GetNthPlotSeriesNode(index))
            if plot is not None:
                chart.AddPlot(plot)
        chart.SetTitle((node.GetTitle() or "") if node.GetTitleVisibility() else "")
        font = chart.GetTitleProperties().GetFontFamilyFromString(node.GetFontType() or "Arial")
        chart.GetTitleProperties().SetFontFamily(font)
        chart.GetTitleProperties().SetFontSize(node.GetTitleFontSize())
        chart.SetShowLegend(node.GetLegendVisibility())
        chart.GetLegend().GetLabelProperties().SetFontFamily(font)
        chart.GetLegend().GetLabelProperties().SetFontSize(node.GetLegendFontSize())
        horizontal = node.GetXAxisTitle, node.GetXAxisTitleVisibility, node.GetXAxisRangeAuto, node.GetXAxisRange
        vertical = node.GetYAxisTitle, node.GetYAxisTitleVisibility, node.GetYAxisRangeAuto, node.GetYAxisRange
        for place, (title, titled, fitted, limits) in (
            (vtk.vtkAxis.BOTTOM, horizontal),
            (vtk.vtkAxis.LEFT, vertical),
        ):
            axis = chart.GetAxis(place)
            axis.SetTitle((title() or "") if titled() else "")
            if not fitted():
                axis.SetBehavior(vtk.vtkAxis.FIXED)
                axis.SetUnscaledRange(*limits())
            axis.SetGridVisible(node.GetGridVisibility())
            for text, points in (
                (axis.GetTitleProperties(), node.GetAxisTitleFontSize()),
                (axis.GetLabelProperties(), node.GetAxisLabelFontSize()),
            ):
                text.SetFontFamily(font)
                text.SetFontSize(points)
                text.SetBold(False)
        return chart

    def picture(self):
        """Draw the chart: (rows, columns, 3) uint8 RGB, first row at the top."""
        view = vtk.vtkContextView()
        view.GetRenderWindow().SetOffScreenRendering(1)
        view.GetRenderWindow().SetSize(*self._size)
        view.GetScene().AddItem(self.chart())
        view.GetRenderWindow().Render()
        grab = vtk.vtkWindowToImageFilter()
        grab.SetInput(view.GetRenderWindow())
        grab.ReadFrontBufferOff()
        grab.ShouldRerenderOff()
        grab.Update()
        columns, rows, _ = grab.GetOutput().GetDimensions()
        pixels = vtk_to_numpy(grab.GetOutput().GetPointData().GetScalars()).reshape(rows, columns, -1)
        return np.ascontiguousarray(pixels[::-1, :, :3])


def plot_of(series):
    """The VTK plot of a series node; None where its table lacks a column."""
    table = series.GetTableNode().GetTable() if series.GetTableNode() is not None else None
    needed = [series.GetYColumnName()] + ([series.GetXColumnName()] if series.IsXColumnRequired() else [])
    if table is None or any(not name or table.GetColumnByName(name) is None for name in needed):
        return None
    is_bar = series.GetPlotType() in BARS
    plot = vtk.vtkPlotBar() if is_bar else vtk.vtkPlotLine()
    plot.SetWidth(series.GetLineWidth())
    plot.SetColorF(*series.GetColor())
    plot.SetOpacity(series.GetOpacity())
    plot.GetPen().SetOpacityF(series.GetOpacity())
    if not is_bar:
        plot.GetPen().SetLineType(LINES[series.GetLineStyle()])
        plot.SetMarkerSize(series.GetMarkerSize())
        plot.SetMarkerStyle(MARKERS[series.GetMarkerStyle()])
    plot.SetUseIndexForXSeries(not series.IsXColumnRequired())
    plot.SetInputData(table, needed[-1], needed[0])
    plot.SetLabel(series.GetName() or series.GetYColumnName())
    return plot


class PlotWidget:
    """What ``layoutManager().plotWidget(0)`` gives, for the parts that modules touch."""

    def __init__(self, scene, size):
        node = slicer.vtkMRMLPlotViewNode()
        node.SetName("PlotView1")
        node.SetLayoutName("PlotView1")
        node.SetSingletonTag("PlotView1")
        self._view = PlotView(scene.AddNode(node), size)

    def plotView(self):
        return self._view

    def mrmlPlotViewNode(self):
        return self._view.mrmlPlotViewNode()
