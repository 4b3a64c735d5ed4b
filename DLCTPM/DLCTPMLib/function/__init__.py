"""High- and low-functional lung."""

from DLCTPMLib.common.lazy import lazily

__getattr__, __dir__, __all__ = lazily(
    __name__,
    definitions="Definition parse_definition",
    regions="FunctionalLung functional_labels region_table",
)
