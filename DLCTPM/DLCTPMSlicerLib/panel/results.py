"""The panel's results: display, functional regions, tables, export."""

from __future__ import annotations

from pathlib import Path

import qt
import slicer
import slicer.util
from slicer.i18n import tr as _

from DLCTPMSlicerLib.engine.errors import NodeError
from DLCTPMSlicerLib.nodes import display
from DLCTPMSlicerLib.nodes.comparison import DIFFERENCE_ROLE
from DLCTPMSlicerLib.nodes.function import previewColours
from DLCTPMSlicerLib.nodes.prediction import CT_ROLE, LUNGS_ROLE, TABLE_ROLE, partOf, resultOf
from DLCTPMSlicerLib.nodes.regions import RegionMeasure, stateOf
from DLCTPMSlicerLib.nodes.result_tables import fillWidget, regionsTable
from DLCTPMSlicerLib.nodes.spect_steps import METRICS_ROLE

ROW_HEIGHT = 22
SURFACES_AFTER_MS = 200
THRESHOLD = "DLCTPM.Threshold"
"""Attribute of a region table: the threshold it was measured at; without it, the prediction's."""
MEASURE_AFTER_MS = 400
"""The region table follows the threshold slider when it has rested this long."""


def doubts(result: dict) -> list[str]:
    """What the engine warns of in a prediction, as its report does: quality checks not passed, and its warnings."""
    failed = [check["message"] for check in result.get("quality", []) if check["status"] != "PASS"]
    return [_("Note: {warning}").format(warning=text) for text in dict.fromkeys([*failed, *result["warnings"]])]


class ResultsPart:
    """Behaviour of "Display", "Functional regions" and "Report and export"."""

    def __init__(self, panel):
        self.panel, self.ui = panel, panel.ui
        self._shown: dict = {}
        self._table = self._measuring = None
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(MEASURE_AFTER_MS)
        self._timer.timeout.connect(self.measure)
        self._surfaces = qt.QTimer()
        self._surfaces.setSingleShot(True)
        self._surfaces.setInterval(SURFACES_AFTER_MS)
        self._surfaces.timeout.connect(self.showSurfaces)
        self.ui.hangingButton.clicked.connect(self.hang)
        self.ui.contoursButton.clicked.connect(self.createContours)
        self.ui.exportButton.clicked.connect(self.export)
        for table in (self.ui.regionsTable, self.ui.metricsTable):
            table.setEditTriggers(qt.QAbstractItemView.NoEditTriggers)
            table.verticalHeader().setVisible(False)
            table.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
            table.setMinimumHeight(140)

    def close(self) -> None:
        """Measure and draw nothing any more."""
        self._timer.stop()
        self._surfaces.stop()
        if self._measuring is not None:
            self._measuring.cancel()

    def show(self, ct, prediction) -> None:
        """Show a new prediction: the standard views, the table."""
        parameters = self.panel.parameters
        if parameters is None:
            return
        display.hang(ct, prediction.perfusion, None, parameters.opacity)
        self._shown = {"lungs": (prediction.lungs.GetID(), parameters.lungs3D)}
        parameters.functionSegmentation = None
        parameters.perfusionVolume = prediction.perfusion
        self._surfaces.start()
        self._say(_("Perfusion mapped. Research use only."), prediction.result)

    def showSurfaces(self) -> None:
        """Make the lungs' surfaces, which takes a while in a large CT: after the overlay is on the screen."""
        parameters = self.panel.parameters
        lungs = partOf(parameters.perfusionVolume, LUNGS_ROLE) if parameters is not None else None
        if lungs is not None and parameters.lungs3D:
            display.showLungs3D(lungs)
            if slicer.app.layoutManager() is not None:
                slicer.app.layoutManager().resetThreeDViews()

    def hang(self) -> None:
        """What "Standard views" does."""
        perfusion = self.panel.parameters.perfusionVolume
        ct = partOf(perfusion, CT_ROLE) or self.panel.parameters.ctVolume
        if ct is not None and perfusion is not None:
            if partOf(perfusion, DIFFERENCE_ROLE) is not None:
                display.showLegend(partOf(perfusion, DIFFERENCE_ROLE), False)
            display.hang(ct, perfusion, partOf(perfusion, LUNGS_ROLE), self.panel.parameters.opacity)

    def update(self, idle: bool) -> None:
        """Follow the parameters: only what changed is done again."""
        parameters = self.panel.parameters
        perfusion = parameters.perfusionVolume
        mapped = bool(resultOf(perfusion))
        for widget in (self.ui.hangingButton, self.ui.opacitySlider, self.ui.colourComboBox, self.ui.windowRange):
            widget.enabled = perfusion is not None
        self.ui.contoursButton.enabled = self.ui.thresholdSlider.enabled = self.ui.previewCheckBox.enabled = mapped
        self.ui.exportButton.enabled = mapped and idle
        if perfusion is not None and perfusion.GetImageData() is not None:
            self._updateDisplay(parameters, perfusion)
        self._updateTable(parameters, perfusion)

    def _updateDisplay(self, parameters, perfusion) -> None:
        lungs, ct = partOf(perfusion, LUNGS_ROLE), parameters.ctVolume
        colours = ("preview", parameters.threshold) if parameters.preview else parameters.colours.name
        window = (0.0, 1.0) if parameters.preview else (parameters.window.minimum, parameters.window.maximum)
        steps = {
            "colours": ((perfusion.GetID(), colours, window), lambda: self._colour(perfusion, colours, window)),
            "opacity": ((perfusion.GetID(), parameters.opacity), lambda: self._fade(perfusion, parameters.opacity)),
            "legend": (
                (perfusion.GetID(), parameters.legend),
                lambda: display.showLegend(perfusion, parameters.legend),
            ),
            "lungs": (
                (lungs.GetID() if lungs else None, parameters.lungs3D),
                lambda: display.showLungs3D(lungs, parameters.lungs3D),
            ),
            "ct": (
                (ct.GetID() if ct else None, parameters.randomColours),
                lambda: ct is not None and display.setCtDisplay(ct, parameters.randomColours),
            ),
        }
        for name, (state, apply) in steps.items():
            if self._shown.get(name) != state:
                self._shown[name] = state
                apply()

    @staticmethod
    def _colour(perfusion, colours, window) -> None:
        node = previewColours(colours[1]) if isinstance(colours, tuple) else display.colourNode(colours)
        display.setPerfusionDisplay(perfusion, node, window)

    @staticmethod
    def _fade(perfusion, opacity: float) -> None:
        for view in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
            if view.GetForegroundVolumeID() == perfusion.GetID():
                view.SetForegroundOpacity(opacity)

    def _updateTable(self, parameters, perfusion) -> None:
        table = partOf(perfusion, TABLE_ROLE)
        if table is not self._table:
            self._table = table
            fillWidget(self.ui.regionsTable, table)
        if table is not None and self._thresholdOf(perfusion, table) != parameters.threshold:
            self._timer.start()

    @staticmethod
    def _thresholdOf(perfusion, table) -> float:
        kept = table.GetAttribute(THRESHOLD)
        return float(kept) if kept else resultOf(perfusion)["settings"]["functional_regions"]["threshold"]

    def measure(self) -> None:
        """Measure the regions at the slider's threshold; a map is gone through in the background, once."""
        parameters = self.panel.parameters
        perfusion = parameters.perfusionVolume if parameters is not None else None
        lungs, table = partOf(perfusion, LUNGS_ROLE), partOf(perfusion, TABLE_ROLE)
        if table is None or lungs is None:
            return
        if self._measuring is not None and self._measuring.state != stateOf(perfusion, lungs):
            self._measuring.cancel()
            self._measuring = None
        if self._measuring is None:
            self._measuring = RegionMeasure(perfusion, lungs).start()
        if not self._measuring.ready:
            self._timer.start()
            return
        measured = self._measuring.table(parameters.threshold)
        if measured is None:
            self.panel.logic.updateRegions(perfusion, parameters.threshold)
        else:
            regionsTable(measured, table.GetName(), table)
        table.SetAttribute(THRESHOLD, repr(parameters.threshold))
        fillWidget(self.ui.regionsTable, table)

    def showComparison(self, perfusion) -> None:
        """Show the tables of the map anew, whose nodes a comparison with a SPECT filled again."""
        self._say(_("Compared with the SPECT. Research use only."), resultOf(perfusion))
        perfusion = self.panel.parameters.perfusionVolume if self.panel.parameters is not None else None
        fillWidget(self.ui.regionsTable, partOf(perfusion, TABLE_ROLE))
        fillWidget(self.ui.metricsTable, partOf(perfusion, METRICS_ROLE))

    def _say(self, done: str, result: dict) -> None:
        self.panel.activity.say("\n".join([done, *doubts(result)]))

    def createContours(self) -> None:
        """What "Create contours" does."""
        parameters = self.panel.parameters
        try:
            parameters.functionSegmentation = self.panel.logic.createFunctionalSegmentation(
                parameters.perfusionVolume, parameters.threshold, parameters.functionSegmentation
            )
        except NodeError as problem:
            self.panel.activity.fail(str(problem))

    def export(self) -> None:
        """What "Export report" does."""
        parameters, folder = self.panel.parameters, self.ui.exportPathLineEdit.currentPath
        if not folder:
            self.panel.activity.fail(_("Choose a folder for the report first."))
            return
        try:
            files = self.panel.logic.exportReport(parameters.perfusionVolume, folder, parameters.functionSegmentation)
        except NodeError as problem:
            self.panel.activity.fail(str(problem))
            return
        message = _("{count} files written to {folder}.").format(count=len(files), folder=Path(folder).resolve())
        reported = resultOf(parameters.perfusionVolume)["settings"]["functional_regions"]["threshold"]
        if reported != parameters.threshold:
            message += " " + _(
                "report.html and result.json are at the threshold {reported} of the last prediction or evaluation; "
                "the tables and contours follow the slider."
            ).format(reported=f"{reported:g}")
        self.panel.activity.say(message)
