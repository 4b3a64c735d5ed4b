"""SPECT to CT."""

from DLCTPMLib.common.lazy import lazily

__getattr__, __dir__, __all__ = lazily(
    __name__,
    for_position="settings_for_position",
    search="Registration register",
    settings="RegistrationSettings",
)
