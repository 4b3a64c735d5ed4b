"""How well any map from the CT could agree with a SPECT, an estimate from redraws."""

from DLCTPMLib.common.lazy import lazily

__getattr__, __dir__, __all__ = lazily(
    __name__,
    estimate="Ceiling ceiling_of_patients reached",
)
