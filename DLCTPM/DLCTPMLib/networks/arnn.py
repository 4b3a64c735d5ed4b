"""The attention residual network (ARNN) of Fig. 2(b): enhanced CT of one lung in, relative perfusion out."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from DLCTPMLib.networks.parts import ConvUnit, PerfusionNetwork, doubling, first_channels, halving, same_size
from DLCTPMLib.networks.settings import ArnnSettings

ROI_MASKS = {
    "literal": lambda features: torch.sigmoid((features > 0).to(features.dtype)),
    "soft": torch.sigmoid,
    "hard": lambda features: (features > 0).to(features.dtype),
}
"""How the ROI attention block turns its convolved features into a spatial weight."""


class ArnnUnit(ConvUnit):
    """One convolution and what the paper puts behind each: norm (its batch norm), PReLU, dropout."""

    def __init__(self, convolution: nn.Module, settings: ArnnSettings):
        super().__init__(convolution, nn.PReLU(init=settings.prelu), settings.dropout, settings.norm)


def _convolution(inputs: int, outputs: int, settings: ArnnSettings) -> ArnnUnit:
    return ArnnUnit(same_size(inputs, outputs, settings.kernel, settings.norm), settings)


class ResConv(nn.Module):
    """Residual block (blue bars of Fig. 2b): convolutions beside an identity or 1×1×1 shortcut."""

    def __init__(self, inputs: int, outputs: int, settings: ArnnSettings):
        super().__init__()
        widths = [inputs] + [outputs] * settings.convolutions
        self.body = nn.Sequential(*(_convolution(a, b, settings) for a, b in pairwise(widths)))
        self.shortcut = (
            nn.Identity() if inputs == outputs else nn.Conv3d(inputs, outputs, 1, bias=settings.norm != "weight")
        )

    def forward(self, x: Tensor) -> Tensor:
        """Convolve and add the shortcut."""
        return self.body(x) + self.shortcut(x)


class StriConv(ArnnUnit):
    """2×2×2 strided convolution (purple bars): half the size."""

    def __init__(self, inputs: int, outputs: int, settings: ArnnSettings):
        super().__init__(halving(inputs, outputs, settings.norm), settings)


class ConvT(ArnnUnit):
    """2×2×2 transposed convolution (green bars): twice the size."""

    def __init__(self, inputs: int, outputs: int, settings: ArnnSettings):
        super().__init__(doubling(inputs, outputs, settings.norm), settings)


class SkipAtt(nn.Module):
    """Skip-attention block (red, Fig. 2b), the additive gate of Attention U-Net (Oktay et al. 2018)."""

    def __init__(self, channels: int):
        super().__init__()
        self.of_skip = nn.Conv3d(channels, channels // 2, 1)
        self.of_gate = nn.Conv3d(channels, channels // 2, 1, bias=False)
        self.weight = nn.Conv3d(channels // 2, 1, 1)

    def forward(self, skip: Tensor, gate: Tensor) -> Tensor:
        """Weigh the skipped features by what the coarser scale asks for."""
        joint = torch.relu(self.of_skip(skip) + self.of_gate(gate))
        return skip * torch.sigmoid(self.weight(joint))


class RoiAtt(nn.Module):
    """Region-of-interest attention block (Fig. 2c): four channels, weighted by their own foreground."""

    CHANNELS = 4

    def __init__(self, inputs: int, settings: ArnnSettings):
        super().__init__()
        self.convolution = _convolution(inputs, self.CHANNELS, settings)
        self.foreground = ROI_MASKS[settings.roi_attention]

    def forward(self, x: Tensor) -> Tensor:
        """Four feature channels, the foreground emphasised."""
        features = self.convolution(x)
        return features * self.foreground(features)


class Arnn(PerfusionNetwork):
    """Attention residual neural network, Fig. 2(b).

    Args:
        settings: what it is made of.
    """

    SKIPS = (("encode3", "skip3", "decode3"), ("encode2", "skip2", "decode2"), ("encode1", "roi"))
    EXTRA_CHANNELS = 0
    """Input channels that a descendant adds to the images by itself."""

    def __init__(self, settings: ArnnSettings | None = None):
        super().__init__()
        self.settings = s = settings or ArnnSettings()
        c1, c2, c3, c4 = s.channels
        self.encode1 = ResConv(first_channels(s) + self.EXTRA_CHANNELS, c1, s)
        self.down1, self.encode2 = StriConv(c1, c2, s), ResConv(c2, c2, s)
        self.down2, self.encode3 = StriConv(c2, c3, s), ResConv(c3, c3, s)
        self.down3, self.encode4 = StriConv(c3, c4, s), ResConv(c4, c4, s)
        self.up3, self.skip3, self.decode3 = ConvT(c4, c3, s), SkipAtt(c3), ResConv(2 * c3, c3, s)
        self.up2, self.skip2, self.decode2 = ConvT(c3, c2, s), SkipAtt(c2), ResConv(2 * c2, c2, s)
        self.up1, self.decode1 = ConvT(c2, c1, s), ResConv(c1, c1, s)
        self.roi = RoiAtt(c1, s)
        self.project_decoder = nn.Conv3d(c1, 1, 1)
        self.project_roi = nn.Conv3d(RoiAtt.CHANNELS, 1, 1, bias=False)

    def summed(self, x: Tensor) -> Tensor:
        """The sum that the final sigmoid takes."""
        s1 = self.encode1(x)
        s2 = self.encode2(self.down1(s1))
        s3 = self.encode3(self.down2(s2))
        s4 = self.encode4(self.down3(s3))
        d3 = self.up3(s4)
        d3 = self.decode3(torch.cat([self.skip3(s3, d3), d3], dim=1))
        d2 = self.up2(d3)
        d2 = self.decode2(torch.cat([self.skip2(s2, d2), d2], dim=1))
        d1 = self.decode1(self.up1(d2))
        return self.project_decoder(d1) + self.project_roi(self.roi(s1))
