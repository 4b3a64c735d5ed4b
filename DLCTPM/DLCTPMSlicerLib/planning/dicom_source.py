"""The DICOM files of a CT of the scene, found in Slicer's DICOM database by their instance UIDs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator
from pathlib import Path

import slicer
from slicer.i18n import tr as _

from DLCTPMSlicerLib.engine.errors import NodeError

INSTANCE_UIDS = "DICOM.instanceUIDs"
"""Attribute that Slicer's DICOM module gives to the volumes it loads: UIDs with spaces between."""


def instanceUids(ct) -> list[str]:
    """UIDs of the images that a volume was loaded from; none where it came from another kind of file."""
    if ct is None:
        return []
    kept = ct.GetAttribute(INSTANCE_UIDS)
    if not kept:
        hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
        item = hierarchy.GetItemByDataNode(ct) if hierarchy is not None else 0
        name = slicer.vtkMRMLSubjectHierarchyConstants.GetDICOMInstanceUIDName()
        kept = hierarchy.GetItemUID(item, name) if item else ""
    return (kept or "").split()


def whyNoDicom(ct) -> str:
    """Why a CT has no DICOM files to lay objects on, as far as that is known without looking for them; else empty."""
    if ct is None:
        return _("The CT of this map is not in the scene any more; load it and predict again.")
    if not instanceUids(ct):
        return _(
            "{name} was not loaded from DICOM: objects need the study and the images of its CT. Load the CT through "
            "Slicer's DICOM module and predict again."
        ).format(name=ct.GetName())
    return ""


def dicomFolder(ct, folder: Path) -> Generator[None, None, Path]:
    """Collect the DICOM files of a CT in a new folder, in steps: links where the disk allows them, else copies.

    Raises:
        NodeError: the CT was not loaded from DICOM, or a file is no longer in the database.
    """
    problem = whyNoDicom(ct)
    if problem:
        raise NodeError(problem)
    folder.mkdir()
    for index, uid in enumerate(instanceUids(ct)):
        found = _fileOf(uid)
        if found is None:
            raise NodeError(
                _("An image of {name} is not in Slicer's DICOM database any more; import the CT again there.").format(
                    name=ct.GetName()
                )
            )
        target = folder / f"{index:05d}.dcm"
        try:
            os.link(found, target)
        except OSError:  # another disk, or one without links
            shutil.copyfile(found, target)
        yield
    return folder


def _fileOf(uid: str) -> Path | None:
    database = getattr(slicer, "dicomDatabase", None)  # there is none before the DICOM module has opened one
    found = database.fileForInstance(uid) if database is not None else ""
    return Path(found) if found and Path(found).is_file() else None
