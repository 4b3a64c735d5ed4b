"""``dlctpm cohort simulate`` and ``dlctpm cohort check``: virtual patients, and the faults of a cohort's table.

With ``--ct-folder`` the patients' CTs and lungs are real and only perfusion and SPECT are simulated; the cohort then
holds a copy of each CT that it uses, and of where it came from no more than the file's name.
"""

from __future__ import annotations

import argparse
import os
import re
from collections import Counter
from dataclasses import replace

from DLCTPMLib.cli.shared.arguments import add_workers, workers_of
from DLCTPMLib.cli.shared.command import Command
from DLCTPMLib.common.console import say
from DLCTPMLib.common.errors import InputError
from DLCTPMLib.common.progress import Progress, event_sink
from DLCTPMTrainingLib.spect.kinds import KINDS, OSEM


def add_simulate_arguments(parser: argparse.ArgumentParser) -> None:
    """How many patients, which, and what is made of each."""
    parser.add_argument("--patients", type=int, required=True, metavar="N", help="how many")
    parser.add_argument("--seed", type=int, required=True, metavar="K", help="the same seed, the same patients")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for cohort.csv and the images")
    parser.add_argument(
        "--spect",
        choices=tuple(KINDS),
        default=OSEM,
        help=f"{'; '.join(f'{kind}: {done}' for kind, done in KINDS.items())} (default {OSEM})",
    )
    parser.add_argument(
        "--ct-folder",
        metavar="CTS",
        help="simulate on the real CTs of this folder, at most one patient on each: CT and lungs stay as they are "
        "(the CT is copied into DIR, without names), perfusion and SPECT are simulated",
    )
    parser.add_argument("--dicom", action="store_true", help="also write each CT and SPECT as DICOM")
    add_workers(parser)


def add_check_arguments(parser: argparse.ArgumentParser) -> None:
    """The table, and what it must suffice for."""
    parser.add_argument("cohort", metavar="COHORT.csv", help="as for train and study")
    parser.add_argument("--study", action="store_true", help="also ask whether the patients suffice for a study")


def simulate(options: argparse.Namespace, progress: Progress) -> None:
    """Simulate the patients that are not there yet, then write the table."""
    from DLCTPMTrainingLib.cohorts.simulate import simulate_cohort

    at_once = workers_of(options, min(os.cpu_count() or 1, max(options.patients, 1)))
    asked = (options.patients, options.seed, options.out, progress, at_once)

    def adjust(settings):
        return replace(settings, spect=options.spect)

    if options.ct_folder is not None:
        from DLCTPMTrainingLib.cohorts.on_real_cts import simulate_on_real_cts

        if options.dicom:
            raise InputError(
                "--dicom is for virtual patients' CTs; leave it out with --ct-folder, whose CTs are real"
            )
        table = simulate_on_real_cts(options.ct_folder, *asked, adjust)
        progress("Done", 1.0)
        say(options, f"{options.patients} patients with real CTs and simulated perfusion and SPECT, table in {table}")
        return
    table = simulate_cohort(*asked, adjust, options.dicom)
    progress("Done", 1.0)
    dicom = f", with DICOM in {table.with_name('cohort_dicom.csv')}" if options.dicom else ""
    say(options, f"{options.patients} simulated patients, table in {table}{dicom}")


def check(options: argparse.Namespace, progress: Progress) -> None:
    """Say what is wrong with each line of a cohort's table and with its images; a program is told ``check``.

    Raises:
        InputError: after everything has been told, if anything is wrong.
    """
    from DLCTPMTrainingLib.cohorts.check import check_cohort
    from DLCTPMTrainingLib.cohorts.table import read_rows
    from DLCTPMTrainingLib.study.settings import SplitSettings
    from DLCTPMTrainingLib.study.split import too_few

    rows, faults = read_rows(options.cohort)
    found = check_cohort(rows, too_few(rows, SplitSettings()) if options.study and rows else "", progress)
    table = [str(fault).removeprefix(f"{options.cohort}, ") for fault in faults]
    report = {
        **_description(rows),
        "problems": sorted(table + found.problems, key=_line_number),
        "warnings": sorted(found.warnings, key=_line_number),
    }
    progress("Checked", 1.0)
    event_sink(progress)(check=report)
    say(options, "\n".join([*report["problems"], *report["warnings"], f"{len(rows)} patients can be used"]))
    if report["problems"]:
        count = len(report["problems"])
        raise InputError(
            f"{options.cohort} has {count} fault{'s' * (count > 1)}; mend the lines named and check again"
        )


def _description(rows: list) -> dict:
    """Who the patients are, counted."""
    sexes = Counter(row.sex.upper()[:1] for row in rows)
    return {
        "patients": len(rows),
        "women": sexes["F"],
        "men": sexes["M"],
        "diagnoses": dict(Counter(row.diagnosis for row in rows if row.diagnosis).most_common()),
        "without_lungs": sum(row.lungs is None for row in rows),
        "simulated": sum(row.simulated for row in rows),
        "real_cts": sum(row.real_ct for row in rows),
    }


def _line_number(sentence: str) -> int:
    """The number of "line 12: …", by which faults are put in order."""
    found = re.match(r"lines? (\d+)", sentence)
    return int(found[1]) if found else 0


SIMULATE = Command(
    "cohort simulate",
    "Simulate virtual patients with CT and SPECT, or with --ct-folder perfusion and SPECT on real CTs.",
    add_simulate_arguments,
    simulate,
    (
        "dlctpm cohort simulate --patients 20 --seed 1 --out cohort",
        "dlctpm cohort simulate --patients 4 --seed 1 --ct-folder my-cts --out cohort",
    ),
)
CHECK = Command(
    "cohort check",
    "Look for faults in a cohort's table and images.",
    add_check_arguments,
    check,
    ("dlctpm cohort check cohort/cohort.csv --study",),
)
