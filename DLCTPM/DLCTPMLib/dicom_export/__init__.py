"""A finished prediction as DICOM objects in its CT's study and frame of reference."""

from DLCTPMLib.common.lazy import lazily

__getattr__, __dir__, __all__ = lazily(
    __name__,
    objects="export_objects",
    source="CtSource open_ct_source",
)
