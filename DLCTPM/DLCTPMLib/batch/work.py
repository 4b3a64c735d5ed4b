"""Some patients one after the other in a worker: the next CT is read while the network works on this one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

from DLCTPMLib import __version__
from DLCTPMLib.batch.finding import BatchPatient
from DLCTPMLib.batch.summary import row_of
from DLCTPMLib.common.atomic_output import OutputFolder
from DLCTPMLib.common.background import background
from DLCTPMLib.common.console import plain_line
from DLCTPMLib.common.errors import InputError
from DLCTPMLib.common.memory import is_out_of_memory
from DLCTPMLib.common.progress import within
from DLCTPMLib.networks.bundle import ModelBundle, load_bundle
from DLCTPMLib.parallel.tasks import AbandonedError, Report
from DLCTPMLib.results.job import PatientScans, PredictionJob
from DLCTPMLib.results.names import InputNames
from DLCTPMLib.results.prediction import DOSE_FILES, RESULT_FILES
from DLCTPMLib.results.settings import PredictionSettings

ROW_FILE, THUMBNAIL = "summary.json", "thumbnail.png"
"""What lies beside a prediction's own files in a patient's folder."""

BATCH_FILES = (*RESULT_FILES, *DOSE_FILES, ROW_FILE, THUMBNAIL)


@dataclass(frozen=True)
class How:
    """How every patient is predicted.

    Attributes:
        out: folder of the patients' folders.
        model: name or path of the bundle.
        model_sha256: its hash; a worker with another one refuses.
        settings: of the predictions.
        force: map also where a check of the input FAILs.
        salt, with_date: of ``InputNames``.
    """

    out: str
    model: str | None
    model_sha256: str
    settings: PredictionSettings
    force: bool = False
    salt: str | None = None
    with_date: bool = False

    def key(self, patient: BatchPatient) -> str:
        """Names what a patient's result is made of: images by size and time, model, settings, version.

        A result with the same key need not be made again.
        """
        paths = patient.paths
        places = {name: [path] for name, path in paths.by_role().items() if path}
        places |= {"CT": paths.files} if paths.files else {}
        images = {name: [_stamp(path) for path in found] for name, found in places.items()}
        made_of = [__version__, asdict(patient), images, {**asdict(self), "out": None, "model": None}]
        return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()

    def kept_row(self, patient: BatchPatient) -> dict | None:
        """The row of a patient whose result is there, made of the same; None where it is not."""
        try:
            note = self.note(patient)
            return note["row"] if note["key"] == self.key(patient) else None
        except (OSError, ValueError, KeyError, TypeError):  # there is none, or a damaged one
            return None

    def note(self, patient: BatchPatient) -> dict:
        """What lies beside a patient's result: its ``key`` and ``row``."""
        return json.loads((Path(self.out) / patient.patient_id / ROW_FILE).read_text(encoding="utf-8"))

    def names(self, patient: BatchPatient) -> InputNames:
        """What results call the images."""
        pseudonym = patient.patient_id if patient.named_by_id else None
        return InputNames(patient.paths.by_role(), pseudonym, self.salt, self.with_date)


def predict_patients(patients: Sequence[BatchPatient], how: How, report: Report) -> dict[str, str]:
    """Predict those whose results are not there yet, into a folder each.

    Returns:
        by id why a patient has no result.

    Raises:
        InputError: the model is not that of the others.
    """
    bundle = _bundle(how.model, how.model_sha256)
    left = [patient for patient in patients if how.kept_row(patient) is None]
    failed = {}
    ahead: Future[PatientScans] | None = None
    for number, patient in enumerate(left):
        part = within(report, number / len(left), (number + 1) / len(left))
        part(patient.patient_id, 0.0)
        try:
            scans = ahead.result() if ahead else patient.paths.read()
        except Exception as error:
            scans, failed[patient.patient_id] = None, _reason(error, how.names(patient))
        ahead = background(left[number + 1].paths.read) if number + 1 < len(left) else None
        if scans is None:
            continue
        try:
            _predict(patient, scans, how, bundle, report, lambda _, done, of=patient.patient_id, p=part: p(of, done))
        except AbandonedError:
            raise
        except Exception as error:  # of one patient: the others go on
            failed[patient.patient_id] = _reason(error, how.names(patient))
    return failed


def _predict(
    patient: BatchPatient, scans: PatientScans, how: How, bundle: ModelBundle, report: Report, progress
) -> None:
    from DLCTPMLib.batch.thumbnail import write_thumbnail
    from DLCTPMLib.volumes.reading import read_image

    key = how.key(patient)
    job = PredictionJob(patient.paths, how.names(patient), how.settings, how.force)
    with OutputFolder(Path(how.out) / patient.patient_id, BATCH_FILES) as folder:
        result = job.run(bundle, folder.work, progress, scans)
        perfusion, lungs = (read_image(folder.work / name) for name in ("perfusion.nrrd", "lungs.nrrd"))
        write_thumbnail(folder.work / THUMBNAIL, scans.ct.image, perfusion, lungs)
        note = {"key": key, "row": row_of(result)}
        (folder.work / ROW_FILE).write_text(json.dumps(note, indent=1) + "\n", encoding="utf-8")
        report.check()


def _reason(error: Exception, names: InputNames) -> str:
    """Why there is no result, in one line that names no path."""
    if isinstance(error, InputError):
        sentence = str(error)
    elif is_out_of_memory(error):
        sentence = "there is not enough memory for this image; run with fewer processes at once"
    else:
        sentence = f"a defect of this program ({type(error).__name__}: {error}); please report it"
    (told,) = names.told([sentence])
    return plain_line(told)


@lru_cache(maxsize=1)
def _bundle(model: str | None, sha256: str) -> ModelBundle:
    bundle = load_bundle(model)
    if bundle.sha256 != sha256:
        raise InputError(f"{bundle.path}: is another model on this worker than where the command runs; copy it again")
    return bundle


def _stamp(path: str) -> list:
    """A file's name, size and time of change; of a folder those of all files in it."""
    place = Path(path)
    if place.is_dir():
        return [_stamp(str(file)) for file in sorted(place.rglob("*")) if file.is_file()]
    found = place.stat()
    return [place.name, found.st_size, found.st_mtime_ns]
