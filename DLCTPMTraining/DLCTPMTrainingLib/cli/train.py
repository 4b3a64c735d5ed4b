"""``dlctpm train``: a model from a cohort of SPECT/CT pairs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from DLCTPMLib.cli.arguments import add_device
from DLCTPMLib.cli.command import Command
from DLCTPMLib.common.console import say
from DLCTPMLib.common.errors import InputError
from DLCTPMLib.common.progress import Progress, event_sink
from DLCTPMLib.common.run_file import keeping

if TYPE_CHECKING:
    from DLCTPMLib.networks.settings import NetworkSettings
    from DLCTPMTrainingLib.training.plan import TrainingPlan

_OF_THE_SAMPLES = ("grid", "median_size", "uniform_size", "edges", "hir_scope", "inputs", "validation_share", "test")
"""Options that say how the samples are made and split, or that need images."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What is learned from, network and training, and where the run goes."""
    parser.add_argument("cohort", nargs="?", metavar="COHORT.csv", help="as 'cohort simulate' writes it")
    parser.add_argument("--out", required=True, metavar="RUN", help="the run; one that was cut off is continued")
    parser.add_argument(
        "--export", metavar="FILE", help="do not train: make one file of samples (.npz) for another machine"
    )
    parser.add_argument(
        "--samples", metavar="FILE", help="train on what --export made, in place of COHORT.csv; needs PyTorch only"
    )
    parser.add_argument("--name", help="name of the model (default dlctpm)")
    parser.add_argument("--model-version", metavar="V", help="version of the model (default 1)")
    parser.add_argument("--epochs", type=int, metavar="N", help="passes over all lungs (default 500)")
    parser.add_argument("--batch-size", type=int, metavar="N", help="lungs a step (default 1)")
    parser.add_argument("--learning-rate", type=float, metavar="R", help="Adam's (default 0.001)")
    parser.add_argument(
        "--network",
        choices=("arnn", "unet", "context"),
        help="the paper's, a plain U-Net of its size, or the paper's with place and density (default arnn)",
    )
    parser.add_argument(
        "--inputs",
        choices=("enhanced", "enhanced,density"),
        help="images that the network gets (default: enhanced, for context with density)",
    )
    parser.add_argument("--channels", metavar="A-B-C-D", help="feature channels (default 16-32-64-128)")
    add_grid(parser)
    parser.add_argument("--roi-attention", choices=("literal", "soft", "hard"), help="default literal")
    parser.add_argument("--edges", choices=("zero", "masked"), help="of the filters of Eq. 1 (default zero)")
    parser.add_argument("--hir-scope", choices=("patient", "lung"), help="of the SPECT (default patient)")
    parser.add_argument("--movement", type=float, metavar="M", help="SD of the lungs' small movements (default 0)")
    parser.add_argument(
        "--validation-share", type=float, metavar="S", help="patients kept for validation (default 0.2)"
    )
    parser.add_argument("--test", metavar="TEST.csv", help="cohort that training never sees, for the model card")
    parser.add_argument("--plateau", action="store_true", help="stop early by the paper's rule")
    parser.add_argument("--tensorboard", action="store_true", help="also log the epochs for TensorBoard")
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16"), help="of the network (default auto)")
    parser.add_argument("--seed", type=int, metavar="K", help="of weights, order and dropout (default 2026)")
    add_device(parser)


def add_grid(parser: argparse.ArgumentParser) -> None:
    """The network's grid, and the filters that count in its cells: half the grid wants half the filters."""
    parser.add_argument("--grid", metavar="ZxYxX", help="cells of the network's grid (default 128x64x64)")
    parser.add_argument("--median-size", type=int, metavar="N", help="cells of the median of Eq. 1 (default 10)")
    parser.add_argument("--uniform-size", type=int, metavar="N", help="cells of the mean of Eq. 1 (default 5)")


def run(options: argparse.Namespace, progress: Progress) -> None:
    """Train, or continue a run that was cut off, and write the bundle; or export samples to train elsewhere."""
    if (options.cohort is None) == (options.samples is None):
        raise InputError("give either COHORT.csv or --samples FILE (see 'dlctpm train --help')")
    if options.export and (options.samples or options.test):
        raise InputError("--export goes with COHORT.csv and without --test: a test needs images, not samples")
    if options.samples:
        bundle = _train_on_samples(options, progress)
    elif options.export:
        _export(options, progress)
        return
    else:
        from DLCTPMTrainingLib.training.from_cohort import train_cohort

        keep = keeping(options, "checkpoint.pt", event_sink(progress))
        bundle = train_cohort(_plan_on_images(options), progress, keep)
    if bundle:  # several processes may train; the first has the model
        progress("Done", 1.0)
        say(options, f"Model in {bundle}; use it with --model {bundle}")


def _export(options: argparse.Namespace, progress: Progress) -> None:
    from DLCTPMTrainingLib.training.from_cohort import export_samples

    ready = export_samples(_plan_on_images(options), Path(options.export), progress)
    progress("Done", 1.0)
    text = f"{len(ready.samples)} lungs of {len(ready.patients)} patients in {options.export}; "
    say(options, f"{text}train on them with dlctpm train --samples {options.export} --out RUN")


def _train_on_samples(options: argparse.Namespace, progress: Progress) -> Path | None:
    from DLCTPMTrainingLib.samples.sample_file import SampleSet
    from DLCTPMTrainingLib.training.from_samples import train_samples
    from DLCTPMTrainingLib.training.settings import TrainingSettings

    for name in _OF_THE_SAMPLES:
        if getattr(options, name) is not None:
            flag = f"--{name.replace('_', '-')}"
            raise InputError(f"{flag}: goes with COHORT.csv, {options.samples} holds samples that are made and split")
    ready = SampleSet.load(Path(options.samples))
    asked = ready.settings
    plan = _plan(
        options,
        cohort=None,
        network=_network(options, len(ready.preprocessing.inputs), asked.get("network", {})),
        training=TrainingSettings.from_dict({**asked.get("training", {}), **_training(options)}),
        preprocessing=ready.preprocessing,
        **{key: asked[key] for key in ("name", "version") if key in asked},
    )
    return train_samples(plan, ready, progress, event_sink(progress))


def _plan_on_images(options: argparse.Namespace) -> TrainingPlan:
    from DLCTPMLib.networks.settings import ARCHITECTURES, PAPER
    from DLCTPMLib.preprocessing.settings import PreprocessingSettings
    from DLCTPMTrainingLib.training.settings import TrainingSettings

    named = ARCHITECTURES[options.network or PAPER].inputs
    inputs = tuple(options.inputs.split(",")) if options.inputs else named
    preprocessing = _given(
        inputs=inputs,
        grid_shape=whole_numbers(options.grid, "--grid"),
        median_size=options.median_size,
        uniform_size=options.uniform_size,
        edges=options.edges,
        hir_scope=options.hir_scope,
    )
    return _plan(
        options,
        cohort=Path(options.cohort),
        network=_network(options, len(inputs)),
        training=TrainingSettings(**_training(options)),
        preprocessing=PreprocessingSettings(**preprocessing),
        test=Path(options.test) if options.test else None,
        **_given(validation_share=options.validation_share),
    )


def _plan(options: argparse.Namespace, **parts) -> TrainingPlan:
    from DLCTPMTrainingLib.training.plan import TrainingPlan

    parts |= _given(name=options.name, version=options.model_version)
    return TrainingPlan(out=Path(options.out), device=options.device, tensorboard=options.tensorboard, **parts)


def _training(options: argparse.Namespace) -> dict:
    return _given(
        epochs=options.epochs,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        movement=options.movement,
        precision=options.precision,
        seed=options.seed,
        plateau=options.plateau or None,
    )


def _network(options: argparse.Namespace, images: int, asked: dict | None = None) -> NetworkSettings:
    """The network of the options; what they leave open is as ``asked`` for before, if it is of the same kind."""
    from DLCTPMLib.networks.settings import ARCHITECTURES, PAPER, network_settings

    asked = asked or {"architecture": PAPER}
    name = options.network or asked["architecture"]
    kind = ARCHITECTURES[name]
    if options.roi_attention and not hasattr(kind.settings, "roi_attention"):
        raise InputError(f"--roi-attention {options.roi_attention}: a {kind.title} has no attention, leave it out")
    channels = whole_numbers(options.channels, "--channels")
    given = _given(channels=channels, roi_attention=options.roi_attention)
    before = asked if asked["architecture"] == name else {}
    return network_settings({**before, "architecture": name, "input_channels": images, **given})


def _given(**options) -> dict:
    """The options that were given; the others keep the defaults of their settings."""
    return {name: value for name, value in options.items() if value is not None}


def whole_numbers(text: str | None, option: str) -> tuple[int, ...] | None:
    """Numbers like 16-32-64-128 or 128x64x64."""
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.replace("x", "-").split("-"))
    except ValueError as error:
        raise InputError(f"{option} {text}: not whole numbers with dashes between them") from error


COMMAND = Command("train", "Train a model on a cohort of SPECT/CT pairs.", add_arguments, run)
