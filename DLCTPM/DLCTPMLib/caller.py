"""Ends with the program that started it: when Slicer is killed, its computation must not go on unseen.

A dying program cannot tell its children anything, but the system closes its pipes. So Slicer holds the writing end of
the engine's standard input and never writes; the end of that input is the end of Slicer, on Linux, macOS and Windows.
On a command line nobody asks for this, and standard input means nothing to the engine.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time

ENDS_WITH_INPUT = "DLCTPM_ENDS_WITH_INPUT"
"""Environment variable by which a program asks; it must hold a pipe to the standard input until its own end."""
GRACE_S = 20.0
"""How long the interrupted work may tidy up before the process ends at once."""
INTERRUPTED = 130
"""Exit status, as after Ctrl-C."""


def end_with_caller() -> None:
    """Interrupt the main thread, as Ctrl-C does, when standard input ends; nothing happens unless it was asked for.

    What the computation starts itself gets neither the request nor the pipe.
    """
    if os.environ.pop(ENDS_WITH_INPUT, None) is None:
        return
    # Away from descriptor 0: on Windows whatever looks at the standard input while a thread waits for it (NumPy's
    # libraries when they are loaded, Python when it starts) would wait too.
    watched = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a Slicer started with "&" in a script ignores Ctrl-C
    threading.Thread(target=_watch, args=(watched,), name="caller", daemon=True).start()


def _watch(watched: int) -> None:
    with contextlib.suppress(OSError):  # a pipe may also end as an error
        while os.read(watched, 4096):
            pass
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)  # also out of a wait for something
    else:
        signal.raise_signal(signal.SIGINT)
    time.sleep(GRACE_S)
    multiprocessing = sys.modules.get("multiprocessing")
    for child in multiprocessing.active_children() if multiprocessing else ():
        child.kill()
    os._exit(INTERRUPTED)
