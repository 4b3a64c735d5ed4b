"""``dlctpm train``: a model from a cohort of SPECT/CT pairs."""

from __future__ import annotations

import argparse
from pathlib import Path

from DLCTPMLib.commands import say
from DLCTPMLib.errors import InputError
from DLCTPMLib.networks import ARCHITECTURES, NetworkSettings, network_settings
from DLCTPMLib.preprocessing import PreprocessingSettings
from DLCTPMLib.progress import Progress, teller
from DLCTPMLib.run_file import keeping


def run(options: argparse.Namespace, progress: Progress) -> None:
    """Train, or continue a run that was cut off, and write the bundle."""
    from DLCTPMTrainingLib.cohort_training import TrainingPlan, train_cohort
    from DLCTPMTrainingLib.training import TrainingSettings

    inputs = tuple(options.inputs.split(",")) if options.inputs else ARCHITECTURES[options.network].inputs
    preprocessing = _given(
        inputs=inputs,
        grid_shape=_whole_numbers(options.grid, "--grid"),
        median_size=options.median_size,
        uniform_size=options.uniform_size,
        edges=options.edges,
        hir_scope=options.hir_scope,
    )
    training = _given(
        epochs=options.epochs,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        precision=options.precision,
        seed=options.seed,
    )
    plan = TrainingPlan(
        cohort=Path(options.cohort),
        out=Path(options.out),
        name=options.name,
        version=options.model_version,
        network=_network(options, len(inputs)),
        training=TrainingSettings(plateau=options.plateau, **training),
        preprocessing=PreprocessingSettings(**preprocessing),
        test=Path(options.test) if options.test else None,
        device=options.device,
        **_given(validation_share=options.validation_share),
    )
    bundle = train_cohort(plan, progress, keeping(options, "checkpoint.pt", teller(progress)))
    progress("Done", 1.0)
    say(options, f"Model in {bundle}; use it with --model {bundle}")


def _network(options: argparse.Namespace, images: int) -> NetworkSettings:
    kind = ARCHITECTURES[options.network]
    if options.roi_attention and not hasattr(kind.settings, "roi_attention"):
        raise InputError(f"--roi-attention {options.roi_attention}: a {kind.title} has no attention, leave it out")
    channels = _whole_numbers(options.channels, "--channels")
    given = _given(channels=channels, roi_attention=options.roi_attention)
    return network_settings({"architecture": options.network, "input_channels": images, **given})


def _given(**options) -> dict:
    """The options that were given; the others keep the defaults of their settings."""
    return {name: value for name, value in options.items() if value is not None}


def _whole_numbers(text: str | None, option: str) -> tuple[int, ...] | None:
    """Numbers like 16-32-64-128 or 128x64x64."""
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.replace("x", "-").split("-"))
    except ValueError as error:
        raise InputError(f"{option} {text}: not whole numbers with dashes between them") from error
