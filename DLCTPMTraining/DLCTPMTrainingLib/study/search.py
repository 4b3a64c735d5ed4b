"""The search: which settings cross-validation chooses."""

from __future__ import annotations

import numpy as np

from DLCTPMLib.common.errors import InputError
from DLCTPMTrainingLib.common.files import read_json, write_json
from DLCTPMTrainingLib.study.jobs import Stage
from DLCTPMTrainingLib.study.plan import Candidate
from DLCTPMTrainingLib.study.stages import StagedWorkbench
from DLCTPMTrainingLib.study.workbench import Workbench


def searched(bench: StagedWorkbench) -> tuple[list[dict], Candidate]:
    """The trials and the chosen settings: the highest mean R of the validation lungs after the last epoch.

    Raises:
        InputError: every setting diverged.
    """
    candidates, path = bench.plan.candidates(), bench.out / "search.json"
    if len(candidates) == 1:
        return [], candidates[0]
    if not path.is_file():
        trials = _tried(bench, candidates)
        if all(trial["mean"] is None for trial in trials):
            raise InputError(f"{bench.out}: no setting of the search could be trained; try lower learning rates")
        write_json(path, trials)
    trials = read_json(path)
    best = max(range(len(trials)), key=lambda i: -2 if trials[i]["mean"] is None else trials[i]["mean"])
    return trials, Candidate.from_dict(trials[best]["settings"])


def _tried(bench: StagedWorkbench, candidates: list[Candidate]) -> list[dict]:
    """Every setting on its folds: ``label``, ``settings``, ``epochs``, ``r`` by fold (None: diverged), ``mean``."""
    epochs, folds = bench.plan.search_epochs(), range(bench.plan.search.folds)
    tried = {
        (number, fold): (f"search/{number + 1:02d}-fold-{fold + 1}", candidate.with_epochs(epochs), fold)
        for number, candidate in enumerate(candidates)
        for fold in folds
    }
    cost = epochs * 2 * len(bench.split.around(0))
    bench.run_in_workers(
        [Stage(Workbench.trial, arguments, cost) for arguments in tried.values()],
        [candidate.preprocessing for candidate in candidates],
    )
    trials = []
    for number, candidate in enumerate(candidates):
        r = [bench.trial(*tried[number, fold]) for fold in folds]
        known = [value for value in r if value is not None]
        trials.append(
            {
                "label": candidate.label,
                "settings": candidate.to_dict(),
                "epochs": epochs,
                "r": r,
                "mean": float(np.mean(known)) if len(known) == len(r) else None,
            }
        )
    return trials
