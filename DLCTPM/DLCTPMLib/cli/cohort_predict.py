"""``dlctpm cohort predict``: maps of many CTs, one folder a patient, with a table and a page of all."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from DLCTPMLib import RESEARCH_USE_ONLY
from DLCTPMLib.cli.predict import CHOSEN
from DLCTPMLib.cli.shared.arguments import add_function, add_model, add_workers, function_of, workers_of
from DLCTPMLib.cli.shared.command import Command, check_there
from DLCTPMLib.common.console import plain_line, say
from DLCTPMLib.common.errors import InputError
from DLCTPMLib.common.memory import physical_bytes
from DLCTPMLib.common.options import add_options, given
from DLCTPMLib.common.progress import Progress, event_sink
from DLCTPMLib.results.settings import PredictionSettings

A_PROCESS_BYTES = 3 << 30
"""What a prediction from a CT of thin slices may need, the next CT included."""

SHOWN = 10
"""Patients without a result that are named on the terminal."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The CTs, the model, what may be chosen for all, and who does it."""
    parser.add_argument(
        "source",
        metavar="CTS",
        help="table with patient_id and ct (spect, lungs where known), or a folder of image files or DICOM series",
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="a folder for each patient, and the summary")
    add_model(parser)
    add_function(parser)
    add_options(parser, PredictionSettings(), *CHOSEN)
    parser.add_argument("--force", action="store_true", help="map also where a check of the input FAILs")
    parser.add_argument(
        "--every-series", action="store_true", help="of a DICOM examination all CT series (default: of most slices)"
    )
    parser.add_argument(
        "--examination-salt", metavar="SECRET", help="key of the hashes that name a DICOM examination in the results"
    )
    parser.add_argument("--examination-date", action="store_true", help="write the examinations' dates, too")
    add_workers(parser)
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="of each process (default 1)")


def run(options: argparse.Namespace, progress: Progress) -> None:
    """Find the CTs, predict those whose results are not there, write summary and pages."""
    check_there(options.source)
    if options.threads < 1:
        raise InputError(f"--threads {options.threads}: give 1 or more")
    from DLCTPMLib.batch.run import INDEX, SUMMARY, BatchPlan, predict_batch

    settings = PredictionSettings(**function_of(options), **given(options, PredictionSettings, *CHOSEN))
    out = Path(options.out)
    plan = BatchPlan(
        source=Path(options.source),
        out=out,
        model=options.model,
        settings=settings,
        force=options.force,
        every_series=options.every_series,
        at_once=workers_of(options, jobs_of_machine(settings.device)),
        threads=options.threads,
        salt=options.examination_salt,
        with_date=options.examination_date,
    )
    result = predict_batch(plan, progress, event_sink(progress))
    progress("Done", 1.0)
    failed, left_out = result.failed, result.found.left_out
    lines = [plain_line(f"no map of {row['patient_id']}: {row['reason']}") for row in failed[:SHOWN]]
    if len(failed) > SHOWN:
        lines.append(f"and of {len(failed) - SHOWN} more, see {out / SUMMARY}")
    if left_out:
        lines.append(f"{len(left_out)} found and left out, see {out / INDEX}")
    lines.append(f"{len(result.rows) - len(failed)} of {len(result.rows)} patients mapped. {RESEARCH_USE_ONLY}")
    say(options, "\n".join([*lines, f"Summary in {out / SUMMARY}, open {out / INDEX}"]))


def jobs_of_machine(device: str) -> int:
    """How many processes predict at once: one a GPU, else one a core as far as the memory lasts."""
    if device != "cpu":
        import torch

        if torch.cuda.is_available():
            return torch.cuda.device_count()
    memory = physical_bytes()
    cores = os.cpu_count() or 1
    return cores if memory is None else max(1, min(cores, memory // A_PROCESS_BYTES))


COMMAND = Command(
    "cohort predict",
    "Map relative lung perfusion from many chest CTs.",
    add_arguments,
    run,
    (
        "dlctpm cohort predict CT_FOLDER --out results",
        "dlctpm cohort predict patients.csv --out results --jobs 4",
    ),
)
