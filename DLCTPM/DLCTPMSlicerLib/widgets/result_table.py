"""A table of results in a panel: whole in the panel's width, sorted by a click, copied by Ctrl-C."""

from __future__ import annotations

from collections.abc import Callable

import qt
import slicer

from DLCTPMSlicerLib.nodes.result_tables import tableRows
from DLCTPMSlicerLib.widgets.columns import (
    DECIMALS,
    EXPLANATIONS,
    HEADINGS,
    MEANINGS,
    NO_VALUE,
    USUAL_DECIMALS,
    WORDS,
)

ROW_HEIGHT, MOST_ROWS = 22, 14
HEADING_HEIGHT = 36
"""Two lines."""


class ResultTable:
    """Behaviour of a ``QTableWidget`` that shows figures.

    A click on a heading sorts by it, a second one the other way round, a third one restores the order of the file.
    Ctrl-C copies the selected cells, or everything, with headings and with all digits; tabs between, as spreadsheets
    take them.

    Args:
        widget: the table.
    """

    def __init__(self, widget: qt.QTableWidget):
        self._widget = widget
        self._names: list[str] = []
        self._rows: list[list] = []
        self._sorted: tuple[int, bool] | None = None  # column, descending
        self._isFolded: Callable[[list], bool] = lambda row: False
        self._foldedColumns: tuple[str, ...] = ()
        widget.setEditTriggers(qt.QAbstractItemView.NoEditTriggers)
        widget.setHorizontalScrollBarPolicy(qt.Qt.ScrollBarAlwaysOff)
        widget.setTextElideMode(qt.Qt.ElideRight)
        widget.verticalHeader().setVisible(False)
        widget.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
        header = widget.horizontalHeader()
        header.setSectionsClickable(True)
        header.setMinimumSectionSize(20)
        header.setFixedHeight(HEADING_HEIGHT)
        header.sectionClicked.connect(self.sortBy)
        self._copy = qt.QShortcut(qt.QKeySequence("Ctrl+C"), widget)
        self._copy.setContext(qt.Qt.WidgetShortcut)
        self._copy.activated.connect(self.copy)
        self._draw()

    def show(self, node: slicer.vtkMRMLTableNode | None) -> None:
        """Show a table node; None empties the table."""
        self.fill(*(([], []) if node is None else tableRows(node)))

    def fill(self, names: list[str], rows: list[list]) -> None:
        """Show rows; the order that was chosen stays as long as the columns are the same."""
        if names != self._names:
            self._sorted = None
        self._names, self._rows = names, rows
        self._draw()

    def fold(self, isFolded: Callable[[list], bool], columns: tuple[str, ...]) -> None:
        """Hide the rows of which ``isFolded`` says so, and columns by name; they stay in the table."""
        self._isFolded, self._foldedColumns = isFolded, columns
        self._draw()

    def sortBy(self, column: int) -> None:
        """What a click on a heading does."""
        if self._sorted == (column, True):
            self._sorted = None
        else:
            self._sorted = (column, self._sorted == (column, False))
        self._draw()

    def copy(self) -> None:
        """What Ctrl-C does."""
        cells = {(index.row(), index.column()) for index in self._widget.selectedIndexes()}
        shown = [
            (row, column)
            for row in range(len(self._rows))
            for column in range(len(self._names))
            if not (self._widget.isRowHidden(row) or self._widget.isColumnHidden(column))
        ]
        chosen = [cell for cell in shown if cell in cells or len(cells) < 2]
        order = self._order()
        columns = sorted({column for _row, column in chosen})
        lines = ["\t".join(_heading(self._names[column]).replace("\n", " ") for column in columns)]
        for row in sorted({row for row, _column in chosen}):
            lines.append("\t".join(_copied(order[row][c]) if (row, c) in chosen else "" for c in columns))
        qt.QApplication.clipboard().setText("\n".join(lines))

    def _order(self) -> list[list]:
        if self._sorted is None:
            return self._rows
        column, descending = self._sorted
        with_value = [row for row in self._rows if row[column] is not None]
        without = [row for row in self._rows if row[column] is None]
        return sorted(with_value, key=lambda row: row[column], reverse=descending) + without

    def _draw(self) -> None:
        widget, header = self._widget, self._widget.horizontalHeader()
        widget.clear()
        widget.setColumnCount(len(self._names))
        widget.setRowCount(len(self._rows))
        widget.setHorizontalHeaderLabels([_heading(name) for name in self._names])
        for column, name in enumerate(self._names):
            widget.horizontalHeaderItem(column).setToolTip(EXPLANATIONS.get(name, ""))
            # names get what the figures leave: where there is too little room, they are the ones that are cut
            header.setSectionResizeMode(column, qt.QHeaderView.ResizeToContents if column else qt.QHeaderView.Stretch)
            widget.setColumnHidden(column, name in self._foldedColumns)
        for index, row in enumerate(self._order()):
            for column, value in enumerate(row):
                widget.setItem(index, column, _item(self._names[column], value))
            widget.setRowHidden(index, self._isFolded(row))
        header.setSortIndicatorShown(self._sorted is not None)
        if self._sorted is not None:
            column, descending = self._sorted
            header.setSortIndicator(column, qt.Qt.DescendingOrder if descending else qt.Qt.AscendingOrder)
        shown = sum(not self._isFolded(row) for row in self._rows)
        widget.setFixedHeight(HEADING_HEIGHT + ROW_HEIGHT * min(max(shown, 1), MOST_ROWS) + 4)
        widget.setVisible(bool(self._rows))


def _copied(value) -> str:
    return "" if value is None else value if isinstance(value, str) else f"{value:.6g}"


def _heading(name: str) -> str:
    return HEADINGS.get(name, name)


def _item(name: str, value) -> qt.QTableWidgetItem:
    if isinstance(value, str):
        item = qt.QTableWidgetItem(WORDS.get(value, value))
    else:
        item = qt.QTableWidgetItem("–" if value is None else f"{value:.{DECIMALS.get(name, USUAL_DECIMALS)}f}")
        item.setTextAlignment(qt.Qt.AlignRight | qt.Qt.AlignVCenter)
    if value is None:
        item.setToolTip(NO_VALUE)
    elif isinstance(value, str):  # the whole of what may be cut, or more
        item.setToolTip(MEANINGS.get(value, value))
    return item
