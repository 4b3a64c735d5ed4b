"""Many CTs: found, predicted by an executor, and gathered in ``summary.csv`` and ``index.html``.

A patient's folder appears when it is whole and is found again by what it was made of, so a batch that was killed at
any moment goes on by the same command and ends with the same summary.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from DLCTPMLib.batch.finding import BatchPatient, Found, find_patients
from DLCTPMLib.batch.index import index_pages
from DLCTPMLib.batch.summary import FAILED, failed_row, summary_csv
from DLCTPMLib.batch.work import How, predict_patients
from DLCTPMLib.common.atomic_output import whole_file
from DLCTPMLib.common.ending.temporary_files import remove_left_behind
from DLCTPMLib.common.errors import InputError
from DLCTPMLib.common.progress import EventSink, Progress, no_events, no_progress, within
from DLCTPMLib.networks.bundle import load_bundle
from DLCTPMLib.parallel.executors import open_executor
from DLCTPMLib.parallel.settings import WorkerSettings
from DLCTPMLib.parallel.tasks import AbandonedError, Task, run_tasks
from DLCTPMLib.results.settings import PredictionSettings

SUMMARY, LEFT_OUT, INDEX = "summary.csv", "left-out.csv", "index.html"

LONGEST_CHUNK = 8
"""Patients of one task at most: one after the other, so that the next CT is read beside this one's network."""

CHUNKS_A_PROCESS = 4
"""So many tasks a process at least, where there are patients enough: the last ones end together."""


@dataclass(frozen=True)
class BatchPlan:
    """What ``dlctpm cohort predict`` is asked for.

    Attributes:
        source: a table, or a folder of files or DICOM series.
        out: the folder of the results.
        model: name or path of the bundle; None for the shipped one.
        settings: of every prediction.
        force: map also where a check of the input FAILs.
        every_series: of an examination take every series.
        at_once: who does it.
        threads: of each process.
        salt, with_date: of ``results.names``.
    """

    source: Path
    out: Path
    model: str | None = None
    settings: PredictionSettings = field(default_factory=PredictionSettings)
    force: bool = False
    every_series: bool = False
    at_once: WorkerSettings = field(default_factory=WorkerSettings)
    threads: int = 1
    salt: str | None = None
    with_date: bool = False


@dataclass(frozen=True)
class BatchResult:
    """What came out.

    Attributes:
        rows: by patient, ``summary.row_of`` with the ``patient_id``; in the order of the table, or by id.
        found: patients and what was left out.
    """

    rows: list[dict]
    found: Found

    @property
    def failed(self) -> list[dict]:
        """The rows of patients without a result."""
        return [row for row in self.rows if row["status"] == FAILED]


def predict_batch(plan: BatchPlan, progress: Progress = no_progress, emit: EventSink = no_events) -> BatchResult:
    """Predict every patient whose result is not there yet, and write summary, list of what was left out, and pages.

    Args:
        plan: what is asked for.
        progress: told how far all of it is.
        emit: given ``patient`` (id, status, reason) for each.

    Raises:
        InputError: no patients, no such model, a folder that cannot be written to, no workers.
    """
    out = plan.out.absolute()
    if out.exists() and not out.is_dir():
        raise InputError(f"{plan.out}: is a file, so no results can go there; name a folder with --out")
    bundle = load_bundle(plan.model)
    found = find_patients(plan.source, plan.every_series, within(progress, 0, 0.02))
    model = plan.model and (os.path.abspath(plan.model) if os.path.exists(plan.model) else plan.model)
    how = How(str(out), model, bundle.sha256, plan.settings, plan.force, plan.salt, plan.with_date)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{plan.out}: cannot be made ({error.strerror}); choose another place with --out") from error
    rows = {patient.patient_id: how.kept_row(patient) for patient in found.patients}
    left = [patient for patient in found.patients if rows[patient.patient_id] is None]
    for patient, reason in _predicted(plan, how, left, within(progress, 0.02, 0.98)):
        row = failed_row(reason) if reason else how.note(patient)["row"]
        rows[patient.patient_id] = row
        emit(patient={"id": patient.patient_id, "status": row["status"], "reason": row["reason"]})
    result = BatchResult([{"patient_id": name, **row} for name, row in rows.items()], found)
    progress("Writing the summary", 0.98)
    _write(result, out)
    return result


def _predicted(
    plan: BatchPlan, how: How, left: list[BatchPatient], progress: Progress
) -> Iterator[tuple[BatchPatient, str]]:
    """Each patient that was worked on, and why it has no result (empty where it has)."""
    if not left:
        return
    processes = plan.at_once.jobs or plan.at_once.workers or LONGEST_CHUNK
    size = max(1, min(LONGEST_CHUNK, len(left) // (processes * CHUNKS_A_PROCESS)))
    chunks = [tuple(left[start : start + size]) for start in range(0, len(left), size)]
    tasks = [Task(predict_patients, (chunk, how), len(chunk)) for chunk in chunks]
    with _nothing_half_made(Path(how.out)), open_executor(plan.at_once) as executor:
        for number, future in run_tasks(executor, tasks, Path(how.out), plan.threads, progress):
            try:
                failed, lost = future.result(), ""
            except InputError:  # of the worker itself: its version, its model
                raise
            except AbandonedError as error:
                raise InputError(f"{plan.out}: another run works on this folder now; wait for it") from error
            except (Exception, CancelledError) as error:  # its process died every time; somewhere in this chunk
                failed, lost = {}, f"the process that worked on it died ({error})"
            for patient in chunks[number]:
                reason = failed.get(patient.patient_id, lost)
                yield patient, "" if lost and how.kept_row(patient) else reason


@contextmanager
def _nothing_half_made(out: Path) -> Iterator[None]:
    """Remove what workers that were killed, or ended by a cancelled run, have left of patients' folders."""
    try:
        yield
    finally:
        remove_left_behind(out, ".*.partial-*", just_made_s=0)


def _write(result: BatchResult, out: Path) -> None:
    left_out = io.StringIO()
    writer = csv.writer(left_out, lineterminator="\n")
    writer.writerow(("name", "reason"))
    writer.writerows((one.name, one.reason) for one in result.found.left_out)
    _write_text(out / LEFT_OUT, left_out.getvalue())
    for name, page in index_pages(result.rows, result.found.left_out):
        _write_text(out / name, page)
    _write_text(out / SUMMARY, summary_csv(result.rows))


def _write_text(path: Path, text: str) -> None:
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8", errors="replace")
