"""Slicer module "CT Perfusion Mapping": relative lung perfusion from an ordinary chest CT. Research use only."""

import os
from enum import Enum
from pathlib import Path
from typing import Annotated

import slicer
from slicer import (
    vtkMRMLLabelMapVolumeNode,
    vtkMRMLLinearTransformNode,
    vtkMRMLScalarVolumeNode,
    vtkMRMLSegmentationNode,
    vtkMRMLTableNode,
    vtkMRMLTransformNode,
)
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import Default, FloatRange, RangeBounds, WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
)

from DLCTPMLib.function.settings import FUNCTIONAL_THRESHOLD
from DLCTPMSlicerLib.panel.module_widget import ModuleWidget

#
# DLCTPM
#


class DLCTPM(ScriptedLoadableModule):
    """The module's description."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("CT Perfusion Mapping")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Chest Imaging Platform")]
        self.parent.dependencies = [
            "Segmentations",
            "Volumes",
            "Tables",
            "Colors",
            "Plots",
            "Sequences",
            "SubjectHierarchy",
            "VolumeRendering",
        ]
        self.parent.contributors = ["The DL-CTPM developers"]
        self.parent.helpText = _("""
Maps relative lung perfusion from an ordinary chest CT with a neural network, measures high- and low-functional lung,
and compares the map with a perfusion SPECT. <b>Research use only: not a medical device.</b>
<p>Choose a CT, click <i>Predict perfusion</i>. Correct the lungs and predict again if effusions or consolidations
were left out. See the <a href="https://github.com/DL-CTPM/SlicerDLCTPM#in-3d-slicer">documentation</a>.</p>
""")
        self.parent.acknowledgementText = _("""
The method is that of: Ren G, Zhang J, Li T, Xiao H, Cheung LY, Ho WY, Qin J, Cai J. Deep Learning-Based Computed
Tomography Perfusion Mapping (DL-CTPM) for Pulmonary CT-to-Perfusion Translation. Int J Radiat Oncol Biol Phys. 2021.
This software is an independent implementation. Please cite the paper if you use it.
""")
        slicer.app.connect("startupCompleted()", registerSampleData)
        slicer.app.connect("startupCompleted()", registerMenus)


#
# Sample data and menus
#


def registerSampleData():
    """Offer a virtual patient, made on this computer, in the Sample Data module."""
    from DLCTPMSlicerLib.nodes.sample_data import registerSampleData as register

    register(Path(os.path.dirname(__file__)) / "Resources" / "Icons")


def registerMenus():
    """Offer "Map perfusion" where a CT is clicked with the right button in the Data module."""
    from DLCTPMSlicerLib.menus.register import registerMenus as register

    register()


#
# DLCTPMParameterNode
#


class Colours(Enum):
    """Colour maps of the perfusion map; the names are keys of ``DLCTPMSlicerLib.nodes.colours.COLOUR_MAPS``."""

    inferno = 1
    iron = 0
    viridis = 2
    rainbow = 3
    grey = 4

    def label(self) -> str:
        """What the panel shows."""
        return self.name.capitalize()


class Registration(Enum):
    """How the SPECT is moved onto the CT."""

    none = 0
    rigid = 1
    affine = 2

    def label(self) -> str:
        """What the panel shows."""
        return {"none": _("None"), "rigid": _("Rigid"), "affine": _("Affine")}[self.name]


@parameterNodeWrapper
class DLCTPMParameterNode:
    """What the user chose; saved with the scene.

    ctVolume - the CT to map.
    lungs - lungs already in the scene, used when lungSource is "existing".
    lungSource - key of a source in DLCTPMSlicerLib.programs.lung_sources.
    model - the model's key; empty for the default one.
    outputVolume - the map that the next prediction replaces; none for a new one.
    perfusionVolume - the map that is shown, measured and compared.
    functionSegmentation - high- and low-functional lung of that map.
    doseVolume - a plan's dose in Gy.
    structures - segmentation with the targets that are no lung.
    threshold - relative perfusion above which lung is high-functional.
    """

    ctVolume: vtkMRMLScalarVolumeNode
    lungs: vtkMRMLSegmentationNode | vtkMRMLLabelMapVolumeNode | None
    lungSource: str = "automatic"
    model: str
    outputVolume: vtkMRMLScalarVolumeNode
    perfusionVolume: vtkMRMLScalarVolumeNode
    functionSegmentation: vtkMRMLSegmentationNode
    opacity: Annotated[float, WithinRange(0, 1)] = 0.6
    colours: Colours = Colours.inferno
    window: Annotated[FloatRange, RangeBounds(0, 1), Default(FloatRange(0, 1))]
    legend: bool = True
    lungs3D: bool = True
    mip3D: bool = False
    randomColours: bool = False
    threshold: Annotated[float, WithinRange(0.01, 0.99)] = FUNCTIONAL_THRESHOLD
    preview: bool = False
    spectVolume: vtkMRMLScalarVolumeNode
    registration: Registration = Registration.rigid
    initialTransform: vtkMRMLLinearTransformNode
    doseVolume: vtkMRMLScalarVolumeNode
    structures: vtkMRMLSegmentationNode


#
# DLCTPMWidget
#


class DLCTPMWidget(ModuleWidget):
    """The panel; each part of it lives in a file of ``DLCTPMSlicerLib.panel``."""

    def makeLogic(self):
        """The module's logic."""
        return DLCTPMLogic()

    def makePanel(self):
        """What is behind the widgets."""
        from DLCTPMSlicerLib.panel.panel import Panel

        return Panel(self.ui, self.logic)

    def mapCt(self, ct) -> None:
        """Choose a CT and predict, as by clicks: what the Data module's menu asks for."""
        self._parameterNode.ctVolume = ct
        if self.ui.predictButton.enabled:
            self.ui.predictButton.click()

    def enter(self) -> None:
        """Called each time the user opens this module: its keys are there now."""
        super().enter()
        self.panel.shortcuts.install()

    def exit(self) -> None:
        """Called each time the user opens a different module."""
        self.panel.shortcuts.remove()
        super().exit()

    def initializeParameterNode(self) -> None:
        """Make sure that there is a parameter node, observed, with a CT chosen if there is one."""
        super().initializeParameterNode()
        if not self._parameterNode.ctVolume:
            self._parameterNode.ctVolume = self.panel.firstCt()


#
# DLCTPMLogic
#


class DLCTPMLogic(ScriptedLoadableModuleLogic):
    """Everything the module does, without a widget. Methods named ``start…`` return a running ``EngineJob`` at once.

    Example::

        logic = DLCTPMLogic()
        lungs = logic.segmentLungs(ct)
        prediction = logic.predict(ct, lungs)
        function = logic.createFunctionalSegmentation(prediction.perfusion)
        logic.registerSpect(ct, spect, lungs=lungs)
        metrics = logic.evaluate(prediction.perfusion, spect)
        logic.exportReport(prediction.perfusion, "/tmp/report")

    Methods that wait raise ``DLCTPMSlicerLib.engine.job.JobError`` with the engine's own sentence.
    """

    def __init__(self) -> None:
        ScriptedLoadableModuleLogic.__init__(self)

    def getParameterNode(self):
        """The scene's parameter node, typed."""
        return DLCTPMParameterNode(super().getParameterNode())

    def startSegmentation(self, ct, **callbacks):
        """Start finding the lungs; the job delivers a segmentation node."""
        from DLCTPMSlicerLib.nodes import jobs

        return jobs.startSegmentation(ct, **callbacks)

    def segmentLungs(self, ct: vtkMRMLScalarVolumeNode) -> vtkMRMLSegmentationNode:
        """Find the lungs of a CT with the engine and wait: a segmentation, one segment a region."""
        return self.startSegmentation(ct).wait()

    def startPrediction(
        self,
        ct,
        lungs=None,
        model="",
        device="auto",
        threshold=FUNCTIONAL_THRESHOLD,
        output=None,
        force=False,
        **callbacks,
    ):
        """Start mapping perfusion; the job delivers ``PredictionNodes``. Arguments as for ``predict``."""
        from DLCTPMSlicerLib.nodes import jobs

        return jobs.startPrediction(ct, lungs, model, device, threshold, output, force, **callbacks)

    def predict(
        self,
        ct: vtkMRMLScalarVolumeNode,
        lungs: vtkMRMLSegmentationNode | vtkMRMLLabelMapVolumeNode | None = None,
        model: str = "",
        device: str = "auto",
        threshold: float = FUNCTIONAL_THRESHOLD,
        output: vtkMRMLScalarVolumeNode | None = None,
        force: bool = False,
    ):
        """Map perfusion and wait.

        Args:
            ct: chest CT in Hounsfield units.
            lungs: segmentation or label map; None lets the engine find them.
            model: name of a shipped model, or the path of a bundle; empty for the default.
            device: auto, cpu, cuda or mps.
            threshold: relative perfusion above which lung counts as high-functional in the region table.
            output: a map made here before, which is replaced; None for a new one.
            force: map also where a check of the input fails; the map's name, report and files then say so.

        Returns:
            ``PredictionNodes``: the map, the lungs used, the region table, and ``result.json``'s content.
        """
        return self.startPrediction(ct, lungs, model, device, threshold, output, force).wait()

    def startRegistration(self, ct, spect, kind="rigid", lungs=None, **callbacks):
        """Start registering with the engine; the job delivers the transform node, which is put on the SPECT."""
        from DLCTPMSlicerLib.nodes import jobs

        return jobs.startRegistration(ct, spect, kind, lungs, **callbacks)

    def registerSpect(
        self,
        ct: vtkMRMLScalarVolumeNode,
        spect: vtkMRMLScalarVolumeNode,
        kind: str = "rigid",
        lungs: vtkMRMLSegmentationNode | vtkMRMLLabelMapVolumeNode | None = None,
    ) -> vtkMRMLTransformNode:
        """Move a SPECT onto a CT ("rigid" or "affine") and wait: the transform, which lies above the SPECT now."""
        return self.startRegistration(ct, spect, kind, lungs).wait()

    def createFunctionalSegmentation(
        self,
        perfusion: vtkMRMLScalarVolumeNode,
        threshold: float = FUNCTIONAL_THRESHOLD,
        segmentation: vtkMRMLSegmentationNode | None = None,
    ) -> vtkMRMLSegmentationNode:
        """High- and low-functional lung, right and left, of a map made here; fills ``segmentation`` anew if given."""
        from DLCTPMSlicerLib.engine.steps import runThrough
        from DLCTPMSlicerLib.nodes.function import functionalSegmentation
        from DLCTPMSlicerLib.nodes.roles import lungsOf

        return runThrough(functionalSegmentation(perfusion, lungsOf(perfusion), threshold, segmentation))

    def updateRegions(self, perfusion: vtkMRMLScalarVolumeNode, threshold: float) -> vtkMRMLTableNode:
        """Measure the regions of a map at another threshold; its region table is filled anew and returned."""
        from DLCTPMSlicerLib.nodes import regions, result_tables, roles

        measured = regions.regionTable(perfusion, roles.lungsOf(perfusion), threshold)
        table = roles.partOf(perfusion, roles.TABLE_ROLE)
        table = result_tables.regionsTable(measured, f"{perfusion.GetName()}: regions", table)
        perfusion.SetNodeReferenceID(roles.TABLE_ROLE, table.GetID())
        return table

    def startEvaluation(self, perfusion, spect, ct=None, model="", threshold=FUNCTIONAL_THRESHOLD, **callbacks):
        """Start comparing with a SPECT; the job delivers the metrics table node."""
        from DLCTPMSlicerLib.nodes import jobs

        return jobs.startEvaluation(perfusion, spect, ct, model, threshold, **callbacks)

    def evaluate(
        self,
        perfusion: vtkMRMLScalarVolumeNode,
        spect: vtkMRMLScalarVolumeNode,
        ct: vtkMRMLScalarVolumeNode | None = None,
        model: str = "",
        threshold: float = FUNCTIONAL_THRESHOLD,
    ) -> vtkMRMLTableNode:
        """Compare a map with a SPECT where it lies now (its transform counts) and wait: the metrics table.

        Give the CT too: two of the baselines look at its Hounsfield units.
        """
        return self.startEvaluation(perfusion, spect, ct, model, threshold).wait()

    def startDicomExport(self, perfusion, folder, choice, **callbacks):
        """Start writing DICOM objects (``planning.dicom_objects.DicomChoice``); the job delivers their paths."""
        from DLCTPMSlicerLib.planning.dicom_objects import startDicomExport

        return startDicomExport(perfusion, Path(folder), choice, **callbacks)

    def startDose(self, perfusion, inputs, **callbacks):
        """Start working out dose and function (``planning.dose_steps.DoseInputs``); the job delivers a table node."""
        from DLCTPMSlicerLib.planning.dose_steps import startDose

        return startDose(perfusion, inputs, **callbacks)

    def exportReport(
        self,
        perfusion: vtkMRMLScalarVolumeNode,
        folder: str,
        segmentation: vtkMRMLSegmentationNode | None = None,
    ) -> list[Path]:
        """Write report, map, lungs, functional regions and tables of a prediction into a folder."""
        from DLCTPMSlicerLib.engine.steps import runThrough
        from DLCTPMSlicerLib.nodes.export import exportReport

        return runThrough(exportReport(perfusion, Path(folder), segmentation))


#
# DLCTPMTest
#


class DLCTPMTest(ScriptedLoadableModuleTest):
    """The quick test behind "Reload & Test"; the repository's ``Testing/Slicer`` has the others."""

    def setUp(self):
        """Start from an empty scene."""
        slicer.mrmlScene.Clear()

    def runTest(self):
        """Run everything here."""
        self.setUp()
        self.test_EngineStarts()
        self.setUp()
        self.test_FunctionalSegmentation()

    def test_EngineStarts(self):
        """The engine's command line answers in Slicer's Python."""
        from DLCTPMSlicerLib.engine.command import MODULE_FOLDER, engineEnvironment, pythonProgram
        from DLCTPMSlicerLib.engine.process import EngineProcess, Outcome

        self.delayDisplay("Starting the engine")
        command = [pythonProgram(), "-m", "DLCTPMLib", "--version"]
        process = EngineProcess(command, engineEnvironment(), str(MODULE_FOLDER))
        process.start()
        assert process.wait().outcome is Outcome.DONE, process.result.details
        assert "dlctpm" in process.result.details

    def test_FunctionalSegmentation(self):
        """High function is above the threshold, low function at or below it, and only in the lungs."""
        import numpy as np

        from DLCTPMSlicerLib.engine.steps import runThrough
        from DLCTPMSlicerLib.nodes import function as function_nodes
        from DLCTPMSlicerLib.segments import lung_nodes

        self.delayDisplay("Dividing the lungs")
        values = np.zeros((4, 5, 6), np.float32)
        values[1:3] = np.linspace(0, 1, 60).reshape(2, 5, 6)
        regions = np.zeros(values.shape, np.uint16)
        regions[1], regions[2] = 2, 3
        perfusion = slicer.util.addVolumeFromArray(values, name="perfusion")
        labels = slicer.util.addVolumeFromArray(regions, nodeClassName="vtkMRMLLabelMapVolumeNode")
        lungs = lung_nodes.lungsFromLabels(labels, "lungs", perfusion)
        node = runThrough(function_nodes.functionalSegmentation(perfusion, lungs, 0.5))
        counts = [
            int(slicer.util.arrayFromSegmentBinaryLabelmap(node, f"{part}-functional-lung", perfusion).sum())
            for part in ("right-high", "right-low", "left-high", "left-low")
        ]
        assert counts == [0, 30, 30, 0]
        self.delayDisplay("Test passed")
