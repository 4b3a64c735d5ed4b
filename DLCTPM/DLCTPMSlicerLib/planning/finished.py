"""A perfusion map of the scene as the folder that ``dlctpm predict`` would have left, for the engine's commands."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path

import numpy as np
import slicer
import slicer.util
from slicer.i18n import tr as _

from DLCTPMLib.function.definitions import Definition
from DLCTPMSlicerLib.engine.errors import NodeError
from DLCTPMSlicerLib.nodes.files import writeVolume
from DLCTPMSlicerLib.nodes.regions import LungBox
from DLCTPMSlicerLib.nodes.roles import lungsOf, resultOf


def writeFinished(perfusion: slicer.vtkMRMLScalarVolumeNode, folder: Path) -> Generator[None, None, Path]:
    """Write ``result.json``, ``perfusion.nrrd`` and ``lungs.nrrd`` on the CT's grid, in steps; gives the folder.

    Raises:
        NodeError: the volume was not made by this module, or its lungs are gone.
    """
    result = resultOf(perfusion)
    if not result:
        raise NodeError(_("{name} was not made by this module; predict first.").format(name=perfusion.GetName()))
    box = LungBox(perfusion, lungsOf(perfusion))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
    yield from writeVolume(perfusion, folder / "perfusion.nrrd")
    labels = np.zeros(slicer.util.arrayFromVolume(perfusion).shape, np.uint16)
    inside = labels[box.box]
    for k, regions in enumerate(box.regions()):
        inside[k] = regions
        yield
    yield from writeVolume(perfusion, folder / "lungs.nrrd", labels)
    return folder


def definitionName(threshold: float) -> str:
    """What the engine calls high-functional lung above a threshold, as ``--function`` takes it."""
    return Definition(value=threshold).name
