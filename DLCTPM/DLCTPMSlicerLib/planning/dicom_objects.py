"""DICOM objects of a map in the scene, by ``dlctpm export``."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from slicer.i18n import tr as _

from DLCTPMSlicerLib.engine.errors import NodeError
from DLCTPMSlicerLib.engine.job import EngineJob
from DLCTPMSlicerLib.nodes.roles import CT_ROLE, partOf
from DLCTPMSlicerLib.planning.dicom_source import dicomFolder
from DLCTPMSlicerLib.planning.finished import definitionName, writeFinished

FILES = {
    "map": "perfusion_map.dcm",
    "seg": "segmentation.dcm",
    "rtstruct": "structure_set.dcm",
    "sr": "measurements.dcm",
    "series": "perfusion_series",
}
"""What ``--objects`` takes, and what the engine writes for it; maps of the scene have no report as PDF."""


@dataclass(frozen=True)
class DicomChoice:
    """What is exported.

    Attributes:
        objects: of ``FILES``; sr needs seg.
        holes: keyhole or xor.
        deidentify: leave out who the patient is and when the examination was.
        force: export also a map that was forced past a failed check.
        threshold: relative perfusion above which lung is high-functional.
    """

    objects: tuple[str, ...]
    holes: str
    deidentify: bool
    force: bool
    threshold: float


def startDicomExport(perfusion, folder: Path, choice: DicomChoice, **callbacks) -> EngineJob:
    """Write DICOM objects of a map into a folder; the job delivers the paths of what was written."""
    return EngineJob(
        lambda work: exportArguments(perfusion, folder, choice, work),
        lambda work: [folder / FILES[name] for name in choice.objects],
        **callbacks,
    ).start()


def exportArguments(perfusion, folder: Path, choice: DicomChoice, work: Path) -> Generator[None, None, list[str]]:
    """Write the prediction into ``work``, in steps, collect the CT's files there, and give the arguments.

    Raises:
        NodeError: nothing is chosen, or the CT's DICOM files are not there.
    """
    if not choice.objects:
        raise NodeError(_("Choose at least one DICOM object."))
    source = yield from dicomFolder(partOf(perfusion, CT_ROLE), work / "ct")
    result = yield from writeFinished(perfusion, work / "result")
    arguments = ["export", str(result), "--dicom", str(source), "--objects", ",".join(choice.objects)]
    arguments += ["--function", definitionName(choice.threshold)]
    if "rtstruct" in choice.objects:
        arguments += ["--holes", choice.holes]
    arguments += ["--deidentify"] * choice.deidentify + ["--force"] * choice.force
    return [*arguments, "--out", str(folder)]
