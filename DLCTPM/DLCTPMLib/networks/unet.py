"""A plain 3D U-Net (Çiçek et al. 2016) of the paper's network's size, to compare that one with."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from DLCTPMLib.networks.parts import ConvUnit, PerfusionNetwork, doubling, first_channels, halving, same_size
from DLCTPMLib.networks.settings import UnetSettings


class Unit(ConvUnit):
    """One convolution, norm, ReLU, dropout."""

    def __init__(self, convolution: nn.Module, settings: UnetSettings):
        super().__init__(convolution, nn.ReLU(), settings.dropout, settings.norm)


class Pair(nn.Sequential):
    """Two convolutions of one scale."""

    def __init__(self, inputs: int, outputs: int, settings: UnetSettings):
        super().__init__(
            Unit(same_size(inputs, outputs, settings.kernel, settings.norm), settings),
            Unit(same_size(outputs, outputs, settings.kernel, settings.norm), settings),
        )


class Down(Unit):
    """2×2×2 strided convolution: half the size."""

    def __init__(self, inputs: int, outputs: int, settings: UnetSettings):
        super().__init__(halving(inputs, outputs, settings.norm), settings)


class Up(Unit):
    """2×2×2 transposed convolution: twice the size."""

    def __init__(self, inputs: int, outputs: int, settings: UnetSettings):
        super().__init__(doubling(inputs, outputs, settings.norm), settings)


class Unet(PerfusionNetwork):
    """Two convolutions a scale, down by strided and up by transposed convolutions, skips by concatenation.

    No residual, no attention. Every scale's skip goes across, S1's too.

    Args:
        settings: what it is made of.
    """

    SKIPS = (("encode3", "decode3"), ("encode2", "decode2"), ("encode1", "decode1"))

    def __init__(self, settings: UnetSettings | None = None):
        super().__init__()
        self.settings = s = settings or UnetSettings()
        c1, c2, c3, c4 = s.channels
        self.encode1 = Pair(first_channels(s), c1, s)
        self.down1, self.encode2 = Down(c1, c2, s), Pair(c2, c2, s)
        self.down2, self.encode3 = Down(c2, c3, s), Pair(c3, c3, s)
        self.down3, self.encode4 = Down(c3, c4, s), Pair(c4, c4, s)
        self.up3, self.decode3 = Up(c4, c3, s), Pair(2 * c3, c3, s)
        self.up2, self.decode2 = Up(c3, c2, s), Pair(2 * c2, c2, s)
        self.up1, self.decode1 = Up(c2, c1, s), Pair(2 * c1, c1, s)
        self.project = nn.Conv3d(c1, 1, 1)

    def summed(self, x: Tensor) -> Tensor:
        """The sum that the final sigmoid takes."""
        s1 = self.encode1(x)
        s2 = self.encode2(self.down1(s1))
        s3 = self.encode3(self.down2(s2))
        d3 = self.up3(self.encode4(self.down3(s3)))
        d2 = self.up2(self.decode3(torch.cat([s3, d3], dim=1)))
        d1 = self.up1(self.decode2(torch.cat([s2, d2], dim=1)))
        return self.project(self.decode1(torch.cat([s1, d1], dim=1)))
