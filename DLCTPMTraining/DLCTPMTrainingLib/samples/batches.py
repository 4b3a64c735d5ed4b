"""Batches of cached lungs on the training device, with the augmentation that respects anatomy."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from DLCTPMTrainingLib.samples.augmentation import Augmentation, moved, with_contrast
from DLCTPMTrainingLib.samples.lung_samples import FULL_SCALE, Samples

RESIDENT_SHARE = 0.25
"""Share of a GPU's free memory that all cached lungs together may take to be kept there."""


class LungBatch(NamedTuple):
    """Some lungs, as the network and its loss want them.

    Attributes:
        enhanced: network's input, float32 (batch, channels, z, y, x), enhanced CT (Eq. 1) in the first channel.
        target: Eq. 2, float32 (batch, 1, z, y, x).
        mask: lung cells, bool (batch, 1, z, y, x).
    """

    enhanced: Tensor
    target: Tensor
    mask: Tensor


class LungBatches:
    """Where batches come from. Calling it with the numbers of some lungs gives them on the device.

    The 8-bit arrays are turned into numbers 0…1 on the device itself. On a GPU they all lie in its memory where
    they fit (``RESIDENT_SHARE``), so that nothing is loaded while training; else each batch goes over from pinned
    memory while the GPU still works on the step before.

    Args:
        samples: the lungs.
        device: where they are needed.
    """

    def __init__(self, samples: Samples, device: torch.device):
        self._device = device
        self.layout = memory_layout(device)
        arrays = (samples.enhanced, samples.target[:, None], samples.mask[:, None])
        self._arrays = tuple(torch.from_numpy(np.ascontiguousarray(array)) for array in arrays)
        self.resident = device.type != "cpu" and self._fits()
        if self.resident:
            self._arrays = tuple(array.to(device) for array in self._arrays)

    def __len__(self) -> int:
        return len(self._arrays[0])

    def __call__(self, chosen: Tensor, augmentation: Augmentation | None = None) -> LungBatch:
        """Lungs by their numbers (batch,), each changed as was drawn for it."""
        enhanced, target, mask = (self._on_device(array, chosen) for array in self._arrays)
        enhanced, target = enhanced.float() / FULL_SCALE, target.float() / FULL_SCALE
        if augmentation is not None:
            gamma, movement = augmentation
            if movement is not None:
                enhanced, target, mask = moved(enhanced, target, mask, self._there(movement))
            enhanced = with_contrast(enhanced, self._there(gamma))
        return LungBatch(enhanced.contiguous(memory_format=self.layout), target, mask)

    def _there(self, drawn: Tensor) -> Tensor:
        return drawn.to(self._device, non_blocking=True)

    def _on_device(self, array: Tensor, chosen: Tensor) -> Tensor:
        if self.resident:
            return array[chosen.to(self._device, non_blocking=True)]
        batch = array[chosen]
        if self._device.type == "cuda":
            batch = batch.pin_memory()
        return batch.to(self._device, non_blocking=True)

    def _fits(self) -> bool:
        if self._device.type != "cuda":
            return False
        free, _ = torch.cuda.mem_get_info(self._device)
        return sum(array.nbytes for array in self._arrays) <= RESIDENT_SHARE * free


def memory_layout(device: torch.device) -> torch.memory_format:
    """How volumes lie in memory: channels last, which convolutions run fastest on (not on Apple's GPUs)."""
    return torch.contiguous_format if device.type == "mps" else torch.channels_last_3d
