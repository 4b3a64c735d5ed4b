"""Images from and to files, and the patient's axes in them."""

from DLCTPMLib.common.lazy import lazily

__getattr__, __dir__, __all__ = lazily(
    __name__,
    reading="Scan describe read_ct read_image read_spect write_image",
    patient_axes="PatientAxes same_grid",
    transform_files="read_transform write_transform",
)
