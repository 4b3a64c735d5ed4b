"""Modules that take long to import, imported while something else is done."""

from __future__ import annotations

import importlib
import threading
from contextlib import suppress


def import_meanwhile(*names: str) -> None:
    """Import modules in a thread, one after the other, and return at once.

    For PyTorch (0.7 s) while a file is read and for matplotlib (0.3 s) while the network runs: both leave the
    interpreter free. Whoever imports such a module meanwhile waits until it is whole; one that cannot be imported
    is left to them to complain about.
    """

    def load() -> None:
        for name in names:
            with suppress(ImportError, OSError):
                importlib.import_module(name)

    # not a daemon: an interpreter that ends in the middle of an import may crash
    threading.Thread(target=load, name="imports").start()
