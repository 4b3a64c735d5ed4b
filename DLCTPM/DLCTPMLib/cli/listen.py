"""``dlctpm listen``: a DICOM node that takes CT series and sends their maps back."""

from __future__ import annotations

import argparse
import os
from dataclasses import fields
from importlib import util
from pathlib import Path

from DLCTPMLib.cli.parent_process import ENDS_WITH_INPUT
from DLCTPMLib.cli.shared.arguments import add_function, add_model, function_of
from DLCTPMLib.cli.shared.command import Command
from DLCTPMLib.common.errors import InputError
from DLCTPMLib.common.options import add_options, given
from DLCTPMLib.common.progress import Progress
from DLCTPMLib.dicom_node.settings import Caller, Destination, NodeSettings
from DLCTPMLib.results.settings import PredictionSettings

NODE = tuple(field.name for field in fields(NodeSettings))
"""Settings of the node, all of them options."""

OF_PREDICT, OF_EXPORT = ("model", "device", "precision"), ("objects", "structures")
"""Options that are those of the two commands, and go to them as they are."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The queue, who may send, where results go, and what is made."""
    parser.add_argument("--queue", required=True, metavar="DIR", help="folder of what waits; its owner's only")
    parser.add_argument("--send-to", required=True, metavar="AET@HOST:PORT", help="where results go, by C-STORE")
    parser.add_argument(
        "--allow",
        action="append",
        default=[],
        metavar="AET@ADDRESS",
        help="who may send, an address or a network; once for each (default: everybody on this machine)",
    )
    add_options(parser, NodeSettings(), *NODE)
    add_model(parser)
    add_function(parser)
    add_options(parser, PredictionSettings(), "device", "precision")
    parser.add_argument("--objects", metavar="O,…", help="what is sent, as for export")
    parser.add_argument("--structures", metavar="S,…", help="of which structures, as for export")


def run(options: argparse.Namespace, progress: Progress) -> None:
    """Check what can be checked now, and serve until a signal ends it."""
    callers = tuple(map(Caller.parse, options.allow))
    destination = Destination.parse(options.send_to)
    settings = NodeSettings(**given(options, NodeSettings, *NODE))
    settings.check_callers(callers)
    if os.name == "nt":
        raise InputError("listen: cannot keep a queue to its owner on Windows; run it on Linux or macOS")
    if util.find_spec("pynetdicom") is None:
        raise InputError("listen: needs pynetdicom; install it with: pip install 'dlctpm[node]'")
    from DLCTPMLib.dicom_export.objects import named_objects
    from DLCTPMLib.dicom_export.structures import parse_structures
    from DLCTPMLib.dicom_node.mapping import CommandMapping
    from DLCTPMLib.dicom_node.node import Node
    from DLCTPMLib.function.definitions import parse_definition
    from DLCTPMLib.networks.bundle import load_bundle

    function = function_of(options)
    prediction = PredictionSettings(**function, **given(options, PredictionSettings, "device", "precision"))
    parse_structures(options.structures, parse_definition(prediction.function))
    pdf = options.objects is None or "pdf" in named_objects(options.objects)
    if pdf and util.find_spec("reportlab") is None:
        raise InputError(
            "listen: the report as PDF needs ReportLab; install it with: pip install 'dlctpm[node]', or name "
            "--objects without pdf"
        )
    load_bundle(options.model)
    predict = _given(options, OF_PREDICT) + [part for value in function.values() for part in ("--function", value)]
    predict += ["--pdf"] * pdf

    def mapping(scratch: Path) -> CommandMapping:
        return CommandMapping(scratch, tuple(predict), tuple(_given(options, OF_EXPORT)), {ENDS_WITH_INPUT: "1"})

    Node(settings, callers, destination, Path(options.queue), mapping).run()


def _given(options: argparse.Namespace, names: tuple[str, ...]) -> list[str]:
    chosen = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    return [part for name, value in chosen.items() for part in (f"--{name}", value)]


COMMAND = Command(
    "listen",
    "Serve as a DICOM node: take CT series, send their maps, structures and measurements back.",
    add_arguments,
    run,
    (
        "dlctpm listen --queue ~/dlctpm-queue --send-to ORTHANC@127.0.0.1:4242",
        "dlctpm listen --queue /var/lib/dlctpm/queue --bind 10.0.3.20 --allow PACS@10.0.3.17 --send-to "
        "PACS@10.0.3.17:104",
    ),
)
