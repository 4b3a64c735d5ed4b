"""What every network here shares: the convolution unit, and a body whose sum a sigmoid turns into perfusion."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ConvUnit(nn.Sequential):
    """One convolution and what stands behind it: batch norm, activation, dropout.

    Args:
        convolution: without bias, since batch norm has one.
        activation: ReLU, or PReLU with one slope.
        dropout: share of values dropped while training.
    """

    def __init__(self, convolution: nn.Module, activation: nn.Module, dropout: float):
        super().__init__(
            convolution,
            nn.BatchNorm3d(convolution.out_channels),
            activation,
            nn.Dropout(dropout),
        )


def same_size(inputs: int, outputs: int, kernel: int) -> nn.Conv3d:
    """A convolution that keeps the size; ``kernel`` is odd. Without bias, for a ``ConvUnit``, as the two below."""
    return nn.Conv3d(inputs, outputs, kernel, padding=kernel // 2, bias=False)


def halving(inputs: int, outputs: int) -> nn.Conv3d:
    """A 2×2×2 strided convolution: half the size."""
    return nn.Conv3d(inputs, outputs, 2, stride=2, bias=False)


def doubling(inputs: int, outputs: int) -> nn.ConvTranspose3d:
    """A 2×2×2 transposed convolution: twice the size."""
    return nn.ConvTranspose3d(inputs, outputs, 2, stride=2, bias=False)


class PerfusionNetwork(nn.Module):
    """A network from the images of one lung to its relative perfusion.

    ``forward`` takes images of shape (batch, channels, z, y, x), sizes multiples of 8, enhanced CT in the first
    channel, and gives relative perfusion 0…1 of shape (batch, 1, z, y, x); ``logits`` gives the same before the
    final sigmoid, for the loss. ``settings`` are those it was built from.
    """

    SKIPS: tuple[tuple[str, ...], ...] = ()
    """Names of the blocks that each skip runs through, for drawings."""

    def logits(self, x: Tensor) -> Tensor:
        """The sum that the final sigmoid takes."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Relative perfusion, 0…1."""
        return torch.sigmoid(self.logits(x))
