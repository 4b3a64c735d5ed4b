"""Registration by the engine, and comparison of a map with a SPECT: files for the engine, its results as nodes."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path

import slicer
import vtk
from slicer.i18n import tr as _

from DLCTPMSlicerLib.engine.errors import NodeError
from DLCTPMSlicerLib.nodes.comparison import comparisonNodes
from DLCTPMSlicerLib.nodes.files import isInScene, readTransform, writeTransform, writeVolume
from DLCTPMSlicerLib.nodes.prediction import MODEL_KEY, RESULTS, writeLungs
from DLCTPMSlicerLib.nodes.result_tables import metricsTable, regionsTable
from DLCTPMSlicerLib.nodes.roles import METRICS_ROLE, REPORT_ROLE, SPECT_ROLE, TABLE_ROLE, lungsOf, partOf, resultOf


def registrationArguments(ct, spect, lungs, kind: str, folder: Path) -> Generator[None, None, list[str]]:
    """Write the images into ``folder``, in steps, and give the arguments of ``dlctpm register``."""
    arguments = ["register", "--fixed", str((yield from writeVolume(ct, folder / "ct.nrrd")))]
    arguments += ["--moving", str((yield from _writeUntransformed(spect, folder / "spect.nrrd"))), "--kind", kind]
    if lungs is not None:
        arguments += ["--lungs", str((yield from writeLungs(lungs, folder)))]
    return [*arguments, "--out", str(folder / "spect_to_ct.tfm")]


def registrationTransform(spect, folder: Path) -> slicer.vtkMRMLTransformNode:
    """Bring the transform into the scene and put it on the SPECT, which then lies on the CT.

    Raises:
        NodeError: the SPECT was removed meanwhile, or the transform cannot be read.
    """
    if not isInScene(spect):
        raise NodeError(_("The SPECT was removed while it was registered; nothing was kept."))
    transform = readTransform(folder / "spect_to_ct.tfm", f"{spect.GetName()} to CT")
    spect.SetAndObserveTransformNodeID(transform.GetID())
    return transform


def evaluationArguments(
    perfusion, spect, ct, model: str, threshold: float, folder: Path
) -> Generator[None, None, list[str]]:
    """Write what is compared into ``folder``, in steps, and give the arguments of ``dlctpm evaluate``.

    Without a ``model``, it is the one that made the map.
    """
    arguments = ["evaluate", "--prediction", str((yield from writeVolume(perfusion, folder / "perfusion.nrrd")))]
    arguments += ["--spect", str((yield from _writeUntransformed(spect, folder / "spect.nrrd")))]
    arguments += ["--lungs", str((yield from writeLungs(lungsOf(perfusion), folder)))]
    if spect.GetParentTransformNode() is not None:
        arguments += ["--transform", str(_writeToWorld(spect.GetParentTransformNode(), folder / "spect_to_ct.tfm"))]
    if ct is not None:
        arguments += ["--ct", str((yield from writeVolume(ct, folder / "ct.nrrd")))]
        if resultOf(perfusion):
            predicted = folder / "prediction.json"
            predicted.write_text(json.dumps(resultOf(perfusion)), encoding="utf-8")
            arguments += ["--result", str(predicted)]
    model = model or perfusion.GetAttribute(MODEL_KEY)
    if model:
        arguments += ["--model", model]
    return [*arguments, "--threshold", repr(float(threshold)), "--out", str(folder / RESULTS)]


def evaluationTable(perfusion, spect, folder: Path) -> slicer.vtkMRMLTableNode:
    """The agreement as a table node, tied to the map with everything else that the comparison made.

    The map's own result, region table and report are replaced by the ones that hold the comparison.

    Raises:
        NodeError: map or SPECT was removed meanwhile, or a result cannot be read.
    """
    if not (isInScene(perfusion) and isInScene(spect)):
        raise NodeError(_("The map or the SPECT was removed while they were compared; nothing was kept."))
    results = folder / RESULTS
    evaluated = json.loads((results / "result.json").read_text(encoding="utf-8"))
    comparisonNodes(perfusion, spect, results)
    table = metricsTable(evaluated["agreement"], f"{perfusion.GetName()}: agreement", partOf(perfusion, METRICS_ROLE))
    perfusion.SetNodeReferenceID(METRICS_ROLE, table.GetID())
    perfusion.SetNodeReferenceID(SPECT_ROLE, spect.GetID())
    whole = "regions" in evaluated
    result = evaluated if whole else {**resultOf(perfusion), "agreement": evaluated["agreement"]}
    perfusion.SetAttribute("DLCTPM.Result", json.dumps(result))
    regions, report = partOf(perfusion, TABLE_ROLE), partOf(perfusion, REPORT_ROLE)
    if whole and regions is not None:
        regionsTable(evaluated["regions"], regions.GetName(), regions)
        regions.SetAttribute("DLCTPM.Threshold", repr(evaluated["settings"]["functional_regions"]["threshold"]))
    if whole and report is not None:
        report.SetText((results / "report.html").read_text(encoding="utf-8"))
    return table


def _writeUntransformed(spect, path: Path) -> Generator[None, None, Path]:
    """The SPECT in its own coordinates: its transform travels as a file of its own."""
    twin = slicer.vtkMRMLScalarVolumeNode()
    twin.SetName(spect.GetName())
    twin.CopyOrientation(spect)
    twin.SetAndObserveImageData(spect.GetImageData())
    return (yield from writeVolume(twin, path))


def _writeToWorld(transform, path: Path) -> Path:
    """The whole chain of transforms above the SPECT as one file."""
    if not transform.IsTransformToWorldLinear():
        raise NodeError(_("The SPECT lies under a non-linear transform; harden it first (Transforms module)."))
    matrix, chain = vtk.vtkMatrix4x4(), slicer.vtkMRMLLinearTransformNode()
    transform.GetMatrixTransformToWorld(matrix)
    chain.SetName(transform.GetName())
    chain.SetMatrixTransformToParent(matrix)
    return writeTransform(chain, path)
