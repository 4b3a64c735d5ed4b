"""A DICOM node: CT series come in, predictions go back as objects (docs/dicom-node.md)."""

from DLCTPMLib.common.lazy import lazily

__getattr__, __dir__, __all__ = lazily(
    __name__,
    node="Node",
    settings="Caller Destination NodeSettings",
)
