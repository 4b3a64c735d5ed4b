"""Tables, figures and the report of a study."""

from DLCTPMLib.common.lazy import lazily

__getattr__, __dir__, __all__ = lazily(
    __name__,
    export="export_docs",
    report="write_results",
)
