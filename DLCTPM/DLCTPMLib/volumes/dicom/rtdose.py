"""DICOM RT dose: a dose grid in Gy, placed by its Grid Frame Offset Vector.

DICOM PS3.3 C.8.8.3. The vector's offsets are relative to Image Position (Patient) along the normal of the slices
where its first value is 0, and patient z coordinates where its first value is that of Image Position (Patient);
they may run either way, and the grid may be turned. Stored values times Dose Grid Scaling are Gy. A plan's dose may
come as one file, or as one a beam: those are summed only where the user asks for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.volumes.dicom.belonging import Belonging
from DLCTPMLib.volumes.dicom.geometry import SAME_PLACE_MM, StackGeometry, stack_geometry
from DLCTPMLib.volumes.dicom.header import (
    dicom_dataset,
    frame_count,
    header_number,
    header_numbers,
    values_understood,
)
from DLCTPMLib.volumes.dicom.pixels import placed_image, read_volume
from DLCTPMLib.volumes.patient_axes import same_grid

RT_DOSE = "1.2.840.10008.5.1.4.1.1.481.2"
"""SOP class of RT dose."""

WHOLE = ("PLAN", "MULTI_PLAN")
"""Dose Summation Types of the dose of all that a plan or several plans give."""

_PARTS = {
    "BEAM": "one beam",
    "BRACHY": "one brachytherapy application",
    "CONTROL_POINT": "one control point",
    "FRACTION": "one fraction group",
    "BEAM_SESSION": "one beam in one session",
    "BRACHY_SESSION": "one brachytherapy application in one session",
    "FRACTION_SESSION": "one session",
    "RECORD": "a treatment record",
}


@dataclass(frozen=True)
class RtDose:
    """The dose of one or several RT dose files.

    Attributes:
        image: Gy, float32.
        dose_type: PHYSICAL or EFFECTIVE.
        summation: Dose Summation Type.
        files: how many were summed.
        belonging: whose it is and in which frame of reference.
        notes: sentences for the user.
    """

    image: sitk.Image
    dose_type: str
    summation: str
    files: int
    belonging: Belonging
    notes: list[str] = field(default_factory=list)


def is_rt_dose(path: Path) -> bool:
    """Whether the file is a DICOM RT dose."""
    dataset = dicom_dataset(path, ("SOPClassUID",))
    return dataset is not None and str(dataset.get("SOPClassUID", "")) == RT_DOSE


def read_rt_dose(paths: Sequence[Path], summed: bool = False) -> RtDose:
    """Read the dose of one RT dose file, or the sum of several.

    Args:
        paths: the files.
        summed: add them up; without it several files are refused.

    Returns:
        the dose on the grid of the first file.

    Raises:
        InputError: damaged, relative or erroneous dose, no scaling, no place, an uneven grid; several files and
            nobody asked for their sum; files that are not parts of one whole.
    """
    name = ", ".join(str(path) for path in paths[:3]) + (" …" if len(paths) > 3 else "")
    with values_understood(paths[0]):
        return _summed(_distinct([_checked_header(path) for path in paths]), name, summed)


def _summed(headers: list[pydicom.Dataset], name: str, summed: bool) -> RtDose:
    summations = [str(header.get("DoseSummationType", "") or "").upper() for header in headers]
    if len(headers) > 1 and not summed:
        kinds = zip(headers, summations, strict=True)
        told = ", ".join(f"{Path(header.filename).name} ({kind or 'no type'})" for header, kind in kinds)
        raise InputError(f"{name}: {len(headers)} dose files: {told}; give one, or add them up with --sum")
    if len(set(summations)) > 1:
        raise InputError(
            f"{name}: doses of several kinds ({', '.join(sorted(set(summations)))}) cannot be added up, as one may "
            "hold the other; give the files of one kind"
        )
    _same_in_all(headers, name)
    image = _image(headers[0])
    notes = _type_notes(headers[0], summations[0], len(headers))
    for header in headers[1:]:
        more = _image(header)
        if not same_grid(more, image, SAME_PLACE_MM):
            notes.append(f"{Path(header.filename).name} is on another dose grid and was brought to the first one's")
            more = sitk.Resample(more, image, sitk.Transform(), sitk.sitkLinear, 0.0, sitk.sitkFloat32)
        image = image + more
    kind = str(headers[0].get("DoseType", "") or "").upper()
    belonging = Belonging.of_object(headers[0])
    return RtDose(image, kind, summations[0], len(headers), belonging, list(dict.fromkeys(notes)))


def _checked_header(path: Path) -> pydicom.Dataset:
    """The header of a file with a dose grid in Gy."""
    header = dicom_dataset(path)
    if header is None or str(header.get("SOPClassUID", "")) != RT_DOSE:
        raise InputError(f"{path}: is no DICOM RT dose, or is damaged; export the dose again")
    header.filename = str(path)
    units, kind = (str(header.get(keyword, "") or "").upper() for keyword in ("DoseUnits", "DoseType"))
    if units == "RELATIVE":
        raise InputError(
            f"{path}: its dose is relative (DoseUnits RELATIVE), so it is no dose in Gy; export the absolute dose"
        )
    if units != "GY":
        raise InputError(f"{path}: states no dose units (DoseUnits {units or 'missing'}); export the dose in Gy")
    if kind == "ERROR":
        raise InputError(f"{path}: is the difference of two doses (DoseType ERROR); export the plan's dose")
    if not header.get("Rows") or not header.get("Columns"):
        raise InputError(f"{path}: holds no dose grid (dose–volume histograms only?); export the dose with its grid")
    return header


def _distinct(headers: list[pydicom.Dataset]) -> list[pydicom.Dataset]:
    """The same file given twice counts once."""
    return list({str(h.get("SOPInstanceUID", "") or h.filename): h for h in headers}.values())


def _same_in_all(headers: list[pydicom.Dataset], name: str) -> None:
    for keyword, what in (
        ("FrameOfReferenceUID", "frames of reference"),
        ("PatientID", "patients"),
        ("DoseType", "types (physical and effective)"),
    ):
        if len({str(header.get(keyword, "") or "") for header in headers}) > 1:
            raise InputError(f"{name}: doses of several {what} cannot be added up; give those of one")


def _type_notes(header: pydicom.Dataset, summation: str, files: int) -> list[str]:
    notes = []
    if str(header.get("DoseType", "") or "").upper() == "EFFECTIVE":
        notes.append("the dose is an effective one (weighted for its biological effect), not the physical dose")
    if files > 1:
        notes.append(f"the dose is the sum of {files} files (DoseSummationType {summation or 'missing'})")
    elif summation in _PARTS:
        notes.append(f"the dose is that of {_PARTS[summation]} (DoseSummationType {summation}), not the plan's")
    elif summation not in WHOLE:
        notes.append(f"what the dose adds up is not known (DoseSummationType {summation or 'missing'})")
    return notes


def _image(header: pydicom.Dataset) -> sitk.Image:
    """One file's dose in Gy, float32."""
    path = str(header.filename)
    scaling = header_number(header, "DoseGridScaling", 0.0, path)
    if scaling <= 0:
        raise InputError(f"{path}: has no Dose Grid Scaling, so its values are no Gy; export the dose again")
    geometry = _geometry(header, path)
    stored = read_volume([path], [(scaling, 0.0)], path)
    if len(stored) != len(geometry.order):
        raise InputError(f"{path}: has {len(stored)} planes where {len(geometry.order)} are promised; copy it again")
    return placed_image(stored.astype(np.float32, copy=False), geometry, path)


def _geometry(header: pydicom.Dataset, name: str) -> StackGeometry:
    """Where the planes lie."""
    count = frame_count(header)
    first = np.array(header_numbers(header, "ImagePositionPatient", 3, name))
    orientation = np.array(header_numbers(header, "ImageOrientationPatient", 6, name))
    spacing = tuple(header_numbers(header, "PixelSpacing", 2, name))
    if count < 2:
        raise InputError(f"{name}: is the dose in one plane; export the dose as a volume")
    offsets = np.array(header_numbers(header, "GridFrameOffsetVector", count, name))
    normal = np.cross(orientation[:3], orientation[3:])
    if abs(offsets[0]) > SAME_PLACE_MM:
        if abs(offsets[0] - first[2]) > SAME_PLACE_MM or abs(abs(normal[2]) - 1) > 1e-3:
            raise InputError(
                f"{name}: its Grid Frame Offset Vector begins with {offsets[0]:g}, neither 0 nor the z of its first "
                "plane; export the dose again"
            )
        offsets = (offsets - first[2]) * np.sign(normal[2])  # z coordinates, as ways along the normal
    positions = first + np.outer(offsets, normal)
    return stack_geometry(positions, np.tile(orientation, (count, 1)), spacing, name)
