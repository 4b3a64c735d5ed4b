"""Training a network (Eq. 3): one loop, read from top to bottom, that a killed run continues bit for bit."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor
from torch.nn import functional

from DLCTPMLib.errors import InputError
from DLCTPMLib.inference import has_bfloat16
from DLCTPMLib.metrics import ssim_map
from DLCTPMLib.network_parts import PerfusionNetwork
from DLCTPMLib.networks import NetworkSettings, build_network, network_dict
from DLCTPMLib.output_folder import whole_file
from DLCTPMLib.settings import StageSettings
from DLCTPMTrainingLib.samples import FULL_SCALE, Samples

PLATEAU_CHANGE, PLATEAU_EPOCHS = 0.002, 5
"""The paper's pilot: training is done when the loss changes by less than 0.2 % for five epochs in a row."""


@dataclass(frozen=True)
class TrainingSettings(StageSettings):
    """How the network is trained. The paper fixes loss, optimiser and 500 epochs; the rest is chosen here.

    Attributes:
        epochs: passes over all lungs.
        batch_size: lungs a step.
        learning_rate: Adam's at its highest; it warms up over the first and falls as a cosine over all epochs.
        jitter: standard deviation of log gamma, by which the contrast of the enhanced CT varies from step to step.
        plateau: stop early by the paper's rule.
        precision: "auto" (bfloat16 where the processor has it), "fp32" or "bf16".
        seed: of weights, order, dropout and jitter.
    """

    WHAT = "training settings"

    epochs: int = 500
    batch_size: int = 1
    learning_rate: float = 1e-3
    jitter: float = 0.1
    plateau: bool = False
    precision: str = "auto"
    seed: int = 2026

    def __post_init__(self):
        self.require(
            {
                "epochs and batch size must be at least 1": min(self.epochs, self.batch_size) >= 1,
                "the learning rate must be positive": self.learning_rate > 0,
                "jitter must not be negative": self.jitter >= 0,
                "precision must be auto, fp32 or bf16": self.precision in ("auto", "fp32", "bf16"),
            }
        )


@dataclass(frozen=True)
class EpochRecord:
    """What one epoch came to.

    Attributes:
        epoch: counted from 1.
        loss: mean training loss, masked BCE.
        excess: the same less the entropy of the targets, below which BCE with soft labels cannot fall.
        validation_excess, validation_r: the same, and mean Spearman R of the lungs, on the validation lungs;
            NaN without any. On the network's grid, hence not the R of a study.
        seconds: wall time.
        validation_ssim: mean SSIM of the validation lungs, on the network's grid too; NaN in runs of older versions.
    """

    epoch: int
    loss: float
    excess: float
    validation_excess: float
    validation_r: float
    seconds: float
    validation_ssim: float = math.nan


def train(
    samples: Samples,
    validation: Samples | None,
    network_settings: NetworkSettings,
    settings: TrainingSettings,
    run: Path,
    device: torch.device,
    tell: Callable[[EpochRecord], None] = lambda record: None,
    tell_step: Callable[[int, int], None] = lambda done, steps: None,
) -> PerfusionNetwork:
    """Train a network, or go on with a run that was cut off.

    Each epoch's randomness comes from the seed and the epoch's number alone, and the checkpoint holds weights
    and optimiser, so on one device a killed run ends with the same weights as one that was left alone.

    Args:
        samples: lungs to learn from.
        validation: lungs to watch, used for nothing else; None for none.
        network_settings: the network.
        settings: the training.
        run: folder of ``checkpoint.pt`` and ``history.jsonl``.
        device: where to train.
        tell: called after every epoch.
        tell_step: called after every step with the steps done and all steps of the run.

    Returns:
        the trained network on the CPU, its batch-norm statistics taken anew over all lungs.

    Raises:
        InputError: if there is nothing to train on, the run was begun with other settings or data, or the
            loss is no longer a number.
    """
    if not len(samples):
        raise InputError("no lungs to train on: give a cohort with at least one usable patient")
    torch.manual_seed(settings.seed)
    network = build_network(network_settings).to(device=device, memory_format=torch.channels_last_3d)
    optimizer = torch.optim.Adam(network.parameters(), lr=settings.learning_rate)
    run.mkdir(parents=True, exist_ok=True)
    setup = _setup(samples, network_settings, settings)
    history = _resume(run, setup, network, optimizer)

    steps = math.ceil(len(samples) / settings.batch_size)
    rate = _learning_rate(settings, steps)
    floor = _entropy(samples)
    for epoch in range(len(history) + 1, settings.epochs + 1):
        if settings.plateau and on_plateau([record.loss for record in history]):
            break
        start, losses = time.perf_counter(), []
        torch.manual_seed(_epoch_seed(settings.seed, epoch))
        network.train()
        for number, chosen in enumerate(torch.randperm(len(samples)).split(settings.batch_size)):
            step = (epoch - 1) * steps + number
            for group in optimizer.param_groups:
                group["lr"] = rate(step)
            enhanced, target, mask = _batch(samples, chosen, device)
            loss = _loss(network, _jittered(enhanced, settings.jitter), target, mask, settings.precision)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            if not math.isfinite(losses[-1]):
                raise InputError(
                    f"{run}: the loss is not a number any more in epoch {epoch}, "
                    "train again with a lower --learning-rate"
                )
            tell_step(step + 1, steps * settings.epochs)
        excess, r, ssim = _validate(network, validation, device, settings.precision)
        loss, seconds = float(np.mean(losses)), time.perf_counter() - start
        record = EpochRecord(epoch, loss, loss - floor, excess, r, seconds, ssim)
        history.append(record)
        _save(run, setup, network, optimizer, history)
        tell(record)
    renew_batch_norm(network, samples, device, settings.precision)
    return network.cpu().eval()


def on_plateau(losses: list[float]) -> bool:
    """The paper's rule: less than 0.2 % of change for five epochs in a row."""
    recent = losses[-PLATEAU_EPOCHS - 1 :]
    return len(recent) > PLATEAU_EPOCHS and all(
        abs(now - before) < PLATEAU_CHANGE * before for before, now in pairwise(recent)
    )


def renew_batch_norm(network: PerfusionNetwork, samples: Samples, device: torch.device, precision: str) -> None:
    """Take batch-norm statistics anew as means over all lungs, without dropout.

    The running averages of training see the last few lungs only, and see them with dropout, which prediction
    does not have.
    """
    norms = [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm3d)]
    momenta = [norm.momentum for norm in norms]
    network.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a cumulative mean
        norm.train()
    with torch.no_grad():
        for index in range(len(samples)):
            enhanced, _, _ = _batch(samples, torch.tensor([index]), device)
            _logits(network, enhanced, precision)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.eval()


def predict_samples(
    network: PerfusionNetwork, samples: Samples, device: torch.device, precision: str = "fp32"
) -> np.ndarray:
    """Relative perfusion of every lung, float32 (n, z, y, x)."""
    network.eval()
    with torch.inference_mode():
        lungs = [
            torch.sigmoid(_logits(network, _batch(samples, torch.tensor([index]), device)[0], precision))[0, 0]
            for index in range(len(samples))
        ]
    return torch.stack(lungs).cpu().numpy()


def _loss(network: PerfusionNetwork, enhanced: Tensor, target: Tensor, mask: Tensor, precision: str) -> Tensor:
    """Eq. 3: binary cross-entropy over the lung's voxels; N counts those of the whole batch."""
    logits = _logits(network, enhanced, precision)
    return functional.binary_cross_entropy_with_logits(logits[mask], target[mask])


def _logits(network: PerfusionNetwork, enhanced: Tensor, precision: str) -> Tensor:
    bfloat16 = precision == "bf16" or (precision == "auto" and has_bfloat16(enhanced.device))
    with torch.autocast(enhanced.device.type, dtype=torch.bfloat16, enabled=bfloat16):
        return network.logits(enhanced).float()


def _batch(samples: Samples, chosen: Tensor, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    def tensor(values: np.ndarray) -> Tensor:
        return torch.from_numpy(values[chosen.numpy()]).to(device, non_blocking=True)

    enhanced = (tensor(samples.enhanced).float() / FULL_SCALE).contiguous(memory_format=torch.channels_last_3d)
    return enhanced, tensor(samples.target)[:, None].float() / FULL_SCALE, tensor(samples.mask)[:, None]


def _jittered(enhanced: Tensor, jitter: float) -> Tensor:
    if not jitter:
        return enhanced
    gamma = torch.exp(jitter * torch.randn(len(enhanced), 1, 1, 1, 1)).to(enhanced.device)
    return torch.cat([enhanced[:, :1] ** gamma, enhanced[:, 1:]], dim=1)  # a density stays what it is


def _learning_rate(settings: TrainingSettings, steps: int) -> Callable[[int], float]:
    def rate(step: int) -> float:
        warm = min(1.0, (step + 1) / min(steps, 100))
        return settings.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * step / (steps * settings.epochs)))

    return rate


def _validate(
    network: PerfusionNetwork, validation: Samples | None, device: torch.device, precision: str
) -> tuple[float, float, float]:
    """Of the validation lungs: BCE above the targets' entropy, mean Spearman R, mean SSIM."""
    if validation is None or not len(validation):
        return math.nan, math.nan, math.nan
    network.eval()
    losses, correlations, similarities = [], [], []
    with torch.inference_mode():
        for index in range(len(validation)):
            enhanced, target, mask = _batch(validation, torch.tensor([index]), device)
            logits = _logits(network, enhanced, precision)
            losses.append(functional.binary_cross_entropy_with_logits(logits[mask], target[mask]).item())
            correlations.append(_spearman(logits[mask].cpu().numpy(), target[mask].cpu().numpy()))
            maps = ((torch.sigmoid(logits) * mask)[0, 0], (target * mask)[0, 0])
            similarity = ssim_map(*(values.cpu().numpy() for values in maps))
            similarities.append(similarity[mask[0, 0].cpu().numpy()].mean())
    excess = float(np.mean(losses)) - _entropy(validation)
    return excess, float(np.mean(correlations)), float(np.mean(similarities))


def _spearman(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(rankdata(a), rankdata(b))[0, 1])


def _entropy(samples: Samples) -> float:
    """Mean over the lungs of the targets' own binary entropy, the least BCE there can be."""
    levels = np.clip(np.arange(FULL_SCALE + 1) / FULL_SCALE, 1e-12, 1 - 1e-12)
    entropy = -(levels * np.log(levels) + (1 - levels) * np.log(1 - levels))
    return float(np.mean([entropy[t[m]].mean() for t, m in zip(samples.target, samples.mask, strict=True)]))


def _epoch_seed(seed: int, epoch: int) -> int:
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])


def _setup(samples: Samples, network_settings: NetworkSettings, settings: TrainingSettings) -> dict:
    lungs = [f"{patient} {side}" for patient, side in zip(samples.patient, samples.side, strict=True)]
    return {"network": network_dict(network_settings), "training": settings.to_dict(), "lungs": lungs}


def _save(
    run: Path, setup: dict, network: PerfusionNetwork, optimizer: torch.optim.Optimizer, history: list[EpochRecord]
) -> None:
    state = {
        "setup": json.dumps(setup),
        "history": json.dumps([asdict(record) for record in history]),
        "network": network.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    with whole_file(run / "checkpoint.pt") as partial:
        torch.save(state, partial)
    lines = "".join(json.dumps(asdict(record)) + "\n" for record in history)
    with whole_file(run / "history.jsonl") as partial:
        partial.write_text(lines.replace("NaN", "null"), encoding="utf-8")


def _resume(run: Path, setup: dict, network: PerfusionNetwork, optimizer: torch.optim.Optimizer) -> list[EpochRecord]:
    path = run / "checkpoint.pt"
    if not path.is_file():
        return []
    state = torch.load(path, map_location="cpu", weights_only=True)  # opens tensors only, never code
    if json.loads(state["setup"]) != setup:
        raise InputError(
            f"{path}: was begun with other settings or other patients, give another --out or the same settings"
        )
    network.load_state_dict(state["network"])
    optimizer.load_state_dict(state["optimizer"])
    return [EpochRecord(**record) for record in json.loads(state["history"])]
