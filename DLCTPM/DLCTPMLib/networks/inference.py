"""The trained network made fast for prediction: batch norm folded into the convolutions, no gradients."""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.networks.fast.cpu_convolutions import rewritten
from DLCTPMLib.networks.parts import ConvUnit, PerfusionNetwork
from DLCTPMLib.parallel.process import NUMBER

BF16_TOLERANCE = 1 / 256
"""bfloat16 is chosen by itself only for a model whose map moves by less than this."""


def choose_device(name: str = "auto") -> torch.device:
    """The device that ``auto``, ``cpu``, ``cuda`` or ``mps`` means on this machine; of several GPUs, in the local
    processes of ``parallel``, that of the process's own number.

    Raises:
        InputError: if it is not there.
    """
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        name = next(device for device in ("cuda", "mps", "cpu") if there[device])
    if name not in there:
        raise InputError(f"--device {name}: unknown, use auto, cpu, cuda or mps")
    if not there[name]:
        raise InputError(f"--device {name}: PyTorch sees none on this machine, use --device cpu")
    if name == "cuda" and (number := os.environ.get(NUMBER)):
        return torch.device("cuda", int(number) % torch.cuda.device_count())
    return torch.device(name)


def has_bfloat16(device: torch.device) -> bool:
    """Whether the processor computes bfloat16 natively (on a CPU: AVX-512 BF16, AMX or Arm's BF16)."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def folded(network: PerfusionNetwork) -> PerfusionNetwork:
    """A copy of a trained network, in evaluation mode, its norms or standardised weights folded into convolutions.

    Same map up to rounding; about three quarters of the time.
    """
    network = copy.deepcopy(network).eval()
    for parent in list(network.modules()):
        for name, unit in list(parent.named_children()):
            if isinstance(unit, ConvUnit):
                setattr(parent, name, _folded_unit(unit))
    return network.requires_grad_(False)


def _folded_unit(unit: ConvUnit) -> nn.Sequential:
    convolution, norm, activation, _dropout = unit
    if isinstance(norm, nn.GroupNorm):  # of each image anew: nothing to fold
        return unit
    if isinstance(norm, nn.Identity):
        fused = convolution.plain()
    else:
        fused = fuse_conv_bn_eval(convolution, norm, transpose=isinstance(convolution, nn.ConvTranspose3d))
    if isinstance(activation, nn.ReLU):
        return nn.Sequential(fused, nn.ReLU(inplace=True))
    slope = activation.weight.detach()
    if len(slope) != 1:
        raise ValueError("only PReLU with one slope can run in place")
    return nn.Sequential(fused, nn.LeakyReLU(float(slope), inplace=True))


class Predictor:
    """A network ready to turn the images of a lung into its perfusion grid.

    Args:
        network: the trained network, left as it is.
        device: where it runs.
        bfloat16: run the convolutions in bfloat16; sums and the final sigmoid stay in single precision.
    """

    def __init__(self, network: PerfusionNetwork, device: torch.device, bfloat16: bool = False):
        self.device, self.bfloat16 = device, bfloat16
        self._layout = torch.contiguous_format if device.type == "mps" else torch.channels_last_3d
        ready = rewritten(folded(network)) if device.type == "cpu" else folded(network)
        self._network = ready.to(device=device, memory_format=self._layout)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Relative perfusion 0…1, float32 (z, y, x), of one lung.

        Args:
            images: as ``network_inputs`` makes them, (channels, z, y, x); enhanced CT alone may come as (z, y, x).
        """
        images = np.ascontiguousarray(images if images.ndim == 4 else images[None], dtype=np.float32)
        x = torch.from_numpy(images)[None]
        with torch.inference_mode():
            return self._run(x.to(self.device, memory_format=self._layout))[0, 0].float().cpu().numpy()

    def _run(self, x: Tensor) -> Tensor:
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bfloat16):
            logits = self._network.logits(x)
        return torch.sigmoid(logits.float())


class Ensemble:
    """Several networks that map together: their mean, and how far they lie apart. One network is its own mean.

    Args:
        networks: the members, on the same images.
        device, bfloat16: as of ``Predictor``.
    """

    def __init__(self, networks: Sequence[PerfusionNetwork], device: torch.device, bfloat16: bool = False):
        self.device, self.bfloat16 = device, bfloat16
        self._members = [Predictor(network, device, bfloat16) for network in networks]

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """The members' mean of relative perfusion 0…1, float32 (z, y, x), as ``Predictor`` gives each."""
        return self.mean_and_spread(images)[0]

    def mean_and_spread(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """The mean, and the members' standard deviation (of a sample) about it; None of a single network."""
        total = squares = None  # summed up, so that no more than one member's map is kept
        for member in self._members:
            values = member(images)
            if len(self._members) == 1:
                return values, None
            values = values.astype(np.float64)
            total = values if total is None else total + values
            squares = values**2 if squares is None else squares + values**2
        count = len(self._members)
        variance = np.clip(squares - total**2 / count, 0, None) / (count - 1)
        return (total / count).astype(np.float32), np.sqrt(variance).astype(np.float32)
