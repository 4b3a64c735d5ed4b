"""``dlctpm study``: a cohort from its table to the report, cross-validated, tested once."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from DLCTPMLib.common.console import say
from DLCTPMLib.common.errors import InputError
from DLCTPMLib.common.progress import Progress, event_sink, within
from DLCTPMLib.common.run_file import keeping
from DLCTPMLib.networks.arnn import ArnnSettings
from DLCTPMLib.preprocessing.enhancement import PreprocessingSettings

LATER = ("alternatives", "without", "sensitivity", "learning_curve")
"""Options that may be added to a study that was begun, since they change none of its main numbers."""


def run(options: argparse.Namespace, progress: Progress) -> None:
    """Run a study, or continue one that was cut off, and write its report."""
    from DLCTPMTrainingLib.study.study import prepare_study, run_study
    from DLCTPMTrainingLib.study_report.export import export_docs
    from DLCTPMTrainingLib.study_report.report import write_results

    if options.check:
        check, sheet = prepare_study(plan_of(options), progress)
        progress("Done", 1.0)
        say(options, "\n".join([*check.warnings, f"Nothing was trained; look at {sheet}, then run without --check"]))
        return
    emit = keeping(options, "study.json", event_sink(progress), LATER)
    results = run_study(plan_of(options), within(progress, 0, 0.95), emit)
    report = write_results(results, within(progress, 0.95, 1))
    text = f"Report in {report}; the model in {results.model}"
    if options.export_docs:
        exported = export_docs(report.parent, Path(options.export_docs))
        text += f"; for a repository, {exported}"
        if results.origin.warning:
            text += f"\nwarning: {exported}: {results.origin.warning}"
    progress("Done", 1.0)
    say(options, text)


def plan_of(options: argparse.Namespace):
    """The options as a ``StudyPlan``; lists of more than one value make the search's grid.

    Raises:
        InputError: naming the option that cannot be used.
    """
    from DLCTPMTrainingLib.study.plan import SearchSettings, SplitSettings, StudyPlan
    from DLCTPMTrainingLib.training.loop import TrainingSettings

    rates = _list(options.learning_rate, "--learning-rate", float)
    channels = _list(options.channels, "--channels", _whole_numbers)
    edges = _list(options.edges, "--edges", str)
    attention = _list(options.roi_attention, "--roi-attention", str)
    movements = _list(options.movement, "--movement", float)
    training = _given(
        epochs=options.epochs,
        batch_size=options.batch_size,
        learning_rate=_first(rates),
        movement=_first(movements),
        precision=options.precision,
        seed=options.seed,
    )
    grid = None if options.grid is None else _list(options.grid, "--grid", _whole_numbers)[0]
    search = {"learning_rates": rates, "channels": channels, "edges": edges, "roi_attention": attention}
    search["movements"] = movements
    return StudyPlan(
        cohort=Path(options.cohort),
        out=Path(options.out),
        name=options.name,
        version=options.model_version,
        network=ArnnSettings(**_given(channels=_first(channels), roi_attention=_first(attention))),
        training=TrainingSettings(**{"epochs": 100, "plateau": not options.no_plateau, **training}),
        preprocessing=PreprocessingSettings(
            **_given(
                grid_shape=grid,
                median_size=options.median_size,
                uniform_size=options.uniform_size,
                edges=_first(edges),
                hir_scope=options.hir_scope,
            )
        ),
        split=SplitSettings(**_given(test_share=options.test_share, folds=options.folds, seed=options.seed)),
        search=SearchSettings(**search, **_given(folds=options.search_folds, budget=options.search_epochs)),
        register=options.register,
        without=options.without or "",
        sensitivity=options.sensitivity,
        learning_curve=options.learning_curve,
        alternatives=_list(options.alternatives, "--alternatives", str),
        device=options.device,
        **_given(jobs=options.jobs, threads=options.threads),
    )


def _given(**options) -> dict:
    """The options that were given; the others keep the defaults of their settings."""
    return {name: value for name, value in options.items() if value is not None}


def _first(values: tuple) -> Any:
    return values[0] if values else None


def _list(text: str | None, option: str, kind: Callable[[str], Any]) -> tuple:
    """Values with commas between them."""
    if text is None:
        return ()
    try:
        return tuple(kind(part.strip()) for part in text.split(","))
    except ValueError as error:
        raise InputError(f"{option} {text}: give one value, or several with commas between them") from error


def _whole_numbers(text: str) -> tuple[int, ...]:
    """Numbers like 16-32-64-128 or 128x64x64."""
    return tuple(int(part) for part in text.replace("x", "-").split("-"))
