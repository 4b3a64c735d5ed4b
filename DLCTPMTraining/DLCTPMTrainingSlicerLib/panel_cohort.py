"""The panel's cohort: its table, what is wrong with it, and a simulated one to try the module with."""

from __future__ import annotations

from pathlib import Path

from slicer.i18n import tr as _

from DLCTPMSlicerLib.widgets.entry import folderEdit
from DLCTPMTrainingSlicerLib.training_job import CohortReport

FAULT, WARNING = "✗ {text}", "! {text}"
LIST_HEIGHT = 110


class CohortPart:
    """Behaviour of the widgets in "Cohort"."""

    def __init__(self, panel):
        self.panel, self.ui = panel, panel.ui
        self.ui.cohortPathLineEdit.filters = type(self.ui.cohortPathLineEdit).Files
        self.ui.cohortPathLineEdit.nameFilters = ["*.csv", "*.tsv", "*.txt"]
        folderEdit(self.ui.simulatedPathLineEdit)
        self.ui.cohortList.setMaximumHeight(LIST_HEIGHT)
        self.ui.cohortList.setWordWrap(True)
        self.ui.cohortPathLineEdit.currentPathChanged.connect(self._chosen)
        self.ui.checkButton.clicked.connect(self.check)
        self.ui.simulateButton.clicked.connect(self.simulate)
        self.ui.simulatedPathLineEdit.currentPathChanged.connect(lambda _path: self.panel.update())
        self._forget()

    def show(self, path: str) -> None:
        """Show the scene's choice."""
        if self.ui.cohortPathLineEdit.currentPath != path:
            self.ui.cohortPathLineEdit.currentPath = path
            self._forget()

    def update(self, idle: bool) -> None:
        """Follow the parameters."""
        self.ui.checkButton.enabled = idle and bool(self.panel.parameters.cohort)
        self.ui.simulateButton.enabled = idle and bool(self.ui.simulatedPathLineEdit.currentPath)
        self.ui.cohortPathLineEdit.enabled = idle

    def check(self) -> None:
        """What "Check" does."""
        cohort, study = Path(self.panel.parameters.cohort), self.panel.parameters.task.name == "study"
        self.panel.runner.run(
            _("Looking at the cohort…"),
            lambda **callbacks: self.panel.logic.startCheck(cohort, study, **callbacks),
            self.showReport,
            _("Cohort checked."),
            _("Stopped; the cohort was not checked."),
        )

    def showReport(self, report: CohortReport) -> None:
        """Show what a check found."""
        self.ui.cohortLabel.text = report.sentence()
        self.ui.cohortList.clear()
        for pattern, sentences in ((FAULT, report.problems), (WARNING, report.warnings)):
            for text in sentences:
                self.ui.cohortList.addItem(pattern.format(text=text))
        self.ui.cohortList.setVisible(bool(report.problems or report.warnings))

    def simulate(self) -> None:
        """What "Make simulated cohort" does."""
        folder = Path(self.ui.simulatedPathLineEdit.currentPath)
        patients, seed = self.ui.simulatedPatientsSpinBox.value, self.ui.simulatedSeedSpinBox.value
        self.panel.runner.run(
            _("Making simulated patients…"),
            lambda **callbacks: self.panel.logic.startCohort(patients, seed, folder, **callbacks),
            lambda table: self.show(str(table)),
            _("The simulated cohort is ready. It says nothing about people."),
            _("Stopped. The patients that are there stay; make the cohort again to go on."),
        )

    def _chosen(self, path: str) -> None:
        if self.panel.parameters is not None and self.panel.parameters.cohort != path:
            self.panel.parameters.cohort = path
            self._forget()

    def _forget(self) -> None:
        self.ui.cohortLabel.text = _("Not checked yet.")
        self.ui.cohortList.clear()
        self.ui.cohortList.setVisible(False)
