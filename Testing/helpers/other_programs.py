"""Small stand-ins for other people's modules: each takes exactly the parameters that the real one takes.

Parameter names are those of the modules' own sources: ``GeneratePartialLungLabelMap.xml`` (ChestImagingPlatform),
``BRAINSFit.xml`` (BRAINSTools), ``TotalSegmentator.py``, ``MONAIAuto3DSeg.py``, ``Elastix.py``.
"""

import sys
import types
from enum import Enum
from pathlib import Path

import numpy as np
import qt
import slicer

CIP_PARAMETERS = {
    "ctFileName": "node",
    "outputLungMaskFileName": "node",
    "helperMaskFileName": "node",
    "lowerClipValue": "int",
    "lowerReplacementValue": "int",
    "upperClipValue": "int",
    "upperReplacementValue": "int",
    "lungSplitRadius": "int",
    "airwayMinThreshold": "int",
    "airwayMaxThreshold": "int",
    "maxAirwayVolume": "int",
    "feetFirst": "bool",
}
BRAINSFIT_PARAMETERS = {
    "fixedVolume": "node",
    "movingVolume": "node",
    "linearTransform": "node",
    "outputVolume": "node",
    "initialTransform": "node",
    "initializeTransformMode": "string",
    "samplingPercentage": "double",
    "useRigid": "bool",
    "useAffine": "bool",
    "costMetric": "string",
    "maskProcessingMode": "string",
}
LOBE_IDS = {
    4: "lung_upper_lobe_right",
    5: "lung_middle_lobe_right",
    6: "lung_lower_lobe_right",
    7: "lung_upper_lobe_left",
    8: "lung_lower_lobe_left",
}


class CliNode(slicer.vtkMRMLCommandLineModuleNode):
    """Slicer's own node, which here keeps the parameters in Python: there is no module description to hold them."""

    def prepare(self, accepted):
        self.accepted, self.given = accepted, {}

    def _take(self, name, value, kind):
        assert self.accepted.get(name) == kind, f"the module has no parameter {name} of type {kind}"
        self.given[name] = value

    def SetParameterAsBool(self, name, value):
        self._take(name, value, "bool")

    def SetParameterAsInt(self, name, value):
        self._take(name, value, "int")

    def SetParameterAsDouble(self, name, value):
        self._take(name, value, "double")

    def SetParameterAsString(self, name, value):
        self._take(name, value, "string")

    def SetParameterAsNode(self, name, value):
        self._take(name, value, "node")


class CliModule:
    """A command-line module whose work is a Python function of its parameters, done when the event loop turns."""

    def __init__(self, accepted, work):
        self.accepted, self.work, self.nodes = accepted, work, []

    def logic(self):
        return self

    def CreateNodeInScene(self):
        node = CliNode()
        node.prepare(self.accepted)
        self.nodes.append(node)
        return slicer.mrmlScene.AddNode(node)

    @property
    def given(self):
        """The parameters of the last run."""
        return self.nodes[-1].given

    def SetDeleteTemporaryFiles(self, _delete):
        pass

    def SetHideWindow(self, _hide):
        pass

    def Apply(self, node, _update_display):
        node.SetStatus(node.Running)
        qt.QTimer.singleShot(0, lambda: self._end(node))

    def _end(self, node):
        if self.work is None:  # runs until it is cancelled
            if node.GetStatus() != node.Cancelling:
                qt.QTimer.singleShot(20, lambda: self._end(node))
                return
            node.SetStatus(node.Cancelled)
            return
        try:
            self.work(node.given)
        except RuntimeError as error:
            node.SetErrorText(f"some lines before\n{error}\n", False)
            node.SetStatus(node.CompletedWithErrors)
            return
        node.SetStatus(node.Completed)


def lobes(labels):
    """Lobes of lungs labelled 2 and 3: the right one cut in three along k, the left one in two."""
    out = np.zeros_like(labels)
    k = np.nonzero(labels)[0]
    for side, names in ((2, (6, 5, 4)), (3, (8, 7))):
        ends = np.linspace(k.min(), k.max() + 1, len(names) + 1).astype(int)
        for name, low, high in zip(names, ends[:-1], ends[1:], strict=True):
            part = out[low:high]
            part[labels[low:high] == side] = name
    return out


def fill_segmentation(node, ct, labels, names):
    """Segments by id and name of a label array on the CT's grid."""
    for value, name in names.items():
        node.GetSegmentation().AddEmptySegment(name, name)
        mask = (labels == value).astype(np.uint8)
        slicer.util.updateSegmentBinaryLabelmapFromArray(mask, node, name, ct)


def install(monkeypatch, name, **contents):
    """Make a scripted module known to Slicer and to ``import``."""
    module = types.ModuleType(name)
    for key, value in contents.items():
        setattr(module, key, value)
    monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(slicer.modules, name.lower(), module, raising=False)
    return module


def total_segmentator(monkeypatch, labels, fails=""):
    """The TotalSegmentator extension; gives lobes of ``labels`` and a liver. Returns the list of its calls."""
    calls = []

    class TotalSegmentatorLogic:
        def setupPythonRequirements(self, upgrade=False):
            calls.append("setup")

        def process(
            self,
            inputVolume,
            outputSegmentation,
            quality=None,
            cpu=False,
            task=None,
            subset=None,
            interactive=False,
            sequenceBrowserNode=None,
        ):
            calls.append({"task": task, "subset": subset, "cpu": cpu, "quality": quality, "interactive": interactive})
            if fails:
                raise RuntimeError(fails)
            fill_segmentation(outputSegmentation, inputVolume, lobes(labels), LOBE_IDS)

    install(monkeypatch, "TotalSegmentator", TotalSegmentatorLogic=TotalSegmentatorLogic)
    return calls


class EventCode(Enum):
    TASKLIST_PROCESSING_STARTED = 1
    TASK_PROCESSING_STARTED = 2
    TASK_PROCESSING_ENDED = 3
    TASK_IMPORTING_RESULTS_STARTED = 4
    TASK_IMPORTING_RESULTS_ENDED = 5
    TASKLIST_PROCESSING_ENDED = 6


def monai_auto_3d_seg(monkeypatch, labels, never_ends=False, fails=""):
    """The MONAIAuto3DSeg extension: asynchronous, tells its events, and ends its task list when cancelled too."""
    calls = []

    class MONAIAuto3DSegLogic:
        def process(
            self,
            inputNodes,
            outputSegmentation,
            model=None,
            cpu=False,
            waitForCompletion=True,
            sequenceBrowserNode=None,
            eventCallback=None,
            customEventCallbackData=None,
        ):
            calls.append({"model": model, "waitForCompletion": waitForCompletion, "cpu": cpu})
            if fails:
                raise RuntimeError(fails)
            task = object()
            eventCallback(EventCode.TASK_PROCESSING_STARTED, task)
            self._end = lambda: eventCallback(EventCode.TASKLIST_PROCESSING_ENDED, task)

            def finish():
                eventCallback(EventCode.TASK_PROCESSING_ENDED, task)
                names = {4: "Right Upper lobe of lung", 5: "Middle lobe of right lung", 6: "Right Lower lobe of lung"}
                names |= {7: "Left Upper lobe of lung", 8: "Left Lower lobe of lung"}
                fill_segmentation(outputSegmentation, inputNodes[0], lobes(labels), names)
                self._end()

            if not never_ends:
                qt.QTimer.singleShot(0, finish)
            return task

        def cancelProcessing(self, _task):
            qt.QTimer.singleShot(0, self._end)

    install(monkeypatch, "MONAIAuto3DSeg", MONAIAuto3DSegLogic=MONAIAuto3DSegLogic)
    return calls


def elastix(monkeypatch, work):
    """The SlicerElastix extension; ``work(logic, transform)`` does what the registration does."""
    calls = []

    class ElastixLogic:
        cancelRequested = False

        def registerVolumes(
            self,
            fixedVolumeNode,
            movingVolumeNode,
            parameterFilenames=None,
            outputVolumeNode=None,
            outputTransformNode=None,
            fixedVolumeMaskNode=None,
            movingVolumeMaskNode=None,
            forceDisplacementFieldOutputTransform=True,
            initialTransformNode=None,
        ):
            settings = [Path(name).read_text(encoding="utf-8") for name in parameterFilenames]
            calls.append(
                {
                    "fixed": fixedVolumeNode.GetName(),
                    "moving": movingVolumeNode.GetName(),
                    "moved before": movingVolumeNode.GetParentTransformNode() is not None,
                    "settings": settings[0],
                    "displacement field": forceDisplacementFieldOutputTransform,
                    "initial": initialTransformNode,
                }
            )
            work(self, outputTransformNode)

    install(monkeypatch, "Elastix", ElastixLogic=ElastixLogic)
    return calls
