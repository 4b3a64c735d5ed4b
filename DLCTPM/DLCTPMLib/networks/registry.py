"""The networks there are, by name: every place that builds, stores or reads one goes through here."""

from __future__ import annotations

from typing import Any, NamedTuple

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.networks.arnn import Arnn, ArnnSettings
from DLCTPMLib.networks.context import ContextNetwork, ContextSettings
from DLCTPMLib.networks.parts import PerfusionNetwork
from DLCTPMLib.networks.unet import Unet, UnetSettings
from DLCTPMLib.preprocessing.settings import PreprocessingSettings

NetworkSettings = ArnnSettings | UnetSettings | ContextSettings


class Architecture(NamedTuple):
    """A kind of network.

    Attributes:
        settings: dataclass of what it is made of, with the name as its ``ARCHITECTURE``.
        network: module built from it.
        inputs: images it is meant for, ``PreprocessingSettings.inputs``.
        title: what it is called in reports.
    """

    settings: type[NetworkSettings]
    network: type[PerfusionNetwork]
    inputs: tuple[str, ...]
    title: str


ARCHITECTURES = {
    "arnn": Architecture(ArnnSettings, Arnn, ("enhanced",), "attention residual network"),
    "unet": Architecture(UnetSettings, Unet, ("enhanced",), "plain 3D U-Net"),
    "context": Architecture(
        ContextSettings,
        ContextNetwork,
        ("enhanced", "density"),
        "attention residual network with place and density",
    ),
}
"""Every architecture by the name that ``metadata.json`` and ``--network`` give it."""

PAPER = ArnnSettings.ARCHITECTURE
"""The paper's; what settings mean that name none, as in models made before there were others."""


def build_network(settings: NetworkSettings) -> PerfusionNetwork:
    """A new network with weights drawn from torch's random stream."""
    return ARCHITECTURES[settings.ARCHITECTURE].network(settings)


def network_dict(settings: NetworkSettings) -> dict[str, Any]:
    """Settings as plain JSON values, the name under ``architecture``."""
    return {"architecture": settings.ARCHITECTURE, **settings.to_dict()}


def network_settings(values: dict[str, Any]) -> NetworkSettings:
    """Settings read back from what ``network_dict`` gave; without ``architecture`` they are the paper's.

    Raises:
        InputError: for an architecture or a setting that is not known.
    """
    values = dict(values)
    name = values.pop("architecture", PAPER)
    if name not in ARCHITECTURES:
        raise InputError(f"network settings: unknown architecture {name!r}, known are {', '.join(ARCHITECTURES)}")
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
