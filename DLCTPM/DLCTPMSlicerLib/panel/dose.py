"""The panel's dose and function: a plan's dose on the lungs and on their function."""

from __future__ import annotations

from slicer.i18n import tr as _

from DLCTPMSlicerLib.nodes.roles import DOSE_REPORT_ROLE, DOSE_ROLE, isMap, partOf
from DLCTPMSlicerLib.planning.dose_steps import SUMMARY, DoseInputs, resultOfDose, segmentNames
from DLCTPMSlicerLib.widgets.result_table import ResultTable
from DLCTPMSlicerLib.widgets.text_window import openPage

BY_NAME, NOTHING = 0, 1
"""The first entries of the list of targets; the segments follow."""


class DosePart:
    """Behaviour of the widgets in "Dose and function"."""

    def __init__(self, panel):
        self.panel, self.ui = panel, panel.ui
        self._table, self._targets = None, None
        self.table = ResultTable(self.ui.doseTable)
        self.table.fold(lambda row: False, ("volume_ml",))
        for edit in (self.ui.dosePathLineEdit, self.ui.structuresPathLineEdit):
            edit.filters = type(edit).Files
            edit.currentPathChanged.connect(lambda _path: self.panel.update())
        self.ui.doseButton.clicked.connect(self.compute)
        self.ui.doseReportButton.clicked.connect(self.openReport)
        self._fillTargets([])

    def forget(self) -> None:
        """The scene is another now, or was changed while the panel was closed."""
        self._table, self._targets = None, None
        self.table.show(None)

    def update(self, idle: bool) -> None:
        """Follow the parameters."""
        parameters = self.panel.parameters
        perfusion = parameters.perfusionVolume
        for widget in (self.ui.dosePathLineEdit, self.ui.dosePathLineEditLabel):
            widget.visible = parameters.doseVolume is None
        for widget in (self.ui.structuresPathLineEdit, self.ui.structuresPathLineEditLabel):
            widget.visible = parameters.structures is None
        self._fillTargets(segmentNames(parameters.structures))
        hasTargets = parameters.structures is not None or bool(self.ui.structuresPathLineEdit.currentPath)
        self.ui.targetComboBoxLabel.enabled = self.ui.targetComboBox.enabled = hasTargets
        hasDose = parameters.doseVolume is not None or bool(self.ui.dosePathLineEdit.currentPath)
        self.ui.doseButton.enabled = idle and isMap(perfusion) and hasDose
        self.ui.doseButton.toolTip = (
            _("Work out mean doses and volumes, of the lungs and of their function.")
            if hasDose
            else _("Choose a dose volume, or the file of an RT dose.")
        )
        self.ui.doseReportButton.enabled = partOf(perfusion, DOSE_REPORT_ROLE) is not None
        table = partOf(perfusion, DOSE_ROLE)
        if table is not self._table:
            self._table = table
            self._show()

    def compute(self) -> None:
        """What "Dose and function" does."""
        parameters = self.panel.parameters
        perfusion = parameters.perfusionVolume
        inputs = DoseInputs(
            parameters.doseVolume,
            self.ui.dosePathLineEdit.currentPath,
            parameters.structures,
            self.ui.structuresPathLineEdit.currentPath,
            self._target(),
            parameters.threshold,
        )
        self.panel.run(
            _("Working out dose and function…"),
            lambda **callbacks: self.panel.logic.startDose(perfusion, inputs, **callbacks),
            self._done,
            "",  # said with the warnings
        )

    def openReport(self) -> None:
        """What "Open dose report" does."""
        openPage(partOf(self.panel.parameters.perfusionVolume, DOSE_REPORT_ROLE).GetText(), "dose")

    def _done(self, table) -> None:
        notes = [_("Note: {warning}").format(warning=text) for text in resultOfDose(table)["warnings"]]
        self.panel.activity.say("\n".join([_("Dose and function worked out. Research use only."), *notes]))
        if table is self._table:
            self._show()

    def _show(self) -> None:
        self.table.show(self._table)
        self.ui.doseLabel.text = (self._table.GetAttribute(SUMMARY) or "") if self._table is not None else ""
        self.ui.doseLabel.visible = bool(self.ui.doseLabel.text)

    def _target(self) -> str | None:
        index = self.ui.targetComboBox.currentIndex
        if index <= BY_NAME:
            return None
        return "" if index == NOTHING else self._targets[index - NOTHING - 1]

    def _fillTargets(self, names: list[str]) -> None:
        """The segments that can be left out; a choice that is still there stays."""
        if names == self._targets:
            return
        combo = self.ui.targetComboBox
        before = combo.currentText
        blocked = combo.blockSignals(True)
        combo.clear()
        for text in (_("GTV and ITV, by name"), _("Nothing"), *names):
            combo.addItem(text)
        combo.currentIndex = max(0, combo.findText(before))
        combo.blockSignals(blocked)
        self._targets = names
