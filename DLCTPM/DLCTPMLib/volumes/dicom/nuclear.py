"""Reconstructed SPECT volumes in DICOM nuclear medicine (NM) files, of many frames or of one each.

Their place in the patient stands in the Detector Information Sequence, their slice step is signed, and vectors say
which slice and which energy window a frame is (DICOM PS3.3 C.8.4.8, C.8.4.11 and C.8.4.15); general DICOM readers
take none of these.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.volumes.dicom.energy_windows import chosen_window
from DLCTPMLib.volumes.dicom.geometry import StackGeometry, stack_geometry
from DLCTPMLib.volumes.dicom.header import file_name, frame_count, header_number, header_numbers, image_type, rescale
from DLCTPMLib.volumes.dicom.pixels import placed_image, read_volume
from DLCTPMLib.volumes.dicom.series import MIN_SLICES, DicomSeries

_KINDS = {
    "STATIC": "a planar scintigram",
    "DYNAMIC": "a dynamic planar study",
    "WHOLE BODY": "a whole-body planar scintigram",
    "GATED": "a gated planar study",
    "TOMO": "the raw projections of a SPECT, not its reconstruction",
    "GATED TOMO": "the raw projections of a gated SPECT, not its reconstruction",
    "RECON TOMO": "a reconstructed SPECT",
    "RECON GATED TOMO": "a gated SPECT with several volumes",
}
_WANTED = "give the reconstructed SPECT (Image Type RECON TOMO)"


def is_reconstruction(header: pydicom.Dataset) -> bool:
    """Whether an NM image is a reconstructed, ungated volume (or a slice of one) of what the patient emits."""
    return _kind(header) == "RECON TOMO" and not _is_transmission(header)


def why_not(series: DicomSeries) -> str:
    """A half sentence on why an NM series is no SPECT volume."""
    kinds = sorted(
        {
            "a transmission map (attenuation), not what the patient emits"
            if _is_transmission(h)
            else _KINDS.get(_kind(h), f"an NM image of type {_kind(h) or 'unknown'}")
            for h in series.headers
        }
    )
    return f"is {' and '.join(kinds)}; {_WANTED}"


def _kind(header: pydicom.Dataset) -> str:
    """Value 3 of Image Type; where all values stand in one text, the longest kind that it names."""
    values = image_type(header)
    if len(values) > 2:
        return values[2]
    text = f" {' '.join(values).replace('_', ' ')} "
    return next((kind for kind in sorted(_KINDS, key=len, reverse=True) if f" {kind} " in text), "")


def _is_transmission(header: pydicom.Dataset) -> bool:
    """Value 4 of Image Type is TRANSMISSION, or one of its values is where the text does not keep them apart."""
    values = image_type(header)
    return any("TRANSMISSION" in value.split() for value in (values[3:4] if len(values) > 3 else values))


def read_reconstruction(series: DicomSeries, name: str, part: str | None = None) -> tuple[sitk.Image, list[str]]:
    """The volume of an NM series, float32, placed as its detector information says, with warnings.

    Args:
        series: its headers; those that are no reconstruction are passed over.
        name: where it comes from, for messages.
        part: which of several volumes (files, by name from 1) or energy windows (from 1) is meant.

    Raises:
        InputError: no place in the patient, several volumes or windows and none said, undecodable pixels.
    """
    headers = sorted((h for h in series.headers if is_reconstruction(h)), key=lambda h: str(h.filename))
    if len(headers) > 1 and all(frame_count(h) == 1 for h in headers):
        if part is not None:
            raise InputError(f"{name}: is one volume, a file a slice; leave out :{part} in --spect-series")
        return _read_slices(headers, name)
    if len(headers) > 1:
        if part is None or not part.isdigit() or not 1 <= int(part) <= len(headers):
            number = series.number or series.uid
            files = "; ".join(
                f"{number}:{i} is {file_name(h)[:60]} ({frame_count(h)} slices"
                f"{', ' + one.corrections if one.corrections else ''})"
                for i, h in enumerate(headers[:12], 1)
                for one in [DicomSeries(series.uid, [h])]
            )
            raise InputError(
                f"{name}: holds {len(headers)} reconstructed volumes; give one of the files, or choose one with "
                f"--spect-series ({files})"
            )
        headers, part = [headers[int(part) - 1]], None
    return _read_frames(headers[0], name, part)


def _read_slices(headers: list[pydicom.Dataset], name: str) -> tuple[sitk.Image, list[str]]:
    """One file a slice, each with its own place."""
    if len(headers) < MIN_SLICES:
        raise InputError(f"{name}: has only {len(headers)} slices; {_WANTED}")
    sizes = {(int(h.Rows), int(h.Columns), tuple(header_numbers(h, "PixelSpacing", 2, name))) for h in headers}
    if len(sizes) > 1:
        raise InputError(f"{name}: mixes slices of different sizes or pixel spacings; give one volume")
    geometry = stack_geometry(
        np.array([header_numbers(_placed(h, name), "ImagePositionPatient", 3, name) for h in headers]),
        np.array([header_numbers(_placed(h, name), "ImageOrientationPatient", 6, name) for h in headers]),
        next(iter(sizes))[2],
        name,
    )
    ordered = [headers[i] for i in geometry.order]
    volume = read_volume([str(h.filename) for h in ordered], [rescale(h, name) for h in ordered], name)
    whole = replace(geometry, order=tuple(range(len(ordered))))
    return placed_image(volume.astype(np.float32), whole, name), []


def _read_frames(header: pydicom.Dataset, name: str, part: str | None) -> tuple[sitk.Image, list[str]]:
    """One file of many frames."""
    path = Path(str(header.filename))
    count = frame_count(header)
    frames, notes = chosen_window(header, count, name, part)
    slices = int(header.get("NumberOfSlices", None) or len(frames))
    if len(frames) != slices:
        raise InputError(
            f"{name}: {path.name} holds {len(frames)} frames of {slices} slices, so several volumes (phases, "
            "times or rotations) in one file; export one reconstructed volume"
        )
    if len(frames) < MIN_SLICES:
        raise InputError(f"{name}: {path.name} has only {len(frames)} slices; {_WANTED}")
    geometry, more = frame_geometry(header, _slice_numbers(header, count, frames, name), name)
    volume = read_volume([str(path)], [rescale(header, name)], name)
    if len(volume) != count:
        raise InputError(f"{name}: {path.name} has {len(volume)} frames where {count} are promised; copy it again")
    return placed_image(volume[frames].astype(np.float32), geometry, name), notes + more


def _slice_numbers(header: pydicom.Dataset, count: int, frames: np.ndarray, name: str) -> np.ndarray:
    """Which slice (from 0, in the direction of the signed step) each of some frames is, by the Slice Vector."""
    vector = np.atleast_1d(np.array(header.get("SliceVector", None) or [], dtype=float))
    if vector.size != count:
        return np.arange(len(frames))
    numbers = vector[frames] - 1
    if sorted(numbers) != list(range(len(frames))):
        raise InputError(
            f"{name}: the Slice Vector of {file_name(header)} does not name every slice once (several volumes in one "
            "file?); export one reconstructed volume"
        )
    return numbers.astype(int)


def _placed(header: pydicom.Dataset, name: str) -> pydicom.Dataset:
    """The item that says where the image lies: the detector's, or the header itself."""
    detectors = header.get("DetectorInformationSequence", None) or []
    placed = next((item for item in [*detectors, header] if item.get("ImagePositionPatient")), None)
    if placed is None or not placed.get("ImageOrientationPatient"):
        raise InputError(
            f"{name}: {file_name(header)} does not say where it lies in the patient (no Image Position or "
            "Orientation in its detector information); export it from the workstation in patient coordinates"
        )
    placed.filename = header.filename
    return placed


def frame_geometry(header: pydicom.Dataset, slices: np.ndarray, name: str) -> tuple[StackGeometry, list[str]]:
    """Where frames lie: slice 0 as the detector says, the others by the signed slice step.

    Args:
        header: of an NM file.
        slices: which slice each frame is, from 0.
        name: for messages.
    """
    placed = _placed(header, name)
    first = np.array(header_numbers(placed, "ImagePositionPatient", 3, name))
    orientation = np.array(header_numbers(placed, "ImageOrientationPatient", 6, name))
    spacing = tuple(header_numbers(header, "PixelSpacing", 2, name))
    notes = []
    step = header_number(header, "SpacingBetweenSlices", 0.0, name)
    if step == 0:
        step = header_number(header, "SliceThickness", 0.0, name)
        notes.append("the SPECT states no spacing between slices: its slice thickness was taken, first slice lowest")
    if step == 0:
        raise InputError(f"{name}: {file_name(header)} states neither slice spacing nor thickness; export it again")
    normal = np.cross(orientation[:3], orientation[3:])
    positions = first + np.outer(slices * step, normal)
    return stack_geometry(positions, np.tile(orientation, (len(slices), 1)), spacing, name), notes
