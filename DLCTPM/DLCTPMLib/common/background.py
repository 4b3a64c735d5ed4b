"""What takes long, done while something else is done."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import TypeVar

Value = TypeVar("Value")


def background(work: Callable[[], Value]) -> Future[Value]:
    """Begin some work in a thread and return at once; ``result()`` waits for it and raises what it raised."""
    future: Future[Value] = Future()

    def do() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # for whoever asks for the result
            future.set_exception(error)

    threading.Thread(target=do, name="background", daemon=True).start()
    return future


def preload(*names: str) -> None:
    """Import modules in a thread, one after the other, and return at once.

    For PyTorch while a file is read and for matplotlib while the network runs: both leave the
    interpreter free. Whoever needs such a module before waits until it is whole; one that cannot be imported
    is left to them to complain about.
    """

    def load() -> None:
        for name in names:
            with suppress(ImportError, OSError):
                importlib.import_module(name)

    # not a daemon: an interpreter that ends in the middle of an import may crash; a program that ends by
    # ``run_program`` does not wait
    threading.Thread(target=load, name="imports").start()
