"""``dlctpm changes``: how a later prediction of a patient differs from an earlier one."""

from __future__ import annotations

import argparse
from pathlib import Path

from DLCTPMLib.cli.shared.command import Command, check_there
from DLCTPMLib.cli.shared.printed import changes_table
from DLCTPMLib.common.console import say
from DLCTPMLib.common.progress import Progress, within

FILES = ("changes.json", "changes.html")
"""What is written."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The two predictions, and what high-functional lung is."""
    parser.add_argument("before", metavar="BEFORE", help="folder that 'predict' wrote of the earlier CT")
    parser.add_argument("after", metavar="AFTER", help="that of the later CT, by the same model")
    parser.add_argument(
        "--function",
        metavar="DEFINITION",
        help="what high-functional lung is, cut at one value of both maps: p75:0.66 or fixed:0.5 (default: as in the "
        "predictions)",
    )
    parser.add_argument(
        "--same-patient",
        action="store_true",
        help="both are of one patient, although the hashes of their IDs differ (another hospital, another salt)",
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for changes.json and changes.html")


def run(options: argparse.Namespace, progress: Progress) -> None:
    """Open both, compare, report."""
    check_there(options.before, options.after)
    from DLCTPMLib.changes.pair import open_pair
    from DLCTPMLib.changes.report import write_changes_report
    from DLCTPMLib.changes.result import changes_result
    from DLCTPMLib.common.atomic_output import OutputFolder, check_disk
    from DLCTPMLib.results.result_json import write_json

    out = Path(options.out)
    with OutputFolder(out, FILES) as folder:
        progress("Reading", 0.0)
        pair = open_pair(options.before, options.after, options.function, options.same_patient)
        progress("Comparing", 0.2)
        result = changes_result(pair)
        write_changes_report(folder.work / "changes.html", result, pair, within(progress, 0.4, 0.99))
        write_json(folder.work / "changes.json", result)
        check_disk(folder.work / "changes.json")
    progress("Done", 1.0)
    say(options, changes_table(result, out))


COMMAND = Command(
    "changes",
    "Compare two predictions of one patient, an earlier and a later one.",
    add_arguments,
    run,
    ("dlctpm changes result-2024 result-2025 --out changes",),
)
