"""The DICOM series of a folder: find them, and choose the one that is meant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pydicom

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.volumes.dicom.header import KEPT_TAGS, frame_count, image_type, read_header

MIN_SLICES = 8
"""A stack with fewer slices is no volume of the lungs (a scout, a dose report, a bolus tracking slice)."""

MAPS_EACH = "dlctpm cohort predict FOLDER --out RESULTS"
"""The command that takes what holds several CTs."""

_NO_AGENT = {"NONE", "NO", "N", "NIL", "N/A", "0", "WITHOUT", "NO CONTRAST", "NON CONTRAST", "NON-CONTRAST", "NATIVE"}
_BOWEL = {"ORAL", "PO", "P.O.", "PER OS", "ORAL CONTRAST", "RECTAL", "ORAL AND RECTAL"}
"""What people write into Contrast/Bolus Agent and Route where the blood carries none."""

PROJECTIONS = {"LOCALIZER", "MIP", "MINIP", "MAX_IP", "MIN_IP", "MAXIP", "PROJECTION IMAGE"}
"""Values of Image Type of what is no stack of slices."""


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
        return {value for header in self.headers for value in image_type(header)}

    @property
    def frames(self) -> int:
        """How many slices or frames there are."""
        return sum(map(frame_count, self.headers))

    @property
    def corrections(self) -> str:
        """Whether a nuclear medicine image says that it is corrected for attenuation; empty for others."""
        if self.modality not in ("NM", "PT") or self.first.get("CorrectedImage") is None:
            return ""
        stated = self.first.CorrectedImage
        stated = {str(v).upper() for v in ([stated] if isinstance(stated, str) else stated)}
        return "attenuation-corrected" if "ATTN" in stated else "not attenuation-corrected"

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
        words = [word for word in (f"{self.frames} images", thickness, kernel, self.corrections, more) if word]
        return f"{self.number or 'no number'} ({', '.join(words)})"

    def description(self) -> dict:
        """What of the header goes into ``result.json``: ``KEPT_TAGS``, and whether contrast is stated."""
        kept = {}
        for keyword in KEPT_TAGS:
            value = self.first.get(keyword)
            if value in (None, ""):
                continue
            kept[keyword] = _plain(value)
        kept["contrast_agent_stated"] = contrast_stated(self.first)
        return kept


def contrast_stated(header: pydicom.Dataset) -> bool:
    """Whether a CT's header states contrast medium in the blood: an agent or a volume, and no way but the bowel."""

    def words(keyword: str) -> str:
        return " ".join(str(header.get(keyword) or "").upper().split())

    if words("ContrastBolusRoute") in _BOWEL:
        return False
    agents = [item.get("CodeMeaning") for item in header.get("ContrastBolusAgentSequence") or ()]
    if agents or _positive(header.get("ContrastBolusVolume")):
        return True
    return words("ContrastBolusAgent") not in {"", *_NO_AGENT, *_BOWEL}


def _positive(value) -> bool:
    return isinstance(value, (int, float)) and value > 0


def _plain(value):
    if isinstance(value, (list, tuple, pydicom.multival.MultiValue)):
        return [_plain(v) for v in value]
    return float(value) if isinstance(value, (int, float)) else str(value)


def find_series(folder: Path, files: Iterable[Path] = ()) -> list[DicomSeries]:
    """All image series below a folder, or of those files, by series number; what is no DICOM image is passed over."""
    series: dict[str, DicomSeries] = {}
    for path in list(files) or _files(folder):
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
    option = "--spect-series" if what == "SPECT" else "--series"
    suitable = [one for one in found if suits(one)]
    if not suitable:
        others = ", ".join(f"{count} {modality}" for modality, count in Counter(s.modality for s in found).items())
        raise InputError(
            f"{name}: holds no {what} series, only other series ({others}); give the folder of a {what} series"
        )
    if wanted is not None:
        matching = [one for one in suitable if wanted in (one.uid, one.number)]
        if len(matching) == 1:
            return matching[0], []
        if matching:
            listing = "; ".join(f"{one.title}: {option} {one.uid}" for one in matching)
            raise InputError(f"{name}: {len(matching)} series have the number {wanted}; choose by UID: {listing}")
        raise InputError(f"{name}: has no {what} series {wanted}; it has {_listing(suitable)}")
    volumes = [one for one in suitable if one.frames >= MIN_SLICES and not one.image_type & PROJECTIONS]
    best = min((_rank(one) for one in volumes), default=0)
    chosen = [one for one in volumes if _rank(one) == best] or suitable
    if len(chosen) > 1:
        raise InputError(
            f"{name}: holds {len(chosen)} {what} series: {_listing(chosen)}; choose one with {option} NUMBER or UID"
            + (f", or map each with '{MAPS_EACH}'" if what == "CT" else "")
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
