"""Cohorts: their table, their check, and virtual ones."""

from DLCTPMLib.common.lazy import lazily

__getattr__, __dir__, __all__ = lazily(
    __name__,
    check="CohortCheck check_cohort",
    on_real_cts="simulate_on_real_cts",
    simulate="simulate_cohort",
    table="CohortRow read_cohort",
)
