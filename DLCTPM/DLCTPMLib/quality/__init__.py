"""Checks of what goes in."""

from DLCTPMLib.common.lazy import lazily

__getattr__, __dir__, __all__ = lazily(
    __name__,
    checks="check_input",
    gate="passed_checks failures forced_notes",
    position="position_of",
)
