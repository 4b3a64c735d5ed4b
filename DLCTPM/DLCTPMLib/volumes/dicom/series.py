"""The DICOM series of a folder: find them, and choose the one that is meant."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pydicom
from pydicom.errors import InvalidDicomError

from DLCTPMLib.common.errors import InputError

MIN_SLICES = 8
"""A stack with fewer slices is no volume of the lungs (a scout, a dose report, a bolus tracking slice)."""

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
    "SeriesInstanceUID",
    "SeriesDescription",
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
    "DetectorInformationSequence",
    "NumberOfSlices",
)

_DICOM_STARTS = (b"\x08\x00", b"\x02\x00")
_PROJECTIONS = {"LOCALIZER", "MIP", "MINIP", "MAX_IP", "MIN_IP", "MAXIP", "PROJECTION IMAGE"}


@dataclass
class DicomSeries:
    """The images of one series, headers only (``pydicom.Dataset`` with ``filename``)."""

    uid: str
    headers: list[pydicom.Dataset] = field(default_factory=list)

    @property
    def first(self) -> pydicom.Dataset:
        """The header of any one image, for what is the same in all."""
        return self.headers[0]

    @property
    def modality(self) -> str:
        """DICOM Modality, such as CT, NM or PT."""
        return str(self.first.get("Modality", "") or "unknown modality")

    @property
    def number(self) -> str:
        """Series Number as text, empty when there is none."""
        value = self.first.get("SeriesNumber")
        return "" if value is None else str(value)

    @property
    def image_type(self) -> set[str]:
        """All values of Image Type that any of the images has."""
        return {str(v).upper() for header in self.headers for v in header.get("ImageType", None) or []}

    @property
    def frames(self) -> int:
        """How many slices or frames there are."""
        return sum(int(header.get("NumberOfFrames", None) or 1) for header in self.headers)

    @property
    def title(self) -> str:
        """A short line by which a person knows the series: for the terminal only, as people type into it."""
        return self._line(str(self.first.get("SeriesDescription", "") or "").strip())

    @property
    def label(self) -> str:
        """The same without any text that a person typed; fit for results."""
        return self._line("")

    def _line(self, more: str) -> str:
        kernel = self.first.get("ConvolutionKernel", "")
        kernel = kernel if isinstance(kernel, str) else "/".join(kernel or [])
        thickness = f"{float(self.first.SliceThickness):g} mm" if self.first.get("SliceThickness") else ""
        words = [word for word in (f"{self.frames} images", thickness, kernel, more) if word]
        return f"{self.number or 'no number'} ({', '.join(words)})"

    def description(self) -> dict:
        """What of the header goes into ``result.json``: ``KEPT_TAGS``, and whether contrast is stated."""
        kept = {}
        for keyword in KEPT_TAGS:
            value = self.first.get(keyword)
            if value in (None, ""):
                continue
            kept[keyword] = _plain(value)
        kept["contrast_agent_stated"] = bool(self.first.get("ContrastBolusAgent"))
        return kept


def _plain(value):
    if isinstance(value, (list, tuple, pydicom.multival.MultiValue)):
        return [_plain(v) for v in value]
    return float(value) if isinstance(value, (int, float)) else str(value)


def read_header(path: Path) -> pydicom.Dataset | None:
    """The header of a DICOM image file, or None when the file is not one (whatever its name)."""
    try:
        with path.open("rb") as file:
            start = file.read(132)
        has_magic = start[128:] == b"DICM"
        if not has_magic and start[:2] not in _DICOM_STARTS:
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            header = pydicom.dcmread(
                path, stop_before_pixels=True, specific_tags=list(_READ_TAGS), force=not has_magic
            )
    except (OSError, InvalidDicomError, EOFError, ValueError, AttributeError, NotImplementedError):
        return None
    is_image = header.get("SOPClassUID") and header.get("Rows") and header.get("Columns")
    return header if is_image else None


def find_series(folder: Path) -> list[DicomSeries]:
    """All image series below a folder, by series number; files that are not DICOM images are passed over."""
    series: dict[str, DicomSeries] = {}
    for path in _files(folder):
        header = read_header(path)
        if header is not None:
            uid = str(header.get("SeriesInstanceUID", "") or "")
            series.setdefault(uid, DicomSeries(uid)).headers.append(header)

    def by_number(one: DicomSeries):
        return (int(one.number) if one.number.lstrip("-").isdigit() else 1 << 31, one.uid)

    return sorted(series.values(), key=by_number)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "DICOMDIR")


def choose_series(
    found: Iterable[DicomSeries], wanted: str | None, suits: Callable[[DicomSeries], bool], name: str, what: str
) -> tuple[DicomSeries, list[str]]:
    """The one series that is meant, with warnings about those passed over.

    Args:
        found: every series of the folder.
        wanted: series number or Series Instance UID, or None to choose.
        suits: whether a series is of the right kind at all.
        name: what the folder is called in messages.
        what: what is looked for ("CT").

    Raises:
        InputError: none suits, several suit equally (they are listed), or the wanted one is not there.
    """
    found = list(found)
    suitable = [one for one in found if suits(one)]
    if not suitable:
        others = ", ".join(f"{count} {modality}" for modality, count in Counter(s.modality for s in found).items())
        there = f"only other series ({others})" if others else "no DICOM images at all"
        raise InputError(f"{name}: holds no {what} series, {there}; give the folder of a {what} series")
    if wanted is not None:
        matching = [one for one in suitable if wanted in (one.uid, one.number)]
        if len(matching) == 1:
            return matching[0], []
        if matching:
            listing = "; ".join(f"{one.title}: --series {one.uid}" for one in matching)
            raise InputError(f"{name}: {len(matching)} series have the number {wanted}; choose by UID: {listing}")
        raise InputError(f"{name}: has no {what} series {wanted}; it has {_listing(suitable)}")
    volumes = [one for one in suitable if one.frames >= MIN_SLICES and not one.image_type & _PROJECTIONS]
    best = min((_rank(one) for one in volumes), default=0)
    chosen = [one for one in volumes if _rank(one) == best] or suitable
    if len(chosen) > 1:
        raise InputError(
            f"{name}: holds {len(chosen)} {what} series: {_listing(chosen)}; choose one with --series NUMBER or UID"
        )
    passed_over = [one for one in suitable if one is not chosen[0]]
    if not passed_over:
        return chosen[0], []
    others = "; ".join(one.label for one in passed_over)
    return chosen[0], [f"took series {chosen[0].label}; passed over {others}"]


def _rank(series: DicomSeries) -> int:
    """0 for what the scanner reconstructed, 1 for images derived from it, 2 for secondary ones."""
    if "SECONDARY" in series.image_type:
        return 2
    return 1 if "DERIVED" in series.image_type else 0


def _listing(series: list[DicomSeries]) -> str:
    return "; ".join(one.title for one in series)
