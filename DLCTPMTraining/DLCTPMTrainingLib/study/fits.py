"""The fits of a study: one network each on some of the patients, with the weights of some epochs kept for later."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from DLCTPMLib.common.atomic_output import whole_file
from DLCTPMLib.networks.parts import PerfusionNetwork
from DLCTPMLib.networks.registry import build_network
from DLCTPMTrainingLib.samples.lung_samples import Samples
from DLCTPMTrainingLib.samples.sample_file import PatientFacts, SampleSet
from DLCTPMTrainingLib.study.plan import Candidate
from DLCTPMTrainingLib.training.checkpoint import CHECKPOINT, EpochRecord, read_history, read_weights
from DLCTPMTrainingLib.training.fitting import FittedModel, fit
from DLCTPMTrainingLib.training.validation import renew_batch_norm


@dataclass(frozen=True)
class Fit:
    """One training run.

    Attributes:
        run: its folder.
        choice: settings of network, training and preprocessing.
        training, validation: ids of the patients trained on and of those validated with.
        device: where it trains.
        keep: epochs whose weights are kept.
    """

    run: Path
    choice: Candidate
    training: Sequence[str]
    validation: Sequence[str]
    device: torch.device
    keep: Sequence[int] = ()

    def fitted(
        self,
        samples: Samples,
        patients: Sequence[PatientFacts] = (),
        emit: Callable[[EpochRecord], None] = lambda record: None,
        on_step: Callable[[int, int], None] = lambda done, steps: None,
    ) -> FittedModel:
        """Train, go on with a run that was cut off, or open a finished one.

        Args:
            samples: lungs, among them those of all patients of this fit.
            patients: the cohort's, for a bundle.
            emit: called after every epoch.
            on_step: called after every step with the steps done and all steps of the run.
        """

        def keep_and_emit(record: EpochRecord) -> None:
            self._keep(record.epoch)
            emit(record)

        if (self.run / CHECKPOINT).is_file():  # the last run may have ended between checkpoint and copy
            self._keep(len(read_history(self.run)))
        return fit(
            self._ready(samples, patients),
            self.choice.network,
            self.choice.training,
            self.run,
            self.device,
            keep_and_emit,
            on_step,
        )

    def fitted_with(
        self, network: PerfusionNetwork, samples: Samples, patients: Sequence[PatientFacts]
    ) -> FittedModel:
        """The finished fit around the network of its bundle; nothing is trained."""
        return FittedModel.of(network, self._ready(samples, patients), self.choice.training, read_history(self.run))

    def history(self) -> list[dict]:
        """The epochs done, oldest first; NaN is None."""
        return [
            {name: None if value != value else value for name, value in asdict(record).items()}
            for record in read_history(self.run)
        ]

    def epochs(self, samples: Samples) -> dict[int, PerfusionNetwork]:
        """The networks of the kept epochs and of the last one, as they were, ready to predict.

        Their batch-norm statistics are taken anew over the training lungs, as the final network's are.
        """
        lungs = samples.of_patients(self.training)
        last = len(self.history())
        files = {epoch: self._kept(epoch) for epoch in self.keep if epoch < last and self._kept(epoch).is_file()}
        files[last] = self.run / CHECKPOINT
        networks = {}
        for epoch, path in files.items():
            network = build_network(self.choice.network)
            network.to(device=self.device, memory_format=torch.channels_last_3d)
            network.load_state_dict(read_weights(path))
            renew_batch_norm(network, lungs, self.device, self.choice.training.precision)
            networks[epoch] = network.cpu().eval()
        return networks

    def weights_sha256(self) -> str:
        """Hash of the finished fit's weights."""
        digest = hashlib.sha256()
        for name, values in sorted(read_weights(self.run / CHECKPOINT).items()):
            digest.update(name.encode() + values.contiguous().numpy().tobytes())
        return digest.hexdigest()

    def _keep(self, epoch: int) -> None:
        if epoch in self.keep and not self._kept(epoch).is_file():
            self._kept(epoch).parent.mkdir(exist_ok=True)
            with whole_file(self._kept(epoch)) as partial:
                shutil.copyfile(self.run / CHECKPOINT, partial)

    def _kept(self, epoch: int) -> Path:
        return self.run / "epochs" / f"{epoch:04d}.pt"

    def _ready(self, samples: Samples, patients: Sequence[PatientFacts]) -> SampleSet:
        return SampleSet(samples, patients, self.training, self.validation, self.choice.preprocessing, {})
