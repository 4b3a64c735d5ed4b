"""Cohorts: the table of patients a training or a study runs on, and the making of virtual ones.

``cohort.csv`` has the columns ``patient_id, ct, spect, lungs, diagnosis, sex, age`` and may have more; paths are
relative to the table.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from DLCTPMLib.errors import InputError
from DLCTPMLib.output_folder import whole_file
from DLCTPMLib.progress import Progress, silent

REQUIRED_COLUMNS = ("patient_id", "ct", "spect", "lungs")
"""Columns without which a cohort table is refused."""
COLUMNS = (*REQUIRED_COLUMNS, "diagnosis", "sex", "age", "perfusion", "seed", "simulated")
"""Columns of a virtual cohort's table, in order."""
IMAGES = ("ct", "lungs", "spect", "perfusion")
"""Images of a virtual patient, each ``<name>.nrrd`` in the patient's folder."""
DICOM = {"ct": "dicom/CT", "spect": "dicom/NM/spect.dcm"}
"""Where the DICOM series and file of a virtual patient lie in the patient's folder, if asked for."""

TABLE_1: dict[str, tuple[int, tuple[str, ...]]] = {
    "Pulmonary hypertension": (25, ("pulmonary hypertension",)),
    "Pulmonary embolism": (
        12,
        ("chronic pulmonary embolism", "chronic pulmonary embolism", "acute pulmonary embolism"),
    ),
    "Lung cancer": (12, ("lung cancer",)),
    "Chest pain": (2, ("chest pain",)),
    "Chronic obstructive airway disease": (2, ("chronic obstructive airway disease",)),
    "Systemic lupus erythematosus": (2, ("systemic lupus erythematosus",)),
    "Others": (
        14,
        (
            "pulmonary fibrosis",
            "hypoxia",
            "congestive heart failure",
            "aortic dissection",
            "pulmonary arteriovenous malformation",
            "chronic renal failure",
            "hepatopulmonary syndrome",
            "fever",
            "post COVID-19",
            "shortness of breath",
            "hypoplastic right lung",
            "tuberculosis",
            "pneumonia",
            "deep venous thrombosis",
        ),
    ),
    "Healthy lung": (4, ("healthy",)),
}
"""Table 1 of the paper: row → (patients of 73, the diagnoses of this generator that make up the row, in turn).

The paper does not say how many embolisms were acute; its text names chronic ones. One in three is acute here.
"""
WOMEN_OF_73 = 49
"""Women among the paper's 73 patients."""


def table_1_row(diagnosis: str) -> str:
    """The row of the paper's Table 1 that a diagnosis belongs to ("Others" if unknown)."""
    for row, (_, diagnoses) in TABLE_1.items():
        if diagnosis in diagnoses:
            return row
    return "Others"


def largest_remainder(total: int, weights: list[int]) -> list[int]:
    """Whole numbers in the proportion of ``weights`` whose sum is ``total``."""
    quotas = [total * weight / sum(weights) for weight in weights]
    counts = [int(quota) for quota in quotas]
    order = sorted(range(len(weights)), key=lambda i: (counts[i] - quotas[i], i))
    for i in order[: total - sum(counts)]:
        counts[i] += 1
    return counts


def plan_cohort(patients: int, seed: int) -> list:
    """Settings of a virtual cohort with the mix of the paper's Table 1, sex and age as there.

    Exactly Table 1 for 73 patients; by largest remainder for other numbers. The order is shuffled by the seed.

    Returns:
        A list of ``VirtualPatientSettings``, ids SYNTH-0001 onwards.

    Raises:
        InputError: for fewer than one patient.
    """
    from DLCTPMTrainingLib.parameters import draw
    from DLCTPMTrainingLib.virtual_patient import VirtualPatientSettings

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
    progress: Progress = silent,
    workers: int = 1,
    adjust: Callable | None = None,
    dicom: bool = False,
) -> Path:
    """Make a virtual cohort in a folder: ``SYNTH-0001/{ct,lungs,spect,perfusion}.nrrd`` and ``cohort.csv``.

    A patient that is there already with the same configuration hash is left alone, so a stopped run goes on where it
    was. ``cohort.csv`` is written last. With ``dicom`` there are also a CT series and an NM file of each patient
    (``cohort_dicom``), made from the NRRD files, and a table ``cohort_dicom.csv`` that names them.

    Args:
        patients: how many.
        seed: of the cohort.
        out: folder, made if needed.
        progress: told after each patient.
        workers: processes.
        adjust: called with each patient's settings, returns those to use (another spacing, say).
        dicom: whether to write CT and SPECT as DICOM too.

    Returns:
        The path of ``cohort.csv``.
    """
    plan = plan_cohort(patients, seed)  # refuses nonsense before anything is written
    return make_cohort([adjust(settings) for settings in plan] if adjust else plan, out, progress, workers, dicom)


def make_cohort(
    plan: list, out: Path | str, progress: Progress = silent, workers: int = 1, dicom: bool = False
) -> Path:
    """Make the planned patients that are not there yet, then the table; see ``simulate_cohort``.

    Args:
        plan: the settings of each patient (``VirtualPatientSettings`` or alike).
        out: folder, made if needed.
        progress: told after each patient.
        workers: processes.
        dicom: whether to write CT and SPECT as DICOM too.

    Returns:
        The path of ``cohort.csv``.
    """
    out = Path(out)
    check_place(out)
    out.mkdir(parents=True, exist_ok=True)
    progress("virtual patients", 0.0)
    if workers <= 1:
        for done, settings in enumerate(plan, 1):
            write_patient(settings, out, dicom)
            progress(f"virtual patient {done} of {len(plan)}", done / len(plan))
    else:
        threads = max(1, (os.cpu_count() or 1) // workers)
        with ProcessPoolExecutor(workers, initializer=use_threads, initargs=(threads,)) as pool:
            for done, _ in enumerate(pool.map(write_patient, plan, [out] * len(plan), [dicom] * len(plan)), 1):
                progress(f"virtual patient {done} of {len(plan)}", done / len(plan))
    if dicom:
        write_cohort_table(plan, out, dicom)
    return write_cohort_table(plan, out)


def check_place(out: Path) -> None:
    """Refuse a place for a cohort that is taken by a file."""
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file, not a folder; give another place for the cohort")


def use_threads(number: int) -> None:
    """Share the cores between the processes: each using them all would be slower."""
    import SimpleITK as sitk
    import torch

    torch.set_num_threads(number)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(number)


def write_patient(settings, out: Path, dicom: bool = False) -> Path:
    """Make one virtual patient's folder under ``out`` unless it is there whole, with the same configuration."""
    folder = Path(out) / settings.patient_id
    if kept_note(folder, settings) is None:
        _write_images(folder, settings)
    if dicom:
        from DLCTPMTrainingLib.cohort_dicom import write_patient_dicom

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
    from SimpleITK import WriteImage

    patient = settings.simulate()
    folder.mkdir(parents=True, exist_ok=True)
    note = folder / "patient.json"
    note.unlink(missing_ok=True)
    for name in IMAGES:
        with whole_file(folder / f"{name}.nrrd") as partial:
            WriteImage(getattr(patient, name), str(partial), True, 1)
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


@dataclass(frozen=True)
class CohortRow:
    """One patient of a cohort table; paths are absolute, ``lungs`` and ``perfusion`` may be None.

    ``line`` is the row's line in the file; ``other`` holds columns without a meaning here.
    """

    patient_id: str
    ct: Path
    spect: Path
    lungs: Path | None
    diagnosis: str = ""
    sex: str = ""
    age: float | None = None
    perfusion: Path | None = None
    simulated: bool = False
    line: int = 0
    other: dict[str, str] = field(default_factory=dict)

    @property
    def real_ct(self) -> bool:
        """Whether perfusion and SPECT were simulated on the CT of a real person."""
        return self.simulated and self.other.get("anatomy", "").lower() == "real"


def read_cohort(path: Path | str) -> list[CohortRow]:
    """Read and check a cohort table.

    UTF-8 (with or without mark), UTF-16 with its mark, or Latin-1; separated by comma, semicolon or tab.

    Raises:
        InputError: naming the file and line: no such table, missing column, wrong number of values, missing file, the
            same patient twice, an age that is no number.
    """
    rows, faults = read_rows(path)
    if faults:
        raise faults[0]
    return rows


def read_rows(path: Path | str) -> tuple[list[CohortRow], list[InputError]]:
    """Read a cohort table, however many of its lines have faults: the good rows, and what is wrong with the others.

    Raises:
        InputError: the table as a whole cannot be used: no such file, a missing column, no patients.
    """
    path = Path(path)
    text = _read_text(path)
    lines = text.splitlines()
    if not lines or not lines[0].strip():
        raise InputError(f"{path} is empty; a cohort table needs a header line with {', '.join(REQUIRED_COLUMNS)}")
    separator = max(",;\t", key=lines[0].count)
    reader = csv.reader(lines, delimiter=separator)
    header = [name.strip().lower() for name in next(reader)]
    missing = [name for name in REQUIRED_COLUMNS if name not in header]
    if missing:
        raise InputError(
            f"{path}, line 1: no column {', '.join(missing)}; the header must name {', '.join(REQUIRED_COLUMNS)}"
        )
    repeated = sorted({name for name in header if name and header.count(name) > 1})
    if repeated:
        raise InputError(f"{path}, line 1: column {', '.join(repeated)} is named twice; name each column once")
    rows: list[CohortRow] = []
    faults: list[InputError] = []
    first_line: dict[str, int] = {}
    for values in reader:
        if not any(value.strip() for value in values):
            continue
        try:
            row = _row(path, reader.line_num, header, values)
            first = first_line.setdefault(row.patient_id, row.line)
            if first != row.line:
                raise InputError(
                    f"{path}, line {row.line}: patient {row.patient_id} is already on line {first}; "
                    "give each patient one line"
                )
        except InputError as fault:
            faults.append(fault)
        else:
            rows.append(row)
    if not rows and not faults:
        raise InputError(f"{path} lists no patients; add one line for each")
    return rows, faults


def _read_text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; give the path of a cohort table (CSV)") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); give the path of a cohort table (CSV)") from None
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):  # a spreadsheet's "Unicode text"
        return content.decode("utf-16", errors="replace")
    if b"\0" in content[:4096]:
        raise InputError(f"{path} is not a text file; save the table as CSV (UTF-8)")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _row(path: Path, line: int, header: list[str], values: list[str]) -> CohortRow:
    where = f"{path}, line {line}"
    values = [value.strip() for value in values]
    if len(values) < len(header):
        values += [""] * (len(header) - len(values))
    if len(values) > len(header):
        raise InputError(
            f"{where}: {len(values)} values for {len(header)} columns; quote values that hold a separator"
        )
    cells = dict(zip(header, values, strict=True))
    if not cells["patient_id"]:
        raise InputError(f"{where}: no patient_id; give each patient an id")
    files = {}
    for name in ("ct", "spect", "lungs", "perfusion"):
        cell = cells.get(name, "")
        if not cell:
            if name in ("ct", "spect"):
                raise InputError(f"{where}: no {name} for patient {cells['patient_id']}; give its path")
            files[name] = None
            continue
        file = Path(cell)
        file = file if file.is_absolute() else path.parent / file
        if not file.exists():
            raise InputError(f"{where}: {name} {cell} of patient {cells['patient_id']} does not exist; mend the path")
        files[name] = file.absolute()
    age = None
    if cells.get("age"):
        try:
            age = float(cells["age"].replace(",", "."))
        except ValueError:
            raise InputError(f"{where}: age {cells['age']!r} is not a number; give years or leave it empty") from None
    known = {*COLUMNS}
    return CohortRow(
        patient_id=cells["patient_id"],
        **files,
        diagnosis=cells.get("diagnosis", ""),
        sex=cells.get("sex", ""),
        age=age,
        simulated=cells.get("simulated", "").lower() in ("yes", "true", "1"),
        line=line,
        other={name: value for name, value in cells.items() if name and (name not in known or name == "seed")},
    )


__all__ = [
    "CohortRow",
    "make_cohort",
    "plan_cohort",
    "read_cohort",
    "read_rows",
    "simulate_cohort",
    "table_1_row",
    "write_cohort_table",
    "write_patient",
]
