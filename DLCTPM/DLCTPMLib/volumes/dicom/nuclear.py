"""Reconstructed SPECT volumes in multi-frame DICOM nuclear medicine (NM) files.

Their place in the patient stands in the Detector Information Sequence and their slice step is signed
(DICOM PS3.3 C.8.4.11 and C.8.4.15); general DICOM readers take neither.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.volumes.dicom.geometry import StackGeometry, stack_geometry
from DLCTPMLib.volumes.dicom.series import MIN_SLICES, DicomSeries
from DLCTPMLib.volumes.dicom.stack import header_numbers, read_pixels

_KINDS = {
    "STATIC": "a planar scintigram",
    "DYNAMIC": "a dynamic planar study",
    "WHOLE BODY": "a whole-body planar scintigram",
    "GATED": "a gated planar study",
    "TOMO": "the raw projections of a SPECT, not its reconstruction",
    "GATED TOMO": "the raw projections of a gated SPECT, not its reconstruction",
    "RECON GATED TOMO": "a gated SPECT with several volumes",
}
_WANTED = "give the reconstructed SPECT (Image Type RECON TOMO)"


def is_reconstruction(header: pydicom.Dataset) -> bool:
    """Whether an NM image is a reconstructed, ungated volume."""
    return _kind(header) == "RECON TOMO"


def why_not(series: DicomSeries) -> str:
    """A half sentence on why an NM series is no SPECT volume."""
    kinds = sorted({_KINDS.get(_kind(h), f"an NM image of type {_kind(h) or 'unknown'}") for h in series.headers})
    return f"is {' and '.join(kinds)}; {_WANTED}"


def _kind(header: pydicom.Dataset) -> str:
    values = [str(v).upper() for v in header.get("ImageType", None) or []]
    return values[2] if len(values) > 2 else ""


def read_reconstruction(header: pydicom.Dataset, name: str) -> tuple[sitk.Image, list[str]]:
    """The volume of an NM RECON TOMO file, float32, placed as its detector information says, with warnings.

    Raises:
        InputError: no place in the patient, several volumes in one file, undecodable pixels.
    """
    path = Path(str(header.filename))
    frames = int(header.get("NumberOfFrames", None) or 1)
    slices = int(header.get("NumberOfSlices", None) or frames)
    if frames != slices:
        raise InputError(
            f"{name}: {path.name} holds {frames} frames of {slices} slices, so several volumes (energy windows, "
            f"phases or times) in one file; export one reconstructed volume"
        )
    if frames < MIN_SLICES:
        raise InputError(f"{name}: {path.name} has only {frames} slices; {_WANTED}")
    geometry, notes = frame_geometry(header, frames, name)
    volume = sitk.GetArrayFromImage(read_pixels([str(path)], whole_numbers=False, name=name))
    image = sitk.GetImageFromArray(np.ascontiguousarray(volume[list(geometry.order)]))
    image.SetSpacing(geometry.spacing_mm)
    image.SetOrigin(geometry.origin_mm)
    image.SetDirection(geometry.direction)
    return image, notes


def frame_geometry(header: pydicom.Dataset, frames: int, name: str) -> tuple[StackGeometry, list[str]]:
    """Where the frames lie: the first as the detector says, the others by the signed slice step."""
    file_name = Path(str(header.filename)).name
    detectors = header.get("DetectorInformationSequence", None) or []
    placed = next((item for item in [*detectors, header] if item.get("ImagePositionPatient")), None)
    if placed is None or not placed.get("ImageOrientationPatient"):
        raise InputError(
            f"{name}: {file_name} does not say where it lies in the patient (no Image Position or Orientation in "
            "its detector information); export it from the workstation in patient coordinates"
        )
    placed.filename = header.filename
    first = np.array(header_numbers(placed, "ImagePositionPatient", 3, name))
    orientation = np.array(header_numbers(placed, "ImageOrientationPatient", 6, name))
    spacing = tuple(header_numbers(header, "PixelSpacing", 2, name))
    notes = []
    step = header.get("SpacingBetweenSlices") or None
    if step is None:
        step = header.get("SliceThickness") or None
        notes.append("the SPECT states no spacing between slices: its slice thickness was taken, first slice lowest")
    if step is None or float(step) == 0:
        raise InputError(f"{name}: {file_name} states neither slice spacing nor thickness; export it again")
    normal = np.cross(orientation[:3], orientation[3:])
    positions = first + np.outer(np.arange(frames) * float(step), normal)
    return stack_geometry(positions, np.tile(orientation, (frames, 1)), spacing, name), notes
