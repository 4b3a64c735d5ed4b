"""What label values mean, and Slicer's segmentation files."""

from DLCTPMLib.common.lazy import lazily

__getattr__, __dir__, __all__ = lazily(
    __name__,
    chest_regions="ChestRegion display_name",
    conventions="possible_conventions to_cip",
    seg_nrrd="Segment write_segments",
)
