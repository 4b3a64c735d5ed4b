"""Which CTs a table, a folder of files or a tree of DICOM series holds; what is no chest CT is listed with a reason.

Of a tree every header is read once, here: whoever reads a series later is told its files.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from DLCTPMLib.batch.file_names import OTHER_ENDINGS, is_image, label_words, subject, without_ending
from DLCTPMLib.batch.table import TableLine, read_table, unusable_id
from DLCTPMLib.common.errors import InputError
from DLCTPMLib.common.progress import Progress, no_progress
from DLCTPMLib.results.job import PatientPaths
from DLCTPMLib.volumes.dicom.header import frame_count, image_type, read_header
from DLCTPMLib.volumes.dicom.series import MIN_SLICES, PROJECTIONS, DicomSeries
from DLCTPMLib.volumes.reading import CT_CLASSES

COLUMNS = ("patient_id", "ct")
"""Columns that a table must have; ``spect``, ``lungs`` and the other fields of ``PatientPaths`` may be there."""

IMAGES = ("ct", "spect", "lungs")
"""Columns that hold paths."""

TABLE_ENDINGS = (".csv", ".tsv", ".txt")


@dataclass(frozen=True)
class BatchPatient:
    """One patient to predict.

    Attributes:
        patient_id: names the folder of the results.
        paths: of the images.
        named_by_id: results call the images by the id, as in a table; else by their files' names.
    """

    patient_id: str
    paths: PatientPaths
    named_by_id: bool = False


@dataclass(frozen=True)
class LeftOut:
    """What was found and is not predicted: its name and the reason, half a sentence."""

    name: str
    reason: str


@dataclass
class Found:
    """What a source holds."""

    patients: list[BatchPatient] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)


def find_patients(source: Path, every_series: bool = False, progress: Progress = no_progress) -> Found:
    """The patients of a table, or the CTs below a folder; by id, and in a table by line.

    Args:
        source: the table or folder.
        every_series: take every series of an examination, not the one of most slices only.
        progress: told the folder that is looked at.

    Raises:
        InputError: there is no such table or folder, or no CT in it.
    """
    if source.is_dir():
        found = _below(source, every_series, progress)
    elif source.name.lower().endswith(TABLE_ENDINGS):
        found = _of_table(source)
    else:
        raise InputError(f"{source}: is no folder and no table (.csv); give one, or use 'dlctpm predict' for one CT")
    if not found.patients:
        shown = "; ".join(f"{one.name}: {one.reason}" for one in found.left_out[:3])
        raise InputError(f"{source}: holds no CT that could be mapped{f' ({shown})' if shown else ''}; give others")
    return found


def _of_table(table: Path) -> Found:
    choices = [each.name for each in fields(PatientPaths) if each.name not in (*IMAGES, "files")]

    def patient(line: TableLine) -> BatchPatient:
        images = {name: line.file(name, needed=name == "ct") for name in IMAGES}
        said = {name: line.cells.get(name) or None for name in choices}
        paths = PatientPaths(**{name: str(path) if path else None for name, path in images.items()}, **said)
        return BatchPatient(line.patient_id, paths, named_by_id=True)

    rows, faults = read_table(table, COLUMNS, patient)
    left_out = []
    for fault in faults:
        place, _, reason = str(fault).removeprefix(f"{table}, ").partition(": ")
        left_out.append(LeftOut(place, reason))
    return Found(rows, left_out)


def _below(root: Path, every_series: bool, progress: Progress) -> Found:
    root = root.absolute()
    found, series = Found(), _SeriesOfTree(root)
    for place, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        progress(f"Looking through {Path(place).name}", 0.0)
        paths = [Path(place) / name for name in sorted(names) if not name.startswith(".")]
        paths = [path for path in paths if path.is_file()]
        images = [path for path in paths if is_image(path.name)]
        _take_images(root, images, found)
        for path in paths:
            if path not in images and not path.name.lower().endswith(OTHER_ENDINGS) and path.name != "DICOMDIR":
                series.look_at(path)
    chosen, left_out = series.chosen(every_series)
    found.patients += chosen
    found.left_out += left_out
    taken: set[str] = set()
    found.patients = [
        replace(patient, patient_id=_free(patient.patient_id, taken))
        for patient in sorted(found.patients, key=lambda patient: (patient.patient_id, patient.paths.ct))
    ]
    return found


def _take_images(root: Path, images: list[Path], found: Found) -> None:
    """The CTs among the image files of one folder; a label map goes to the CT that is named alike."""
    cts = [path for path in images if not label_words(path.name)]
    labels: dict[tuple[str, ...], list[Path]] = {}
    for path in images:
        if label_words(path.name):
            labels.setdefault(subject(path.name), []).append(path)
    for ct in cts:
        masks = labels.pop(subject(ct.name), [])
        if len(masks) > 1:
            reason = f"one of {len(masks)} label maps of {ct.name}, so none was taken; name one in a table"
            found.left_out += [LeftOut(_below_root(root, mask), reason) for mask in masks]
        lungs = str(masks[0]) if len(masks) == 1 else None
        name = without_ending(_below_root(root, ct))
        found.patients.append(BatchPatient(_id_of(name), PatientPaths(str(ct), lungs=lungs)))
    for masks in labels.values():
        found.left_out += [LeftOut(_below_root(root, mask), "a label map without a CT of its name") for mask in masks]


@dataclass
class _Series:
    """What is kept of a series while the tree is gone through: any one header, and what is in all of them."""

    first: DicomSeries
    images: int = 0
    kinds: set[str] = field(default_factory=set)
    files: list[Path] = field(default_factory=list)


class _SeriesOfTree:
    """The DICOM series below a folder."""

    def __init__(self, root: Path):
        self._root = root
        self._series: dict[str, _Series] = {}

    def look_at(self, path: Path) -> None:
        """Read one file's header; what is no DICOM image is passed over."""
        header = read_header(path)
        if header is None:
            return
        uid = str(header.get("SeriesInstanceUID", "") or "")
        one = self._series.setdefault(uid, _Series(DicomSeries(uid, [header])))
        one.images += frame_count(header)
        one.kinds.update(image_type(header))
        one.files.append(path)

    def chosen(self, every_series: bool) -> tuple[list[BatchPatient], list[LeftOut]]:
        """The series to predict, and the others with their reasons."""
        left_out, by_study = [], {}
        for one in self._series.values():
            if reason := _no_chest_ct(one):
                left_out.append(LeftOut(self._name(one), reason))
            else:
                study = str(one.first.first.get("StudyInstanceUID", "") or one.first.uid)
                by_study.setdefault(study, []).append(one)
        patients = []
        for group in by_study.values():
            group.sort(key=_rank)
            taken = group if every_series else group[:1]
            patients += [self._patient(one, several=len(taken) > 1) for one in taken]
            best = f"series {group[0].first.number}" if group[0].first.number else "a series without a number"
            reason = f"of the same examination {best} was taken; --every-series takes all"
            left_out += [LeftOut(self._name(one), reason) for one in group[len(taken) :]]
        return patients, sorted(left_out, key=lambda one: one.name)

    def _patient(self, one: _Series, several: bool) -> BatchPatient:
        folder = _common_folder(one.files)
        name = _below_root(self._root, folder) or self._root.name
        alone = sum(_common_folder(other.files) == folder for other in self._series.values()) == 1
        if several or not alone:
            name += f"_series-{one.first.number or one.first.uid[-8:]}"
        paths = PatientPaths(str(folder), series=one.first.uid or None, files=tuple(map(str, one.files)))
        return BatchPatient(_id_of(name), paths)

    def _name(self, one: _Series) -> str:
        folder = _below_root(self._root, _common_folder(one.files)) or self._root.name
        return f"{folder}, series {one.first.number or 'without a number'}"


def _no_chest_ct(one: _Series) -> str:
    """Why a series is no chest CT, as far as its headers say; empty where it may be one."""
    if str(one.first.first.SOPClassUID) not in CT_CLASSES:
        return f"images of modality {one.first.modality}, no CT"
    if one.kinds & PROJECTIONS:
        return "a localizer or a projection, no stack of slices"
    if one.images < MIN_SLICES:
        return f"only {one.images} slices; a volume of the whole lungs is needed"
    if "SECONDARY" in one.kinds:
        return "secondary images, not reconstructed by the scanner"
    return ""


def _rank(one: _Series) -> tuple:
    """Of one examination's series the original ones before derived ones, most slices, lowest number first."""
    number = one.first.number
    return "DERIVED" in one.kinds, -one.images, int(number) if number.isdigit() else 1 << 31, one.first.uid


def _common_folder(files: Iterable[Path]) -> Path:
    return Path(os.path.commonpath([file.parent for file in files]))


def _below_root(root: Path, path: Path) -> str:
    name = path.relative_to(root).as_posix()
    return "" if name == "." else name


def _id_of(name: str) -> str:
    """A name as an id that names a folder."""
    plain = re.sub(r'[/\\:*?"<>|\s]+|[^\x20-\x7e]+', "_", name).strip("._- ")
    return f"CT-{hashlib.sha256(name.encode()).hexdigest()[:8]}" if unusable_id(plain or ".") else plain


def _free(name: str, taken: set[str]) -> str:
    """The name, with a number where it is taken (also by one that differs in its capitals only)."""
    free, number = name, 1
    while free.lower() in taken:
        number += 1
        free = f"{name}-{number}"
    taken.add(free.lower())
    return free
