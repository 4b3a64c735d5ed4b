"""SPECT to CT."""

from DLCTPMLib.common.lazy import lazily

__getattr__, __dir__, __all__ = lazily(
    __name__,
    for_position="register_as_it_lay settings_for_position transform_of_pair",
    search="Registration register",
    settings="RegistrationSettings",
)
