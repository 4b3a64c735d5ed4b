"""A cohort of semi-virtual patients from a folder of real CTs: planned, checked, then made as virtual ones are."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.common.progress import Progress, no_progress, within
from DLCTPMLib.parallel.settings import ALONE, WorkerSettings
from DLCTPMTrainingLib.cohorts.simulate import check_place, each_done, kept_note, make_cohort
from DLCTPMTrainingLib.cohorts.table import largest_remainder
from DLCTPMTrainingLib.patients.real_cts.folder import RealCt, find_real_cts
from DLCTPMTrainingLib.patients.real_cts.patient import (
    RealCtPatientSettings,
    content_sha256,
    read_chest,
    voxels_sha256,
)
from DLCTPMTrainingLib.patients.real_cts.perfusion import SHARES

SHOWN = 5
"""Faults told in one message."""
HASHED, CHECKED = 0.02, 0.1
"""Fractions of the whole when all files are hashed, and when all CTs are checked."""


def simulate_on_real_cts(
    folder: Path | str,
    patients: int,
    seed: int,
    out: Path | str,
    progress: Progress = no_progress,
    at_once: WorkerSettings = ALONE,
    adjust: Callable | None = None,
) -> Path:
    """Make a cohort on real CTs: as ``simulate.simulate_cohort``, the CT and lungs of each patient being real.

    Each CT asked for is read, and its lungs are found, before anything is written: a cohort is the population of a
    study, so a CT that cannot be used stops the run and is named, rather than another taking its place unseen (a
    disk's passing fault would renumber the patients).

    Args:
        folder: of CTs (``patients.real_cts.folder``); the first ``patients`` of them by name are taken.
        patients: how many, at most one on each CT.
        seed: of the cohort.
        out: folder, made if needed.
        progress: told after each patient.
        at_once: who makes them.
        adjust: called with each patient's settings, returns those to use.

    Returns:
        The path of ``cohort.csv``.

    Raises:
        InputError: more patients than CTs; CTs that cannot be used, or that are there twice; a place to write that
            is taken, lies among the CTs, or holds a patient made from another CT.
    """
    folder, out = Path(folder), Path(out)
    check_place(out)
    if out.resolve().is_relative_to(folder.resolve()):
        raise InputError(f"{out} lies in {folder}, where its CTs would be taken for further ones; give another place")
    told = within(progress, 0, HASHED)
    plan = plan_on_real_cts(find_real_cts(folder.absolute()), patients, seed, str(folder), told)
    _refuse_other_cts(plan, out)
    plan = [adjust(settings) for settings in plan] if adjust else plan
    _check(plan, out, str(folder), at_once, within(progress, HASHED, CHECKED))
    return make_cohort(plan, out, within(progress, CHECKED, 1), at_once)


def plan_on_real_cts(
    cts: list[RealCt], patients: int, seed: int, folder: str = "the folder", progress: Progress = no_progress
) -> list[RealCtPatientSettings]:
    """Settings of one patient on each of the first ``patients`` CTs; ids SYNTH-CT-0001 onwards.

    The mix is ``real_cts.perfusion.SHARES``, by largest remainder, shuffled by the seed.

    Raises:
        InputError: fewer than one patient, more than CTs, a negative seed.
    """
    if patients < 1:
        raise InputError(f"a cohort of {patients} patients cannot be made; ask for at least 1")
    if patients > len(cts):
        raise InputError(
            f"{folder} holds {len(cts)} CT{'s' * (len(cts) > 1)}, too few for {patients} patients: one CT is one "
            f"patient; ask for at most {len(cts)}, or add CTs"
        )
    if seed < 0:
        raise InputError(f"seed {seed} is negative; use a whole number from 0 up")
    counts = largest_remainder(patients, list(SHARES.values()))
    diagnoses = [name for name, count in zip(SHARES, counts, strict=True) for _ in range(count)]
    order = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(2,))).permutation(patients)
    plan = []
    for i, ct in enumerate(cts[:patients]):
        progress(f"looking at CT {i + 1} of {patients}", i / patients)
        plan.append(
            RealCtPatientSettings(
                patient_id=f"SYNTH-CT-{i + 1:04d}",
                seed=int(np.random.SeedSequence(seed, spawn_key=(2, i)).generate_state(1)[0]),
                ct=ct,
                content_sha256=content_sha256(ct),
                diagnosis=diagnoses[order[i]],
            )
        )
    return plan


def _refuse_other_cts(plan: list[RealCtPatientSettings], out: Path) -> None:
    """Refuse to put patients in place of those of other CTs: ids count the CTs by name, so another CT shifts them."""
    for settings in plan:
        try:
            note = json.loads((out / settings.patient_id / "patient.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, json.JSONDecodeError):
            continue  # not there, or cut short by a crash
        made_from = note.get("anatomy", {}).get("ct")
        if made_from != settings.ct.name:
            raise InputError(
                f"{out}: {settings.patient_id} there was made from {made_from or 'no real CT'}, not from "
                f"{settings.ct.name}, as CTs were added, taken away or renamed; use another --out"
            )


def _check(
    plan: list[RealCtPatientSettings], out: Path, folder: str, at_once: WorkerSettings, progress: Progress
) -> None:
    """Read every CT of the plan whose patient is not there yet; refuse faults, and the same CT under two names."""
    notes = {s.ct.name: kept_note(out / s.patient_id, s) for s in plan}
    voxels = {name: note["anatomy"]["ct_voxels_sha256"] for name, note in notes.items() if note}
    new = [s.ct for s in plan if s.ct.name not in voxels]
    examined: dict[int, tuple[str, str]] = {}
    place = next(folder for folder in (out.absolute(), *out.absolute().parents) if folder.is_dir())
    for number, answer in each_done(examine, [(ct,) for ct in new], place, at_once):
        examined[number] = answer
        progress(f"reading CT {len(examined)} of {len(new)}", len(examined) / len(new))
    faults = []
    for number, ct in enumerate(new):
        found, fault = examined[number]
        if fault:
            faults.append(fault)
        else:
            voxels[ct.name] = found
    names: dict[str, str] = {}
    for name, content in sorted(voxels.items()):
        if content in names:
            faults.append(f"{name} is the same CT as {names[content]}, and one CT is one patient")
        names.setdefault(content, name)
    if faults:
        more = f"; and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
        raise InputError(
            f"{len(faults)} of the {len(plan)} CTs in {folder} cannot be used, so nothing was written: "
            f"{'; '.join(fault.rstrip('.') for fault in faults[:SHOWN])}{more}; mend them or take them out"
        )


def examine(ct: RealCt, report: Progress) -> tuple[str, str]:
    """The hash of a CT's voxels if CT and lungs can be used, and what is wrong if not (empty: nothing)."""
    report(f"reading {ct.name}", 0.0)
    try:
        read, _, _ = read_chest(ct)
    except InputError as error:
        return "", str(error)
    return voxels_sha256(read.image), ""
