"""How the prediction of a patient differs from an earlier one."""

from DLCTPMLib.common.lazy import lazily

__getattr__, __dir__, __all__ = lazily(
    __name__,
    pair="Pair open_pair",
    result="changes_result",
)
