"""What every network here shares: the convolution unit, and a body whose sum a sigmoid turns into perfusion."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

NORMS = {
    "batch": nn.BatchNorm3d,
    "group": lambda channels: nn.GroupNorm(max(1, channels // GROUP), channels),
    "weight": lambda channels: nn.Identity(),
}
"""What stands behind a convolution, by ``norm`` of the settings. "batch" learns from one lung at a time and predicts
by means over all; "group" and "weight" (``StandardConvolution``) do the same in both."""
GROUP = 8
"""Channels that a group norm takes together."""


class ConvUnit(nn.Sequential):
    """One convolution and what stands behind it: norm, activation, dropout.

    Args:
        convolution: of ``same_size``, ``halving`` or ``doubling`` with the same norm.
        activation: ReLU, or PReLU with one slope.
        dropout: share of values dropped while training.
        norm: one of ``NORMS``.
    """

    def __init__(self, convolution: nn.Module, activation: nn.Module, dropout: float, norm: str = "batch"):
        super().__init__(
            convolution,
            NORMS[norm](convolution.out_channels),
            activation,
            nn.Dropout(dropout),
        )


class _Standardised:
    """Weights of zero mean and one scale with a learned gain: weight standardisation (Qiao et al. 2019).

    Activations keep their size without any statistics of an image, so that a density means the same in every lung
    and in every part of it, while training and in prediction.
    """

    OUTPUT: int
    """Axis of the output channels in ``weight``."""

    def _prepare(self, taps: int) -> None:
        """``taps`` input values make one output value; the gain starts as He's for rectified activations."""
        shape = [1] * 5
        shape[self.OUTPUT] = self.out_channels
        self._taps = taps
        self.gain = nn.Parameter(torch.full(shape, 2.0**0.5))

    def standard_weight(self) -> Tensor:
        """The weights that are convolved with."""
        over = [axis for axis in range(5) if axis != self.OUTPUT]
        variance, mean = torch.var_mean(self.weight, over, correction=0, keepdim=True)
        return (self.weight - mean) * (self.gain * torch.rsqrt(variance * self._taps + 1e-8))

    def plain(self) -> nn.Module:
        """An ordinary convolution that computes the same."""
        kind = nn.ConvTranspose3d if self.OUTPUT else nn.Conv3d
        same = kind(self.in_channels, self.out_channels, self.kernel_size, self.stride, self.padding, bias=False)
        same.load_state_dict({"weight": self.standard_weight().detach()})
        return same


class StandardConvolution(_Standardised, nn.Conv3d):
    """A convolution with standardised weights."""

    OUTPUT = 0

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self._prepare(self.weight[0].numel())

    def forward(self, x: Tensor) -> Tensor:
        """Convolve."""
        return functional.conv3d(x, self.standard_weight(), None, self.stride, self.padding)


class StandardTransposed(_Standardised, nn.ConvTranspose3d):
    """A transposed convolution with standardised weights, whose kernel is as wide as its stride."""

    OUTPUT = 1

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self._prepare(self.in_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve."""
        return functional.conv_transpose3d(x, self.standard_weight(), None, self.stride)


def _kind(norm: str, kinds: tuple[type[nn.Module], type[nn.Module]]) -> partial:
    """The plain convolution, whose norm has a bias, or the one with standardised weights, which needs none.

    Without any bias the background stays 0 in every layer, as the padding of a convolution is: how much background a
    grid has around the lungs is not seen. What a bias would do, the image of the lung mask does.
    """
    return partial(kinds[norm == "weight"], bias=False)


def same_size(inputs: int, outputs: int, kernel: int, norm: str = "batch") -> nn.Module:
    """A convolution that keeps the size; ``kernel`` is odd. For a ``ConvUnit`` of that norm, as the two below."""
    return _kind(norm, (nn.Conv3d, StandardConvolution))(inputs, outputs, kernel, padding=kernel // 2)


def halving(inputs: int, outputs: int, norm: str = "batch") -> nn.Module:
    """A 2×2×2 strided convolution: half the size."""
    return _kind(norm, (nn.Conv3d, StandardConvolution))(inputs, outputs, 2, stride=2)


def doubling(inputs: int, outputs: int, norm: str = "batch") -> nn.Module:
    """A 2×2×2 transposed convolution: twice the size."""
    return _kind(norm, (nn.ConvTranspose3d, StandardTransposed))(inputs, outputs, 2, stride=2)


class PerfusionNetwork(nn.Module):
    """A network from the images of one lung, or of both on one grid, to relative perfusion.

    ``forward`` takes images of shape (batch, channels, z, y, x) and gives relative perfusion 0…1 of shape
    (batch, 1, z, y, x); ``logits`` gives the same before the final sigmoid, for the loss. ``settings`` are those it
    was built from. Sizes are multiples of 8, except where ``settings.place`` is "lungs": then any size is padded.
    """

    SKIPS: tuple[tuple[str, ...], ...] = ()
    """Names of the blocks that each skip runs through, for drawings."""

    @property
    def takes_any_size(self) -> bool:
        """Whether images are padded to multiples of 8 here, and not by whoever makes them."""
        return self.settings.place == "lungs"

    def logits(self, x: Tensor) -> Tensor:
        """The sum that the final sigmoid takes."""
        if not self.takes_any_size:
            return self.summed(x)
        shape = x.shape[2:]
        x = functional.pad(x, _padding(shape))
        inner = tuple(slice(MARGIN, MARGIN + size) for size in shape)
        return self.summed(torch.cat([x, place_in_lungs(x[:, -1:])], dim=1))[(..., *inner)]

    def summed(self, x: Tensor) -> Tensor:
        """The same of images that are padded and have their place."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Relative perfusion, 0…1."""
        return torch.sigmoid(self.logits(x))


MARGIN = 2
"""Cells around the lungs, so that where the array ends means nothing."""
PLACE_CELLS = 32
"""Cells from the lungs' centre to a coordinate of 1; on a grid in millimetres a length, not a share of a box."""
PLACE_CHANNELS = 3


def first_channels(settings) -> int:
    """Channels of a network's first block: its images and, where it is told, its place."""
    return settings.input_channels + (PLACE_CHANNELS if settings.place == "lungs" else 0)


def place_in_lungs(lung: Tensor) -> Tensor:
    """How far every lung cell lies from the lungs' centre along z (upward), y (backward) and x (leftward).

    Args:
        lung: the lung's part of every cell, (batch, 1, z, y, x).

    Returns:
        (batch, 3, z, y, x) in ``PLACE_CELLS``, 0 where there is no lung.
    """
    axes = [torch.arange(n, device=lung.device, dtype=torch.float32) / PLACE_CELLS for n in lung.shape[2:]]
    place = torch.stack(torch.meshgrid(*axes, indexing="ij"))[None]
    weight = lung.float()
    centre = (place * weight).sum((2, 3, 4), keepdim=True) / weight.sum((2, 3, 4), keepdim=True).clamp_min(1e-6)
    return ((place - centre) * (weight > 0)).to(lung.dtype)


def _padding(shape: Sequence[int]) -> list[int]:
    """For ``torch.nn.functional.pad``: a margin all round, and at the far end up to a multiple of 8."""
    ends = [(MARGIN, -(size + 2 * MARGIN) % 8 + MARGIN) for size in shape]
    return [width for pair in reversed(ends) for width in pair]
