"""From a finished prediction and its CT to the files of an export."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.common.progress import Progress, no_progress
from DLCTPMLib.dicom_export.facts import MODEL_NAME, Facts
from DLCTPMLib.dicom_export.pdf import encapsulated_pdf
from DLCTPMLib.dicom_export.perfusion_map import map_on_own_grid, parametric_map
from DLCTPMLib.dicom_export.rtstruct import structure_set
from DLCTPMLib.dicom_export.seg import segmentation
from DLCTPMLib.dicom_export.series import plain_series
from DLCTPMLib.dicom_export.source import CtSource
from DLCTPMLib.dicom_export.sr import measurement_report
from DLCTPMLib.dicom_export.structures import structures_of
from DLCTPMLib.function.definitions import Definition
from DLCTPMLib.function.regions import FunctionalLung
from DLCTPMLib.results.finished import REPORT_PDF, FinishedResult

FILES = {
    "map": "perfusion_map.dcm",
    "series": "perfusion_series",
    "seg": "segmentation.dcm",
    "rtstruct": "structure_set.dcm",
    "sr": "measurements.dcm",
    "pdf": "report.dcm",
}
"""What each object is called in the folder of an export; the series is a folder."""

FIRST_SERIES_NUMBER = 9101
"""Series numbers count from here, in the order of ``FILES``: far from those of scanners."""


@dataclass(frozen=True)
class ExportChoice:
    """What is exported.

    Attributes:
        objects: of ``FILES``.
        structures: keys of ``dicom_export.structures``.
        definition: of high-functional lung.
        holes: how an RT Structure Set has holes (``dicom_export.contours``).
    """

    objects: tuple[str, ...]
    structures: tuple[str, ...]
    definition: Definition
    holes: str = "keyhole"


def parse_objects(text: str | None, folder: Path) -> tuple[str, ...]:
    """The objects that ``--objects`` names; by default all but the plain series, the PDF where there is one.

    Raises:
        InputError: a name that is none, measurements without the segmentation, a PDF that is not there.
    """
    has_pdf = (folder / REPORT_PDF).is_file()
    if text is None:
        return tuple(name for name in FILES if name != "series" and (name != "pdf" or has_pdf))
    objects = named_objects(text)
    if "pdf" in objects and not has_pdf:
        raise InputError(f"{folder / REPORT_PDF}: there is no such report; predict with --pdf, or leave pdf out")
    return objects


def named_objects(text: str) -> tuple[str, ...]:
    """The objects that ``--objects`` names, whatever the prediction has.

    Raises:
        InputError: a name that is none, measurements without the segmentation.
    """
    objects = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
    for name in objects:
        if name not in FILES:
            raise InputError(f"--objects {text}: there is no object {name!r}; give some of {', '.join(FILES)}")
    if "sr" in objects and "seg" not in objects:
        raise InputError(f"--objects {text}: measurements (sr) refer to the segmentation; export seg with them")
    return objects


def check_forced(finished: FinishedResult, force: bool) -> None:
    """Refuse a map that was forced past a FAIL, unless that is forced too.

    Raises:
        InputError: it was forced, and its export is not.
    """
    if finished.result.get("forced") and not force:
        raise InputError(
            f"{finished.folder}: this map was forced although checks of its input FAILED "
            f"({' '.join(finished.result['forced'])}); export it all the same, marked, with --force"
        )


def check_own(folder: Path) -> None:
    """Refuse a folder in which an export would take the place of what this program has not written.

    Raises:
        InputError: a file or folder has the name of an object, and is none of DL-CTPM's.
    """
    for name in FILES.values():
        path = folder / name
        of_others = [one for one in (path.rglob("*") if path.is_dir() else [path]) if one.is_file() and not _own(one)]
        if of_others:
            raise InputError(
                f"{of_others[0]}: was not written by DL-CTPM, and the export would take its place; "
                "move it away or name another folder with --out"
            )


def _own(path: Path) -> bool:
    try:
        header = dcmread(path, stop_before_pixels=True)
    except (InvalidDicomError, OSError):
        return False
    made_by = [header, *header.get("ContributingEquipmentSequence", [])]
    return any(one.get("ManufacturerModelName") == MODEL_NAME for one in made_by)


def export_objects(
    finished: FinishedResult,
    source: CtSource,
    choice: ExportChoice,
    folder: Path,
    progress: Progress = no_progress,
) -> list[str]:
    """Write the chosen objects into a folder (an ``OutputFolder``'s ``work``).

    Args:
        finished: the prediction.
        source: the CT that it was made of.
        choice: what is wanted.
        folder: an existing folder.
        progress: told the object and the fraction.

    Returns:
        the names of what was written.
    """
    with warnings.catch_warnings():
        # highdicom tells of odd patients' names, which a log may keep, and of arguments that 0.27 cannot do without
        warnings.simplefilter("ignore", UserWarning)
        return _export(finished, Facts(finished.result, choice.definition, source), choice, folder, progress)


def _export(
    finished: FinishedResult, facts: Facts, choice: ExportChoice, folder: Path, progress: Progress
) -> list[str]:
    lungs = finished.lungs
    function = FunctionalLung.of(finished.perfusion, lungs, choice.definition)
    structures = structures_of(function, choice.structures, facts.marks)
    segment_object: Dataset | None = None
    written = []
    for count, name in enumerate(one for one in FILES if one in choice.objects):
        progress(f"Writing {name}", count / len(choice.objects))
        number = FIRST_SERIES_NUMBER + list(FILES).index(name)
        place = folder / FILES[name]
        written.append(FILES[name])
        if name == "series":
            _write_series(finished, facts, number, place)
            continue
        if name == "map":
            dataset = parametric_map(map_on_own_grid(finished.perfusion, lungs), facts, number)
        elif name == "seg":
            dataset = segment_object = segmentation(structures, lungs, facts, number)
        elif name == "rtstruct":
            dataset = structure_set(structures, lungs, facts, number, choice.holes)
        elif name == "sr":
            dataset = measurement_report(structures, finished.perfusion, lungs, segment_object, facts, number)
        else:
            dataset = encapsulated_pdf(finished.folder / REPORT_PDF, facts, number)
        dataset.save_as(place, enforce_file_format=True)
    return written


def _write_series(finished: FinishedResult, facts: Facts, number: int, folder: Path) -> None:
    folder.mkdir()
    for k, dataset in enumerate(plain_series(finished.perfusion, facts, number), start=1):
        dataset.save_as(folder / f"{k:04d}.dcm", enforce_file_format=True)
