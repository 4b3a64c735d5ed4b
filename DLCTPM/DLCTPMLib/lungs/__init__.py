"""The lungs of a CT: from a mask, or found in it."""

from DLCTPMLib.common.lazy import lazily

__getattr__, __dir__, __all__ = lazily(
    __name__,
    masks="Lungs lungs_from_labels read_lungs",
    segmentation="LungSegmentationSettings segment_lungs",
    upright="UprightLungs",
)
