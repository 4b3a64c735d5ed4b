"""CT, lungs and model to a perfusion map."""

from DLCTPMLib.common.lazy import lazily

__getattr__, __dir__, __all__ = lazily(
    __name__,
    mapping="PerfusionMap load_predictor map_perfusion",
)
