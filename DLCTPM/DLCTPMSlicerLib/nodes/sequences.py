"""A sequence of CTs (4D CT): every frame mapped, the maps browsed with the CT, the figures in a table."""

from __future__ import annotations

import json
from pathlib import Path

import slicer
import slicer.util
from slicer.i18n import tr as _

from DLCTPMSlicerLib.engine.errors import NodeError
from DLCTPMSlicerLib.engine.job import EngineJob
from DLCTPMSlicerLib.nodes import display
from DLCTPMSlicerLib.nodes.files import isInScene, readVolume
from DLCTPMSlicerLib.nodes.prediction import RESULTS, describe, predictionArguments
from DLCTPMSlicerLib.nodes.result_tables import fillTable
from DLCTPMSlicerLib.nodes.roles import CT_ROLE, MADE_HERE

FRAMES = "frames"
"""Value of ``DLCTPM.Made``: the frame of a sequence of maps that is shown. It has no lungs and no report."""
FIGURES = ("volume_ml", "mean", "high_ml", "low_ml")


def browserOf(ct) -> slicer.vtkMRMLSequenceBrowserNode | None:
    """The browser of the sequence whose shown frame this volume is; None for a CT of its own."""
    for browser in slicer.util.getNodesByClass("vtkMRMLSequenceBrowserNode"):
        if ct is not None and browser.GetSequenceNode(ct) is not None:
            return browser
    return None


class FrameMaps:
    """Maps of every frame, one engine run after the other; nothing comes into the scene before ``finish``.

    Args:
        ct: the shown frame of a sequence.
    """

    def __init__(self, ct: slicer.vtkMRMLScalarVolumeNode):
        self._ct, self._browser = ct, browserOf(ct)
        self._frames = self._browser.GetSequenceNode(ct)
        self.count = self._frames.GetNumberOfDataNodes()
        self._maps = slicer.vtkMRMLSequenceNode()
        self._maps.SetIndexName(self._frames.GetIndexName())
        self._maps.SetIndexUnit(self._frames.GetIndexUnit())
        self._maps.SetIndexType(self._frames.GetIndexType())
        self._rows: list[list] = []

    def startFrame(self, index: int, model: str, device: str, threshold: float, **callbacks) -> EngineJob:
        """Start mapping one frame; its lungs are found in it, since lungs move from frame to frame."""
        frame = self._frames.GetNthDataNode(index)
        return EngineJob(
            lambda folder: predictionArguments(frame, None, model, device, threshold, folder),
            lambda folder: self._keep(index, folder / RESULTS),
            **callbacks,
        ).start()

    def _keep(self, index: int, results: Path) -> None:
        result = json.loads((results / "result.json").read_text(encoding="utf-8"))
        node = readVolume(results / "perfusion.nrrd", f"{self._ct.GetName()} perfusion")
        describe(node, result)
        self._maps.SetDataNodeAtValue(node, self._frames.GetNthIndexValue(index))
        slicer.mrmlScene.RemoveNode(node)
        for region in ("lungs", "right lung", "left lung"):
            figures = result["regions"].get(region, {})
            self._rows.append(
                [self._frames.GetNthIndexValue(index), region, *(figures.get(name) for name in FIGURES)]
            )

    def finish(self) -> tuple[slicer.vtkMRMLScalarVolumeNode, slicer.vtkMRMLTableNode]:
        """Put the sequence of maps beside the CT's, browsed together: the frame that is shown, and the table.

        Raises:
            NodeError: the sequence was removed meanwhile.
        """
        if not (isInScene(self._ct) and isInScene(self._browser) and isInScene(self._frames)):
            raise NodeError(_("The sequence was removed while its perfusion was computed; nothing was kept."))
        name = slicer.mrmlScene.GenerateUniqueName(f"{self._ct.GetName()} perfusion")
        self._maps.SetName(f"{name} sequence")
        slicer.mrmlScene.AddNode(self._maps)
        shown = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
        first = self._maps.GetNthDataNode(max(0, self._browser.GetSelectedItemNumber()))
        shown.CopyContent(first)
        shown.SetAttribute(MADE_HERE, FRAMES)
        for key in ("Model", "ModelVersion", "ModelSha256", "IntendedUse", "ResearchUseOnly"):
            shown.SetAttribute(f"DLCTPM.{key}", first.GetAttribute(f"DLCTPM.{key}"))
        shown.SetNodeReferenceID(CT_ROLE, self._ct.GetID())
        self._browser.AddSynchronizedSequenceNode(self._maps)
        self._browser.AddProxyNode(shown, self._maps, False)
        display.setPerfusionDisplay(shown)
        table = fillTable([self._maps.GetIndexName() or "frame", "region", *FIGURES], self._rows, f"{name}: frames")
        display.placeBeside(self._ct, [shown, table])
        return shown, table
