"""The CT series that exported objects refer to: its slices in order, and what of their headers goes along.

Only named attributes are taken over, cleaned: a scanner's private or odd values never reach an object of ours.
"""

from __future__ import annotations

import contextlib
import datetime
from dataclasses import dataclass
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.uid import ExplicitVRLittleEndian

from DLCTPMLib.common.archives import unpacked
from DLCTPMLib.common.errors import InputError
from DLCTPMLib.results.finished import FinishedResult
from DLCTPMLib.volumes.dicom.enhanced import EnhancedFrames, enhanced_frames, is_enhanced
from DLCTPMLib.volumes.dicom.examination import hashed
from DLCTPMLib.volumes.dicom.header import dicom_dataset, read_header, values_understood
from DLCTPMLib.volumes.dicom.series import DicomSeries, choose_series, find_series
from DLCTPMLib.volumes.dicom.stack import ordered_slices
from DLCTPMLib.volumes.reading import CT_CLASSES, read_ct

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
        slices: cleaned headers without pixels, one a slice; of an enhanced CT made from its frames' groups.
        path: as it was given, for messages.
        enhanced: the cleaned header of an enhanced (multi-frame) CT, None of single slices.
        frames: of an enhanced CT the number of the frame (from 1) that each slice is.
    """

    image: sitk.Image
    slices: list[pydicom.Dataset]
    path: str
    enhanced: pydicom.Dataset | None = None
    frames: tuple[int, ...] = ()

    @property
    def first(self) -> pydicom.Dataset:
        """Any slice, for what is the same in all."""
        return self.slices[0]

    @property
    def images(self) -> list[pydicom.Dataset]:
        """The images, as objects refer to them: one a slice, or one enhanced image."""
        return self.slices if self.enhanced is None else [self.enhanced]

    def reference(self, k: int) -> pydicom.Dataset:
        """An item that refers to slice ``k``."""
        item = image_reference(self.slices[k])
        if self.enhanced is not None:
            item.ReferencedFrameNumber = self.frames[k]
        return item

    def in_frame_order(self, volume: np.ndarray) -> np.ndarray:
        """An array whose first axis are the slices in the order of the frames that ``images`` have."""
        return volume if self.enhanced is None else volume[np.argsort(self.frames)]


def image_reference(header: pydicom.Dataset) -> pydicom.Dataset:
    """An item that refers to an image as a whole."""
    item = pydicom.Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = header.SOPClassUID, header.SOPInstanceUID
    return item


def open_ct_source(
    path: str | Path,
    finished: FinishedResult,
    series: str | None = None,
    acquisition: str | None = None,
    deidentify: bool = False,
) -> CtSource:
    """Open the CT series that a prediction was made of.

    Args:
        path: a DICOM folder or file, or a zip of a folder.
        finished: the prediction: the CT must be the one that it was made of, by its voxels and their places.
        series, acquisition: as for ``read_ct``.
        deidentify: leave out who the patient is and when the examination was; UIDs stay.

    Raises:
        InputError: no DICOM series, another or a changed CT, no SOP instances, no or several frames of reference.
    """
    path = Path(path)
    scan = read_ct(path, series, acquisition=acquisition)
    if "dicom" not in scan.description:
        raise InputError(
            f"{path}: is no DICOM, so it has no SOP instances that objects could refer to; give the CT's DICOM folder"
        )
    _check_same(scan.image, finished, path)
    with contextlib.ExitStack() as stack:
        chosen = _series(path, series, stack)
        stack.enter_context(values_understood(path))
        if is_enhanced(chosen):
            source = _of_frames(scan.image, enhanced_frames(chosen, str(path)), str(path), deidentify)
        else:
            headers, _, _ = ordered_slices(chosen, str(path), acquisition)
            whole = [dicom_dataset(Path(header.filename)) for header in headers]
            slices = [_placed(header, deidentify) for header in whole if header is not None]
            source = CtSource(scan.image, slices, str(path))
    if len(source.slices) != scan.image.GetSize()[2] or any(not one.get("SOPInstanceUID") for one in source.slices):
        raise InputError(
            f"{path}: its slices have no SOP Instance UIDs that objects could refer to; export the series again"
        )
    frames = {str(one.get("FrameOfReferenceUID", "") or "") for one in source.slices}
    if frames == {""}:
        raise InputError(
            f"{path}: names no frame of reference, so nothing can be laid on it; export the series again"
        )
    if len(frames) > 1:
        raise InputError(f"{path}: its slices lie in {len(frames)} frames of reference; give the slices of one")
    return source


def _series(path: Path, wanted: str | None, stack: contextlib.ExitStack) -> DicomSeries:
    """The CT series in a folder, zip, DICOMDIR or enhanced file."""
    if path.is_file() and (header := read_header(path)) is not None:
        return DicomSeries(str(header.get("SeriesInstanceUID", "") or ""), [header])
    folder = path
    if path.is_file():
        folder = path.parent if path.name.upper() == "DICOMDIR" else stack.enter_context(unpacked(path))
    with values_understood(path):
        chosen, _ = choose_series(
            find_series(folder), wanted, lambda one: str(one.first.SOPClassUID) in CT_CLASSES, str(path), "CT"
        )
    return chosen


def _check_same(image: sitk.Image, finished: FinishedResult, path: Path) -> None:
    if finished.is_made_of(image):
        return
    size, expected = sorted(image.GetSize()), finished.result["input"]["size"]
    if size != sorted(expected):
        here, there = ("×".join(map(str, one)) for one in (image.GetSize(), expected))
        raise InputError(
            f"{path}: is another CT ({here} voxels) than the map's ({there}); give the one it was made of"
        )
    raise InputError(
        f"{path}: is another CT than the map was made of, or has changed since (its voxels or its place); give that "
        "CT, or predict again"
    )


def _of_frames(image: sitk.Image, frames: EnhancedFrames, path: str, deidentify: bool) -> CtSource:
    """An enhanced CT, with no more of its functional groups than says where its frames lie."""
    header, grid = frames.header, frames.geometry
    columns = np.array(grid.direction).reshape(3, 3).T
    orientation = [decimal(value) for value in (*columns[0], *columns[1])]
    spacing = [decimal(grid.spacing_mm[1]), decimal(grid.spacing_mm[0])]
    places = [[decimal(value) for value in place] for place in frames.positions_mm]
    slices = []
    for frame in grid.order:
        one = _cleaned(header, deidentify)
        one.ImagePositionPatient, one.ImageOrientationPatient, one.PixelSpacing = places[frame], orientation, spacing
        if frames.thickness_mm is not None:
            one.SliceThickness = decimal(frames.thickness_mm)
        slices.append(one)
    whole, shared, measures = _cleaned(header, deidentify), pydicom.Dataset(), pydicom.Dataset()
    measures.PixelSpacing, measures.SliceThickness = spacing, decimal(frames.thickness_mm or grid.spacing_mm[2])
    shared.PixelMeasuresSequence = [measures]
    shared.PlaneOrientationSequence = hd.PlaneOrientationSequence("PATIENT", [float(v) for v in orientation])
    whole.NumberOfFrames, whole.SharedFunctionalGroupsSequence = len(places), [shared]
    whole.PerFrameFunctionalGroupsSequence = []
    for place in places:  # as highdicom's own sequences: version 0.27 compares them with others of its own
        group = pydicom.Dataset()
        group.PlanePositionSequence = hd.PlanePositionSequence("PATIENT", [float(v) for v in place])
        whole.PerFrameFunctionalGroupsSequence.append(group)
    return CtSource(image, slices, path, whole, tuple(frame + 1 for frame in grid.order))


def _placed(header: pydicom.Dataset, deidentify: bool) -> pydicom.Dataset:
    """A single slice's header with what objects need of it, its place too."""
    clean = _cleaned(header, deidentify)
    for keyword in _NUMBERS:
        setattr(clean, keyword, [decimal(float(value)) for value in header[keyword].value])
    return clean


def _cleaned(header: pydicom.Dataset, deidentify: bool) -> pydicom.Dataset:
    """A header with what objects need of it but the place; missing attributes that must stand are empty."""
    clean = pydicom.Dataset()
    clean.file_meta = pydicom.dataset.FileMetaDataset()
    clean.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    about = () if deidentify else (*IDENTITY, *STUDY)
    for keyword in (*about, *_PLACE, *_REMOVED):
        value = header.get(keyword)
        if value not in (None, ""):
            setattr(clean, keyword, value)
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
