"""``dlctpm benchmark``: the engine against a plain reference of the same method."""

from __future__ import annotations

import argparse
from pathlib import Path

from DLCTPMLib.cli.shared.arguments import refuse_idle
from DLCTPMLib.cli.shared.command import Command
from DLCTPMLib.common.console import say
from DLCTPMLib.common.options import add_options, given
from DLCTPMLib.common.progress import Progress
from DLCTPMLib.networks.settings import ARCHITECTURES, PAPER, ArnnSettings, network_settings
from DLCTPMLib.preprocessing.settings import PreprocessingSettings
from DLCTPMLib.results.settings import PredictionSettings
from DLCTPMTrainingLib.training.settings import TrainingSettings

_OF_TRAINING = ("network", "channels", "grid", "batch_size", "precision", "device")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What is timed, and where the figures go."""
    parser.add_argument(
        "--out",
        default="dlctpm-benchmark",
        metavar="DIR",
        help="folder for benchmark.json or, with --train, benchmark-train.json (default ./dlctpm-benchmark)",
    )
    parser.add_argument("--train", action="store_true", help="time the training in place of the mapping")
    train = parser.add_argument_group("with --train")
    train.add_argument("--network", choices=tuple(ARCHITECTURES), help=f"default {PAPER}")
    add_options(train, ArnnSettings(), "channels")
    add_options(train, PreprocessingSettings(), "grid_shape")
    add_options(train, TrainingSettings(), "batch_size", "precision")
    add_options(train, PredictionSettings(), "device")


def run(options: argparse.Namespace, progress: Progress) -> None:
    """Time every stage, print the table, write ``benchmark.json``; or the same for a step of training."""
    if options.train:
        _train(options, progress)
        return
    refuse_idle(options, _OF_TRAINING, "goes with --train, leave it out or add --train")
    from DLCTPMTrainingLib.benchmark.mapping import BenchmarkSettings, run_benchmark, table

    out = Path(options.out)
    report = run_benchmark(BenchmarkSettings(), out, progress)
    say(options, f"{table(report)}\nOn a simulated CT; figures in {out / 'benchmark.json'}")


def _train(options: argparse.Namespace, progress: Progress) -> None:
    from DLCTPMTrainingLib.benchmark.training import (
        FILE,
        TrainingBenchmarkSettings,
        run_training_benchmark,
        training_table,
    )

    name = options.network or PAPER
    network = {"architecture": name, "input_channels": len(ARCHITECTURES[name].inputs)}
    grid = PreprocessingSettings(**given(options, PreprocessingSettings, "grid_shape"))
    settings = TrainingBenchmarkSettings(
        network=network_settings({**network, **given(options, ArnnSettings, "channels")}),
        grid_shape=grid.grid_shape,
        training=TrainingSettings(**given(options, TrainingSettings, "batch_size", "precision")),
        **given(options, PredictionSettings, "device"),
    )
    out = Path(options.out)
    report = run_training_benchmark(settings, out, progress)
    say(options, f"{training_table(report)}\nOn noise in the shape of lungs; figures in {out / FILE}")


COMMAND = Command(
    "benchmark",
    "Time the engine against a plain reference.",
    add_arguments,
    run,
    (
        "dlctpm benchmark",
        "dlctpm benchmark --train --channels 8-16-32-64",
    ),
)
