"""The simulated SPECT of a patient."""

from DLCTPMLib.common.lazy import lazily

__getattr__, __dir__, __all__ = lazily(
    __name__,
    analytic="AnalyticSpectSettings blurred_spect",
    scan="PatientScanner",
    settings="SpectSettings",
)
