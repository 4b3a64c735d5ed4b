"""How well a map agrees with a SPECT."""

from DLCTPMLib.common.lazy import lazily

__getattr__, __dir__, __all__ = lazily(
    __name__,
    comparison="SpectComparison on_spect_grid",
    scores="compare",
    settings="AgreementSettings",
)
