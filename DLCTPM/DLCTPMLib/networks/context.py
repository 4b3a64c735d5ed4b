"""The paper's network that also knows where in the lung it is, and how dense the lung really is.

Eq. 1 keeps the order of densities in one lung and throws away their scale, and its filters throw away the vessels;
with a background of 0 a network of convolutions learns of its place only what the blurred edge tells. Here the
network makes its place from its input, and takes the plain density as a second image.
"""

from __future__ import annotations

import torch
from torch import Tensor

from DLCTPMLib.networks.arnn import Arnn
from DLCTPMLib.networks.settings import ContextSettings


class ContextNetwork(Arnn):
    """ARNN whose first block also sees the lung mask and the coordinates in the lung's box.

    Args:
        settings: what it is made of.
    """

    EXTRA_CHANNELS = 4

    def __init__(self, settings: ContextSettings | None = None):
        super().__init__(settings or ContextSettings())

    def summed(self, x: Tensor) -> Tensor:
        """The sum that the final sigmoid takes."""
        return super().summed(with_place(x))


def with_place(images: Tensor) -> Tensor:
    """Images of a lung with its mask and its coordinates behind them.

    The mask is where the last image is above 0: exactly the lung for the density, nearly so for enhanced CT
    alone. Coordinates are those of the cells' centres, −1…1 over the lung's box along z (upward), y (backward) and
    x (leftward), 0 outside the mask. They belong to the grid, not to the image: an image mirrored beforehand gets
    the coordinates of the lung that it then looks like.

    Args:
        images: (batch, channels, z, y, x).

    Returns:
        (batch, channels + 4, z, y, x).
    """
    mask = (images[:, -1:] > 0).to(images.dtype)
    axes = [
        (2 * torch.arange(cells, device=images.device, dtype=images.dtype) + 1) / cells - 1
        for cells in images.shape[2:]
    ]
    place = torch.stack(torch.meshgrid(*axes, indexing="ij"))
    return torch.cat([images, mask, mask * place], dim=1)
