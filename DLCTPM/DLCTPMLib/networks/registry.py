"""Builds the network that settings name: every place that makes one goes through here."""

from __future__ import annotations

from DLCTPMLib.networks.arnn import Arnn
from DLCTPMLib.networks.context import ContextNetwork
from DLCTPMLib.networks.parts import PerfusionNetwork
from DLCTPMLib.networks.settings import NetworkSettings
from DLCTPMLib.networks.unet import Unet

NETWORKS: dict[str, type[PerfusionNetwork]] = {"arnn": Arnn, "unet": Unet, "context": ContextNetwork}
"""The module of every architecture in ``settings.ARCHITECTURES``."""


def build_network(settings: NetworkSettings) -> PerfusionNetwork:
    """A new network with weights drawn from torch's random stream."""
    return NETWORKS[settings.ARCHITECTURE](settings)
