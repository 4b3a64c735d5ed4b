"""The panel's behaviour, top to bottom as the work goes; its parts are in the other ``panel_…`` files."""

from __future__ import annotations

from pathlib import Path

from slicer.i18n import tr as _

from DLCTPMSlicerLib.engine.activity import Activity
from DLCTPMSlicerLib.engine.device_choice import DeviceChoice
from DLCTPMSlicerLib.engine.runner import JobRunner
from DLCTPMSlicerLib.widgets.entry import folderEdit
from DLCTPMTrainingSlicerLib.panel_cohort import CohortPart
from DLCTPMTrainingSlicerLib.panel_results import ResultsPart
from DLCTPMTrainingSlicerLib.run_folder import RunFolder, State
from DLCTPMTrainingSlicerLib.training_options import OptionsError, TrainingOptions

OF_A_STUDY, NOT_OF_A_STUDY = ("registrationComboBox",), ("validationShareSpinBox", "networkComboBox")
SETTINGS = (
    *OF_A_STUDY,
    *NOT_OF_A_STUDY,
    "outPathLineEdit",
    "taskComboBox",
    "modelNameLineEdit",
    "epochsSpinBox",
    "widthComboBox",
    "deviceComboBox",
    "learningRateSpinBox",
    "batchSizeSpinBox",
    "gridComboBox",
    "seedSpinBox",
    "plateauCheckBox",
)
"""Widgets that rest while something runs."""


class TrainingPanel:
    """Everything behind the widgets of ``DLCTPMTraining.ui``.

    Args:
        ui: the widgets by name.
        logic: the module's ``DLCTPMTrainingLogic``.
    """

    def __init__(self, ui, logic):
        self.ui, self.logic = ui, logic
        self.parameters = None
        self.folder: RunFolder | None = None
        self._running: tuple[str, str] | None = None  # cohort and folder of the run that goes on
        self.activity = Activity(ui, self.update)
        self.runner = JobRunner(self.activity, self.runEnded)
        self.device = DeviceChoice(ui, _("PyTorch is not installed yet; it will be offered when you click Train."))
        self.cohort = CohortPart(self)
        self.results = ResultsPart(self)
        folderEdit(ui.outPathLineEdit)
        ui.outPathLineEdit.currentPathChanged.connect(self._folderChosen)
        ui.trainButton.clicked.connect(self.train)
        ui.resumeButton.clicked.connect(self.resume)

    def close(self) -> None:
        """End what runs; the panel is going. A training can be resumed."""
        self.runner.kill()
        self.device.close()

    def setParameters(self, parameters) -> None:
        """Work on this parameter node; None while there is none."""
        self.parameters = parameters
        if parameters is not None:
            if self._running and not parameters.out:  # the scene was closed, the run goes on
                parameters.cohort, parameters.out = self._running
            self.cohort.show(parameters.cohort)
            if self.ui.outPathLineEdit.currentPath != parameters.out:
                self.ui.outPathLineEdit.currentPath = parameters.out
            self.look()
            self.results.sceneChanged()

    def refreshChoices(self) -> None:
        """See again which device there is and what lies in the run's folder."""
        self.device.refresh()
        self.look()
        self.update()

    def sceneClosed(self) -> None:
        """What was said was about another scene; a run that goes on says its own."""
        self.activity.rest()

    def look(self) -> None:
        """See what lies in the run's folder, unless the engine is working in it."""
        if self.parameters is None or self.activity.busy:
            return
        out = self.parameters.out
        self.folder = RunFolder.look(Path(out)) if out else None
        self.ui.runLabel.text = self.folder.sentence() if self.folder else ""
        self.results.showFolder(self.folder)

    def runEnded(self) -> None:
        """A job has ended: what lies in the folder is another now."""
        self._running = None
        self.results.end()
        self.look()
        self.update()

    def options(self) -> TrainingOptions:
        """What is chosen.

        Raises:
            OptionsError: it cannot be trained.
        """
        chosen = self.parameters
        return TrainingOptions(
            cohort=Path(chosen.cohort),
            out=Path(chosen.out),
            study=chosen.task.name == "study",
            name=chosen.modelName,
            epochs=chosen.epochs,
            network=chosen.network.name,
            channels=chosen.width.channels(),
            device=self.device.device(),
            learningRate=chosen.learningRate,
            batchSize=chosen.batchSize,
            grid=chosen.grid.cells(),
            seed=chosen.seed,
            plateau=chosen.plateau,
            validationShare=chosen.validationShare,
            registration=chosen.registration.name,
        )

    def problem(self) -> str:
        """Why nothing can be trained now; empty if it can."""
        try:
            self.options()
        except OptionsError as problem:
            return str(problem)
        state = self.folder.state if self.folder else State.NONE
        if state is State.CUT_OFF:
            return _("This folder holds a run that was cut off: resume it, or choose another folder.")
        return _("This folder holds a run already: choose another folder.") if state is not State.NONE else ""

    def update(self) -> None:
        """Let buttons and tooltips follow the parameters."""
        if self.parameters is None:
            return
        idle, problem = not self.activity.busy, self.problem()
        study = self.parameters.task.name == "study"
        self.ui.trainButton.enabled = idle and not problem
        self.ui.trainButton.toolTip = problem or _("Train in the background; Slicer stays free.")
        self.ui.resumeButton.enabled = idle and self.folder is not None and self.folder.state is State.CUT_OFF
        self.ui.cancelButton.enabled = self.activity.cancellable
        for name in SETTINGS:
            getattr(self.ui, name).enabled = idle
        for name in OF_A_STUDY if not study else NOT_OF_A_STUDY:
            getattr(self.ui, name).enabled = False
        self.cohort.update(idle)
        self.results.update()

    def train(self) -> None:
        """What "Train" does."""
        options = self.options()
        self._run(options.cohort, options.out, lambda **callbacks: self.logic.startTraining(options, **callbacks))

    def resume(self) -> None:
        """What "Resume" does: the run goes on with its own settings, on the chosen device."""
        folder, device = self.folder.path, self.device.device()
        cohort = Path(self.folder.run["cohort"])
        self._run(cohort, folder, lambda **callbacks: self.logic.startResume(folder, device, **callbacks))

    def _run(self, cohort: Path, folder: Path, start) -> None:
        self.results.begin()
        self._running = (str(cohort), str(folder))
        began = self.runner.run(
            _("Starting the engine…"),
            lambda **callbacks: start(onEpoch=self.results.follow, **callbacks),
            self.results.deliver,
            _("Done. Research use only."),
            _("Stopped. Resume goes on after the last whole epoch."),
        )
        if not began:
            self._running = None

    def _folderChosen(self, folder: str) -> None:
        if self.parameters is not None and self.parameters.out != folder:
            self.parameters.out = folder
            self.look()
            self.update()
