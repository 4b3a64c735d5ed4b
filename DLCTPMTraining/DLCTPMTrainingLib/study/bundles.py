"""The bundles of a study's final fits: written once they are trained, their cards finished once they are tested."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from DLCTPMLib.networks.bundle import METADATA, load_bundle
from DLCTPMTrainingLib.statistics.table import TidyTable
from DLCTPMTrainingLib.study.plan import Candidate
from DLCTPMTrainingLib.study.workbench import Workbench
from DLCTPMTrainingLib.training.fitting import FittedModel
from DLCTPMTrainingLib.training.packaging import Evaluation, package
from DLCTPMTrainingLib.training.validation import Validation


def bundle_of(bench: Workbench, choice: Candidate, root: str) -> Path:
    """The bundle of a final fit, which is trained if need be.

    Args:
        bench: the study.
        choice: the settings.
        root: folder of an alternative inside the study; "" is the main network.
    """
    folder = bench.out / root / "model"
    if not (folder / METADATA).is_file():
        _package(bench, choice, root, bench.train(bench.final_fit(choice, root)))
    return folder


def finish_card(bench: Workbench, choice: Candidate, root: str, test: TidyTable) -> None:
    """Write the test's table into the model card; the weights stay as they are."""
    bundle = load_bundle(bench.out / root / "model")
    if "test" not in bundle.metadata:
        fit = bench.final_fit(choice, root)
        fitted = fit.fitted_with(bundle.network(), bench.samples(choice), bench.facts)
        _package(bench, choice, root, fitted, Evaluation(test, bench.rows))


def _package(
    bench: Workbench, choice: Candidate, root: str, fitted: FittedModel, evaluation: Evaluation | None = None
) -> None:
    """A final fit has no validation patients of its own: the card gives the mean over the folds."""
    last = [
        bench.fit(bench.below(root, f"folds/{number + 1}"), choice, [], []).history()[-1]
        for number in range(len(bench.split.folds))
    ]
    r, excess = (
        np.mean([np.nan if record[name] is None else record[name] for record in last])
        for name in ("validation_r", "validation_excess")
    )
    name = f"{bench.plan.name}-{Path(root).name}" if root else bench.plan.name
    validated = replace(fitted, validation=Validation(float(excess), float(r)))
    package(validated, bench.out / root / "model", name, bench.plan.version, evaluation)
