"""One step of training: the loss of Eq. 3 and what Adam makes of it, the same on one device and on several."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

from DLCTPMLib.networks.inference import has_bfloat16
from DLCTPMLib.networks.parts import PerfusionNetwork
from DLCTPMTrainingLib.samples.batches import LungBatch, memory_layout
from DLCTPMTrainingLib.training.ranks import ALONE, Ranks

LEAST_BFLOAT16_CELLS = 24
"""Width of a grid from which a processor's bfloat16 gradients can be trusted: 3 cells at the coarsest scale."""


class TrainingStep:
    """The network with its optimiser; calling it with a batch takes one step.

    Args:
        network: the network, which is moved to the device and trained in place.
        device: where.
        precision: "auto", "fp32" or "bf16".
        ranks: processes that share each batch.
    """

    def __init__(self, network: PerfusionNetwork, device: torch.device, precision: str, ranks: Ranks = ALONE):
        network = network.to(device=device, memory_format=memory_layout(device))
        self.network = ranks.with_shared_batch_norm(network)
        self.optimizer = torch.optim.Adam(self.network.parameters())
        self._precision, self._ranks = precision, ranks
        self._logits = ranks.parallel(_Logits(self.network))

    def __call__(self, batch: LungBatch, learning_rate: float) -> Tensor:
        """Learn from this process's share of a batch.

        Returns:
            Eq. 3 over the lung voxels of the whole batch, before the step; a number on the device, so that a GPU
            need not be waited for.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        voxels = self._ranks.sum(batch.mask.sum())
        with autocast(batch.enhanced.device, trainable_precision(batch.enhanced, self._precision)):
            logits = self._logits(batch.enhanced)
        loss = summed_loss(logits.float(), batch.target, batch.mask) / voxels
        self.optimizer.zero_grad(set_to_none=True)
        (loss * self._ranks.count).backward()  # gradients are averaged over the processes, and this is a sum
        self.optimizer.step()
        return self._ranks.sum(loss.detach())


class _Logits(nn.Module):
    """The network as the loss wants it, for DistributedDataParallel, which calls nothing but ``forward``."""

    def __init__(self, network: PerfusionNetwork):
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Before the final sigmoid."""
        return self.network.logits(x)


def summed_loss(logits: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Eq. 3 times N: binary cross-entropy added up over the lung's voxels."""
    return functional.binary_cross_entropy_with_logits(logits, target, weight=mask.to(logits.dtype), reduction="sum")


def uses_bfloat16(device: torch.device, precision: str) -> bool:
    """Whether a precision of the settings means bfloat16 on a device."""
    return precision == "bf16" or (precision == "auto" and has_bfloat16(device))


def trainable_precision(images: Tensor, precision: str) -> str:
    """The precision to take gradients in: "fp32" on a processor where the grid is too small for bfloat16.

    oneDNN's bfloat16 weight gradients read memory that was never written, and come out wrong or as NaN, where a
    volume is two cells wide, as the coarsest scale of a grid below 24 cells is (seen with PyTorch 2.13 on AVX-512).
    """
    narrow = min(images.shape[2:]) < LEAST_BFLOAT16_CELLS
    return "fp32" if narrow and images.device.type == "cpu" else precision


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """The convolutions in the precision of the settings, everything else in single precision."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=uses_bfloat16(device, precision))


@contextmanager
def convolutions_for(precision: str) -> Iterator[None]:
    """How a GPU computes convolutions in a ``with`` block: repeatably, and for "fp32" without TF32.

    cuDNN's choice by trial is off, since it may fall differently the next time and a killed run shall end with
    the same weights. Elsewhere nothing changes.
    """
    cudnn = torch.backends.cudnn
    before = cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32
    cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32 = False, True, precision != "fp32"
    try:
        yield
    finally:
        cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32 = before
