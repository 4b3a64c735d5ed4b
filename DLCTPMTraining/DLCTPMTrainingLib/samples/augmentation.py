"""What is changed in a lung from step to step, so that few lungs teach more: contrast and a small movement.

Nothing is mirrored and nothing is turned far: a lung keeps its side, its top and its back, where gravity has put
blood flow, and its order of densities.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional


class Augmentation(NamedTuple):
    """What is drawn for some lungs.

    Attributes:
        gamma: exponent of the enhanced CT, (lungs,).
        movement: affine maps (lungs, 3, 4) in ``torch.nn.functional.affine_grid``'s coordinates; None for none.
    """

    gamma: Tensor
    movement: Tensor | None

    def of(self, lungs: Tensor) -> Augmentation:
        """What was drawn for these lungs, by their numbers."""
        return Augmentation(self.gamma[lungs], None if self.movement is None else self.movement[lungs])


def draw(lungs: int, jitter: float, movement: float, generator: torch.Generator) -> Augmentation:
    """Draw for every lung of an epoch.

    Args:
        lungs: how many.
        jitter: standard deviation of log gamma.
        movement: standard deviation of shift (as a share of half the box), of stretch (log) and of turn (radians),
            each about or along every axis; 0 leaves the lungs where they are.
        generator: where chance comes from.
    """
    gamma = torch.exp(jitter * torch.randn(lungs, generator=generator))
    if not movement:
        return Augmentation(gamma, None)
    drawn = movement * torch.randn(lungs, 3, 3, generator=generator).clamp_(-2, 2)
    shift, stretch, turn = drawn.unbind(1)
    skew = torch.zeros(lungs, 3, 3)
    for i, j, axis in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        skew[:, i, j], skew[:, j, i] = -turn[:, axis], turn[:, axis]
    matrix = torch.matrix_exp(skew) @ torch.diag_embed(torch.exp(stretch))
    return Augmentation(gamma, torch.cat([matrix, shift[:, :, None]], dim=2))


def with_contrast(enhanced: Tensor, gamma: Tensor) -> Tensor:
    """Each lung's enhanced CT to the power of its gamma, other channels as they are. 0 (background) and 1 stay.

    Args:
        enhanced: (batch, channels, z, y, x), 0…1.
        gamma: (batch,), positive.
    """
    power = gamma.to(enhanced.dtype).view(-1, 1, 1, 1, 1)
    if enhanced.shape[1] == 1:
        return enhanced**power
    return torch.cat([enhanced[:, :1] ** power, enhanced[:, 1:]], dim=1)


def moved(
    enhanced: Tensor, target: Tensor, mask: Tensor, movement: Tensor, cubic: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """Input, target and mask of some lungs after one and the same movement, interpolated linearly.

    The target is known inside the lung only, so it is interpolated together with the mask and divided by it.

    Args:
        enhanced, target, mask: (batch, channels, z, y, x); the mask as 0 and 1.
        movement: (batch, 3, 4).
        cubic: cells are cubes, so that turns are taken in cells; else in shares of the box.
    """
    if cubic:
        size = torch.tensor(enhanced.shape[:1:-1], dtype=movement.dtype, device=movement.device)  # x, y, z
        movement = movement.clone()
        movement[:, :, :3] *= size[None, None, :] / size[None, :, None]
    weight = mask.to(target.dtype)
    volumes = torch.cat([enhanced, target * weight, weight], dim=1)
    grid = functional.affine_grid(movement.to(volumes.dtype), list(volumes.shape), align_corners=False)
    there = functional.grid_sample(volumes, grid, padding_mode="zeros", align_corners=False)
    enhanced, target, weight = there.split([enhanced.shape[1], 1, 1], dim=1)
    return enhanced, (target / weight.clamp_min(1e-6)).clamp(0, 1), weight >= 0.5
