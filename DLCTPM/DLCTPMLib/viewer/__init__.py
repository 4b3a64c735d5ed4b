"""The interactive view of a report: small volumes and NiiVue, all inside the page."""

from DLCTPMLib.common.lazy import lazily

__getattr__, __dir__, __all__ = lazily(
    __name__,
    panes="ViewedImages viewer_panes",
    page="Viewer",
)
