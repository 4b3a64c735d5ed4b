"""``dlctpm study``: a cohort from its table to the report, cross-validated, tested once; or finished models on it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from DLCTPMLib.cli.shared.arguments import add_workers, refuse_idle, workers_of
from DLCTPMLib.cli.shared.command import Command
from DLCTPMLib.common.console import say
from DLCTPMLib.common.options import add_options, given, several_given
from DLCTPMLib.common.parsing import words
from DLCTPMLib.common.progress import Progress, event_sink, within
from DLCTPMLib.common.run_file import keeping
from DLCTPMLib.networks.settings import ArnnSettings
from DLCTPMLib.preprocessing.settings import PreprocessingSettings
from DLCTPMLib.results.settings import PredictionSettings
from DLCTPMTrainingLib.ceiling.settings import FEWEST_DRAWS
from DLCTPMTrainingLib.study.settings import SearchSettings, SplitSettings
from DLCTPMTrainingLib.training.settings import ModelName, TrainingSettings

EPOCHS = 100
"""Of each fold and of the final fit, where nothing is said."""
LATER = ("alternatives", "without", "sensitivity", "learning_curve", "ceiling")
"""Options that may be added to a study that was begun, since they change none of its main numbers."""

WITH_MODELS = ("command", "run", "cohort", "out", "models", "register", "ceiling", "device", "progress")
"""Options that go with ``--models``: the others say how a model is trained."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The cohort, what is searched and trained, what is added, and where the study goes."""
    parser.add_argument(
        "cohort", metavar="COHORT.csv", help="patient_id, ct, spect, lungs; also diagnosis, sex, age, split"
    )
    parser.add_argument("--out", required=True, metavar="STUDY", help="the study; one that was cut off is continued")
    parser.add_argument(
        "--models", nargs="+", metavar="MODEL",
        help="train nothing: compare finished models, and the members of ensembles, on all patients of the cohort",
    )  # fmt: skip
    add_options(parser, ModelName(), "name", "version")
    add_options(parser, PredictionSettings(), "registration")
    parser.add_argument(
        "--check", action="store_true", help="stop before training; a contact sheet to look at is left"
    )
    add_options(parser, SplitSettings(), "test_share", "folds")
    add_options(parser, TrainingSettings(epochs=EPOCHS), "epochs")
    parser.add_argument("--no-plateau", action="store_true", help="never stop early by the paper's rule")
    add_options(parser, TrainingSettings(), "learning_rate", "movement", several=True)
    add_options(parser, ArnnSettings(), "channels", "roi_attention", several=True)
    add_options(parser, PreprocessingSettings(), "edges", several=True)
    add_options(parser, SearchSettings(), "budget", "folds")
    add_options(parser, TrainingSettings(), "batch_size", "precision", "seed")
    add_options(parser, PreprocessingSettings(), "grid_shape", "median_size", "uniform_size", "hir_scope")
    parser.add_argument("--without", metavar="DIAGNOSIS", help="train and test a second model without its patients")
    parser.add_argument(
        "--alternatives", metavar="A,…", help="other networks under the same budget, side by side: unet, context"
    )
    parser.add_argument("--sensitivity", action="store_true", help="train variants of the preprocessing (fold 1)")
    parser.add_argument("--learning-curve", action="store_true", help="train on fewer patients (fold 1)")
    parser.add_argument(
        "--ceiling", nargs="?", type=int, const=FEWEST_DRAWS, metavar="N",
        help="draw N SPECTs of each virtual test patient anew beneath its CT: how good any map of it could be "
        f"(an estimate, simulated; default {FEWEST_DRAWS})",
    )  # fmt: skip
    parser.add_argument(
        "--export-docs", metavar="FOLDER", help="also write report and headline tables in at most 5 MB"
    )
    add_workers(parser)
    parser.add_argument(
        "--threads", type=int, metavar="N", help="of each process; give cores / processes (default: all cores)"
    )
    add_options(parser, PredictionSettings(), "device")


def run(options: argparse.Namespace, progress: Progress) -> None:
    """Run a study, or continue one that was cut off, and write its report; or compare finished models."""
    if options.models:
        _compare(options, progress)
        return
    from DLCTPMTrainingLib.cohorts.table import read_cohort
    from DLCTPMTrainingLib.study.study import prepare_study, run_study
    from DLCTPMTrainingLib.study_report.export import check_publishable, export_docs
    from DLCTPMTrainingLib.study_report.report import write_results

    if options.export_docs:
        check_publishable(read_cohort(options.cohort), Path(options.cohort))
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


def _compare(options: argparse.Namespace, progress: Progress) -> None:
    from DLCTPMTrainingLib.model_comparison.comparison import ComparisonPlan, compare_models

    others = [name for name in vars(options) if name not in WITH_MODELS]
    refuse_idle(options, others, "--models takes models that are trained; leave it out")
    plan = ComparisonPlan(
        cohort=Path(options.cohort),
        models=tuple(options.models),
        out=Path(options.out),
        ceiling=options.ceiling or 0,
        **_given(register=options.register, device=options.device),
    )
    page = compare_models(plan, progress)
    progress("Done", 1.0)
    say(options, f"Comparison in {page}")


def plan_of(options: argparse.Namespace):
    """The options as a ``StudyPlan``; lists of more than one value make the search's grid.

    Raises:
        InputError: naming the option that cannot be used.
    """
    from DLCTPMTrainingLib.study.plan import StudyPlan

    rates, movements = (several_given(options, TrainingSettings, name) for name in ("learning_rate", "movement"))
    channels, attention = (several_given(options, ArnnSettings, name) for name in ("channels", "roi_attention"))
    edges = several_given(options, PreprocessingSettings, "edges")
    training = given(options, TrainingSettings, "epochs", "batch_size", "precision", "seed")
    training |= _given(learning_rate=_first(rates), movement=_first(movements))
    preprocessing = given(options, PreprocessingSettings, "grid_shape", "median_size", "uniform_size", "hir_scope")
    if not any(len(values) > 1 for values in (rates, movements, channels, attention, edges)):
        refuse_idle(options, ("search_folds", "search_epochs"), "is of a search; give several values of an option")
    search = {"learning_rates": rates, "channels": channels, "edges": edges, "roi_attention": attention}
    search["movements"] = movements
    return StudyPlan(
        cohort=Path(options.cohort),
        out=Path(options.out),
        **given(options, ModelName, "name", "version"),
        network=ArnnSettings(**_given(channels=_first(channels), roi_attention=_first(attention))),
        training=TrainingSettings(**{"epochs": EPOCHS, "plateau": not options.no_plateau, **training}),
        preprocessing=PreprocessingSettings(**preprocessing, **_given(edges=_first(edges))),
        split=SplitSettings(**given(options, SplitSettings, "test_share", "folds"), **_given(seed=options.seed)),
        search=SearchSettings(**search, **given(options, SearchSettings, "folds", "budget")),
        without=options.without or "",
        sensitivity=options.sensitivity,
        learning_curve=options.learning_curve,
        ceiling=options.ceiling or 0,
        alternatives=words(options.alternatives) if options.alternatives else (),
        **_given(register=options.register, device=options.device, threads=options.threads),
        at_once=workers_of(options),
    )


def _given(**options) -> dict:
    """The options that were given; the others keep the defaults of their settings."""
    return {name: value for name, value in options.items() if value is not None}


def _first(values: tuple) -> Any:
    return values[0] if values else None


COMMAND = Command(
    "study",
    "Cross-validate, train and test a model on a cohort.",
    add_arguments,
    run,
    (
        "dlctpm study cohort/cohort.csv --out study --alternatives unet,context",
        "dlctpm study cohort/cohort.csv --out comparison --models default paper --ceiling",
    ),
)
