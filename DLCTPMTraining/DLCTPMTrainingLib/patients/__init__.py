"""Virtual patients: chest, disease, CT and perfusion."""

from DLCTPMLib.common.lazy import lazily

__getattr__, __dir__, __all__ = lazily(
    __name__,
    redraws="Redraws",
    virtual_patient="VirtualPatient VirtualPatientSettings simulate_patient",
)
