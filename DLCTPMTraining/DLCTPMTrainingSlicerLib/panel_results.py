"""The panel's results: the table, the plots, the report, and the model that now stands in the model list."""

from __future__ import annotations

import qt
from slicer.i18n import tr as _

from DLCTPMSlicerLib.widgets.result_table import ResultTable
from DLCTPMSlicerLib.widgets.text_window import showMarkdown
from DLCTPMTrainingSlicerLib import training_plots
from DLCTPMTrainingSlicerLib.run_folder import RunFolder, TrainingRecord
from DLCTPMTrainingSlicerLib.training_job import TrainingResult


class ResultsPart:
    """Behaviour of the widgets in "Results".

    While a run goes on, its nodes are made in the scene that the panel is open in. A scene that is loaded meanwhile,
    in another module, gets none until the user comes back.
    """

    def __init__(self, panel):
        self.panel, self.ui = panel, panel.ui
        self._record: TrainingRecord | None = None  # of the run that goes on
        self._window = None
        self.table = ResultTable(self.ui.resultsTable)
        self.ui.lossPlotButton.clicked.connect(lambda: self.plot(training_plots.LOSS))
        self.ui.scorePlotButton.clicked.connect(lambda: self.plot(training_plots.SCORES))
        self.ui.reportButton.clicked.connect(self.openReport)

    def begin(self) -> None:
        """A run begins."""
        self._record = None
        self.ui.modelLabel.text = ""

    def end(self) -> None:
        """Nothing runs any more: what is shown is what lies in the folder."""
        self._record = None

    def follow(self, record: TrainingRecord) -> None:
        """An epoch has ended: table and plots follow."""
        self._record = record
        self.table.fill(*record.summary())
        if self.panel.parameters is None and training_plots.trainingNodes(record) is None:
            return
        training_plots.showTraining(record)
        self.update()

    def deliver(self, result: TrainingResult) -> None:
        """A run is finished: its last figures, and its model is in the model list."""
        if self.panel.parameters is not None or training_plots.trainingNodes(result.run.record) is not None:
            training_plots.showTraining(result.run.record, result.run.results())
        if result.model is not None:
            self.ui.modelLabel.text = _(
                "The model “{label}” now stands in the model list of CT Perfusion Mapping ({folder})."
            ).format(label=result.model.label, folder=result.model.key)

    def sceneChanged(self) -> None:
        """The panel is open in another scene: the run that goes on is shown there too."""
        if self._record is not None and self.panel.activity.busy:
            training_plots.showTraining(self._record)

    def showFolder(self, folder: RunFolder | None) -> None:
        """Show the results that lie in the run's folder."""
        self.table.fill(*(folder.results() if folder else ([], [])))

    def update(self) -> None:
        """Follow what there is."""
        record = self._shown()
        self.ui.lossPlotButton.enabled = self.ui.scorePlotButton.enabled = record is not None and bool(record.fits)
        folder = self.panel.folder
        idle = not self.panel.activity.busy
        self.ui.reportButton.enabled = idle and folder is not None and folder.report is not None
        self.ui.reportButton.text = (
            _("Open report") if folder is None or folder.isStudy or not folder.run else _("Open model card")
        )
        shown = (self.ui.lossPlotButton, self.ui.reportButton)
        self.ui.resultsSection.visible = bool(self.ui.resultsTable.rowCount) or any(one.enabled for one in shown)

    def plot(self, part: str) -> None:
        """What the plot buttons do: the nodes are made if they are not in the scene."""
        busy, folder = self.panel.activity.busy, self.panel.folder
        results = None if busy or folder is None else folder.results()
        nodes = training_plots.showTraining(self._shown(), results)
        training_plots.showChart(nodes.loss if part == training_plots.LOSS else nodes.scores)

    def openReport(self) -> None:
        """Open a study's report in the browser, or the model's card in a window."""
        folder = self.panel.folder
        if folder.isStudy:
            qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(folder.report)))
        else:
            self._window = showMarkdown(folder.record.name, folder.report.read_text(encoding="utf-8"))

    def _shown(self) -> TrainingRecord | None:
        """The run that goes on, else the one in the folder."""
        if self.panel.activity.busy:
            return self._record
        return self.panel.folder.record if self.panel.folder is not None else None
