"""Grids, random draws, files and drawing that training's packages share."""

from DLCTPMLib.common.lazy import lazily

__getattr__, __dir__, __all__ = lazily(
    __name__,
    drawing="panels write_figure",
    files="read_json write_json",
    grid="Grid RandomField Resampler",
    parameters="chance draw value",
    patient_origin="Origin",
)
