"""The panel's report and export."""

from __future__ import annotations

from pathlib import Path

from slicer.i18n import tr as _

from DLCTPMSlicerLib.nodes.export import exportReport
from DLCTPMSlicerLib.nodes.roles import FUNCTION_ROLE, REPORT_ROLE, isMap, partOf, resultOf
from DLCTPMSlicerLib.widgets.entry import folderEdit
from DLCTPMSlicerLib.widgets.text_window import openPage
from DLCTPMSlicerLib.widgets.work import Work

EXPORT_FOLDER_KEY = "DLCTPM/ExportFolder"
"""A setting of this computer, not of a scene."""


class ExportPart:
    """Behaviour of the widgets in "Report and export"."""

    def __init__(self, panel):
        self.panel, self.ui = panel, panel.ui
        self._work = Work(panel.activity)
        folderEdit(self.ui.exportPathLineEdit, EXPORT_FOLDER_KEY)
        self.ui.exportButton.clicked.connect(self.export)
        self.ui.reportButton.clicked.connect(self.openReport)

    def update(self, idle: bool) -> None:
        """Follow the parameters."""
        perfusion = self.panel.parameters.perfusionVolume
        self.ui.exportButton.enabled = idle and isMap(perfusion)
        self.ui.reportButton.enabled = partOf(perfusion, REPORT_ROLE) is not None

    def openReport(self) -> None:
        """What "Open report" does: the scene keeps the report's text."""
        openPage(partOf(self.panel.parameters.perfusionVolume, REPORT_ROLE).GetText(), "report")

    def export(self) -> None:
        """What "Export report" does."""
        parameters, folder = self.panel.parameters, self.ui.exportPathLineEdit.currentPath
        perfusion, threshold = parameters.perfusionVolume, parameters.threshold
        if not folder:
            self.panel.activity.fail(_("Choose a folder for the report first."))
            return
        steps = exportReport(perfusion, Path(folder), partOf(perfusion, FUNCTION_ROLE))
        self._work.run(_("Writing"), steps, lambda files: self._written(files, folder, perfusion, threshold))

    def close(self) -> None:
        """Write nothing any more."""
        self._work.stop()

    def _written(self, files: list[Path], folder: str, perfusion, threshold: float) -> None:
        message = _("{count} files written to {folder}.").format(count=len(files), folder=Path(folder).resolve())
        reported = resultOf(perfusion)["settings"]["functional_regions"]["threshold"]
        if reported != threshold:
            message += " " + _(
                "report.html and result.json are at the threshold {reported} of the last prediction or evaluation; "
                "the tables and contours follow the slider."
            ).format(reported=f"{reported:g}")
        self.panel.activity.end(message)
