"""Prediction in Slicer: what is asked of the engine, and its results as nodes that are saved with the scene."""

from __future__ import annotations

import json
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import slicer
from slicer.i18n import tr as _

from DLCTPMSlicerLib.engine.errors import NodeError
from DLCTPMSlicerLib.nodes import display
from DLCTPMSlicerLib.nodes.comparison import removeComparison
from DLCTPMSlicerLib.nodes.files import isInScene, looseVolume, removeNode, writeSegmentation, writeVolume
from DLCTPMSlicerLib.nodes.result_tables import regionsTable
from DLCTPMSlicerLib.nodes.roles import (
    CT_ROLE,
    DOSE_REPORT_ROLE,
    DOSE_ROLE,
    FUNCTION_ROLE,
    LUNGS,
    LUNGS_ROLE,
    MADE_HERE,
    METRICS_ROLE,
    PERFUSION,
    REPORT_ROLE,
    TABLE_ROLE,
    isMap,
    partOf,
)
from DLCTPMSlicerLib.segments.lung_nodes import LungRegions, lungsFromRegions, regionSteps

RESULTS = "results"
FORCED = " (forced: an input check failed)"
"""Ends the name of a map that was made although it cannot be right."""
MODEL_KEY = "DLCTPM.ModelKey"
"""Attribute of a map: what the engine was told to take its model from."""


@dataclass(frozen=True)
class PredictionNodes:
    """The nodes of one prediction.

    Attributes:
        perfusion: the map on the CT's grid, 0…1, 0 outside the lungs.
        lungs: the lungs that the engine used, one segment a region.
        regions: the region table.
        result: the content of ``result.json``.
    """

    perfusion: slicer.vtkMRMLScalarVolumeNode
    lungs: slicer.vtkMRMLSegmentationNode
    regions: slicer.vtkMRMLTableNode
    result: dict


def writeLungs(lungs, folder: Path) -> Generator[None, None, Path]:
    """Write lungs of either kind for the engine, in steps.

    Raises:
        NodeError: the node cannot be used.
    """
    if lungs.IsA("vtkMRMLSegmentationNode"):
        return writeSegmentation(lungs, folder / "lungs.seg.nrrd")
    return (yield from writeVolume(lungs, folder / "lungs.nrrd"))


def predictionArguments(
    ct, lungs, model: str, device: str, threshold: float, folder: Path, force: bool = False
) -> Generator[None, None, list[str]]:
    """Write CT and lungs into ``folder``, in steps, and give the arguments of ``dlctpm predict``."""
    arguments = ["predict", str((yield from writeVolume(ct, folder / "ct.nrrd")))]
    if lungs is not None:
        arguments += ["--lungs", str((yield from writeLungs(lungs, folder)))]
    if model:
        arguments += ["--model", model]
    if force:
        arguments.append("--force")
    return [*arguments, "--device", device, "--threshold", repr(float(threshold)), "--out", str(folder / RESULTS)]


def segmentationArguments(ct, folder: Path) -> Generator[None, None, list[str]]:
    """Write the CT into ``folder``, in steps, and give the arguments of ``dlctpm segment``."""
    written = yield from writeVolume(ct, folder / "ct.nrrd")
    return ["segment", str(written), "--out", str(folder / "lungs.nrrd")]


def segmentationNode(ct, folder: Path) -> Generator[None, None, slicer.vtkMRMLSegmentationNode]:
    """Bring the lungs that the engine found into the scene, beside the CT; the last step alone touches the scene.

    Raises:
        NodeError: the CT was removed meanwhile, or the lungs cannot be read.
    """
    regions = yield from _regions(folder / "lungs.nrrd")
    if not isInScene(ct):
        raise NodeError(_("The CT was removed while its lungs were found; nothing was kept."))
    lungs = _lungs(regions, f"{ct.GetName()} lungs", ct)
    lungs.SetNodeReferenceID(CT_ROLE, ct.GetID())
    display.showLungs3D(lungs, visible=False)
    display.placeBeside(ct, [lungs])
    return lungs


def predictionNodes(ct, folder: Path, model: str = "", output=None) -> Generator[None, None, PredictionNodes]:
    """Bring the results of a prediction into the scene, beside the CT in the subject hierarchy; the last step alone
    touches the scene.

    Args:
        ct: that was mapped.
        folder: of the job.
        model: as asked.
        output: a map made here before, whose voxels and parts are replaced; None for a new one.

    Raises:
        NodeError: the CT was removed meanwhile, or a result cannot be read.
    """
    _mustBeThere(ct)
    results = folder / RESULTS
    result = json.loads((results / "result.json").read_text(encoding="utf-8"))
    regions = yield from _regions(results / "lungs.nrrd")
    perfusion = looseVolume(results / "perfusion.nrrd")
    yield
    _mustBeThere(ct)
    replaces = isInScene(output) and isMap(output)
    name = slicer.mrmlScene.GenerateUniqueName(f"{ct.GetName()} perfusion")
    if replaces:
        name = output.GetName().removesuffix(FORCED)
    if result.get("forced"):
        name += FORCED
    perfusion.SetName(name)
    slicer.mrmlScene.AddNode(perfusion)
    lungs = _lungs(regions, f"{name}: lungs", perfusion)
    table = regionsTable(result["regions"], f"{name}: regions")
    report = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode", f"{name}: report")
    report.SetText((results / "report.html").read_text(encoding="utf-8"))
    if replaces:
        perfusion = _replace(output, perfusion)
        perfusion.SetName(name)
        lungs.SetReferenceImageGeometryParameterFromVolumeNode(perfusion)

    describe(perfusion, result)
    perfusion.SetAttribute(MODEL_KEY, model)
    for role, node in ((LUNGS_ROLE, lungs), (CT_ROLE, ct), (TABLE_ROLE, table), (REPORT_ROLE, report)):
        perfusion.SetNodeReferenceID(role, node.GetID())
    display.setPerfusionDisplay(perfusion)
    display.showLungs3D(lungs, visible=False)
    display.placeBeside(ct, (perfusion, lungs, table, report))
    return PredictionNodes(perfusion, lungs, table, result)


def _replace(output, made):
    """Give an earlier map the voxels of a new one, whose node goes; so do the parts of the earlier one."""
    removeComparison(output)
    parts = (LUNGS_ROLE, TABLE_ROLE, REPORT_ROLE, METRICS_ROLE, FUNCTION_ROLE, DOSE_ROLE, DOSE_REPORT_ROLE)
    for role in parts:
        if partOf(output, role) is not None:
            removeNode(partOf(output, role))
    output.SetAndObserveTransformNodeID(None)
    output.CopyOrientation(made)
    output.SetAndObserveImageData(made.GetImageData())
    removeNode(made)
    return output


def _mustBeThere(ct) -> None:
    if not isInScene(ct):
        raise NodeError(_("The CT was removed while its perfusion was computed; nothing was kept."))


def _regions(path: Path) -> Generator[None, None, LungRegions]:
    labels = looseVolume(path, "vtkMRMLLabelMapVolumeNode")
    yield
    return (yield from regionSteps(labels))


def _lungs(regions: LungRegions, name: str, reference) -> slicer.vtkMRMLSegmentationNode:
    lungs = lungsFromRegions(regions, name, reference)
    lungs.SetAttribute(MADE_HERE, LUNGS)
    return lungs


def describe(perfusion, result: dict) -> None:
    """Keep what made the map as node attributes: model, settings, warnings, the whole of ``result.json``."""
    model = result["model"]
    for key, value in (
        ("Made", PERFUSION),
        ("Model", model["name"]),
        ("ModelVersion", model["version"]),
        ("ModelSha256", model["sha256"]),
        ("IntendedUse", model["intended_use"]),
        ("Settings", json.dumps(result["settings"])),
        ("Device", result["device"]),
        ("Result", json.dumps(result)),
        ("ResearchUseOnly", result["research_use_only"]),
    ):
        perfusion.SetAttribute(f"DLCTPM.{key}", str(value))
