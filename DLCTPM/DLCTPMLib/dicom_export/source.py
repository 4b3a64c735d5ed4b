"""The CT series that exported objects refer to: its slices in order, and what of their headers goes along.

Only named attributes are taken over, cleaned: a scanner's private or odd values never reach an object of ours.
"""

from __future__ import annotations

import contextlib
import datetime
from dataclasses import dataclass
from pathlib import Path

import pydicom
import SimpleITK as sitk
from pydicom.uid import ExplicitVRLittleEndian

from DLCTPMLib.common.archives import unpacked
from DLCTPMLib.common.errors import InputError
from DLCTPMLib.volumes.dicom.enhanced import is_enhanced
from DLCTPMLib.volumes.dicom.examination import hashed
from DLCTPMLib.volumes.dicom.header import dicom_dataset, values_understood
from DLCTPMLib.volumes.dicom.series import choose_series, find_series
from DLCTPMLib.volumes.dicom.stack import ordered_slices
from DLCTPMLib.volumes.reading import CT_CLASSES, content_sha256, read_ct

IDENTITY = ("PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex")
"""Who the patient is, as far as the CT says it."""
STUDY = (
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
    "StudyDescription",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
)
"""What the CT says of the examination."""
_REMOVED = ("PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence")
_PLACE = (
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "PositionReferenceIndicator",
    "PatientPosition",
    "InstanceNumber",
    "Rows",
    "Columns",
    "SliceThickness",
)
_NUMBERS = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")
_TYPE_2 = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
    "PositionReferenceIndicator",
)
_DATES = {"PatientBirthDate": "%Y%m%d", "StudyDate": "%Y%m%d"}

PROFILE = "DL-CTPM: Basic Profile, Retain UIDs Option (PS3.15 E)"
"""What ``--deidentify`` does, by the standard's names."""
_PROFILE_CODES = (
    ("113100", "Basic Application Confidentiality Profile"),
    ("113110", "Retain UIDs Option"),
)


@dataclass(frozen=True)
class CtSource:
    """A CT series as exported objects refer to it.

    Attributes:
        image: the CT; slice k of its array (z, y, x in file order) is ``slices[k]``.
        slices: cleaned headers without pixels, one a slice.
        path: as it was given, for messages.
    """

    image: sitk.Image
    slices: list[pydicom.Dataset]
    path: str

    @property
    def first(self) -> pydicom.Dataset:
        """Any slice, for what is the same in all."""
        return self.slices[0]


def open_ct_source(
    path: str | Path,
    result: dict,
    series: str | None = None,
    acquisition: str | None = None,
    deidentify: bool = False,
) -> CtSource:
    """Open the CT series that a prediction was made of.

    Args:
        path: a DICOM folder or a zip of one.
        result: the prediction's ``result.json``: the CT must be the very one that it names by its hash.
        series, acquisition: as for ``read_ct``.
        deidentify: leave out who the patient is and when the examination was; UIDs stay.

    Raises:
        InputError: no DICOM series, an enhanced one, another or a changed CT, no SOP instances, no or several frames
            of reference.
    """
    path = Path(path)
    scan = read_ct(path, series, acquisition=acquisition)
    if "dicom" not in scan.description:
        raise InputError(
            f"{path}: is no DICOM, so it has no SOP instances that objects could refer to; give the DICOM folder "
            "that the map was made from"
        )
    _check_same(scan.image, result["input"], path)
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(unpacked(path)) if path.is_file() else path
        if path.is_file() and path.name.upper() == "DICOMDIR":
            folder = path.parent
        stack.enter_context(values_understood(path))
        chosen, _ = choose_series(
            find_series(folder), series, lambda one: str(one.first.SOPClassUID) in CT_CLASSES, str(path), "CT"
        )
        if is_enhanced(chosen):
            raise InputError(
                f"{path}: is an enhanced (multi-frame) CT, to which no objects are exported; convert it to single "
                "slices and predict from those"
            )
        headers, _, _ = ordered_slices(chosen, str(path), acquisition)
        whole = [dicom_dataset(Path(header.filename)) for header in headers]
    slices = [_cleaned(header, deidentify) for header in whole if header is not None]
    if len(slices) != len(headers) or any(not one.get("SOPInstanceUID") for one in slices):
        raise InputError(
            f"{path}: its slices have no SOP Instance UIDs that objects could refer to; export the series again"
        )
    frames = {str(one.get("FrameOfReferenceUID", "") or "") for one in slices}
    if frames == {""}:
        raise InputError(
            f"{path}: names no frame of reference, so nothing can be laid on it; export the series again"
        )
    if len(frames) > 1:
        raise InputError(f"{path}: its slices lie in {len(frames)} frames of reference; give the slices of one")
    return CtSource(scan.image, slices, str(path))


def _check_same(image: sitk.Image, described: dict, path: Path) -> None:
    if content_sha256(image) == described["sha256"]:
        return
    size = list(image.GetSize())
    if size != described["size"]:
        here, there = ("×".join(map(str, one)) for one in (size, described["size"]))
        raise InputError(
            f"{path}: is another CT ({here} voxels) than the map's ({there}); give the one it was made of"
        )
    raise InputError(
        f"{path}: is another CT than the map was made of, or has changed since (its voxels or its place); give that "
        "CT, or predict again"
    )


def _cleaned(header: pydicom.Dataset, deidentify: bool) -> pydicom.Dataset:
    """A header with what objects need of it; missing attributes that must stand are empty."""
    clean = pydicom.Dataset()
    clean.file_meta = pydicom.dataset.FileMetaDataset()
    clean.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    about = () if deidentify else (*IDENTITY, *STUDY)
    for keyword in (*about, *_PLACE, *_REMOVED):
        value = header.get(keyword)
        if value not in (None, ""):
            setattr(clean, keyword, value)
    for keyword in _NUMBERS:
        setattr(clean, keyword, [decimal(float(value)) for value in header[keyword].value])
    clean.Modality = "CT"
    for keyword, layout in _DATES.items():
        if keyword in clean and not _is_date(str(clean[keyword].value), layout):
            del clean[keyword]
    if str(clean.get("PatientSex", "")) not in ("M", "F", "O"):
        clean.PatientSex = ""
    for keyword in _TYPE_2:
        if keyword not in clean:
            setattr(clean, keyword, "")
    if deidentify:
        _mark_deidentified(clean)
    return clean


def _mark_deidentified(clean: pydicom.Dataset) -> None:
    clean.PatientID = f"CTPM-{hashed(str(clean.StudyInstanceUID), None)}"
    clean.PatientName = f"{clean.PatientID}^"
    clean.PatientIdentityRemoved = "YES"
    clean.DeidentificationMethod = PROFILE
    codes = []
    for value, meaning in _PROFILE_CODES:
        item = pydicom.Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
        codes.append(item)
    clean.DeidentificationMethodCodeSequence = codes


def _is_date(text: str, layout: str) -> bool:
    try:
        datetime.datetime.strptime(text, layout)
    except ValueError:
        return False
    return True


def decimal(value: float) -> str:
    """A number as a DICOM Decimal String: at most 16 characters, as exact as they allow."""
    for digits in range(15, 0, -1):
        text = f"{value:.{digits}g}"
        if len(text) <= 16:
            return text
    return "0"
