"""How much memory the machine has, and whether an error says that it ran out."""

from __future__ import annotations

import os
import sys

_WORDS = (
    "can't allocate memory",  # PyTorch on a processor: Linux, macOS
    "not enough memory",  # and Windows
    "mps backend out of memory",
    "failed to allocate memory",  # ITK's images
    "bad_alloc",  # and its filters
)
"""The one place that reads an error's words: these come as a plain ``RuntimeError`` with nothing else to go by."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, the processor's or a GPU's: by the error's type wherever there is one."""
    if isinstance(error, MemoryError):
        return True
    torch = sys.modules.get("torch")  # not loaded: then it raised nothing
    if torch is not None and isinstance(error, torch.cuda.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in _WORDS)


def physical_bytes() -> int | None:
    """Memory of this machine; None where the system does not say it simply (Windows)."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None
