"""The command line: commands with their arguments, and how a run ends."""

from DLCTPMLib.common.lazy import lazily

__getattr__, __dir__, __all__ = lazily(
    __name__,
    shared__command="Command",
    main="run_program",
    parent_process="exit_with_parent",
)
