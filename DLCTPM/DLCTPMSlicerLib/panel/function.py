"""The panel's functional regions: threshold, region table, contours."""

from __future__ import annotations

import qt
from slicer.i18n import tr as _

from DLCTPMSlicerLib.nodes.function import functionalSegmentation
from DLCTPMSlicerLib.nodes.regions import RegionMeasure, stateOf
from DLCTPMSlicerLib.nodes.result_tables import regionsTable
from DLCTPMSlicerLib.nodes.roles import FUNCTION_ROLE, LUNGS_ROLE, TABLE_ROLE, isMap, lungsOf, partOf, resultOf
from DLCTPMSlicerLib.widgets.entry import RoundedSlider
from DLCTPMSlicerLib.widgets.result_table import ResultTable
from DLCTPMSlicerLib.widgets.work import Work

THRESHOLD = "DLCTPM.Threshold"
"""Attribute of a region table: the threshold it was measured at; without it, the prediction's."""
MEASURE_AFTER_MS = 400
"""The region table follows the threshold slider when it has rested this long."""


class FunctionPart:
    """Behaviour of the widgets in "Functional regions"."""

    def __init__(self, panel):
        self.panel, self.ui = panel, panel.ui
        self.table = ResultTable(self.ui.regionsTable)
        self._table = None
        self._measuring: RegionMeasure | None = None
        self._slider = RoundedSlider(self.ui.thresholdSlider, panel, "threshold")
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(MEASURE_AFTER_MS)
        self._timer.timeout.connect(self.measure)
        self._work = Work(panel.activity)
        self.ui.contoursButton.clicked.connect(self.createContours)

    def close(self) -> None:
        """Measure and draw nothing any more."""
        self._work.stop()
        self._rest()

    def forget(self) -> None:
        """The scene is another now, or was changed while the panel was closed."""
        self._rest()
        self._table = None
        self.table.show(None)

    def update(self) -> None:
        """Follow the parameters."""
        parameters = self.panel.parameters
        perfusion = parameters.perfusionVolume
        self._slider.show()
        for widget in (self.ui.contoursButton, self.ui.thresholdSlider, self.ui.previewCheckBox):
            widget.enabled = isMap(perfusion)
        table = partOf(perfusion, TABLE_ROLE)
        if table is not self._table:
            self._table = table
            self.table.show(table)
        if table is not None and self._thresholdOf(perfusion, table) != parameters.threshold:
            self._timer.start()

    def tableChanged(self) -> None:
        """The region table's node was filled anew."""
        self.table.show(self._table)

    @staticmethod
    def _thresholdOf(perfusion, table) -> float:
        kept = table.GetAttribute(THRESHOLD)
        return float(kept) if kept else resultOf(perfusion)["settings"]["functional_regions"]["threshold"]

    def _rest(self) -> None:
        self._timer.stop()
        self._stopMeasuring()

    def _stopMeasuring(self) -> None:
        if self._measuring is not None:
            self._measuring.cancel()
            self._measuring = None

    def measure(self) -> None:
        """Let the table follow the threshold: at once where the map has been gone through, else in the background.

        Only the last threshold counts: when the figures are there, they are asked for the one that is chosen then.
        """
        parameters = self.panel.parameters
        perfusion = parameters.perfusionVolume if parameters is not None else None
        lungs, table = partOf(perfusion, LUNGS_ROLE), partOf(perfusion, TABLE_ROLE)
        if table is None or lungs is None:
            return
        if self._measuring is not None and self._measuring.state != stateOf(perfusion, lungs):
            self._stopMeasuring()
        if self._measuring is None:
            self._measuring = RegionMeasure(perfusion, lungs, parameters.threshold, self.measure).start()
        if not self._measuring.ready:
            return
        measured = self._measuring.table(parameters.threshold)
        if measured is not None:
            regionsTable(measured, table.GetName(), table)
            table.SetAttribute(THRESHOLD, repr(parameters.threshold))
            self.table.show(table)
        elif self._measuring.threshold != parameters.threshold:  # a script chose one between the slider's steps
            self._stopMeasuring()
            self.measure()
        else:
            self.panel.activity.say(_("The regions could not be measured; the reason is in Slicer's log."))

    def createContours(self) -> None:
        """What "Create contours" does."""
        parameters, activity = self.panel.parameters, self.panel.activity
        perfusion = parameters.perfusionVolume
        earlier = partOf(perfusion, FUNCTION_ROLE)
        steps = functionalSegmentation(perfusion, lungsOf(perfusion), parameters.threshold, earlier)

        def made(contours) -> None:
            activity.end(_("Contours made. Research use only."))
            self.panel.whenOpen(lambda: setattr(self.panel.parameters, "functionSegmentation", contours))

        self._work.run(_("Making contours"), steps, made)
