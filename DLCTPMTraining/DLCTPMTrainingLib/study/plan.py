"""What a study is asked for: the plan, its split, its search, and the settings that are tried."""

from __future__ import annotations

import itertools
import json
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

from DLCTPMLib.common.settings import StageSettings
from DLCTPMLib.networks.settings import (
    ARCHITECTURES,
    PAPER,
    ArnnSettings,
    NetworkSettings,
    check_inputs,
    network_dict,
    network_settings,
)
from DLCTPMLib.parallel.settings import WorkerSettings
from DLCTPMLib.preprocessing.settings import PreprocessingSettings
from DLCTPMLib.results.settings import PredictionSettings
from DLCTPMTrainingLib.ceiling.settings import FEWEST_DRAWS
from DLCTPMTrainingLib.statistics.tests import StatisticsSettings
from DLCTPMTrainingLib.study.settings import SearchSettings, SplitSettings
from DLCTPMTrainingLib.training.settings import ModelName, TrainingSettings

AS_CHOSEN = "as chosen"
"""The name of the unchanged settings among their variants."""


@dataclass(frozen=True)
class Candidate:
    """One complete set of settings of network, training and preprocessing."""

    network: NetworkSettings
    training: TrainingSettings
    preprocessing: PreprocessingSettings

    def __post_init__(self):
        check_inputs(self.network, self.preprocessing)

    def with_epochs(self, epochs: int) -> Candidate:
        """The same, trained for another number of epochs."""
        return replace(self, training=replace(self.training, epochs=epochs))

    def with_network(self, name: str) -> Candidate:
        """The same settings for another architecture, with the images that it is meant for.

        Width, kernel, dropout and whatever else both networks have are carried over.
        """
        kind = ARCHITECTURES[name]
        own = {each.name for each in fields(kind.settings)} & {each.name for each in fields(self.network)}
        carried = {each: getattr(self.network, each) for each in own - {"input_channels"}}
        return Candidate(
            kind.settings(**carried, input_channels=len(kind.inputs)),
            self.training,
            replace(self.preprocessing, inputs=kind.inputs),
        )

    def to_dict(self) -> dict:
        """Plain JSON values by stage."""
        return {
            "network": network_dict(self.network),
            "training": self.training.to_dict(),
            "preprocessing": self.preprocessing.to_dict(),
        }

    @classmethod
    def from_dict(cls, values: dict) -> Candidate:
        """Read back what ``to_dict`` gave."""
        return cls(
            network_settings(values["network"]),
            TrainingSettings.from_dict(values["training"]),
            PreprocessingSettings.from_dict(values["preprocessing"]),
        )

    @property
    def label(self) -> str:
        """What distinguishes it in the search, in words."""
        width = "-".join(map(str, self.network.channels))
        words = f"rate {self.training.learning_rate:g}, {width}, edges {self.preprocessing.edges}"
        attention = getattr(self.network, "roi_attention", None)
        words += f", ROI {attention}" if attention else ""
        words += f", movement {self.training.movement:g}" if self.training.movement else ""
        name = self.network.ARCHITECTURE
        return words if name == PAPER else f"{name}, {words}"


@dataclass(frozen=True)
class StudyPlan(StageSettings):
    """What ``dlctpm study`` is asked for.

    Attributes:
        cohort: the cohort's CSV file.
        out: the study's folder.
        name, version: of the final model.
        network, training, preprocessing: what the search starts from; ``training.epochs`` are those of the folds and
            of the final fit.
        split, search, statistics: of the stages of that name.
        register: "none", "rigid" or "affine": how the SPECT is brought to the CT.
        curve_points: at most so many epochs are kept for the curves of Fig. 4.
        without: a diagnosis; a second model is trained and tested without its patients. "" for none.
        sensitivity: train variants of filter kernels, HIR percentile and levels on the first fold.
        learning_curve: train on quarters of the first fold's training patients.
        ceiling: how many SPECTs of each test patient are drawn anew for the ceiling; 0 for none.
        alternatives: other architectures that get the same split, folds and budget, with the settings that the search
            chose on the main network. They may be added to a finished study, and stay in it once they are tested.
        device: auto, cpu, cuda or mps.
        at_once: who does stages that do not need each other; processes of this machine on a CPU only.
        threads: of each process; 0 is torch's own choice. It changes the rounding of the results, ``at_once`` does
            not.
    """

    WHAT = "study"

    cohort: Path
    out: Path
    name: str = ModelName.name
    version: str = ModelName.version
    network: NetworkSettings = field(default_factory=ArnnSettings)
    training: TrainingSettings = field(default_factory=lambda: TrainingSettings(epochs=100, plateau=True))
    preprocessing: PreprocessingSettings = field(default_factory=PreprocessingSettings)
    split: SplitSettings = field(default_factory=SplitSettings)
    search: SearchSettings = field(default_factory=SearchSettings)
    statistics: StatisticsSettings = field(default_factory=StatisticsSettings)
    register: str = PredictionSettings.registration
    curve_points: int = 12
    without: str = ""
    sensitivity: bool = False
    learning_curve: bool = False
    ceiling: int = 0
    alternatives: tuple[str, ...] = ()
    device: str = PredictionSettings.device
    at_once: WorkerSettings = field(default_factory=WorkerSettings)
    threads: int = 0

    def __post_init__(self):
        others = [name for name in ARCHITECTURES if name != self.network.ARCHITECTURE]
        self.require(
            {
                f"alternatives are chosen from {', '.join(others)}, each once": set(self.alternatives) <= set(others)
                and len(set(self.alternatives)) == len(self.alternatives),
                "threads must be at least 0": self.threads >= 0,
                "with --jobs, --workers and --scheduler give --threads too, the cores divided by the processes; it "
                "changes the rounding of the results, so it is not guessed": not self.at_once.several
                or self.threads >= 1,
                "registration must be none, rigid or affine": self.register in ("none", "rigid", "affine"),
                f"a ceiling needs at least {FEWEST_DRAWS} draws": self.ceiling == 0 or self.ceiling >= FEWEST_DRAWS,
                "the curves need at least 2 points": self.curve_points >= 2,
                "the search cannot use more folds than there are": self.search.folds <= self.split.folds,
                "this network has no ROI attention to search": not self.search.roi_attention
                or hasattr(self.network, "roi_attention"),
            }
        )

    def decisive(self) -> dict:
        """Everything that decides the study's main numbers; a study may only be continued with the same."""
        parts = ("training", "preprocessing", "split", "search")
        values = {"network": network_dict(self.network), **{name: asdict(getattr(self, name)) for name in parts}}
        values |= {"register": self.register, "curve_points": self.curve_points}
        return json.loads(json.dumps(values))

    def candidates(self) -> list[Candidate]:
        """Every combination of the search, the plan's own settings where it names none."""
        search = self.search
        rates = search.learning_rates or (self.training.learning_rate,)
        widths = search.channels or (self.network.channels,)
        edges = search.edges or (self.preprocessing.edges,)
        attention = [{"roi_attention": value} for value in search.roi_attention] or [{}]
        movements = search.movements or (self.training.movement,)
        return [
            Candidate(
                replace(self.network, channels=channels, **roi),
                replace(self.training, learning_rate=rate, movement=movement),
                replace(self.preprocessing, edges=edge),
            )
            for rate, channels, edge, roi, movement in itertools.product(rates, widths, edges, attention, movements)
        ]

    def search_epochs(self) -> int:
        """Epochs that each combination gets on each of its folds."""
        return max(1, self.search.budget // (len(self.candidates()) * self.search.folds))

    def sensitivity_variants(self, chosen: Candidate) -> dict[str, Candidate]:
        """The chosen settings with one choice of preprocessing changed, by name."""
        base = chosen.preprocessing
        half, more = max(1, round(base.median_size / 2)), round(base.median_size * 1.5)
        changes = {
            f"median filter of {half}": {"median_size": half},
            f"median filter of {more}": {"median_size": more},
            f"uniform filter of {max(1, base.uniform_size - 2)}": {"uniform_size": max(1, base.uniform_size - 2)},
            f"uniform filter of {base.uniform_size + 2}": {"uniform_size": base.uniform_size + 2},
            f"HIR at the {base.hir_percentile - 10:g}th percentile": {"hir_percentile": base.hir_percentile - 10},
            f"HIR at the {base.hir_percentile + 10:g}th percentile": {"hir_percentile": base.hir_percentile + 10},
            "6 levels": {"levels": 6},
            "21 levels": {"levels": 21},
        }
        return {AS_CHOSEN: chosen} | {
            name: replace(chosen, preprocessing=replace(base, **change)) for name, change in changes.items()
        }


def curve_epochs(epochs: int, points: int) -> list[int]:
    """The epochs whose weights are kept: the first, the last, and evenly between."""
    count = min(points, epochs)
    return sorted({round(1 + (epochs - 1) * i / max(count - 1, 1)) for i in range(count)})
