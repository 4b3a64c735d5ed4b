"""``result.json`` as MRML tables, saved with the scene."""

from __future__ import annotations

import slicer
import slicer.util
import vtk

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
