"""Many CTs at once: found, predicted by an executor, and gathered in one table and one page."""

from DLCTPMLib.common.lazy import lazily

__getattr__, __dir__, __all__ = lazily(
    __name__,
    run="BatchPlan predict_batch",
    table="read_table unusable_id",
)
