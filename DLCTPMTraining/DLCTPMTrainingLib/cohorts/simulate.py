"""Virtual cohorts: planning the patients, making those that are not there yet, writing the table."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from DLCTPMLib.common.atomic_output import whole_file
from DLCTPMLib.common.errors import InputError
from DLCTPMLib.common.progress import Progress, no_progress
from DLCTPMLib.parallel.executors import open_executor
from DLCTPMLib.parallel.settings import ALONE, WorkerSettings
from DLCTPMLib.parallel.tasks import Task, run_tasks
from DLCTPMTrainingLib.cohorts.dicom import DICOM
from DLCTPMTrainingLib.cohorts.table import COLUMNS, TABLE_1, WOMEN_OF_73, largest_remainder

IMAGES = ("ct", "lungs", "spect", "perfusion")
"""Images of a virtual patient, each ``<name>.nrrd`` in the patient's folder."""


def plan_cohort(patients: int, seed: int) -> list:
    """Settings of a virtual cohort with the mix of the paper's Table 1, sex and age as there.

    Exactly Table 1 for 73 patients; by largest remainder for other numbers. The order is shuffled by the seed.

    Returns:
        A list of ``VirtualPatientSettings``, ids SYNTH-0001 onwards.

    Raises:
        InputError: for fewer than one patient.
    """
    from DLCTPMTrainingLib.common.parameters import draw
    from DLCTPMTrainingLib.patients.virtual_patient import VirtualPatientSettings

    if patients < 1:
        raise InputError(f"a cohort of {patients} patients cannot be made; ask for at least 1")
    if seed < 0:
        raise InputError(f"seed {seed} is negative; use a whole number from 0 up")
    root = np.random.SeedSequence(seed)
    rng = np.random.default_rng(root.spawn(1)[0])
    diagnoses: list[str] = []
    counts = largest_remainder(patients, [count for count, _ in TABLE_1.values()])
    for count, (row, (_, names)) in zip(counts, TABLE_1.items(), strict=True):
        names = list(rng.permutation(names)) if row == "Others" else names
        diagnoses += [str(names[i % len(names)]) for i in range(count)]
    diagnoses = [diagnoses[i] for i in rng.permutation(patients)]
    women = round(patients * WOMEN_OF_73 / 73)
    sexes = rng.permutation(["F"] * women + ["M"] * (patients - women))
    ages = [int(np.clip(round(draw(rng, "age.years")), 22, 95)) for _ in range(patients)]
    return [
        VirtualPatientSettings(
            patient_id=f"SYNTH-{i + 1:04d}",
            seed=int(np.random.SeedSequence(seed, spawn_key=(1, i)).generate_state(1)[0]),
            diagnosis=diagnoses[i],
            sex=str(sexes[i]),
            age=ages[i],
        )
        for i in range(patients)
    ]


def simulate_cohort(
    patients: int,
    seed: int,
    out: Path | str,
    progress: Progress = no_progress,
    at_once: WorkerSettings = ALONE,
    adjust: Callable | None = None,
    dicom: bool = False,
) -> Path:
    """Make a virtual cohort in a folder: ``SYNTH-0001/{ct,lungs,spect,perfusion}.nrrd`` and ``cohort.csv``.

    A patient that is there already with the same configuration hash is left alone, so a stopped run goes on where it
    was. ``cohort.csv`` is written last. With ``dicom`` there are also a CT series and an NM file of each patient
    (``cohorts.dicom``), made from the NRRD files, and a table ``cohort_dicom.csv`` that names them.

    Args:
        patients: how many.
        seed: of the cohort.
        out: folder, made if needed.
        progress: told after each patient.
        at_once: who makes them.
        adjust: called with each patient's settings, returns those to use (another spacing, say).
        dicom: whether to write CT and SPECT as DICOM too.

    Returns:
        The path of ``cohort.csv``.
    """
    plan = plan_cohort(patients, seed)  # refuses nonsense before anything is written
    return make_cohort([adjust(settings) for settings in plan] if adjust else plan, out, progress, at_once, dicom)


def make_cohort(
    plan: list,
    out: Path | str,
    progress: Progress = no_progress,
    at_once: WorkerSettings = ALONE,
    dicom: bool = False,
) -> Path:
    """Make the planned patients that are not there yet, then the table; see ``simulate_cohort``.

    Args:
        plan: the settings of each patient (``VirtualPatientSettings`` or alike).
        out: folder, made if needed.
        progress: told after each patient.
        at_once: who makes them.
        dicom: whether to write CT and SPECT as DICOM too.

    Returns:
        The path of ``cohort.csv``.
    """
    out = Path(out)
    check_place(out)
    out.mkdir(parents=True, exist_ok=True)
    progress("virtual patients", 0.0)
    for done, _ in enumerate(
        each_done(_write_in_worker, [(s, out.absolute(), dicom) for s in plan], out, at_once), 1
    ):
        progress(f"virtual patient {done} of {len(plan)}", done / len(plan))
    if dicom:
        write_cohort_table(plan, out, dicom)
    return write_cohort_table(plan, out)


def check_place(out: Path) -> None:
    """Refuse a place for a cohort that is taken by a file."""
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file, not a folder; give another place for the cohort")


def each_done(
    do: Callable[..., Any], every: Sequence[tuple], place: Path, at_once: WorkerSettings
) -> Iterator[tuple[int, Any]]:
    """Do the same with each of several arguments, at once where that was asked for.

    Args:
        do: called with one's arguments, and ``report``.
        every: the arguments of each.
        place: an existing folder that every worker sees.
        at_once: who does it; each process of this machine gets its share of the cores.

    Yields:
        the number of each and what came of it, as they end.
    """
    if not at_once.several:
        for number, arguments in enumerate(every):
            yield number, do(*arguments, report=no_progress)
        return
    threads = max(1, (os.cpu_count() or 1) // (at_once.jobs or at_once.workers)) if at_once.scheduler is None else 1
    with open_executor(at_once) as executor:
        for number, done in run_tasks(executor, [Task(do, arguments) for arguments in every], place, threads):
            yield number, done.result()


def _write_in_worker(settings, out: Path, dicom: bool, report: Progress) -> None:
    report(f"virtual patient {settings.patient_id}", 0.0)
    write_patient(settings, out, dicom)


def write_patient(settings, out: Path, dicom: bool = False) -> Path:
    """Make one virtual patient's folder under ``out`` unless it is there whole, with the same configuration."""
    folder = Path(out) / settings.patient_id
    if kept_note(folder, settings) is None:
        _write_images(folder, settings)
    if dicom:
        from DLCTPMTrainingLib.cohorts.dicom import write_patient_dicom

        write_patient_dicom(folder)
    return folder


def kept_note(folder: Path, settings) -> dict | None:
    """What a patient's folder notes of it (``patient.json``) if it is there whole, as these settings make it."""
    note = folder / "patient.json"
    if not note.exists() or not all((folder / f"{name}.nrrd").exists() for name in IMAGES):
        return None
    try:
        content = json.loads(note.read_text(encoding="utf-8"))
    except json.JSONDecodeError:
        return None  # cut short by a crash: make the patient again
    return content if content.get("configuration_sha256") == settings.sha256 else None


def _write_images(folder: Path, settings) -> None:
    """Simulate a patient and write the images, then the note that says they are whole."""
    from DLCTPMLib.volumes.reading import write_image

    patient = settings.simulate()
    folder.mkdir(parents=True, exist_ok=True)
    note = folder / "patient.json"
    note.unlink(missing_ok=True)
    for name in IMAGES:
        write_image(getattr(patient, name), folder / f"{name}.nrrd")
    _write_text(note, json.dumps(patient.info, indent=1, sort_keys=True))


def write_cohort_table(plan: list, out: Path, dicom: bool = False) -> Path:
    """Write ``cohort.csv`` for planned patients under ``out``; ``cohort_dicom.csv`` names CT and SPECT in DICOM.

    Patients made on real CTs have further columns: their settings' ``columns``.
    """
    files = {name: f"{name}.nrrd" for name in IMAGES} | (DICOM if dicom else {})
    rows = []
    for s in plan:
        paths = {name: f"{s.patient_id}/{file}" for name, file in files.items()}
        row = {"patient_id": s.patient_id, **paths, "diagnosis": s.diagnosis, "sex": s.sex, "age": str(s.age)}
        rows.append(row | {"seed": str(s.seed), "simulated": "yes"} | getattr(s, "columns", {}))
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys((*COLUMNS, *rows[0]))), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    path = Path(out) / ("cohort_dicom.csv" if dicom else "cohort.csv")
    _write_text(path, text.getvalue())
    return path


def _write_text(path: Path, text: str) -> None:
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")
