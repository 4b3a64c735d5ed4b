"""Dose to the lungs and to their function."""

from DLCTPMLib.common.lazy import lazily

__getattr__, __dir__, __all__ = lazily(
    __name__,
    files="PlanDose read_dose",
    histogram="DoseHistogram",
    analysis="DoseImages LungDose",
    result="dose_result",
)
