"""``result.json`` as MRML tables (saved with the scene) and in the panel's table widgets."""

from __future__ import annotations

import qt
import slicer
import slicer.util
import vtk
from slicer.i18n import tr as _

REGION_COLUMNS = ("volume_ml", "mean", "perfusion_percent", "high_ml", "low_ml")
METRICS = ("r_spearman", "ssim", "dsc_high", "dsc_low", "kappa", "r_pearson", "ssim_box")
SCOPES = ("lungs", "right lung", "left lung")


def regionsTable(regions: dict, name: str, node: slicer.vtkMRMLTableNode | None = None) -> slicer.vtkMRMLTableNode:
    """The engine's ``regions`` as a table: one row a region."""
    rows = [[region, *(values.get(column) for column in REGION_COLUMNS)] for region, values in regions.items()]
    return fillTable(["region", *REGION_COLUMNS], rows, name, node)


def metricsTable(agreement: dict, name: str, node: slicer.vtkMRMLTableNode | None = None) -> slicer.vtkMRMLTableNode:
    """The engine's ``agreement`` as a table: one row for the map and each baseline in each part of the lungs."""
    rows = []
    for part in ("", "core"):
        for scope in SCOPES:
            values = agreement.get(scope, {})
            values = values.get(part) if part else values
            if not values:
                continue
            where = f"{scope}, {part}" if part else scope
            rows.append([where, "map", *(values.get(metric) for metric in METRICS)])
            for baseline, numbers in (values.get("baselines") or {}).items():
                rows.append([where, baseline, *(numbers.get(metric) for metric in METRICS)])
    return fillTable(["part", "what", *METRICS], rows, name, node)


def fillTable(
    columns: list[str], rows: list[list], name: str, node: slicer.vtkMRMLTableNode | None = None
) -> slicer.vtkMRMLTableNode:
    """A table node with these columns of numbers or texts; ``node`` is filled anew if given. None is not a number."""
    node = node or slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", name)
    table = vtk.vtkTable()
    for index, column in enumerate(columns):
        values = [row[index] for row in rows]
        isText = any(isinstance(value, str) for value in values)
        array = vtk.vtkStringArray() if isText else vtk.vtkDoubleArray()
        array.SetName(column)
        for value in values:
            array.InsertNextValue(value if isText else float("nan") if value is None else float(value))
        table.AddColumn(array)
    node.SetAndObserveTable(table)
    node.SetUseColumnTitleAsColumnHeader(True)
    return node


def tableRows(node: slicer.vtkMRMLTableNode) -> tuple[list[str], list[list]]:
    """Column names and rows of a table node; not-a-number is None."""
    table = node.GetTable()
    names = [table.GetColumnName(column) for column in range(table.GetNumberOfColumns())]
    rows = []
    for row in range(table.GetNumberOfRows()):
        values = []
        for column in range(table.GetNumberOfColumns()):
            array = table.GetColumn(column)
            value = array.GetValue(row)
            values.append(None if isinstance(value, float) and value != value else value)
        rows.append(values)
    return names, rows


HEADINGS = {
    "region": "Region",
    "volume_ml": "Vol. (ml)",
    "mean": "Mean",
    "perfusion_percent": "Share (%)",
    "high_ml": "High (ml)",
    "low_ml": "Low (ml)",
    "part": "Part",
    "what": "What",
    "r_spearman": "R",
    "r_pearson": "R (Pearson)",
    "ssim": "SSIM",
    "ssim_box": "SSIM (box)",
    "dsc_high": "DSC high",
    "dsc_low": "DSC low",
    "kappa": "κ",
    "fit": "Fit",
    "epochs": "Epochs",
    "loss": "Loss",
    "excess": "Training",
    "validation_excess": "Validation",
    "validation_r": "R",
    "validation_ssim": "SSIM",
    "minutes": "Minutes",
}
EXPLANATIONS = {
    "volume_ml": "Volume of the region in this CT.",
    "mean": "Mean relative perfusion; 1 is the patient's own high perfusion (75th percentile).",
    "perfusion_percent": "The region's part of the perfusion of both lungs.",
    "high_ml": "Volume above the threshold.",
    "low_ml": "Volume at or below the threshold.",
    "part": "Both lungs or one; the core is each lung without its edge, where blur no longer helps.",
    "what": "The map, and maps made without learning that it has to beat.",
    "r_spearman": "Spearman's rank correlation with the SPECT, voxel by voxel.",
    "ssim": "Structural similarity with the SPECT, mean over the lung; 1 is equal.",
    "dsc_high": "Dice overlap of high-functional lung with the SPECT's; 1 is equal.",
    "dsc_low": "Dice overlap of low-functional lung with the SPECT's; 1 is equal.",
    "kappa": "Cohen's kappa of high and low function; 0 is chance, 1 is equal.",
    "r_pearson": "Pearson's correlation with the SPECT, voxel by voxel.",
    "fit": "One training of the network; a study has one for each fold and a final one.",
    "epochs": "Passes over all lungs so far.",
    "loss": "Binary cross-entropy of the last epoch (Eq. 3).",
    "excess": "The training lungs' loss above the entropy of their targets, the least that it can be.",
    "validation_excess": "The same of the validation lungs, which nothing is learned from.",
    "validation_r": "Spearman's rank correlation with the SPECT in the validation lungs, on the network's grid.",
    "validation_ssim": "Structural similarity with the SPECT in the validation lungs, on the network's grid.",
    "ssim_box": "Structural similarity, mean over the whole box around the lungs; higher, because the box is empty.",
}
"""Tooltips of the columns."""
NO_VALUE = "No value: for example, a map that is the same everywhere has no correlation."
WORDS = {
    "map": "Perfusion map",
    "all_high": "All high",
    "geometry": "Geometry only",
    "density_median": "CT density",
    "enhanced_ct": "Enhanced CT",
}
"""What the metrics table calls the map and the baselines."""
MEANINGS = {
    "all_high": "Calls the whole lung high-functional.",
    "geometry": "Only where in the lung a voxel lies: more towards the back, less at the edge. No Hounsfield unit.",
    "density_median": "The lung's density in the CT, median filtered.",
    "enhanced_ct": "The network's input (the paper's Eq. 1), taken for its output.",
}
"""Tooltips of the baselines."""
_DECIMALS = {"volume_ml": 0, "high_ml": 0, "low_ml": 0, "perfusion_percent": 1, "epochs": 0, "minutes": 1}


def fillWidget(widget: qt.QTableWidget, node: slicer.vtkMRMLTableNode | None) -> None:
    """Show a table node in a table widget, numbers rounded for reading; None empties it."""
    fillRows(widget, *(([], []) if node is None else tableRows(node)))


def fillRows(widget: qt.QTableWidget, names: list[str], rows: list[list]) -> None:
    """Show rows in a table widget, numbers rounded for reading."""
    widget.clear()
    widget.setColumnCount(len(names))
    widget.setRowCount(len(rows))
    widget.setHorizontalHeaderLabels([_(HEADINGS.get(name, name)) for name in names])
    for index, name in enumerate(names):
        widget.horizontalHeaderItem(index).setToolTip(_(EXPLANATIONS.get(name, "")))
    for rowIndex, row in enumerate(rows):
        for columnIndex, value in enumerate(row):
            text = (
                _(WORDS.get(value, value))
                if isinstance(value, str)
                else _number(value, _DECIMALS.get(names[columnIndex], 3))
            )
            item = qt.QTableWidgetItem(text)
            if not isinstance(value, str):
                item.setTextAlignment(qt.Qt.AlignRight | qt.Qt.AlignVCenter)
            if value is None or value in MEANINGS:
                item.setToolTip(_(MEANINGS.get(value, NO_VALUE)))
            widget.setItem(rowIndex, columnIndex, item)
    widget.resizeColumnsToContents()


def _number(value: float | None, decimals: int) -> str:
    return "–" if value is None else f"{value:.{decimals}f}"
