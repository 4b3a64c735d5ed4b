"""``dlctpm benchmark``: the engine against a plain reference of the same method."""

from __future__ import annotations

import argparse
from pathlib import Path

from DLCTPMLib.cli.command import Command
from DLCTPMLib.common.console import say
from DLCTPMLib.common.errors import InputError
from DLCTPMLib.common.progress import Progress

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
    train.add_argument("--network", choices=("arnn", "unet", "context"), help="default arnn")
    train.add_argument("--channels", metavar="A-B-C-D", help="feature channels (default 16-32-64-128)")
    train.add_argument("--grid", metavar="ZxYxX", help="cells of the network's grid (default 128x64x64)")
    train.add_argument("--batch-size", type=int, metavar="N", help="lungs a step (default 1)")
    train.add_argument("--precision", choices=("auto", "fp32", "bf16"), help="of our step (default auto)")
    train.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), help="where to train (default auto)")


def run(options: argparse.Namespace, progress: Progress) -> None:
    """Time every stage, print the table, write ``benchmark.json``; or the same for a step of training."""
    given = {name: getattr(options, name) for name in _OF_TRAINING if getattr(options, name) is not None}
    if options.train:
        _train(options, given, progress)
        return
    if given:
        raise InputError(f"--{next(iter(given)).replace('_', '-')}: goes with --train, leave it out or add --train")
    from DLCTPMTrainingLib.benchmark.mapping import BenchmarkSettings, run_benchmark, table

    out = Path(options.out)
    report = run_benchmark(BenchmarkSettings(), out, progress)
    say(options, f"{table(report)}\nOn a simulated CT; figures in {out / 'benchmark.json'}")


def _train(options: argparse.Namespace, given: dict, progress: Progress) -> None:
    from DLCTPMLib.networks.settings import ARCHITECTURES, PAPER, network_settings
    from DLCTPMLib.preprocessing.settings import PreprocessingSettings
    from DLCTPMTrainingLib.benchmark.training import (
        FILE,
        TrainingBenchmarkSettings,
        run_training_benchmark,
        training_table,
    )
    from DLCTPMTrainingLib.cli.train import whole_numbers
    from DLCTPMTrainingLib.training.settings import TrainingSettings

    name = given.pop("network", PAPER)
    network = {"architecture": name, "input_channels": len(ARCHITECTURES[name].inputs)}
    if "channels" in given:
        network["channels"] = whole_numbers(given.pop("channels"), "--channels")
    if "grid" in given:
        grid = PreprocessingSettings(grid_shape=whole_numbers(given.pop("grid"), "--grid"))
        given["grid_shape"] = grid.grid_shape
    training = {key: given.pop(key) for key in ("batch_size", "precision") if key in given}
    settings = TrainingBenchmarkSettings(
        network=network_settings(network), training=TrainingSettings(**training), **given
    )
    out = Path(options.out)
    report = run_training_benchmark(settings, out, progress)
    say(options, f"{training_table(report)}\nOn noise in the shape of lungs; figures in {out / FILE}")


COMMAND = Command("benchmark", "Time the engine against a plain reference.", add_arguments, run)
