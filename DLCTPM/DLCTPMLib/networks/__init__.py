"""The networks, and the bundles that hold trained ones."""

from DLCTPMLib.common.lazy import lazily

__getattr__, __dir__, __all__ = lazily(
    __name__,
    bundle="ModelBundle list_bundles load_bundle save_bundle",
    registry="build_network",
    settings="ArnnSettings ContextSettings UnetSettings",
)
