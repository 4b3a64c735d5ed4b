"""Registration and comparison with a SPECT: the engine's, or another program's transform, and the metrics table."""

from __future__ import annotations

import json
from pathlib import Path

import slicer
import vtk
from slicer.i18n import tr as _

from DLCTPMSlicerLib.node_files import NodeError, readTransform, writeTransform, writeVolume
from DLCTPMSlicerLib.prediction import LUNGS_ROLE, RESULTS, partOf, resultOf, writeLungs
from DLCTPMSlicerLib.result_tables import metricsTable

METRICS_ROLE, SPECT_ROLE = "DLCTPM.metrics", "DLCTPM.spect"
SAMPLING = 0.05
"""Share of voxels that BRAINSFit looks at; its default of 0.002 is far too low for a SPECT."""


def registrationArguments(ct, spect, lungs, kind: str, folder: Path) -> list[str]:
    """Write the images into ``folder`` and give the arguments of ``dlctpm register``."""
    arguments = ["register", "--fixed", str(writeVolume(ct, folder / "ct.nrrd"))]
    arguments += ["--moving", str(_writeUntransformed(spect, folder / "spect.nrrd")), "--kind", kind]
    if lungs is not None:
        arguments += ["--lungs", str(writeLungs(lungs, folder))]
    return [*arguments, "--out", str(folder / "spect_to_ct.tfm")]


def registrationTransform(spect, folder: Path) -> slicer.vtkMRMLTransformNode:
    """Bring the transform into the scene and put it on the SPECT, which then lies on the CT."""
    transform = readTransform(folder / "spect_to_ct.tfm", f"{spect.GetName()} to CT")
    spect.SetAndObserveTransformNodeID(transform.GetID())
    return transform


def brainsFitParameters(ct, spect, transform, kind: str, initial) -> dict:
    """Parameters of BRAINSFit for a SPECT: mutual information, no alignment of moments, enough samples."""
    parameters = {
        "fixedVolume": ct,
        "movingVolume": spect,
        "linearTransform": transform,
        "samplingPercentage": SAMPLING,
        "initializeTransformMode": "Off",
        "useRigid": True,
        "useAffine": kind == "affine",
        "costMetric": "MMI",
        "maskProcessingMode": "NOMASK",
    }
    if initial is not None:
        parameters["initialTransform"] = initial
    return parameters


def evaluationArguments(perfusion, spect, ct, model: str, threshold: float, folder: Path) -> list[str]:
    """Write what is compared into ``folder`` and give the arguments of ``dlctpm evaluate``."""
    arguments = ["evaluate", "--prediction", str(writeVolume(perfusion, folder / "perfusion.nrrd"))]
    arguments += ["--spect", str(_writeUntransformed(spect, folder / "spect.nrrd"))]
    arguments += ["--lungs", str(writeLungs(partOf(perfusion, LUNGS_ROLE), folder))]
    if spect.GetParentTransformNode() is not None:
        arguments += ["--transform", str(_writeToWorld(spect.GetParentTransformNode(), folder / "spect_to_ct.tfm"))]
    if ct is not None:
        arguments += ["--ct", str(writeVolume(ct, folder / "ct.nrrd"))]
    if model:
        arguments += ["--model", model]
    return [*arguments, "--threshold", repr(float(threshold)), "--out", str(folder / RESULTS)]


def evaluationTable(perfusion, spect, folder: Path) -> slicer.vtkMRMLTableNode:
    """The agreement as a table node, tied to the map; ``result.json``'s agreement joins the map's own result."""
    evaluated = json.loads((folder / RESULTS / "result.json").read_text(encoding="utf-8"))
    table = metricsTable(evaluated["agreement"], f"{perfusion.GetName()}: agreement", partOf(perfusion, METRICS_ROLE))
    result = {**resultOf(perfusion), "agreement": evaluated["agreement"]}
    perfusion.SetAttribute("DLCTPM.Result", json.dumps(result))
    perfusion.SetNodeReferenceID(METRICS_ROLE, table.GetID())
    perfusion.SetNodeReferenceID(SPECT_ROLE, spect.GetID())
    return table


def _writeUntransformed(spect, path: Path) -> Path:
    """The SPECT in its own coordinates: its transform travels as a file of its own."""
    twin = slicer.vtkMRMLScalarVolumeNode()
    twin.SetName(spect.GetName())
    twin.CopyOrientation(spect)
    twin.SetAndObserveImageData(spect.GetImageData())
    return writeVolume(twin, path)


def _writeToWorld(transform, path: Path) -> Path:
    """The whole chain of transforms above the SPECT as one file."""
    if not transform.IsTransformToWorldLinear():
        raise NodeError(_("The SPECT lies under a non-linear transform; harden it first (Transforms module)."))
    matrix, chain = vtk.vtkMatrix4x4(), slicer.vtkMRMLLinearTransformNode()
    transform.GetMatrixTransformToWorld(matrix)
    chain.SetName(transform.GetName())
    chain.SetMatrixTransformToParent(matrix)
    return writeTransform(chain, path)
