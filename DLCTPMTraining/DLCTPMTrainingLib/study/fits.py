"""The fits of a study: one network each on some of the patients, with the weights of some epochs kept for later."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from DLCTPMLib.common.atomic_output import whole_file
from DLCTPMLib.networks.parts import PerfusionNetwork
from DLCTPMLib.networks.registry import build_network
from DLCTPMTrainingLib.samples.from_images import Samples
from DLCTPMTrainingLib.study.plan import Candidate
from DLCTPMTrainingLib.training.loop import EpochRecord, train
from DLCTPMTrainingLib.training.validation import renew_batch_norm

CHECKPOINT = "checkpoint.pt"


@dataclass(frozen=True)
class Fit:
    """One training run.

    Attributes:
        run: its folder.
        choice: settings of network, training and preprocessing.
        learning, watching: patients trained on and only watched.
        device: where it trains.
        keep: epochs whose weights are kept.
    """

    run: Path
    choice: Candidate
    learning: Sequence[str]
    watching: Sequence[str]
    device: torch.device
    keep: Sequence[int] = ()

    def network(
        self,
        samples: Samples,
        emit: Callable[[EpochRecord], None] = lambda record: None,
        on_step: Callable[[int, int], None] = lambda done, steps: None,
    ) -> PerfusionNetwork:
        """Train, go on with a run that was cut off, or open a finished one."""

        def keep_and_emit(record: EpochRecord) -> None:
            self._keep(record.epoch)
            emit(record)

        if (self.run / CHECKPOINT).is_file():  # the last run may have ended between checkpoint and copy
            self._keep(len(self._history_of(self._state())))
        return train(
            samples.of_patients(self.learning),
            samples.of_patients(self.watching),
            self.choice.network,
            self.choice.training,
            self.run,
            self.device,
            keep_and_emit,
            on_step,
        )

    def history(self) -> list[dict]:
        """The epochs done, oldest first; NaN is None."""
        return [
            {name: None if value != value else value for name, value in record.items()}
            for record in self._history_of(self._state())
        ]

    def epochs(self, samples: Samples) -> dict[int, PerfusionNetwork]:
        """The networks of the kept epochs and of the last one, as they were, ready to predict.

        Their batch-norm statistics are taken anew over the training lungs, as the final network's are.
        """
        learning = samples.of_patients(self.learning)
        last = len(self.history())
        files = {epoch: self._kept(epoch) for epoch in self.keep if epoch < last and self._kept(epoch).is_file()}
        files[last] = self.run / CHECKPOINT
        networks = {}
        for epoch, path in files.items():
            network = build_network(self.choice.network)
            network.to(device=self.device, memory_format=torch.channels_last_3d)
            network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True)["network"])
            renew_batch_norm(network, learning, self.device, self.choice.training.precision)
            networks[epoch] = network.cpu().eval()
        return networks

    def weights_sha256(self) -> str:
        """Hash of the finished fit's weights."""
        digest = hashlib.sha256()
        for name, values in sorted(self._state()["network"].items()):
            digest.update(name.encode() + values.contiguous().numpy().tobytes())
        return digest.hexdigest()

    def _keep(self, epoch: int) -> None:
        if epoch in self.keep and not self._kept(epoch).is_file():
            self._kept(epoch).parent.mkdir(exist_ok=True)
            with whole_file(self._kept(epoch)) as partial:
                shutil.copyfile(self.run / CHECKPOINT, partial)

    def _kept(self, epoch: int) -> Path:
        return self.run / "epochs" / f"{epoch:04d}.pt"

    def _state(self) -> dict:
        return torch.load(self.run / CHECKPOINT, map_location="cpu", weights_only=True)

    @staticmethod
    def _history_of(state: dict) -> list[dict]:
        return json.loads(state["history"])
