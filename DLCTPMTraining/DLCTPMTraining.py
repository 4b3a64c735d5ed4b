"""Slicer module "CT Perfusion Training": a perfusion model from a site's own SPECT/CT pairs. Research use only."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import Decimals, SingleStep, WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
)

from DLCTPMSlicerLib.panel.module_widget import ModuleWidget

#
# DLCTPMTraining
#


class DLCTPMTraining(ScriptedLoadableModule):
    """The module's description."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("CT Perfusion Training")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Chest Imaging Platform")]
        self.parent.dependencies = ["DLCTPM", "Plots", "Tables"]
        self.parent.contributors = ["The DL-CTPM developers"]
        self.parent.helpText = _("""
Trains a model for the module <i>CT Perfusion Mapping</i> on a site's own pairs of chest CT and perfusion SPECT, and
tells how good it is. <b>Research use only: not a medical device.</b>
<p>Choose the cohort's table and click <i>Check</i>; choose a folder and click <i>Train</i>. Training runs in the
background and can be stopped and resumed. See the
<a href="https://github.com/DL-CTPM/SlicerDLCTPM#train-in-3d-slicer">documentation</a>.</p>
""")
        self.parent.acknowledgementText = _("""
The method is that of: Ren G, Zhang J, Li T, Xiao H, Cheung LY, Ho WY, Qin J, Cai J. Deep Learning-Based Computed
Tomography Perfusion Mapping (DL-CTPM) for Pulmonary CT-to-Perfusion Translation. Int J Radiat Oncol Biol Phys. 2021.
This software is an independent implementation. Please cite the paper if you use it.
""")


#
# DLCTPMTrainingParameterNode
#


class Task(Enum):
    """What is to be done with the cohort."""

    model = 0
    study = 1

    def label(self) -> str:
        """What the panel shows."""
        return {"model": _("One model"), "study": _("Study: cross-validation, one test, report")}[self.name]


class Network(Enum):
    """Which network is trained."""

    arnn = 0
    unet = 1
    context = 2

    def label(self) -> str:
        """What the panel shows."""
        return {
            "arnn": _("ARNN (the paper's)"),
            "unet": _("Plain U-Net of the same size"),
            "context": _("ARNN with place and density"),
        }[self.name]


class Width(Enum):
    """Channels of the network's four levels."""

    eighth = 4
    half = 8
    paper = 16
    double = 32

    def channels(self) -> str:
        """As the engine takes them."""
        return "-".join(str(self.value * factor) for factor in (1, 2, 4, 8))

    def label(self) -> str:
        """What the panel shows."""
        note = {"eighth": _(" (quick trial)"), "paper": _(" (the paper's)")}.get(self.name, "")
        return self.channels() + note


class Grid(Enum):
    """Cells of the network's grid, for one lung."""

    paper = 128
    half = 64
    quarter = 32

    def cells(self) -> str:
        """As the engine takes them."""
        return f"{self.value}x{self.value // 2}x{self.value // 2}"

    def label(self) -> str:
        """What the panel shows."""
        note = {"paper": _(" (the paper's)"), "quarter": _(" (quick trial)")}.get(self.name, "")
        return self.cells().replace("x", " × ") + note


class Registration(Enum):
    """How a study moves the SPECT onto the CT."""

    rigid = 0
    affine = 1
    none = 2

    def label(self) -> str:
        """What the panel shows."""
        return {"none": _("None"), "rigid": _("Rigid"), "affine": _("Affine")}[self.name]


@parameterNodeWrapper
class DLCTPMTrainingParameterNode:
    """What the user chose; saved with the scene.

    cohort - path of the cohort's table.
    out - path of the run's folder.
    task - one model, or a study.
    modelName - of the model.
    epochs - passes over all lungs; an upper bound where plateau stops earlier.
    network, width, grid - which network, its channels, its cells.
    learningRate, batchSize, seed, plateau - of the training.
    validationShare - part of the patients kept for validation.
    registration - of the SPECT in a study.
    """

    cohort: str
    out: str
    task: Task = Task.model
    modelName: str = "my-model"
    epochs: Annotated[int, WithinRange(1, 5000)] = 100
    network: Network = Network.arnn
    width: Width = Width.paper
    grid: Grid = Grid.paper
    learningRate: Annotated[float, WithinRange(0.000001, 1.0), Decimals(6), SingleStep(0.0005)] = 0.001
    batchSize: Annotated[int, WithinRange(1, 64)] = 1
    seed: Annotated[int, WithinRange(0, 2147483647)] = 2026
    plateau: bool = True
    validationShare: Annotated[float, WithinRange(0.0, 0.9), Decimals(2), SingleStep(0.05)] = 0.2
    registration: Registration = Registration.rigid


#
# DLCTPMTrainingWidget
#


class DLCTPMTrainingWidget(ModuleWidget):
    """The panel; each part of it lives in a ``DLCTPMTrainingSlicerLib.panel…`` file. A training needs no node of the
    scene: it goes on when the scene is closed."""

    def makeLogic(self):
        """The module's logic."""
        return DLCTPMTrainingLogic()

    def makePanel(self):
        """What is behind the widgets."""
        from DLCTPMTrainingSlicerLib.panel import TrainingPanel

        return TrainingPanel(self.ui, self.logic)


#
# DLCTPMTrainingLogic
#


class DLCTPMTrainingLogic(ScriptedLoadableModuleLogic):
    """Everything the module does, without a widget. Methods named ``start…`` return a running ``EngineJob`` at once.

    Example::

        logic = DLCTPMTrainingLogic()
        report = logic.checkCohort("/data/cohort.csv")
        assert not report.problems, report.problems
        result = logic.train("/data/cohort.csv", "/data/run", name="our-site", epochs=100)
        print(result.model.key)          # the model, as the module "CT Perfusion Mapping" lists it
        logic.showTraining("/data/run")  # tables and charts in the scene

    Methods that wait raise ``DLCTPMSlicerLib.engine_job.JobError`` with the engine's own sentence.
    """

    def __init__(self) -> None:
        ScriptedLoadableModuleLogic.__init__(self)

    def getParameterNode(self):
        """The scene's parameter node, typed."""
        return DLCTPMTrainingParameterNode(super().getParameterNode())

    def startCheck(self, cohort, study=False, **callbacks):
        """Start looking for faults in a cohort; ``onFinished`` gets a ``JobResult`` with a ``CohortReport``."""
        from DLCTPMTrainingSlicerLib import training_job

        return training_job.startCheck(Path(cohort), study, **callbacks)

    def checkCohort(self, cohort: str | Path, study: bool = False):
        """Look for faults in a cohort's table and images, and wait.

        Args:
            cohort: the table (CSV) with ``patient_id, ct, spect, lungs``; also diagnosis, sex, age.
            study: also ask whether the patients suffice for a study.

        Returns:
            ``CohortReport``: who the patients are, ``problems`` and ``warnings``, each with its line.
        """
        from DLCTPMTrainingSlicerLib import training_job

        return training_job.checkCohort(Path(cohort), study)

    def startCohort(self, patients, seed, folder, **callbacks):
        """Start making simulated patients; the job delivers the path of their table."""
        from DLCTPMTrainingSlicerLib import training_job

        return training_job.startCohort(patients, seed, Path(folder), **callbacks)

    def simulateCohort(self, patients: int, seed: int, folder: str | Path) -> Path:
        """Make a cohort of simulated patients and wait: the path of its table. The same seed, the same patients."""
        return self.startCohort(patients, seed, folder).wait()

    def startTraining(self, options, install=True, **callbacks):
        """Start what a ``TrainingOptions`` asks for; the job delivers a ``TrainingResult``.

        Callbacks: ``onProgress(EngineProgress)``, ``onEpoch(TrainingRecord)``, ``onFinished(JobResult)``.
        """
        from DLCTPMTrainingSlicerLib import training_job

        return training_job.startTraining(options, install, **callbacks)

    def train(self, cohort: str | Path, out: str | Path, install: bool = True, **options):
        """Train a model (or run a study) and wait.

        Args:
            cohort: the table (CSV).
            out: folder of the run; a run that was cut off is continued if the options are the same.
            install: put the model where every model list finds it.
            options: the others of ``DLCTPMTrainingSlicerLib.training_options.TrainingOptions``: ``study, name,
                epochs, network, channels, device, learningRate, batchSize, grid, seed, plateau, validationShare,
                registration``.

        Returns:
            ``TrainingResult``: ``run`` (its folder and epochs) and ``model`` (as the model lists have it).
        """
        from DLCTPMTrainingSlicerLib.training_options import TrainingOptions

        return self.startTraining(TrainingOptions(Path(cohort), Path(out), **options), install).wait()

    def startResume(self, folder, device="auto", install=True, **callbacks):
        """Start going on with a run that was cut off; job and callbacks as for ``startTraining``."""
        from DLCTPMTrainingSlicerLib import training_job

        return training_job.startResume(Path(folder), device, install, **callbacks)

    def resume(self, folder: str | Path, device: str = "auto", install: bool = True):
        """Go on with a run that was cut off, with its own settings, and wait: a ``TrainingResult`` as of ``train``.

        On the device it was begun on, it ends with the weights of a run that was never cut off.
        """
        return self.startResume(folder, device, install).wait()

    def showTraining(self, folder: str | Path):
        """Put a run's epochs into the scene: ``TrainingNodes``, two charts and a table, made or brought up to date.

        Call it while no training goes on in the folder; a running one is followed by its ``onEpoch``.
        """
        from DLCTPMTrainingSlicerLib import run_folder, training_plots

        found = run_folder.RunFolder.look(Path(folder))
        return training_plots.showTraining(found.record, found.results())


#
# DLCTPMTrainingTest
#


class DLCTPMTrainingTest(ScriptedLoadableModuleTest):
    """The quick test behind "Reload & Test"; the repository's ``Testing/Slicer`` has the others."""

    def setUp(self):
        """Start from an empty scene."""
        slicer.mrmlScene.Clear()

    def runTest(self):
        """Run everything here."""
        self.setUp()
        self.test_EngineKnowsEveryOption()
        self.setUp()
        self.test_Plots()

    def test_EngineKnowsEveryOption(self):
        """The engine's command line in Slicer's Python takes what the panel gives it, for a model and for a study."""
        from DLCTPMTrainingLib.cli.main import build_parser
        from DLCTPMTrainingSlicerLib.training_options import TrainingOptions

        self.delayDisplay("Asking the engine's command line")
        for study in (False, True):
            options = TrainingOptions(Path("cohort.csv"), Path("run"), study=study, epochs=7, plateau=study)
            understood = build_parser().parse_args(options.arguments())
            assert understood.epochs == 7
            assert understood.cohort == "cohort.csv"

    def test_Plots(self):
        """Epochs become a table and two charts; the next epoch makes no node more."""
        from DLCTPMTrainingSlicerLib import run_folder, training_plots

        self.delayDisplay("Drawing epochs")
        record = run_folder.TrainingRecord(Path("run"), "test", simulated=True)
        for epoch in (1, 2):
            figures = {"loss": 0.6, "excess": 0.2 / epoch, "validation_excess": 0.3, "validation_r": 0.5}
            record.add({"epoch": epoch, "seconds": 1.0, "validation_ssim": 0.4 + 0.1 * epoch, **figures})
            nodes = training_plots.showTraining(record)
            count = slicer.mrmlScene.GetNumberOfNodes()
            training_plots.showTraining(record)
            assert slicer.mrmlScene.GetNumberOfNodes() == count
        assert "simulated" in nodes.loss.GetTitle()
        table = nodes.scores.GetNthPlotSeriesNode(1).GetTableNode().GetTable()
        assert [round(table.GetColumnByName("SSIM").GetValue(row), 3) for row in (0, 1)] == [0.5, 0.6]
        training_plots.removeTraining(record)
        self.delayDisplay("Test passed")
