"""What a network is worth on lungs it does not learn from, and its predictions on cached lungs."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from DLCTPMLib.agreement.metrics import UndefinedMetricError, spearman, ssim_map
from DLCTPMLib.networks.parts import PerfusionNetwork
from DLCTPMTrainingLib.samples.batches import LungBatches
from DLCTPMTrainingLib.samples.lung_samples import FULL_SCALE, Samples
from DLCTPMTrainingLib.training.ranks import ALONE, Ranks
from DLCTPMTrainingLib.training.step import autocast, summed_loss


class Validation(NamedTuple):
    """Means over the validation lungs, on the network's grid; NaN where there are none.

    Attributes:
        excess: BCE minus the entropy of the targets.
        r: Spearman's R.
        ssim: structural similarity.
    """

    excess: float = math.nan
    r: float = math.nan
    ssim: float = math.nan


def validate(
    network: PerfusionNetwork, samples: Samples | None, device: torch.device, precision: str, ranks: Ranks = ALONE
) -> Validation:
    """Look at every validation lung, each process at its share of them."""
    if samples is None or not len(samples):
        return Validation()
    network.eval()
    batches, lungs = LungBatches(samples, device, network.takes_any_size), []
    with torch.inference_mode():
        for index in ranks.share(range(len(samples))):
            enhanced, target, mask = batches(torch.tensor([index]))
            logits = _logits(network, enhanced, precision)
            bce = (summed_loss(logits, target, mask) / mask.sum()).item()
            inside = mask[0, 0].cpu().numpy()
            ours, truth = ((values * mask)[0, 0].cpu().numpy() for values in (torch.sigmoid(logits), target))
            lungs.append((bce, _spearman(ours[inside], truth[inside]), float(ssim_map(ours, truth)[inside].mean())))
    bce, r, ssim = (float(np.mean(values)) for values in zip(*ranks.gathered(lungs), strict=True))
    return Validation(bce - entropy(samples), r, ssim)


def entropy(samples: Samples) -> float:
    """Mean over the lungs of the targets' own binary entropy, the least BCE there can be."""
    levels = np.clip(np.arange(FULL_SCALE + 1) / FULL_SCALE, 1e-12, 1 - 1e-12)
    of_level = -(levels * np.log(levels) + (1 - levels) * np.log(1 - levels))
    return float(np.mean([of_level[t[m]].mean() for t, m in zip(samples.target, samples.mask, strict=True)]))


def renew_batch_norm(network: PerfusionNetwork, samples: Samples, device: torch.device, precision: str) -> None:
    """Take batch-norm statistics anew as means over all lungs, without dropout.

    The running averages of training see the last few lungs only, and see them with dropout, which prediction
    does not have. Networks with another norm have none to renew.
    """
    norms = [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm3d)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    network.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a cumulative mean
        norm.train()
    batches = LungBatches(samples, device, network.takes_any_size)
    with torch.no_grad():
        for index in range(len(samples)):
            _logits(network, batches(torch.tensor([index])).enhanced, precision)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.eval()


def predict_samples(
    network: PerfusionNetwork, samples: Samples, device: torch.device, precision: str = "fp32"
) -> np.ndarray:
    """Relative perfusion of every lung, float32 (n, z, y, x); 0 behind the end of lungs that fill less than the grid
    where the network takes any size.
    """
    network.eval()
    batches = LungBatches(samples, device, network.takes_any_size)
    lungs = np.zeros(samples.mask.shape, np.float32)
    with torch.inference_mode():
        for index in range(len(samples)):
            mapped = torch.sigmoid(_logits(network, batches(torch.tensor([index])).enhanced, precision))[0, 0]
            lungs[index][tuple(slice(size) for size in mapped.shape)] = mapped.cpu().numpy()
    return lungs


def _logits(network: PerfusionNetwork, enhanced: Tensor, precision: str) -> Tensor:
    with autocast(enhanced.device, precision):
        return network.logits(enhanced).float()


def _spearman(a: np.ndarray, b: np.ndarray) -> float:
    try:
        return spearman(a, b)
    except UndefinedMetricError:
        return math.nan
