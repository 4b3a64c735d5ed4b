"""Training on several GPUs or processes: who takes part, and what they must agree on.

``torchrun`` starts one process a GPU and tells each its number; PyTorch's DistributedDataParallel adds up their
gradients. What is here makes the sum equal to what one process computes on the same batch.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.distributed.nn import functional as differentiable
from torch.nn.parallel import DistributedDataParallel

from DLCTPMLib.common.errors import InputError

T = TypeVar("T")
PATIENCE = timedelta(days=1)
"""How long a process waits for another, which may be preparing a cohort; ``torchrun`` ends them all if one dies."""


@dataclass(frozen=True)
class Ranks:
    """The processes of one training.

    Attributes:
        rank: this one's number; 0 writes all files.
        count: how many there are.
        local: this one's number on its own machine, hence its GPU.
    """

    rank: int = 0
    count: int = 1
    local: int = 0

    @property
    def first(self) -> bool:
        """Whether this process writes and talks for all."""
        return self.rank == 0

    def device(self, device: torch.device) -> torch.device:
        """This process's own GPU, where a GPU is meant."""
        return torch.device("cuda", self.local) if device.type == "cuda" and self.count > 1 else device

    def share(self, chosen: Sequence[T] | Tensor) -> Sequence[T] | Tensor:
        """This process's part of a batch or list; the parts differ by one at most and may be empty."""
        return chosen[self.rank :: self.count]

    def sum(self, value: Tensor) -> Tensor:
        """A number added up over all processes; no gradient flows through."""
        if self.count == 1:
            return value
        value = value.detach().clone()
        distributed.all_reduce(value)
        return value

    def gathered(self, share: Sequence[T]) -> list[T]:
        """The lists of all processes as one."""
        if self.count == 1:
            return list(share)
        shares: list = [None] * self.count
        distributed.all_gather_object(shares, list(share))
        return [value for one in shares for value in one]

    def from_first(self, make: Callable[[], T]) -> T:
        """What the first process makes, handed to all; an InputError of its stops all of them.

        Raises:
            InputError: on the others too what ``make`` raised on the first.
        """
        if self.count == 1:
            return make()
        box: list = [None, None]
        if self.first:
            try:
                box[0] = make()
            except InputError as error:
                box[1] = str(error)
                distributed.broadcast_object_list(box)
                raise
        distributed.broadcast_object_list(box)
        if box[1] is not None:
            raise InputError(box[1])
        return box[0]

    def with_shared_batch_norm(self, network: nn.Module) -> nn.Module:
        """The network, its batch norms changed to see the batch of all processes while training.

        That is PyTorch's SyncBatchNorm on GPUs, which it does not offer for CPUs.
        """
        if self.count == 1:
            return network
        if next(network.parameters()).is_cuda:
            return nn.SyncBatchNorm.convert_sync_batchnorm(network)
        group = distributed.new_group()  # apart from the gradients', whose order it must not disturb
        for module in list(network.modules()):
            for name, child in list(module.named_children()):
                if type(child) is nn.BatchNorm3d:
                    setattr(module, name, SharedBatchNorm(child, group))
        return network

    def parallel(self, module: nn.Module) -> nn.Module:
        """The module whose gradients are the mean over all processes."""
        return module if self.count == 1 else DistributedDataParallel(module, broadcast_buffers=False)


ALONE = Ranks()
"""One process, as without ``torchrun``."""


def processes_of_torchrun() -> int:
    """How many processes ``torchrun`` started; 1 without it."""
    return _told("WORLD_SIZE", 1)


def _told(name: str, otherwise: int | None = None) -> int:
    """A number that ``torchrun`` puts into the environment.

    Raises:
        InputError: it is none, or is not there and nothing else will do.
    """
    text = os.environ.get(name, "" if otherwise is None else str(otherwise))
    if not text.isdecimal():
        raise InputError(
            f"the environment variable {name} is {text[:20]!r} where torchrun puts a number; start several processes "
            "with torchrun, or one without WORLD_SIZE"
        )
    return int(text)


@contextmanager
def ranks_of_torchrun(device: torch.device) -> Iterator[Ranks]:
    """Join the processes that ``torchrun`` started, or be alone.

    Args:
        device: what all of them train on: CUDA speaks NCCL, a CPU gloo.

    Raises:
        InputError: if there are more processes than GPUs, or another process stopped.
    """
    count = processes_of_torchrun()
    if count <= 1:
        yield ALONE
        return
    rank = _told("RANK")
    ranks = Ranks(rank, count, _told("LOCAL_RANK", rank))
    if device.type not in ("cpu", "cuda"):
        raise InputError(f"--device {device.type}: several processes train on cuda or cpu only")
    if device.type == "cuda":
        started, gpus = _told("LOCAL_WORLD_SIZE", count), torch.cuda.device_count()
        if started > gpus:
            raise InputError(
                f"torchrun started {started} processes on a machine with {gpus} GPUs, give --nproc-per-node {gpus}"
            )
        torch.cuda.set_device(ranks.local)
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    distributed.init_process_group(backend, timeout=PATIENCE)
    try:
        yield ranks
    except RuntimeError as error:
        if not _is_lost_connection(error):
            raise
        raise InputError(
            "another process of this training stopped, so this one cannot go on; see what the other said, and run "
            "the same command again to continue from the last epoch"
        ) from error
    distributed.destroy_process_group()  # after an error the others may never answer


def _is_lost_connection(error: RuntimeError) -> bool:
    words = ("connection closed", "connection reset", "broken pipe", "connection refused")
    return isinstance(error, distributed.DistError) or any(word in str(error).lower() for word in words)


class SharedBatchNorm(nn.BatchNorm3d):
    """Batch norm on CPUs whose statistics in training are those of the batch of all processes.

    Args:
        norm: the batch norm whose parameters it takes over.
        group: processes that it asks.
    """

    def __init__(self, norm: nn.BatchNorm3d, group: distributed.ProcessGroup):
        super().__init__(norm.num_features, norm.eps, norm.momentum)
        self.weight, self.bias = norm.weight, norm.bias
        self.load_state_dict(norm.state_dict())
        self.group = group

    def forward(self, x: Tensor) -> Tensor:
        """Normalise; x has shape (batch, channels, z, y, x) and the batch may be empty."""
        if not self.training:
            return super().forward(x)
        values, over, shape = x.float(), (0, 2, 3, 4), (1, -1, 1, 1, 1)
        count = torch.full((1,), float(values.numel() // values.shape[1]))
        total = differentiable.all_reduce(torch.cat([values.sum(over), count]), group=self.group)
        mean, count = total[:-1] / total[-1], total[-1].detach()
        squares = (values - mean.view(shape)).square().sum(over)
        variance = differentiable.all_reduce(squares, group=self.group) / count
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return ((values - mean.view(shape)) * scale.view(shape) + self.bias.view(shape)).to(x.dtype)
