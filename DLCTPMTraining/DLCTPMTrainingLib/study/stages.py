"""Which stages of a study can run beside each other, and running them so where workers were asked for.

Without workers nothing happens here: the study comes to every stage by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from typing import NamedTuple

from DLCTPMLib.networks.bundle import METADATA
from DLCTPMLib.preprocessing.settings import PreprocessingSettings
from DLCTPMTrainingLib.study.evaluation import Evaluated
from DLCTPMTrainingLib.study.jobs import Stage, run_stages
from DLCTPMTrainingLib.study.plan import Candidate
from DLCTPMTrainingLib.study.workbench import EVALUATE, PREPARE, Workbench


class FitAndTest(NamedTuple):
    """A fit of its own and whom it is tested on: the arguments of ``Workbench.trained_and_tested``.

    Attributes:
        run: its folder inside the study.
        choice: its settings.
        training: patients trained on.
        tested: patients looked at.
        folder: of their figures, inside ``run``.
    """

    run: str
    choice: Candidate
    training: Sequence[str]
    tested: Sequence[str]
    folder: str


class StagedWorkbench(Workbench):
    """A workbench whose independent stages can be done by several processes at once."""

    executor: Executor | None = None
    """Who does them; None: nobody but this process."""

    def prepare_in_workers(self) -> None:
        """Everybody's images, some patients a worker."""
        self.run_in_workers(self._in_parts(Workbench.make_ready, [row.patient_id for row in self.rows], PREPARE), [])

    def train_in_workers(self, roots: Mapping[str, Candidate], others: Sequence[FitAndTest]) -> None:
        """All that is trained with the chosen settings.

        Args:
            roots: folder of each network inside the study, "" for the main one, and its settings.
            others: further fits, each with its own test.
        """
        stages = []
        for root, choice in roots.items():
            epochs = choice.training.epochs
            if not (self.out / root / "model" / METADATA).is_file():
                stages.append(Stage(Workbench.final, (choice, root), 2 * len(self.split.training) * epochs))
            for number, fold in enumerate(self.split.folds):
                if not self.evaluated_all(fold, self.out / root / "folds" / str(number + 1) / "validation"):
                    work = 2 * len(self.split.around(number)) * epochs + 2 * EVALUATE * len(fold)
                    stages.append(Stage(Workbench.fold, (number, choice, root), work))
        preprocessing = [choice.preprocessing for choice in roots.values()]
        self.run_in_workers([*stages, *self._missing(others)], preprocessing)

    def test_in_workers(self, roots: Mapping[str, Candidate], chosen: Candidate) -> None:
        """Every look at the test set; the models are there."""
        work = EVALUATE * len(self.split.test)
        stages = [Stage(Workbench.test, (choice, root), work) for root, choice in roots.items()]
        stages += [Stage(Workbench.test_curve, (chosen,), 3 * work), Stage(Workbench.ensemble, (chosen,), 2 * work)]
        folders = [*(self.out / root / "test" for root in roots), self.out / "test-curve", self.out / "ensemble/test"]
        left = zip(stages, folders, strict=True)
        self.run_in_workers([stage for stage, folder in left if not self.evaluated_all(self.split.test, folder)], [])

    def trained_and_read(self, fits: Mapping[str, Mapping[str, FitAndTest]]) -> dict[str, dict[str, Evaluated]]:
        """Figures of fits that stand for themselves, by kind and name; trained where they are missing.

        A fit that stands under two names is trained once.
        """
        every = [fit for kind in fits.values() for fit in kind.values()]
        once = list({fit.run: fit for fit in every}.values())
        self.run_in_workers(self._missing(once), [fit.choice.preprocessing for fit in once])
        return {
            kind: {name: self.trained_and_tested(*fit) for name, fit in named.items()} for kind, named in fits.items()
        }

    def run_in_workers(self, stages: Sequence[Stage], preprocessing: Sequence[PreprocessingSettings]) -> None:
        """Run stages beside each other, once the training set's samples under each preprocessing are there."""
        if self.executor is None or not stages:
            return
        parts = [
            part
            for settings in dict.fromkeys(preprocessing)
            for part in self._in_parts(Workbench.make_samples, self.split.training, 1.0, settings)
        ]
        for each in (parts, stages):
            if each:
                work = sum(stage.work for stage in each)
                run_stages(self.executor, self.plan, each, self.meter.part(work, counted=False), self.emit)

    def _missing(self, fits: Sequence[FitAndTest]) -> list[Stage]:
        """The fits whose figures are not all there."""
        return [
            Stage(
                Workbench.trained_and_tested,
                tuple(fit),
                2 * len(fit.training) * fit.choice.training.epochs + EVALUATE * len(fit.tested),
            )
            for fit in fits
            if not self.evaluated_all(fit.tested, self.out / fit.run / fit.folder)
        ]

    def _in_parts(
        self, do: Callable[..., object], patients: Sequence[str], work: float, *more: object
    ) -> list[Stage]:
        """A stage for each patient, for work that patients do not share."""
        return [Stage(do, ([patient], *more), work) for patient in patients]
