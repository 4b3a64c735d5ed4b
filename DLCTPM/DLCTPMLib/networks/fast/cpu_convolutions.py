"""Convolutions that oneDNN, PyTorch's library for processors, computes slowly, written in another way.

The same sums as the plain convolutions they stand for, so the same map up to rounding.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

LANES = 16
"""Output channels that oneDNN computes at once with AVX-512: fewer cost as much."""
LEFT_OUT = 3
"""Kernels up to this width PyTorch computes without oneDNN where there is one image and one thread."""


def rewritten(network: nn.Module) -> nn.Module:
    """The network with its slow convolutions replaced, in place; for channels-last images on a processor."""
    for parent in list(network.modules()):
        for name, unit in list(parent.named_children()):
            if type(unit) is not nn.Conv3d or unit.stride != (1, 1, 1) or unit.groups != 1:
                continue
            if unit.dilation != (1, 1, 1) or unit.padding != tuple(width // 2 for width in unit.kernel_size):
                continue
            if unit.kernel_size == (1, 1, 1) or not unit.kernel_size[2] % 2 or unit.padding_mode != "zeros":
                continue
            if unit.out_channels in (2, 4, 8):
                setattr(parent, name, NarrowConvolution(unit))
            elif max(unit.kernel_size) <= LEFT_OUT:
                setattr(parent, name, DirectConvolution(unit))
    return network


class DirectConvolution(nn.Module):
    """A convolution with a small kernel, which asks oneDNN for it itself.

    On one thread PyTorch computes one image with kernels of up to 3 cells without oneDNN, 1.3 to 18 times slower
    (``use_mkldnn`` in its Convolution.cpp); with several threads, and in bfloat16, it asks by itself.
    """

    def __init__(self, convolution: nn.Conv3d):
        super().__init__()
        self.plain = convolution

    def forward(self, x: Tensor) -> Tensor:
        """As the convolution."""
        plain = self.plain
        if not torch.backends.mkldnn.is_available() or torch.is_autocast_enabled(x.device.type):
            return plain(x)
        return torch.mkldnn_convolution(
            x, plain.weight, plain.bias, plain.padding, plain.stride, plain.dilation, plain.groups
        )


class NarrowConvolution(nn.Module):
    """A convolution to few channels, which computes those of several neighbours along x as channels of one.

    Four channels of four neighbours fill the 16 lanes: the kernel is 8 wide instead of 5, but there are a
    quarter as many places. With channels last, 16 channels of one place lie in memory as 4 channels of four.
    """

    def __init__(self, convolution: nn.Conv3d):
        super().__init__()
        self.plain = DirectConvolution(convolution)
        self.neighbours = LANES // convolution.out_channels
        width = convolution.kernel_size[2]
        outputs, inputs, *kernel = convolution.weight.shape
        weight = torch.zeros(LANES, inputs, *kernel[:2], width + self.neighbours - 1)
        for place in range(self.neighbours):
            weight[place * outputs : (place + 1) * outputs, ..., place : place + width] = convolution.weight.detach()
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = None
        if convolution.bias is not None:
            self.bias = nn.Parameter(convolution.bias.detach().repeat(self.neighbours), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """As the convolution; where x does not divide, the convolution itself."""
        if x.shape[4] % self.neighbours:
            return self.plain(x)
        y = functional.conv3d(x, self.weight, self.bias, (1, 1, self.neighbours), self.plain.plain.padding)
        batch, _, z, y_size, x_size = y.shape
        places = y.permute(0, 2, 3, 4, 1).reshape(batch, z, y_size, x_size * self.neighbours, -1)
        return places.permute(0, 4, 1, 2, 3)
