"""A network's training, its evaluation, and the bundle."""

from DLCTPMLib.common.lazy import lazily

__getattr__, __dir__, __all__ = lazily(
    __name__,
    fitting="FittedModel fit",
    from_cohort="export_samples train_cohort",
    from_samples="train_samples",
    packaging="Evaluation package",
    plan="TrainingPlan",
    settings="TrainingSettings",
)
