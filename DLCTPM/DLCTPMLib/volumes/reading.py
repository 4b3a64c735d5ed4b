"""Images from and to files: a chest CT or a SPECT as a file, a DICOM folder or a zip of one.

Whatever the source, what comes out is one volume with its geometry, checked to be what it should be,
and a description that names no patient.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from DLCTPMLib.common.archives import unpacked
from DLCTPMLib.common.atomic_output import check_disk, whole_file
from DLCTPMLib.common.console import without_control
from DLCTPMLib.common.errors import InputError
from DLCTPMLib.volumes.dicom.enhanced import ENHANCED_CT, ENHANCED_PET, is_enhanced, read_enhanced
from DLCTPMLib.volumes.dicom.examination import Examination
from DLCTPMLib.volumes.dicom.header import frame_count, is_directory, read_header, values_understood
from DLCTPMLib.volumes.dicom.nuclear import is_reconstruction, read_reconstruction, why_not
from DLCTPMLib.volumes.dicom.series import MAPS_EACH, MIN_SLICES, DicomSeries, choose_series, find_series
from DLCTPMLib.volumes.dicom.stack import read_stack
from DLCTPMLib.volumes.formats import IMAGE_ENDINGS
from DLCTPMLib.volumes.formats.any_format import read_file
from DLCTPMLib.volumes.formats.raw_volume import check_agrees
from DLCTPMLib.volumes.hounsfield import hounsfield_fault
from DLCTPMLib.volumes.patient_axes import patient_array
from DLCTPMLib.volumes.simulated import is_marked, is_synthetic

SHOWN_NAMES = 4
"""Of the image files of a folder that is no DICOM series."""

WRITTEN = (".nrrd", ".mha", ".nii", ".nii.gz")
"""Formats that are written: all of an image in one file, which appears whole."""

_NIFTI_NOTES, _NIFTI_LONGEST = "ITK_FileNotes", 79
"""Key of what becomes a NIfTI's description, and the characters that it holds."""

PET_CLASSES = {"1.2.840.10008.5.1.4.1.1.128", *ENHANCED_PET}
"""SOP classes of PET images, as which some workstations export a SPECT."""

CT_CLASSES = {"1.2.840.10008.5.1.4.1.1.2", *ENHANCED_CT}
"""SOP classes of CT images (so no dose report or screenshot of modality CT)."""


_BETWEEN_HU, _MOST_HU = np.float32(0.37), 32767
"""Values are told apart at no multiple of 0.5, 0.25 or 0.1 HU, where rounding would decide."""


@dataclass(frozen=True)
class Scan:
    """One volume as read.

    Attributes:
        image: the volume; CT in HU (int16 or float32), SPECT in its own units (float32).
        description: name of the file or folder, format, size, spacing, orientation and, from DICOM, how it was made
            (``dicom.header.KEPT_TAGS``); fit for ``result.json``, as no patient is named in it.
        warnings: sentences for the user.
        frame_of_reference: DICOM Frame of Reference UID, empty for other files; it names the examination, so it
            stays in memory.
        path: as it was given, for sentences to the user; it stays in memory too.
        examination: what names a DICOM image's examination; it stays in memory as well.
        simulated: whether the file says that the image is of a virtual patient.
    """

    image: sitk.Image
    description: dict
    warnings: list[str] = field(default_factory=list)
    frame_of_reference: str = ""
    path: str = ""
    examination: Examination | None = None
    simulated: bool = False


@dataclass(frozen=True)
class _Wanted:
    """What is looked for: the kind of image, and what the user said where a source leaves a choice.

    ``choices`` are the options, with their values, that choose among several volumes; ``files`` those of the series
    where they are known.
    """

    what: str
    suits: Callable[[DicomSeries], bool]
    read: Callable[[DicomSeries, str], tuple[sitk.Image, list[str]]]
    series: str | None
    orientation: str | None
    choices: dict[str, str | None]
    files: tuple[str, ...] = ()


def read_ct(
    path: str | os.PathLike,
    series: str | None = None,
    *,
    acquisition: str | None = None,
    orientation: str | None = None,
    files: Sequence[str] = (),
) -> Scan:
    """Read a chest CT: any file that SimpleITK reads, a DICOM folder (searched to the bottom) or a zip of one.

    Args:
        path: the file or folder.
        series: series number or Series Instance UID, where a folder holds several CT series.
        acquisition: which acquisition of the series, where it holds several within each other.
        orientation: where the array's axes run to (LPS, RAS, …), for an image file that does not say.
        files: those of the series, where they are known: others of a DICOM folder are not looked at.

    Raises:
        InputError: missing, unreadable, not one volume of CT numbers, uneven, sheared or incomplete; a series or
            acquisition was said where there is nothing to choose.
    """

    def read_series(one: DicomSeries, name: str) -> tuple[sitk.Image, list[str]]:
        if not is_enhanced(one):
            return read_stack(one, name, acquisition)
        if acquisition is not None:
            raise InputError(f"{name}: is one multi-frame file; leave out --acquisition {acquisition}")
        return read_enhanced(one, name)

    choices = {"--series": series, "--acquisition": acquisition}
    scan = _read(Path(path), _Wanted("CT", _is_ct, read_series, series, orientation, choices, tuple(files)))
    lowest, highest = _lowest_and_highest(scan.image, str(path))
    if fault := hounsfield_fault(sitk.GetArrayViewFromImage(scan.image)):
        raise InputError(f"{path}: {fault}")
    whole = "integer" in scan.image.GetPixelIDTypeAsString()
    fits = whole and lowest >= -(1 << 15) and highest < 1 << 15
    return _as_type(scan, sitk.sitkInt16 if fits else sitk.sitkFloat32)


def read_spect(path: str | os.PathLike, series: str | None = None, *, orientation: str | None = None) -> Scan:
    """Read a perfusion SPECT: any file that SimpleITK reads, a reconstructed DICOM NM volume or a PET series.

    Args and raises: as ``read_ct``, but ``series`` may go on with ``:`` and the number of an energy window or of one
    of several reconstructions; planar scintigrams, raw projections and empty (all-zero) images are refused.
    """
    number, part = _series_and_part(series)

    def read_series(one: DicomSeries, name: str) -> tuple[sitk.Image, list[str]]:
        if _is_nuclear(one):
            return read_reconstruction(one, name, part)
        if part is not None:
            raise InputError(f"{name}: has no energy windows or reconstructions; leave out :{part} in --spect-series")
        return read_enhanced(one, name) if is_enhanced(one) else read_stack(one, name)

    choices = {"--spect-series": series}
    scan = _read(Path(path), _Wanted("SPECT", _is_emission_volume, read_series, number, orientation, choices))
    if _lowest_and_highest(scan.image, str(path))[1] <= 0:
        raise InputError(f"{path}: the SPECT is zero everywhere; give the reconstructed perfusion image")
    return _as_type(scan, sitk.sitkFloat32)


def read_image(path: str | os.PathLike, orientation: str | None = None) -> sitk.Image:
    """Read a three-dimensional, one-valued image from a file of any format that SimpleITK reads.

    Args:
        path: the file.
        orientation: where the array's axes run to (LPS, RAS, …), for a file that does not say.

    Raises:
        InputError: missing, unreadable, two- or four-dimensional, in colour, on skewed axes, or silent on how it
            lies in the patient.
    """
    return _read_image_file(Path(path), orientation)[0]


def read_map(path: str | os.PathLike, orientation: str | None = None) -> sitk.Image:
    """Read a map of figures, such as a perfusion map; as ``read_image``, and every voxel must be a finite number."""
    image = read_image(path, orientation)
    _lowest_and_highest(image, str(path), "write the map again")
    return image


def _read_image_file(path: Path, orientation: str | None) -> tuple[sitk.Image, list[str], bool]:
    """The image without the keys of its header, notes, and whether it is marked as simulated."""
    image, notes = read_file(path, orientation)
    if image.GetNumberOfComponentsPerPixel() != 1:
        raise InputError(
            f"{path}: has {image.GetNumberOfComponentsPerPixel()} values in each voxel (a colour or vector image); "
            "a volume with one value is needed"
        )
    simulated = is_marked(image)
    for key in image.GetMetaDataKeys():  # headers may name the patient; nothing here needs them
        image.EraseMetaData(key)
    return image, notes, simulated


def write_image(image: sitk.Image, path: str | os.PathLike, notes: dict[str, str] | None = None) -> None:
    """Write an image, compressed; it appears under its name only when it is whole.

    Args:
        image: to write.
        path: names the format by its ending (``WRITTEN``).
        notes: keys of the header and what they say, in ASCII; a NIfTI holds the first 79 characters of that.

    Raises:
        InputError: the folder does not exist or takes no file, the disk is full, the format is none of ``WRITTEN``.
    """
    if not Path(path).name.lower().endswith(WRITTEN):
        raise InputError(f"{path}: images are written as one file; name a file that ends in .nrrd, .nii.gz or .mha")
    if notes:
        image = sitk.Image(image)  # the caller's own stays without them
        nifti = Path(path).name.lower().endswith((".nii", ".nii.gz"))
        if nifti:
            notes = {_NIFTI_NOTES: "; ".join(notes.values())[:_NIFTI_LONGEST]}
        for key, text in notes.items():
            image.SetMetaData(key, text)
    with whole_file(path) as partial:
        try:
            sitk.WriteImage(image, str(partial), useCompression=True, compressionLevel=1)
            _check_whole(partial, image)
        except (RuntimeError, InputError) as error:
            check_disk(path)
            raise InputError(
                f"{path}: cannot be written there whole; choose a folder that you may write to, with room for it"
            ) from error


def _check_whole(path: Path, image: sitk.Image) -> None:
    """Refuse a file that is shorter than its image, as after a full disk or quota: not every library says so.

    An NRRD, which every result is, ends with the length of its unpacked voxels (gzip); other files are read again.
    """
    if path.suffix.lower() != ".nrrd":
        read_file(path)
        return
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, 2) - 4))
        length = int.from_bytes(file.read(4), "little")
    voxels = sitk.GetArrayViewFromImage(image)
    if length != voxels.nbytes % (1 << 32):
        raise InputError(f"{path}: is cut off")


def _as_type(scan: Scan, pixel_type: int) -> Scan:
    if scan.image.GetPixelID() == pixel_type:
        return scan
    return replace(scan, image=sitk.Cast(scan.image, pixel_type))


def _read(path: Path, wanted: _Wanted) -> Scan:
    """Read whatever kind of source ``path`` is."""
    if not path.exists():
        raise InputError(f"{path}: there is no such file or folder; check the path")
    if path.is_dir():
        return _read_series(path, path, wanted)
    if path.name.upper() == "DICOMDIR" and is_directory(path):
        return _read_series(path.parent, path, wanted)
    if not path.is_file():
        raise InputError(f"{path}: is no ordinary file; give an image file, a DICOM folder or a zip of one")
    with path.open("rb") as file:
        is_zip = file.read(4) == b"PK\x03\x04"
    if is_zip:
        with unpacked(path) as folder:
            return _read_series(folder, path, wanted)
    header = read_header(path)
    if header is not None:
        with values_understood(path):
            return _read_one_dicom(header, path, wanted)
    for option, value in wanted.choices.items():
        if value is not None:
            raise InputError(
                f"{path}: is one image and no DICOM series, so nothing is to be chosen; leave out {option} {value}"
            )
    image, notes, simulated = _read_image_file(path, wanted.orientation)
    if min(image.GetSize()) < MIN_SLICES:
        raise InputError(
            f"{path}: has only {min(image.GetSize())} slices ({'×'.join(map(str, image.GetSize()))} voxels); "
            "a volume of the whole lungs is needed"
        )
    described = describe(image, path, path.suffix.lstrip(".").upper() or "image file")
    return Scan(image, described, notes, path=str(path), simulated=simulated)


def _read_series(folder: Path, path: Path, wanted: _Wanted) -> Scan:
    with values_understood(path):
        found = find_series(folder, map(Path, wanted.files))
        if not found:
            raise InputError(f"{path}: {_holds_no_dicom(folder, wanted.what)}")
        planar = [one for one in found if _is_nuclear(one) and not wanted.suits(one)]
        if wanted.what == "SPECT" and planar and not any(map(wanted.suits, found)):
            raise InputError(f"{path}: {why_not(planar[0])}")
        chosen, notes = choose_series(found, wanted.series, wanted.suits, str(path), wanted.what)
        return _dicom_scan(chosen, path, "DICOM series", wanted, notes)


def _holds_no_dicom(folder: Path, what: str) -> str:
    """What a folder without DICOM images holds instead, and what takes it."""
    images = sorted(one.name for one in folder.rglob("*") if one.name.lower().endswith(IMAGE_ENDINGS))
    if not images:
        return f"holds no {what} series, no DICOM images at all; give the folder of a {what} series, or an image file"
    shown = ", ".join(images[:SHOWN_NAMES]) + (", …" if len(images) > SHOWN_NAMES else "")
    several = "" if len(images) == 1 or what != "CT" else f", or map each with '{MAPS_EACH}'"
    files = "an image file" if len(images) == 1 else f"{len(images)} image files"
    return f"is no folder of a DICOM series; it holds {files} ({shown}): give one of them{several}"


def _read_one_dicom(header, path: Path, wanted: _Wanted) -> Scan:
    series = DicomSeries(str(header.get("SeriesInstanceUID", "") or ""), [header])
    if not wanted.suits(series):
        if wanted.what == "SPECT" and _is_nuclear(series):
            raise InputError(f"{path}: {why_not(series)}")
        raise InputError(
            f"{path}: is a DICOM image of modality {series.modality}, not a {wanted.what}; give the {wanted.what}"
        )
    if wanted.series not in (None, series.uid, series.number):
        raise InputError(f"{path}: is of series {series.number or series.uid}, not {wanted.series}; give its file")
    if frame_count(header) == 1:
        raise InputError(f"{path}: is one slice of a {wanted.what} series; give the folder that holds all its slices")
    return _dicom_scan(series, path, "DICOM file", wanted, [])


def _dicom_scan(series: DicomSeries, path: Path, file_format: str, wanted: _Wanted, notes: list[str]) -> Scan:
    image, more = wanted.read(series, str(path))
    if wanted.orientation is not None:
        check_agrees(np.array(image.GetDirection()).reshape(3, 3), wanted.orientation, path)
    description = describe(image, path, file_format) | {"dicom": series.description()}
    frame = str(series.first.get("FrameOfReferenceUID", "") or "")
    examination, simulated = Examination.of(series.first), is_synthetic(series.first)
    return Scan(image, description, notes + more, frame, str(path), examination, simulated)


def _is_ct(series: DicomSeries) -> bool:
    return str(series.first.SOPClassUID) in CT_CLASSES


def _is_nuclear(series: DicomSeries) -> bool:
    """Whether the images are of the nuclear medicine class; a SPECT may come as PET images too."""
    return series.modality == "NM" and str(series.first.SOPClassUID) not in PET_CLASSES


def _is_emission_volume(series: DicomSeries) -> bool:
    if _is_nuclear(series):
        return any(map(is_reconstruction, series.headers))
    return series.modality == "PT" or str(series.first.SOPClassUID) in PET_CLASSES


def _series_and_part(series: str | None) -> tuple[str | None, str | None]:
    """SERIES:PART taken apart; each may be missing."""
    number, _, part = (series or "").partition(":")
    return number or None, part or None


def describe(image: sitk.Image, path: Path, file_format: str) -> dict:
    """What an image was read from, by name only, and how its grid lies, for ``result.json``; lengths in mm, LPS."""
    direction = image.GetDirection()
    return {
        "name": without_control(Path(path).resolve().name),
        "format": file_format,
        "size": list(image.GetSize()),
        "spacing": [round(s, 6) for s in image.GetSpacing()],
        "origin": [round(o, 6) for o in image.GetOrigin()],
        "direction": [round(d, 9) for d in direction],
        "orientation": sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(direction),
    }


def content_sha256(image: sitk.Image) -> str:
    """SHA-256 of an image's content: its grid as text (to 0.1 µm), then its voxels (z, y, x; little-endian).

    It knows the same image again whatever the file is called and however it is packed.
    """
    geometry = (image.GetSpacing(), image.GetOrigin(), image.GetDirection())
    grid = (image.GetSize(), *([round(value, 4) + 0.0 for value in part] for part in geometry))  # no −0.0
    voxels = sitk.GetArrayViewFromImage(image)
    digest = hashlib.sha256(repr((*grid, voxels.dtype.newbyteorder("<").str)).encode())
    digest.update(np.ascontiguousarray(voxels, voxels.dtype.newbyteorder("<")))
    return digest.hexdigest()


def voxels_sha256(image: sitk.Image) -> str:
    """SHA-256 of a CT's values to 1 HU, along the patient's axes (z, y, x; little-endian int16).

    Unlike ``content_sha256`` it knows the same CT again in another format, with its axes run through another way or
    with values rounded otherwise; where the voxels lie is not part of it.
    """
    digest = hashlib.sha256()
    for plane in patient_array(image):
        if plane.dtype != np.int16:
            plane = np.floor(plane + _BETWEEN_HU).clip(-_MOST_HU, _MOST_HU)
        digest.update(plane.astype("<i2").tobytes())
    return digest.hexdigest()


def _lowest_and_highest(
    image: sitk.Image, name: str, remedy: str = "replace them (air is −1000 HU) and try again"
) -> tuple[float, float]:
    """The range of the voxels; not-a-number and infinity are refused."""
    values = sitk.GetArrayViewFromImage(image)
    lowest, highest = float(values.min()), float(values.max())  # not-a-number passes through both
    if not (math.isfinite(lowest) and math.isfinite(highest)):
        bad = int(np.count_nonzero(~np.isfinite(values)))
        raise InputError(f"{name}: {bad} voxels are not numbers (NaN or infinite); {remedy}")
    return lowest, highest
