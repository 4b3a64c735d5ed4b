"""From the CT in one lung to the network's input (Eq. 1), from the SPECT to its target (Eq. 2)."""

from DLCTPMLib.common.lazy import lazily

__getattr__, __dir__, __all__ = lazily(
    __name__,
    enhancement="network_inputs",
    grid="LungGrid",
    settings="PreprocessingSettings",
)
