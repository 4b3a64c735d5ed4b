"""Dose and function of a map in the scene, by ``dlctpm dose``: files for the engine, its results as nodes."""

from __future__ import annotations

import json
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import slicer
from slicer.i18n import tr as _

from DLCTPMLib.dose.targets import is_target
from DLCTPMSlicerLib.engine.errors import NodeError
from DLCTPMSlicerLib.engine.job import EngineJob
from DLCTPMSlicerLib.nodes import display
from DLCTPMSlicerLib.nodes.files import isInScene, writeSegmentation, writeVolume
from DLCTPMSlicerLib.nodes.result_tables import fillTable
from DLCTPMSlicerLib.nodes.roles import CT_ROLE, DOSE_REPORT_ROLE, DOSE_ROLE, isMap, partOf
from DLCTPMSlicerLib.planning.dicom_source import dicomFolder, whyNoDicom
from DLCTPMSlicerLib.planning.finished import definitionName, writeFinished

DOSE_UNIT = "DicomRtImport.DoseUnitName"
"""Attribute that SlicerRT gives to the study of a dose; the voxels of its dose volumes are scaled to that unit."""
RESULT = "DLCTPM.Result"
"""Attribute of the dose table: the whole of ``dose.json``."""
SUMMARY = "DLCTPM.Summary"
"""Attribute of the dose table: one sentence on what its figures are of."""
COLUMNS = ("region", "volume_ml", "mld_gy", "v20", "fmld_weighted_gy", "fv20_weighted", "fmld_high_gy", "fv20_high")
BINARY_LABELMAP = "Binary labelmap"


@dataclass(frozen=True)
class DoseInputs:
    """What the dose is taken from.

    Attributes:
        dose: volume in Gy; None for ``doseFile``, a DICOM RT dose.
        doseFile: path, or empty.
        structures: segmentation with the targets; None for ``structuresFile`` or none.
        structuresFile: RT structure set, DICOM segmentation or ``.seg.nrrd``; or empty.
        target: name of the structure that is no lung; None for those called GTV or ITV; empty for none.
        threshold: relative perfusion above which lung is high-functional.
    """

    dose: object
    doseFile: str
    structures: object
    structuresFile: str
    target: str | None
    threshold: float


def startDose(perfusion, inputs: DoseInputs, **callbacks) -> EngineJob:
    """Work out dose and function; the job delivers the table node."""
    return EngineJob(
        lambda folder: doseArguments(perfusion, inputs, folder),
        lambda folder: doseTable(perfusion, folder / "dose"),
        **callbacks,
    ).start()


def doseArguments(perfusion, inputs: DoseInputs, folder: Path) -> Generator[None, None, list[str]]:
    """Write what is needed into ``folder``, in steps, and give the arguments.

    Raises:
        NodeError: there is no dose, it is not in Gy, or a node cannot be used.
    """
    if inputs.dose is None and not inputs.doseFile:
        raise NodeError(_("Choose a dose volume, or the file of an RT dose."))
    result = yield from writeFinished(perfusion, folder / "result")
    arguments = ["dose", str(result), "--dose"]
    if inputs.dose is not None:
        _checkUnit(inputs.dose)
        arguments.append(str((yield from writeVolume(inputs.dose, folder / "dose.nrrd"))))
    else:
        arguments.append(inputs.doseFile)
    structures = inputs.structuresFile
    if inputs.structures is not None:
        structures = yield from _writeTargets(
            inputs.structures, inputs.target, perfusion, folder / "targets.seg.nrrd"
        )
    if structures:
        arguments += ["--structures", str(structures)]
        if inputs.target is not None:
            arguments += ["--exclude", *([inputs.target] if inputs.target else [])]
    ct = partOf(perfusion, CT_ROLE)
    fromFiles = inputs.dose is None or (inputs.structures is None and structures)
    if fromFiles and not whyNoDicom(ct):  # then the engine can tell whether the files belong to this CT
        arguments += ["--dicom", str((yield from dicomFolder(ct, folder / "ct")))]
    return [*arguments, "--function", definitionName(inputs.threshold), "--out", str(folder / "dose")]


def doseTable(perfusion, results: Path) -> slicer.vtkMRMLTableNode:
    """Bring the figures into the scene, in place of earlier ones of the map: a table, and the report as text.

    Raises:
        NodeError: the map was removed meanwhile.
    """
    if not (isInScene(perfusion) and isMap(perfusion)):
        raise NodeError(_("The map was removed while its dose was worked out; nothing was kept."))
    found = json.loads((results / "dose.json").read_text(encoding="utf-8"))
    rows = []
    for name, region in found["regions"].items():
        parts = (region, region["weighted"], region["high"])
        figures = [value for part in parts for value in (part["mean_gy"], part["at_least_percent"]["20"])]
        rows.append([name, region["volume_ml"], *figures])
    table = fillTable(list(COLUMNS), rows, f"{perfusion.GetName()}: dose", partOf(perfusion, DOSE_ROLE))
    table.SetAttribute(SUMMARY, _summary(found))
    table.SetAttribute(RESULT, json.dumps(found))
    report = partOf(perfusion, DOSE_REPORT_ROLE)
    report = report or slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode", f"{perfusion.GetName()}: dose report")
    report.SetText((results / "dose.html").read_text(encoding="utf-8"))
    for role, node in ((DOSE_ROLE, table), (DOSE_REPORT_ROLE, report)):
        perfusion.SetNodeReferenceID(role, node.GetID())
    display.placeBeside(perfusion, [table, report])
    return table


def _summary(found: dict) -> str:
    excluded = [name for name, one in found["structures"].items() if one["role"] == "excluded"]
    lungs = _("lungs minus {names}").format(names=", ".join(excluded)) if excluded else _("whole lungs")
    return _("Of {lungs}; high-functional: {definition}; w: weighted with the map.").format(
        lungs=lungs, definition=found["function"]["definition"]
    )


def _checkUnit(dose) -> None:
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    item = hierarchy.GetItemByDataNode(dose) if hierarchy is not None else 0
    unit = hierarchy.GetAttributeFromItemAncestor(item, DOSE_UNIT, _studyLevel()) if item else ""
    if unit and unit.casefold() != "gy":
        raise NodeError(
            _("{name} is in {unit}, not in Gy; export the dose from the planning system in Gy.").format(
                name=dose.GetName(), unit=unit
            )
        )


def _studyLevel() -> str:
    return slicer.vtkMRMLSubjectHierarchyConstants.GetDICOMLevelStudy()


def resultOfDose(table: slicer.vtkMRMLTableNode) -> dict:
    """The ``dose.json`` that a dose table keeps."""
    return json.loads(table.GetAttribute(RESULT))


def segmentNames(segmentation) -> list[str]:
    """Names of the segments, in their order."""
    if segmentation is None:
        return []
    inside = segmentation.GetSegmentation()
    return [inside.GetNthSegment(index).GetName() for index in range(inside.GetNumberOfSegments())]


def _writeTargets(segmentation, target: str | None, perfusion, path: Path) -> Generator[None, None, Path | None]:
    """Write the segments that are left out, as voxels; None where there are none.

    SlicerRT's structures are contours or surfaces: a copy of them is made into voxels on the map's grid.
    """
    wanted = [name for name in segmentNames(segmentation) if (is_target(name) if target is None else name == target)]
    if target and not wanted:
        raise NodeError(
            _("{name} has no segment {target} any more; choose another one.").format(
                name=segmentation.GetName(), target=target
            )
        )
    if not wanted:
        return None
    if segmentation.GetParentTransformNode() is not None:
        raise NodeError(
            _("{name} lies under a transform; harden it first (Transforms module).").format(
                name=segmentation.GetName()
            )
        )
    inside, copy = segmentation.GetSegmentation(), slicer.vtkMRMLSegmentationNode()
    copy.SetName(segmentation.GetName())
    copy.GetSegmentation().SetSourceRepresentationName(inside.GetSourceRepresentationName())
    for index in range(inside.GetNumberOfSegments()):
        if inside.GetNthSegment(index).GetName() in wanted:
            copy.GetSegmentation().CopySegmentFromSegmentation(inside, inside.GetNthSegmentID(index))
            yield
    if inside.GetSourceRepresentationName() != BINARY_LABELMAP:
        copy.SetReferenceImageGeometryParameterFromVolumeNode(perfusion)
        if not copy.GetSegmentation().CreateRepresentation(BINARY_LABELMAP):
            raise NodeError(
                _("{name} cannot be made into voxels; do so in the Segmentations module first.").format(
                    name=segmentation.GetName()
                )
            )
        copy.GetSegmentation().SetSourceRepresentationName(BINARY_LABELMAP)
        yield
    return writeSegmentation(copy, path)
