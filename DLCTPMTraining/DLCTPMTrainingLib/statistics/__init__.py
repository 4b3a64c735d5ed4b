"""A study's results as one tidy table, and the tests on it."""

from DLCTPMLib.common.lazy import lazily

__getattr__, __dir__, __all__ = lazily(
    __name__,
    numbers="summary_of",
    paired="paired_comparisons",
    table="TidyTable",
    tests="StatisticsSettings",
)
