"""What training changes from step to step respects anatomy, and input and target stay one patient."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from DLCTPMTrainingLib.samples.augmentation import draw, moved, with_contrast

SHAPE = (32, 24, 16)


@pytest.fixture(scope="module")
def lung() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Input, target and mask of a smooth lung whose target is twice its input's ramp."""
    z, y, x = np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in SHAPE), indexing="ij")
    mask = (z / 12) ** 2 + (y / 9) ** 2 + (x / 6) ** 2 < 1
    ramp = (0.3 + 0.01 * z + 0.005 * y).astype(np.float32)
    enhanced, target = np.where(mask, ramp, 0), np.where(mask, 2 * ramp, 0)
    return tuple(torch.from_numpy(a)[None, None] for a in (enhanced.astype(np.float32), target, mask))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_without_movement_nothing_is_drawn_but_the_contrast():
    drawn = draw(5, 0.1, 0.0, generator())
    assert drawn.movement is None
    assert torch.equal(drawn.gamma, draw(5, 0.1, 0.05, generator()).gamma)


def test_a_drawn_movement_is_small_and_mirrors_nothing():
    matrices = draw(500, 0.1, 0.05, generator()).movement
    assert (torch.linalg.det(matrices[:, :, :3]) > 0.7).all()
    assert (torch.diagonal(matrices[:, :, :3], dim1=1, dim2=2) > 0.85).all()
    assert matrices[:, :, 3].abs().max() <= 0.1 + 1e-6
    assert matrices[:, :, 3].std() == pytest.approx(0.05, rel=0.15)


def test_standing_still_gives_the_lung_back(lung):
    still = torch.eye(3, 4)[None]
    enhanced, target, mask = moved(*lung, still)
    assert torch.allclose(enhanced, lung[0], atol=1e-6)
    assert torch.equal(mask, lung[2])
    assert torch.allclose(target[mask], lung[1][mask], atol=1e-6)


def test_a_shift_is_scipy_s(lung):
    shift = torch.eye(3, 4)[None].clone()
    shift[0, 0, 3] = 2 * 3 / SHAPE[2]  # the x of affine_grid runs over 2 units: three cells
    enhanced, _, mask = moved(*lung, shift)
    expected = ndimage.shift(lung[0][0, 0].numpy(), (0, 0, -3), order=1)
    assert np.allclose(enhanced[0, 0].numpy(), expected, atol=1e-5)
    assert np.array_equal(mask[0, 0].numpy(), ndimage.shift(lung[2][0, 0].numpy().astype(float), (0, 0, -3)) > 0.5)


def test_input_and_target_move_together_and_no_background_bleeds_into_the_target(lung):
    drawn = draw(1, 0.1, 0.08, generator(3))
    enhanced, target, mask = moved(*lung, drawn.movement)
    assert 0.7 < mask.sum() / lung[2].sum() < 1.4
    inside = torch.from_numpy(ndimage.binary_erosion(mask[0, 0].numpy(), iterations=2))[None, None]
    assert torch.allclose(target[inside], 2 * enhanced[inside], atol=1e-4)
    assert target[mask].min() >= lung[1][lung[2]].min() - 1e-5


def test_contrast_keeps_order_ends_and_other_channels():
    values = torch.rand(2, 2, 4, 4, 4, generator=generator())
    values[0, 0, 0, 0, 0], values[0, 0, 0, 0, 1] = 0, 1
    changed = with_contrast(values, torch.tensor([0.8, 1.3]))
    assert changed[0, 0, 0, 0, 0] == 0
    assert changed[0, 0, 0, 0, 1] == 1
    assert torch.equal(changed[:, 1], values[:, 1])
    assert torch.equal(changed[0, 0].flatten().argsort(), values[0, 0].flatten().argsort())
