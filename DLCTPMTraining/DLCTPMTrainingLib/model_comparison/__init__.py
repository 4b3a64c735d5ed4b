"""Finished models side by side on one cohort: members, ensembles, baselines and the ceiling by the same metrics."""

from DLCTPMLib.common.lazy import lazily

__getattr__, __dir__, __all__ = lazily(__name__, comparison="ComparisonPlan compare_models")
