"""From a cohort to trained, compared and shipped models."""

from DLCTPMLib.common.lazy import lazily

__getattr__, __dir__, __all__ = lazily(
    __name__,
    plan="StudyPlan",
    results="StudyResults",
    study="prepare_study run_study",
)
