"""The networks there are, by name: every place that builds, stores or reads one goes through here."""

from __future__ import annotations

from typing import Any, NamedTuple

from DLCTPMLib.arnn import Arnn, ArnnSettings
from DLCTPMLib.errors import InputError
from DLCTPMLib.network_parts import PerfusionNetwork

NetworkSettings = ArnnSettings


class Architecture(NamedTuple):
    """A kind of network.

    Attributes:
        settings: dataclass of what it is made of, with the name as its ``ARCHITECTURE``.
        network: module built from it.
        title: what it is called in reports.
    """

    settings: type[NetworkSettings]
    network: type[PerfusionNetwork]
    title: str


ARCHITECTURES = {
    ArnnSettings.ARCHITECTURE: Architecture(ArnnSettings, Arnn, "attention residual network"),
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
