"""One of the processes that test_shared_training.py starts: trains its share, and leaves what came of it.

Started as ``torchrun`` starts a process: RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT in the environment.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from DLCTPMLib.cli.main import run_program
from DLCTPMLib.common.errors import InputError
from DLCTPMLib.networks.settings import ArnnSettings
from DLCTPMTrainingLib.samples.batches import LungBatches
from DLCTPMTrainingLib.samples.lung_samples import Samples
from DLCTPMTrainingLib.training import checkpoint
from DLCTPMTrainingLib.training.loop import train
from DLCTPMTrainingLib.training.ranks import ranks_of_torchrun
from DLCTPMTrainingLib.training.settings import TrainingSettings

CPU = torch.device("cpu")
NETWORK = ArnnSettings(channels=(2, 2, 4, 4), kernel=3, dropout=0.0)
SETTINGS = TrainingSettings(epochs=2, batch_size=2, learning_rate=1e-3, precision="fp32")


def unequal_lungs(count: int, seed: int) -> Samples:
    """Lungs that fill from a tenth to most of their grid, so that a mean of means is no mean."""
    rng = np.random.default_rng(seed)
    enhanced = rng.integers(0, 256, (count, 1, 16, 8, 8)).astype(np.uint8)
    mask = rng.random(enhanced[:, 0].shape) < np.linspace(0.1, 0.9, count)[:, None, None, None]
    target = np.where(mask, np.rint(enhanced[:, 0] / 25.5) * 25.5, 0).astype(np.uint8)
    names = np.array([f"P{i}" for i in range(count)])
    return Samples(names, np.full(count, "left lung"), enhanced, target, mask, np.ones(count), np.ones(count))


TRAINING, VALIDATION = unequal_lungs(5, seed=1), unequal_lungs(3, seed=2)
"""Five lungs in batches of two: one process has nothing to do in an epoch's last step."""


class CutOff(Exception):  # noqa: N818 - a death, not an error
    pass


def main(out: Path) -> None:
    """All that two processes can tell, after one start of PyTorch."""
    with ranks_of_torchrun(CPU) as ranks:
        seen = {"count": ranks.count, "own": ranks.share(["a", "b", "c"])}

        def told(run, settings=SETTINGS, **options):
            """Weights, history and the error of one training."""
            records, network, error = [], None, None
            try:
                network = train(
                    TRAINING, VALIDATION, NETWORK, settings, out / run, CPU, records.append, ranks=ranks, **options
                )
            except InputError as failure:
                error = str(failure)
            seen[run] = {"error": error, "records": [[r.loss, r.validation_excess, r.validation_r] for r in records]}
            if network:
                torch.save(network.state_dict(), out / f"{run}-{ranks.rank}.pt")

        save, written = checkpoint.save, []
        checkpoint.save = lambda *state: written.append(save(*state))
        told("whole")
        checkpoint.save, seen["written"] = save, len(written)

        def cut(done, steps):
            if done == 5:
                raise CutOff

        try:
            told("cut", on_step=cut)
        except CutOff:
            told("cut")
        told("too-small", replace(SETTINGS, batch_size=1))

        def refuse():
            raise InputError("the cohort has no patients")

        try:
            ranks.from_first(refuse)
        except InputError as error:
            seen["refused"] = str(error)

        usual = LungBatches.__call__
        if ranks.rank == 1:

            def broken(self, chosen, gamma=None):
                batch = usual(self, chosen, gamma)
                return batch._replace(enhanced=batch.enhanced * float("nan"))

            LungBatches.__call__ = broken
        told("broken")
        LungBatches.__call__ = usual
        (out / f"seen-{ranks.rank}.json").write_text(json.dumps(seen))

        def interrupt(done, steps):
            if done == 2 and ranks.rank == 1:
                raise KeyboardInterrupt

        train(TRAINING, None, NETWORK, SETTINGS, out / "interrupted", CPU, on_step=interrupt, ranks=ranks)


def ending() -> int:
    """The exit status of this process, its error told."""
    try:
        main(Path(sys.argv[1]))
    except KeyboardInterrupt:
        return 130
    except InputError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    run_program(ending)  # at once, as the program ends: gloo's threads now and then abort a process taken apart
