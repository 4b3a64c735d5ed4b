"""``dlctpm train``: a model from a cohort of SPECT/CT pairs."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from DLCTPMLib.cli.shared.arguments import refuse_idle
from DLCTPMLib.cli.shared.command import Command
from DLCTPMLib.common.console import say
from DLCTPMLib.common.errors import InputError
from DLCTPMLib.common.options import add_options, given
from DLCTPMLib.common.progress import Progress, event_sink
from DLCTPMLib.common.run_file import keeping
from DLCTPMLib.networks.settings import (
    ARCHITECTURES,
    PAPER,
    ArnnSettings,
    NetworkSettings,
    network_dict,
    network_settings,
)
from DLCTPMLib.preprocessing.settings import PreprocessingSettings
from DLCTPMLib.results.settings import PredictionSettings
from DLCTPMTrainingLib.training.settings import VALIDATION_SHARE, ModelName, TrainingSettings

if TYPE_CHECKING:
    from DLCTPMTrainingLib.training.plan import TrainingPlan

NETWORK = ("channels", "kernel", "dropout", "norm", "place", "roi_attention")
TRAINING = ("jitter", "movement", "precision", "seed")
BOTH_LUNGS = {"inputs": ("aerated", "dense", "lung"), "norm": "weight", "place": "lungs"}
"""What ``--cell-mm`` means where nothing else is said."""
PREPARED = ("grid_shape", "cell_mm", "top", "median_size", "uniform_size", "edges", "hir_scope")
"""Settings of the preprocessing that may be given; half the grid wants half the filters, which count in its cells."""
_OF_THE_SAMPLES = (
    "grid",
    "cell_mm",
    "top",
    "register",
    "variants",
    "median_size",
    "uniform_size",
    "edges",
    "hir_scope",
    "inputs",
    "validation_share",
    "test",
)
"""Options that say how the samples are made and split, or that need images."""
_OF_AN_ENSEMBLE = (
    "command",
    "run",
    "progress",
    "members",
    "calibrate",
    "register",
    "out",
    "name",
    "model_version",
)
"""What ``--members`` is given beside its models."""


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
    add_options(parser, ModelName(), "name", "version")
    add_options(parser, TrainingSettings(), "epochs", "minutes", "batch_size", "learning_rate")
    parser.add_argument(
        "--network",
        choices=tuple(ARCHITECTURES),
        help=f"the paper's, a plain U-Net of its size, or the paper's with place and density (default {PAPER})",
    )
    add_options(parser, PreprocessingSettings(), "inputs")
    add_options(parser, ArnnSettings(), *NETWORK)
    add_options(parser, PreprocessingSettings(), *PREPARED)
    add_options(parser, TrainingSettings(), *TRAINING)
    parser.add_argument(
        "--variants",
        type=int,
        metavar="N",
        help="samples of each patient scanned and segmented in other ways, beside the images as they are (default 0)",
    )
    parser.add_argument(
        "--fold", metavar="K/N", help="validate with the Kth of N parts of the patients; the others are trained on"
    )
    parser.add_argument(
        "--validation-share",
        type=float,
        metavar="S",
        help=f"part of the patients kept for validation (default {VALIDATION_SHARE})",
    )
    parser.add_argument(
        "--members",
        nargs="+",
        metavar="MODEL",
        help="do not train: make one model of these, whose map is their mean",
    )
    parser.add_argument(
        "--calibrate",
        metavar="CALIBRATION.csv",
        help="with --members: cohort that no member has seen, on which functional volumes are made unbiased "
        "(default: the members' validation patients)",
    )
    parser.add_argument("--test", metavar="TEST.csv", help="cohort that training never sees, for the model card")
    parser.add_argument("--plateau", action="store_true", help="stop early by the paper's rule")
    parser.add_argument("--tensorboard", action="store_true", help="also log the epochs for TensorBoard")
    add_options(parser, PredictionSettings(), "registration", "device")


def run(options: argparse.Namespace, progress: Progress) -> None:
    """Train, or continue a run that was cut off, and write the bundle; or export samples to train elsewhere."""
    if options.members:
        _combine(options, progress)
        return
    if options.calibrate:
        raise InputError("--calibrate: goes with --members; one model takes its own validation patients")
    if (options.cohort is None) == (options.samples is None):
        raise InputError("give either COHORT.csv or --samples FILE (see 'dlctpm train --help')")
    if options.export and (options.samples or options.test):
        raise InputError("--export goes with COHORT.csv and without --test: a test needs images, not samples")
    if options.export:
        refuse_idle(options, ("tensorboard", "device"), "is of the training, not of --export; give it there")
    if options.fold:
        refuse_idle(options, ("validation_share",), "and --fold both say who validates; give one of them")
    if options.cell_mm:
        refuse_idle(options, ("grid",), "is for each lung by itself; leave it out with --cell-mm")
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


def _combine(options: argparse.Namespace, progress: Progress) -> None:
    from DLCTPMTrainingLib.training.ensemble import combine

    if options.cohort or options.samples:
        raise InputError("--members goes without COHORT.csv and --samples: its models are trained")
    others = [name for name in vars(options) if name not in _OF_AN_ENSEMBLE]
    refuse_idle(options, others, "is of a training, and the models of --members are trained; leave it out")
    called = ModelName(**given(options, ModelName, "name", "version"))
    calibration = Path(options.calibrate) if options.calibrate else None
    folder = Path(options.out) / "model"
    register = options.register or PredictionSettings.registration
    bundle = combine(options.members, folder, called.name, called.version, calibration, register, progress)
    progress("Done", 1.0)
    say(options, f"Ensemble of {len(options.members)} models in {bundle}; use it with --model {bundle}")


def _export(options: argparse.Namespace, progress: Progress) -> None:
    from DLCTPMTrainingLib.training.from_cohort import export_samples

    ready = export_samples(_plan_on_images(options), Path(options.export), progress)
    progress("Done", 1.0)
    text = f"{len(ready.samples)} lungs of {len(ready.patients)} patients in {options.export}; "
    say(options, f"{text}train on them with dlctpm train --samples {options.export} --out RUN")


def _train_on_samples(options: argparse.Namespace, progress: Progress) -> Path | None:
    from DLCTPMTrainingLib.samples.sample_file import SampleSet
    from DLCTPMTrainingLib.training.from_samples import train_samples
    from DLCTPMTrainingLib.training.plan import split_patients

    refuse_idle(
        options, _OF_THE_SAMPLES, f"goes with COHORT.csv, {options.samples} holds samples that are made and split"
    )
    ready = SampleSet.load(Path(options.samples))
    if options.fold:
        patients = [one.patient_id for one in ready.patients]
        training, validation = split_patients(patients, VALIDATION_SHARE, 0, _fold(options.fold))
        ready = replace(ready, training=training, validation=validation)
    asked = ready.settings
    plan = _plan(
        options,
        cohort=None,
        network=_network(options, ready.preprocessing, asked.get("network", {})),
        training=TrainingSettings.from_dict({**asked.get("training", {}), **_training(options)}),
        preprocessing=ready.preprocessing,
        **{key: asked[key] for key in ("name", "version") if key in asked},
    )
    return train_samples(plan, ready, progress, event_sink(progress))


def _plan_on_images(options: argparse.Namespace) -> TrainingPlan:
    named = BOTH_LUNGS["inputs"] if options.cell_mm else ARCHITECTURES[options.network or PAPER].inputs
    inputs = tuple(options.inputs.split(",")) if options.inputs else named
    preprocessing = PreprocessingSettings(inputs=inputs, **given(options, PreprocessingSettings, *PREPARED))
    return _plan(
        options,
        cohort=Path(options.cohort),
        network=_network(options, preprocessing),
        training=TrainingSettings(**_training(options)),
        preprocessing=preprocessing,
        test=Path(options.test) if options.test else None,
        **_given(validation_share=options.validation_share, variants=options.variants, register=options.register),
    )


def _plan(options: argparse.Namespace, **parts) -> TrainingPlan:
    from DLCTPMTrainingLib.training.plan import TrainingPlan

    if options.fold:
        parts["fold"] = _fold(options.fold)
    parts |= given(options, ModelName, "name", "version") | given(options, PredictionSettings, "device")
    return TrainingPlan(out=Path(options.out), tensorboard=options.tensorboard, **parts)


def _fold(text: str) -> tuple[int, int]:
    number, _, folds = text.partition("/")
    if not (number.isdecimal() and folds.isdecimal()):
        raise InputError(f"--fold {text}: give it as K/N, 1/5 for example")
    return int(number), int(folds)


def _training(options: argparse.Namespace) -> dict:
    names = ("epochs", "minutes", "batch_size", "learning_rate", *TRAINING)
    return {**given(options, TrainingSettings, *names), **({"plateau": True} if options.plateau else {})}


def _network(
    options: argparse.Namespace, preprocessing: PreprocessingSettings, asked: dict | None = None
) -> NetworkSettings:
    """The network of the options; what they leave open is as ``asked`` for before, if it is of the same kind."""

    asked = network_dict(network_settings(asked or {}))
    name = options.network or asked["architecture"]
    kind = ARCHITECTURES[name]
    if options.roi_attention and not hasattr(kind.settings, "roi_attention"):
        raise InputError(f"--roi-attention {options.roi_attention}: a {kind.title} has no attention, leave it out")
    own = given(options, ArnnSettings, *NETWORK)
    if preprocessing.cell_mm:
        own = {"norm": BOTH_LUNGS["norm"], "place": BOTH_LUNGS["place"], **own}
    before = asked if asked["architecture"] == name else {}
    return network_settings({**before, "architecture": name, "input_channels": len(preprocessing.inputs), **own})


def _given(**options) -> dict:
    """The options that were given; the others keep the defaults of their settings."""
    return {name: value for name, value in options.items() if value is not None}


COMMAND = Command(
    "train",
    "Train a model on a cohort of SPECT/CT pairs.",
    add_arguments,
    run,
    (
        "dlctpm train cohort.csv --out run",
        "dlctpm train cohort.csv --out run --export samples.npz",
        "dlctpm train --samples samples.npz --out run",
    ),
)
