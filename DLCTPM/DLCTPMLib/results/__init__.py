"""Everything that is written of a prediction."""

from DLCTPMLib.common.lazy import lazily

__getattr__, __dir__, __all__ = lazily(
    __name__,
    prediction="PatientImages predict_to_folder",
    settings="PredictionSettings",
)
