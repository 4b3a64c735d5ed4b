"""Batches of cached lungs on the training device, with the augmentation that respects anatomy."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from DLCTPMTrainingLib.samples.augmentation import Augmentation, moved, with_contrast
from DLCTPMTrainingLib.samples.lung_samples import FULL_SCALE, Samples

RESIDENT_SHARE = 0.25
"""Share of a GPU's free memory that all cached lungs together may take to be kept there."""
ROOM = 4
"""Cells around lungs that are moved on a grid in millimetres."""


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
        trimmed: whether the network takes any size (``settings.place``): each batch then ends where its lungs do.
    """

    def __init__(self, samples: Samples, device: torch.device, trimmed: bool = False):
        self._device, self._trimmed = device, trimmed
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
        enhanced, target, mask = self._trim(*(self._on_device(array, chosen) for array in self._arrays))
        enhanced, target = enhanced.float() / FULL_SCALE, target.float() / FULL_SCALE
        if augmentation is not None:
            gamma, movement = augmentation
            if movement is not None:
                cubic = self._trimmed  # cells in millimetres: a turn is a turn, and needs room
                if cubic:
                    enhanced, target, mask = (functional.pad(v, [ROOM] * 6) for v in (enhanced, target, mask))
                enhanced, target, mask = moved(enhanced, target, mask, self._there(movement), cubic)
            enhanced = with_contrast(enhanced, self._there(gamma))
        return LungBatch(enhanced.contiguous(memory_format=self.layout), target, mask)

    def _trim(self, *volumes: Tensor) -> tuple[Tensor, ...]:
        """Volumes without what was filled up behind every lung; the mask comes last."""
        if not self._trimmed:
            return volumes
        mask = volumes[-1]
        ends = [int(mask.amax(dim=[d for d in range(5) if d != axis]).nonzero().max()) + 1 for axis in (2, 3, 4)]
        return tuple(volume[..., : ends[0], : ends[1], : ends[2]] for volume in volumes)

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
