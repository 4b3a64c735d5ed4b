"""What every network here shares: the convolution unit, and a body whose sum a sigmoid turns into perfusion."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from DLCTPMLib.common.settings import StageSettings


class ConvolutionSettings(StageSettings):
    """Base of a network's settings, which checks what all have: channels, kernel, dropout and input channels."""

    WHAT = "network settings"
    ARCHITECTURE: str

    channels: tuple[int, int, int, int]
    kernel: int
    dropout: float
    input_channels: int

    def __post_init__(self):
        object.__setattr__(self, "channels", tuple(int(n) for n in self.channels))
        self.require(
            {
                "channels must be four positive numbers": len(self.channels) == 4 and min(self.channels) > 0,
                "kernel must be odd": self.kernel % 2 == 1 and self.kernel > 0,
                "dropout must lie in 0…1": 0 <= self.dropout < 1,
                "input_channels must be at least 1": self.input_channels >= 1,
            }
            | self.own_rules()
        )

    def own_rules(self) -> dict[str, bool]:
        """What else must hold for a network, as ``require`` takes it."""
        return {}


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
