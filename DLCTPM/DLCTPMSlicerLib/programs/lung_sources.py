"""Where the lungs may come from. Each source says whether it is there, and gives a node or an error sentence.

A source's ``start`` returns at once where its program allows it; ``done(node, error)`` is called once, with the
node in the scene and an empty error, or with None and a sentence (empty after ``cancel``).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import ClassVar

import slicer
from slicer.i18n import tr as _

from DLCTPMSlicerLib.nodes.files import isInScene, removeNode
from DLCTPMSlicerLib.programs.cli_run import CliRun

Done = Callable[[object, str], None]

LOBES = (
    "lung_upper_lobe_left",
    "lung_lower_lobe_left",
    "lung_upper_lobe_right",
    "lung_middle_lobe_right",
    "lung_lower_lobe_right",
)
"""TotalSegmentator's names of the lobes."""
MONAI_MODEL = "lungs-3mm-v2.0.0"


class LungSource:
    """One way to the lungs. ``key`` is kept in the scene; ``usesEngine`` means the engine finds them itself."""

    key = ""
    usesEngine = False
    needsNode = False

    def label(self) -> str:
        """What the panel calls it."""
        raise NotImplementedError

    def unavailable(self) -> str:
        """Why it cannot be used now, with what to do; empty where it can."""
        return ""

    def start(self, ct: slicer.vtkMRMLScalarVolumeNode, done: Done) -> None:
        """Find the lungs of the CT."""
        raise NotImplementedError

    def cancel(self) -> None:
        """End what was started, where the other program allows it."""


class Automatic(LungSource):
    """The engine's own segmentation: always there."""

    key, usesEngine = "automatic", True

    def label(self) -> str:
        """The name in the panel."""
        return _("Automatic")


class Existing(LungSource):
    """A segmentation or label map that is already in the scene."""

    key, needsNode = "existing", True

    def label(self) -> str:
        """The name in the panel."""
        return _("Existing segmentation or label map")


class ChestImagingPlatform(LungSource):
    """The command-line module of the Chest Imaging Platform extension (Slicer 5.6 and earlier)."""

    key = "cip"
    PARAMETERS: ClassVar = {
        "lowerClipValue": -1024,
        "lowerReplacementValue": -1024,
        "upperClipValue": 1024,
        "upperReplacementValue": 1024,
        "lungSplitRadius": 1,
        "airwayMinThreshold": -1024,
        "airwayMaxThreshold": -800,
        "maxAirwayVolume": 30000,
        "feetFirst": False,
    }

    def __init__(self):
        self._run = None

    def label(self) -> str:
        """The name in the panel."""
        return _("Chest Imaging Platform")

    def unavailable(self) -> str:
        """Whether the extension is missing."""
        if hasattr(slicer.modules, "generatepartiallunglabelmap"):
            return ""
        return _(
            "The Chest Imaging Platform extension is not installed (it is not offered for Slicer 5.8 and later)."
        )

    def start(self, ct, done: Done) -> None:
        """Let the other program find the lungs."""
        labels = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", f"{ct.GetName()} lungs (CIP)")
        parameters = {**self.PARAMETERS, "ctFileName": ct, "outputLungMaskFileName": labels}

        def ended(node, failed: str) -> None:
            self._run = None
            if failed is None or failed or labels.GetImageData() is None:
                removeNode(labels)
                done(None, failed or "")
            else:
                done(labels, "")

        self._run = CliRun(slicer.modules.generatepartiallunglabelmap, parameters, ended)

    def cancel(self) -> None:
        """Stop the other program."""
        if self._run is not None:
            self._run.cancel()


class TotalSegmentator(LungSource):
    """The TotalSegmentator extension, its five lobes. Its call returns only when it is through."""

    key = "totalsegmentator"

    def label(self) -> str:
        """The name in the panel."""
        return _("TotalSegmentator")

    def unavailable(self) -> str:
        """Whether the extension is missing."""
        if hasattr(slicer.modules, "totalsegmentator"):
            return ""
        return _("Install the TotalSegmentator extension (Extensions Manager) to use it.")

    def start(self, ct, done: Done) -> None:
        """Let the other program find the lungs."""
        from TotalSegmentator import TotalSegmentatorLogic

        node = _newSegmentation(ct, _("TotalSegmentator"))
        try:
            logic = TotalSegmentatorLogic()
            logic.setupPythonRequirements()  # its own panel does this first; it asks before it installs
            logic.process(inputVolume=ct, outputSegmentation=node, task="total", subset=list(LOBES))
        except Exception as error:  # whatever another extension raises becomes a sentence here
            logging.exception("TotalSegmentator failed")
            removeNode(node)
            done(None, _("TotalSegmentator failed: {reason}").format(reason=error))
            return
        _deliver(node, done, _("TotalSegmentator"))


class MonaiAuto3DSeg(LungSource):
    """The MONAIAuto3DSeg extension's lung model, in the background."""

    key = "monai"

    def __init__(self):
        self._logic = self._task = None
        self._cancelled = False

    def label(self) -> str:
        """The name in the panel."""
        return _("MONAIAuto3DSeg")

    def unavailable(self) -> str:
        """Whether the extension is missing."""
        if hasattr(slicer.modules, "monaiauto3dseg"):
            return ""
        return _("Install the MONAIAuto3DSeg extension (Extensions Manager) to use it.")

    def start(self, ct, done: Done) -> None:
        """Let the other program find the lungs."""
        from MONAIAuto3DSeg import MONAIAuto3DSegLogic

        node = _newSegmentation(ct, _("MONAIAuto3DSeg"))
        self._logic, self._task, self._cancelled = MONAIAuto3DSegLogic(), None, False

        def event(code, _task) -> None:
            if getattr(code, "name", str(code)).endswith("TASKLIST_PROCESSING_ENDED"):  # cancelled or not
                self._logic = self._task = None
                if self._cancelled:
                    removeNode(node)
                    done(None, "")
                else:
                    _deliver(node, done, _("MONAIAuto3DSeg"))

        try:
            task = self._logic.process(
                inputNodes=[ct],
                outputSegmentation=node,
                model=MONAI_MODEL,
                waitForCompletion=False,
                eventCallback=event,
            )
        except Exception as error:  # whatever another extension raises becomes a sentence here
            logging.exception("MONAIAuto3DSeg failed")
            self._logic = None
            removeNode(node)
            done(None, _("MONAIAuto3DSeg failed: {reason}").format(reason=error))
            return
        if self._logic is not None:  # it may have ended already
            self._task = task

    def cancel(self) -> None:
        """Stop the other program."""
        if self._logic is not None and self._task is not None:
            self._cancelled = True
            self._logic.cancelProcessing(self._task)


def lungSources() -> list[LungSource]:
    """Every source, the ones that are always there first."""
    return [Automatic(), Existing(), ChestImagingPlatform(), TotalSegmentator(), MonaiAuto3DSeg()]


def _newSegmentation(ct, program: str) -> slicer.vtkMRMLSegmentationNode:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", f"{ct.GetName()} lungs ({program})")
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(ct)
    return node


def _deliver(node, done: Done, program: str) -> None:
    """Hand the segmentation over if it holds anything."""
    if isInScene(node) and node.GetSegmentation().GetNumberOfSegments() > 0:
        done(node, "")
        return
    if isInScene(node):
        removeNode(node)
    done(None, _("{program} gave no lungs; its own messages are in the log.").format(program=program))
