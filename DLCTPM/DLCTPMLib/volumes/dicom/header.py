"""One DICOM file's header: read whatever its name, its values converted at once, and oddly written ones understood.

Hospitals' files spell numbers with a decimal comma, write all values of Image Type as one text, and hold values that
are none. What can be read without guessing is; the rest is remembered, so that whoever needs it can say so.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataelem import RawDataElement

from DLCTPMLib.common.errors import InputError

KEPT_TAGS = (
    "Modality",
    "Manufacturer",
    "ManufacturerModelName",
    "ImageType",
    "SeriesNumber",
    "SliceThickness",
    "KVP",
    "XRayTubeCurrent",
    "Exposure",
    "ConvolutionKernel",
    "ReconstructionDiameter",
    "GantryDetectorTilt",
    "PatientPosition",
)
"""The only DICOM attributes that reach ``result.json`` and the report: how the image was made, on what.

No name, identifier, date, UID or text typed by a person is among them.
"""

_READ_TAGS = (
    *KEPT_TAGS,
    "SOPClassUID",
    "SOPInstanceUID",
    "SyntheticData",
    "PatientID",
    "StudyInstanceUID",
    "StudyDate",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "SeriesDescription",
    "InstanceNumber",
    "AcquisitionNumber",
    "AcquisitionTime",
    "TemporalPositionIdentifier",
    "TriggerTime",
    "NominalPercentageOfCardiacPhase",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "SamplesPerPixel",
    "PixelSpacing",
    "SpacingBetweenSlices",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "RescaleSlope",
    "RescaleIntercept",
    "ContrastBolusAgent",
    "ContrastBolusAgentSequence",
    "ContrastBolusRoute",
    "ContrastBolusVolume",
    "CorrectedImage",
    "DetectorInformationSequence",
    "EnergyWindowInformationSequence",
    "EnergyWindowVector",
    "SliceVector",
    "NumberOfSlices",
)

_DICOM_STARTS = (b"\x08\x00", b"\x02\x00")
_COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")


def dicom_dataset(path: Path, tags: tuple[str, ...] | None = None) -> pydicom.Dataset | None:
    """A DICOM file without its pixels, whatever its name; None when it is no DICOM file or too damaged to be one.

    Args:
        path: the file.
        tags: keywords of what is wanted, all of it if None.
    """
    try:
        with path.open("rb") as file:
            start = file.read(132)
        has_magic = start[128:] == b"DICM"
        if not has_magic and start[:2] not in _DICOM_STARTS:
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = pydicom.dcmread(
                path,
                stop_before_pixels=True,
                specific_tags=None if tags is None else list(tags),
                force=not has_magic,
            )
            _convert(dataset)
    except Exception:  # on a damaged file pydicom raises whatever its parts raise
        return None
    return dataset


def read_header(path: Path) -> pydicom.Dataset | None:
    """The header of a DICOM image file, or None when the file is not one (whatever its name).

    Elements that hold no value of their kind are left out; their keywords stand in the attribute ``unreadable``.
    """
    header = dicom_dataset(path, _READ_TAGS)
    if header is None:
        return None
    is_image = header.get("SOPClassUID") and header.get("Rows") and header.get("Columns")
    return header if is_image else None


def _convert(dataset: pydicom.Dataset) -> None:
    """Convert every element now, those of sequences too, and take out what cannot be."""
    unreadable = set()
    for tag in list(dataset.keys()):
        raw = dataset.get_item(tag)
        keyword = pydicom.datadict.keyword_for_tag(tag)
        if (
            isinstance(raw, RawDataElement)
            and isinstance(raw.value, bytes)
            and b"," in raw.value
            and _is_decimal(raw)
        ):
            dataset[tag] = raw._replace(value=_with_points(raw.value))
        try:
            element = dataset[tag]
            if element.VR == "SQ":
                for item in element.value:
                    _convert(item)
                    unreadable |= item.unreadable
            elif element.VR in ("DS", "IS"):
                _ = element.value
        except Exception:  # as above: any
            del dataset[tag]
            unreadable.add(keyword)
    dataset.unreadable = unreadable


def _is_decimal(raw: RawDataElement) -> bool:
    return raw.VR == "DS" or (raw.VR is None and pydicom.datadict.dictionary_has_tag(raw.tag) and _vr(raw) == "DS")


def _vr(raw: RawDataElement) -> str:
    return pydicom.datadict.dictionary_VR(raw.tag)


def _with_points(value: bytes) -> bytes:
    """Decimal commas as points, where each is one: "1,25" is, "1,024" might be a thousand and twenty-four."""
    words = [word.strip() for word in value.decode("latin-1").strip("\0 ").split("\\")]
    if any("," in word and (not _COMMA.fullmatch(word) or _THOUSANDS.fullmatch(word)) for word in words):
        return value
    text = "\\".join(words).replace(",", ".")
    return text.encode("latin-1") + b" " * (len(text) % 2)


@contextmanager
def values_understood(path: Path) -> Iterator[None]:
    """Make one sentence of what values of the wrong kind raise: a text or a list where a number or an item belongs.

    Raises:
        InputError: in place of any such error.
    """
    try:
        yield
    except InputError:
        raise
    except (TypeError, ValueError, AttributeError, LookupError, OverflowError) as error:
        raise InputError(f"{path}: its DICOM header holds values of the wrong kind; export it again") from error


def image_type(header: pydicom.Dataset) -> list[str]:
    """The values of Image Type, in capitals; also where all of them stand in one text."""
    value = header.get("ImageType", None) or []
    parts = re.split(r"[\\/,;|]+", value) if isinstance(value, str) else value
    return [str(part).strip().upper() for part in parts]


def frame_count(header: pydicom.Dataset) -> int:
    """Number of Frames, 1 where it does not stand."""
    return max(1, int(header.get("NumberOfFrames", None) or 1))


def header_numbers(header: pydicom.Dataset, keyword: str, count: int, name: str) -> list[float]:
    """A numeric attribute with a known number of values.

    Raises:
        InputError: it is not there, or is not that many finite numbers.
    """
    try:
        values = [float(v) for v in np.atleast_1d(header.get(keyword, None) or [])]
    except (TypeError, ValueError):
        values = []
    if len(values) != count or not np.isfinite(values).all():
        raise InputError(
            f"{name}: {file_name(header)} has no usable {words_of(keyword)}, so its place in the patient is "
            "unknown; export the series again"
        )
    return values


def header_number(header: pydicom.Dataset, keyword: str, default: float, name: str) -> float:
    """A numeric attribute of one value, or ``default`` where it does not stand.

    Raises:
        InputError: it stands there and is no finite number.
    """
    value = header.get(keyword, None)
    try:
        number = default if value is None or value == "" else float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if keyword in getattr(header, "unreadable", ()) or not np.isfinite(number):
        raise InputError(
            f"{name}: the {words_of(keyword)} of {file_name(header)} is no plain number (a comma in it?); "
            "export the series again"
        )
    return number


def rescale(header: pydicom.Dataset, name: str) -> tuple[float, float]:
    """Rescale Slope and Intercept; a slope of 0 means that there is none.

    Raises:
        InputError: one of them is no number.
    """
    slope = header_number(header, "RescaleSlope", 1.0, name)
    return slope or 1.0, header_number(header, "RescaleIntercept", 0.0, name)


def file_name(header: pydicom.Dataset) -> str:
    """The name of the file of a header."""
    return Path(str(header.get("filename", None) or getattr(header, "filename", ""))).name


def words_of(keyword: str) -> str:
    """A DICOM keyword as words."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", keyword)


def is_directory(path: Path) -> bool:
    """Whether the file is a DICOMDIR: a list of the DICOM files beside and below it."""
    dataset = dicom_dataset(path, ("MediaStorageSOPClassUID",))
    meta = getattr(dataset, "file_meta", None)
    return str(getattr(meta, "MediaStorageSOPClassUID", "")) == "1.2.840.10008.1.3.10"
