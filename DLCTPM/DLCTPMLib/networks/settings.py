"""The networks there are, by name, and what each is made of; apart from the networks, which need PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.common.parsing import whole_numbers
from DLCTPMLib.common.settings import StageSettings, setting
from DLCTPMLib.preprocessing.settings import PreprocessingSettings

MOST_CHANNELS, MOST_KERNEL, MOST_CONVOLUTIONS = 1024, 31, 16
"""Far above what fits a GPU: a bundle that says more is damaged."""
ROI_ATTENTIONS = ("literal", "soft", "hard")
"""Kinds of region-of-interest attention (``arnn.ROI_MASKS``)."""
NORMS = ("batch", "group", "weight")
"""What stands behind every convolution (``parts.NORMS``); the paper's is batch norm."""
PLACES = ("none", "lungs")
"""What a network is told of a cell's place: nothing, as in the paper, or the way from the centre of both lungs."""


class ConvolutionSettings(StageSettings):
    """Base of a network's settings, which checks what all have: channels, kernel, dropout and input channels."""

    WHAT = "network settings"
    ARCHITECTURE: str

    channels: tuple[int, int, int, int]
    kernel: int
    dropout: float
    input_channels: int
    norm: str
    place: str

    def __post_init__(self):
        object.__setattr__(self, "channels", tuple(int(n) for n in self.channels))
        self.require(
            {
                "channels must be four positive numbers": len(self.channels) == 4 and min(self.channels) > 0,
                f"channels must be at most {MOST_CHANNELS}": max(self.channels) <= MOST_CHANNELS,
                f"kernel must be odd, from 1 to {MOST_KERNEL}": self.kernel % 2 == 1
                and 0 < self.kernel <= MOST_KERNEL,
                "dropout must lie in 0…1": 0 <= self.dropout < 1,
                f"norm must be one of {', '.join(NORMS)}": self.norm in NORMS,
                f"place must be one of {', '.join(PLACES)}": self.place in PLACES,
                f"input_channels must be 1 to {MOST_CHANNELS}": 1 <= self.input_channels <= MOST_CHANNELS,
            }
            | self.own_rules()
        )

    def own_rules(self) -> dict[str, bool]:
        """What else must hold for a network, as ``require`` takes it."""
        return {}


@dataclass(frozen=True)
class ArnnSettings(ConvolutionSettings):
    """What the network is made of.

    Attributes:
        channels: feature channels at scales S1…S4; the paper fixes at most 128.
        kernel: width of every convolution but the strided and the 1×1×1 ones; the paper's 5.
        convolutions: convolutions in one ResConv block.
        dropout: share dropped after every convolution while training; the paper's 0.1.
        prelu: starting slope of the parametric rectified linear units; the paper's 0.2.
        roi_attention: "literal" as printed (threshold, then sigmoid: 0.5 or 0.73, no gradient through the
            mask), "soft" (sigmoid without threshold) or "hard" (0 or 1).
        input_channels: images that it takes, enhanced CT first; the paper's one.
        norm: behind every convolution: the paper's "batch", or "group" or "weight" (``parts.NORMS``).
        place: "lungs" pads the images and adds the way from the centre of the lungs as three more.
    """

    ARCHITECTURE = "arnn"

    channels: tuple[int, int, int, int] = setting(
        (16, 32, 64, 128), "feature channels", metavar="A-B-C-D", parse=whole_numbers
    )
    kernel: int = setting(5, "width of the convolutions", metavar="N")
    convolutions: int = 2
    dropout: float = setting(0.1, "share of values dropped while training", metavar="S")
    prelu: float = 0.2
    roi_attention: str = setting("literal", "region-of-interest attention", choices=ROI_ATTENTIONS)
    input_channels: int = 1
    norm: str = setting("batch", "behind every convolution", choices=NORMS)
    place: str = setting("none", "what the network is told of a cell's place", choices=PLACES)

    def own_rules(self) -> dict[str, bool]:
        """What the paper's network has beside the others."""
        return {
            f"convolutions must be 1 to {MOST_CONVOLUTIONS}": 1 <= self.convolutions <= MOST_CONVOLUTIONS,
            'roi_attention must be "literal", "soft" or "hard"': self.roi_attention in ROI_ATTENTIONS,
        }


@dataclass(frozen=True)
class UnetSettings(ConvolutionSettings):
    """What the network is made of. Width, kernel and dropout are the paper's, so that the structure alone differs.

    Attributes:
        channels: feature channels at its four scales.
        kernel: width of every convolution but the strided and the 1×1×1 ones.
        dropout: share dropped after every convolution while training.
        input_channels: images that it takes, enhanced CT first.
        norm, place: as in ``ArnnSettings``.
    """

    ARCHITECTURE = "unet"

    channels: tuple[int, int, int, int] = setting(
        (16, 32, 64, 128), "feature channels", metavar="A-B-C-D", parse=whole_numbers
    )
    kernel: int = setting(5, "width of the convolutions", metavar="N")
    dropout: float = setting(0.1, "share of values dropped while training", metavar="S")
    input_channels: int = 1
    norm: str = setting("batch", "behind every convolution", choices=NORMS)
    place: str = setting("none", "what the network is told of a cell's place", choices=PLACES)


@dataclass(frozen=True)
class ContextSettings(ArnnSettings):
    """What the network is made of: as ``ArnnSettings``, but two images are expected, the density last."""

    ARCHITECTURE = "context"

    input_channels: int = 2


NetworkSettings = ArnnSettings | UnetSettings | ContextSettings


class Architecture(NamedTuple):
    """A kind of network.

    Attributes:
        settings: dataclass of what it is made of, with the name as its ``ARCHITECTURE``.
        inputs: images it is meant for, ``PreprocessingSettings.inputs``.
        title: what it is called in reports.
    """

    settings: type[NetworkSettings]
    inputs: tuple[str, ...]
    title: str


ARCHITECTURES = {
    "arnn": Architecture(ArnnSettings, ("enhanced",), "attention residual network"),
    "unet": Architecture(UnetSettings, ("enhanced",), "plain 3D U-Net"),
    "context": Architecture(
        ContextSettings,
        ("enhanced", "density"),
        "attention residual network with place and density",
    ),
}
"""Every architecture by the name that ``metadata.json`` and ``--network`` give it."""

PAPER = ArnnSettings.ARCHITECTURE
"""The paper's; what settings mean that name none, as in models made before there were others."""


def network_dict(settings: NetworkSettings) -> dict[str, Any]:
    """Settings as plain JSON values, the name under ``architecture``."""
    return {"architecture": settings.ARCHITECTURE, **settings.to_dict()}


def network_words(values: dict[str, Any]) -> str:
    """A network in a few words, as "plain 3D U-Net, channels 8-16-32-64, kernels of 3 cells".

    Args:
        values: as of ``network_dict``; what is missing is not said, and without ``architecture`` it is the paper's.
    """
    name = values.get("architecture", PAPER)
    parts = [ARCHITECTURES[name].title if name in ARCHITECTURES else str(name)]
    if "channels" in values:
        parts.append(f"channels {'-'.join(map(str, values['channels']))}")
    if "kernel" in values:
        parts.append(f"kernels of {values['kernel']} cells")
    return ", ".join(parts)


def network_settings(values: dict[str, Any]) -> NetworkSettings:
    """Settings read back from what ``network_dict`` gave; without ``architecture`` they are the paper's.

    Raises:
        InputError: for an architecture or a setting that is not known.
    """
    if not isinstance(values, dict):
        raise InputError("network settings: must be names with their values")
    values = dict(values)
    name = values.pop("architecture", PAPER)
    if not isinstance(name, str) or name not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise InputError(f"network settings: unknown architecture {str(name)[:40]!r}, known are {known}")
    return ARCHITECTURES[name].settings.from_dict(values)


def check_inputs(network: NetworkSettings, preprocessing: PreprocessingSettings) -> None:
    """See that the network takes as many images as the preprocessing makes.

    Raises:
        InputError: if it does not.
    """
    takes, made = network.input_channels, preprocessing.inputs
    if takes != len(made):
        raise InputError(
            f"the network takes {takes} image{'s' * (takes > 1)} but the preprocessing makes {len(made)} "
            f"({', '.join(made)}): let input_channels of the network and inputs of the preprocessing agree"
        )
