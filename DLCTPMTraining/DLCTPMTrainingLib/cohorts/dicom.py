"""A virtual patient's CT and SPECT as DICOM, beside the NRRD files in the patient's folder of a cohort."""

from __future__ import annotations

import json
from pathlib import Path

import pydicom
import SimpleITK as sitk
from pydicom.errors import InvalidDicomError

from DLCTPMLib.common.atomic_output import whole_folder
from DLCTPMTrainingLib.cohorts.dicom_writing import SimulatedStudy, write_ct, write_spect

DICOM = {"ct": "dicom/CT", "spect": "dicom/NM/spect.dcm"}
"""Where the DICOM series and file of a virtual patient lie in the patient's folder, if asked for."""
FOLDER = "dicom"
"""The folder of ``DICOM``, which appears when everything in it is whole."""


def write_patient_dicom(folder: Path) -> Path:
    """Write the CT and the SPECT of a virtual patient's folder as DICOM, unless they are there already.

    They appear together, when both are whole. Another configuration of the patient replaces them.

    Args:
        folder: with ``patient.json``, ``ct.nrrd`` and ``spect.nrrd`` as ``write_patient`` makes them.

    Returns:
        The folder ``dicom`` in it.
    """
    folder = Path(folder)
    study = _study(json.loads((folder / "patient.json").read_text(encoding="utf-8")))
    whole = folder / FOLDER
    if _is_there(folder, study):
        return whole
    with whole_folder(whole) as part:
        ct, spect = (part / Path(DICOM[name]).relative_to(FOLDER) for name in ("ct", "spect"))
        write_ct(sitk.ReadImage(str(folder / "ct.nrrd")), study, ct)
        write_spect(sitk.ReadImage(str(folder / "spect.nrrd")), study, spect)
    return whole


def _study(info: dict) -> SimulatedStudy:
    settings = info["settings"]
    return SimulatedStudy(
        patient_id=settings["patient_id"],
        sex=settings["sex"],
        age=settings["age"],
        diagnosis=settings["diagnosis"],
        configuration=info["configuration_sha256"],
        generator=str(info["generator_version"]),
    )


def _is_there(folder: Path, study: SimulatedStudy) -> bool:
    """Whether the folder's DICOM files are those of this study, none of them missing."""
    spect = folder / DICOM["spect"]
    if not spect.is_file():
        return False
    try:
        header = pydicom.dcmread(spect, stop_before_pixels=True, specific_tags=["SOPInstanceUID"])
    except (InvalidDicomError, OSError, EOFError):
        return False
    ct = sitk.ImageFileReader()
    ct.SetFileName(str(folder / "ct.nrrd"))
    ct.ReadImageInformation()
    slices = sum(1 for _ in (folder / DICOM["ct"]).glob("*.dcm"))
    return header.SOPInstanceUID == study.uid("NM", "image", "1") and slices == ct.GetSize()[2]
