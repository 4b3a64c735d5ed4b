"""What may be chosen about a DICOM node: where it listens, for whom, how much it takes, where results go."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.common.settings import StageSettings, setting

LONGEST_TITLE = 16
"""Characters of an application entity title (DICOM PS3.5, VR AE)."""


@dataclass(frozen=True)
class NodeSettings(StageSettings):
    """Of the node itself.

    Attributes:
        ae_title: what callers call it, and what it calls itself when it sends.
        bind: the address that it listens on.
        port: of that address; 0 takes a free one.
        quiet_s: so long nothing of a series has come when it is taken for complete.
        interrupted_s: the same for a series whose transfer was cut off, which may come again.
        object_mb: largest object.
        series_gb: largest series.
        waiting: how many series may be in the queue.
        queue_gb: how much of the disk the queue may hold before another series is refused.
        free_gb: what must stay free on its disk.
        associations: how many callers are served at a time.
        remember_h: how long a delivered series is known, so that the same objects sent again start nothing.
    """

    ae_title: str = setting("DLCTPM", "application entity title of this node", metavar="AET")
    bind: str = setting(
        "127.0.0.1", "address to listen on; any but this machine's own needs --allow", metavar="ADDRESS"
    )
    port: int = setting(11112, "port to listen on", metavar="N")
    quiet_s: float = setting(
        30.0, "a series is complete when nothing of it has come for so long", "quiet", metavar="S"
    )
    interrupted_s: float = setting(
        600.0, "the same for a series whose transfer was cut off", "quiet-interrupted", metavar="S"
    )
    object_mb: float = setting(1024.0, "largest object that is taken", "max-object-mb", metavar="MB")
    series_gb: float = setting(4.0, "largest series that is taken", "max-series-gb", metavar="GB")
    waiting: int = setting(100, "series that may be in the queue", "max-waiting", metavar="N")
    queue_gb: float = setting(50.0, "what the queue may hold", "max-queue-gb", metavar="GB")
    free_gb: float = setting(2.0, "what must stay free on the queue's disk", "min-free-gb", metavar="GB")
    associations: int = setting(20, "associations at a time", "max-associations", metavar="N")
    remember_h: float = setting(
        24.0, "how long a delivered series, sent again, is not computed again", "remember", metavar="H"
    )

    WHAT = "node settings"

    def __post_init__(self):
        positive = ("interrupted_s", "object_mb", "series_gb", "queue_gb", "waiting", "associations", "quiet_s")
        self.require(
            {
                f"the application entity title must have 1 to {LONGEST_TITLE} printable characters": is_title(
                    self.ae_title
                ),
                "port must lie between 0 and 65535": 0 <= self.port <= 65535,
                **{f"{name} must be more than 0": getattr(self, name) > 0 for name in positive},
                "free_gb must not be negative": self.free_gb >= 0,
                "remember_h must not be negative": self.remember_h >= 0,
            }
        )

    def check_callers(self, callers: tuple[Caller, ...]) -> None:
        """Refuse to listen to a network without a list of who may call.

        Raises:
            InputError: the address is none, or reaches beyond this machine while everybody might call.
        """
        try:
            inside = ipaddress.ip_address(self.bind).is_loopback
        except ValueError as error:
            raise InputError(f"--bind {self.bind}: is no address; give one such as 127.0.0.1 or ::1") from error
        if not inside and not callers:
            raise InputError(
                f"--bind {self.bind}: reaches beyond this machine; say who may send, with --allow AET@ADDRESS"
            )


@dataclass(frozen=True)
class Caller:
    """Who may send: an application entity title at an address, or at any of a network (``10.0.3.0/24``)."""

    ae_title: str
    network: ipaddress.IPv4Network | ipaddress.IPv6Network

    @classmethod
    def parse(cls, text: str) -> Caller:
        """A caller from ``AET@ADDRESS``.

        Raises:
            InputError: it is none.
        """
        title, _, address = text.rpartition("@")
        try:
            network = ipaddress.ip_network(address)
        except ValueError as error:
            raise InputError(f"--allow {text}: give it as AET@ADDRESS, such as PACS@10.0.3.17") from error
        if not is_title(title):
            raise InputError(f"--allow {text}: give it as AET@ADDRESS, such as PACS@10.0.3.17")
        return cls(title, network)

    def calls_from(self, address: str) -> bool:
        """Whether this is an address of theirs."""
        there = ipaddress.ip_address(address.partition("%")[0])
        mapped = getattr(there, "ipv4_mapped", None)
        return (mapped or there) in self.network


@dataclass(frozen=True)
class Destination:
    """Where results go: an application entity at a host's port."""

    ae_title: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Destination:
        """A destination from ``AET@HOST:PORT``.

        Raises:
            InputError: it is none.
        """
        title, _, place = text.partition("@")
        host, _, port = place.rpartition(":")
        if not is_title(title) or not host or not port.isdecimal() or not 0 < int(port) < 65536:
            raise InputError(f"--send-to {text}: give it as AET@HOST:PORT, such as PACS@10.0.3.17:104")
        return cls(title, host.strip("[]"), int(port))

    def __str__(self) -> str:
        return f"{self.ae_title}@{self.host}:{self.port}"


def is_title(text: str) -> bool:
    """Whether this can be an application entity title."""
    plain = text.isascii() and text.isprintable() and "\\" not in text
    return plain and text == text.strip() and 0 < len(text) <= LONGEST_TITLE
