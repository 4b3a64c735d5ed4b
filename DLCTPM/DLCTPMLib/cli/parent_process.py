"""Ends with the program that started it: when Slicer is killed, its computation must not go on unseen.

A dying program cannot tell its children anything, but the system closes its pipes. So Slicer holds the writing end of
the engine's standard input and never writes; the end of that input is the end of Slicer, on Linux, macOS and Windows.
On a command line nobody asks for this, and standard input means nothing to the engine.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import threading
import time

from DLCTPMLib.common.ending.interruption import GRACE_S, at_the_end, end_at_once, received

ENDS_WITH_INPUT = "DLCTPM_ENDS_WITH_INPUT"
"""Environment variable by which a program asks; it must hold a pipe to the standard input until its own end."""
REMOVED_WITH_PARENT = "DLCTPM_REMOVED_WITH_PARENT"
"""Environment variable: the folder of files that the program made for this run, images among them. A program that has
been killed cannot remove it any more; the engine then does."""
MET_ELSEWHERE_S = 0.2
"""How long an interrupted run waits to learn whether its parent has ended."""


def exit_with_parent() -> None:
    """Interrupt the main thread, as Ctrl-C does, when standard input ends; nothing happens unless it was asked for.

    Whoever calls this handles SIGINT: a program that a script started in the background is born ignoring it.

    What the computation starts itself gets neither the request nor the pipe.
    """
    asked, folder = (os.environ.pop(name, None) for name in (ENDS_WITH_INPUT, REMOVED_WITH_PARENT))
    if asked is None:
        return
    # Away from descriptor 0: on Windows whatever looks at the standard input while a thread waits for it (NumPy's
    # libraries when they are loaded, Python when it starts) would wait too.
    watched = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    _Parent.folder, _Parent.gone = folder, threading.Event()
    at_the_end(clear_up_after_parent)
    threading.Thread(target=_watch, args=(watched,), name="parent", daemon=True).start()


def clear_up_after_parent() -> None:
    """Remove the folder of a parent that has ended; called when an interrupted run has nothing more to write."""
    # the end of the parent may have been met elsewhere, at a pipe that nobody reads any more, before the watch saw it
    if _Parent.folder and _Parent.gone.wait(MET_ELSEWHERE_S):
        shutil.rmtree(_Parent.folder, ignore_errors=True)


class _Parent:
    """The program that started this process: its folder, and whether it has ended."""

    folder: str | None = None
    gone = threading.Event()


def _watch(watched: int) -> None:
    with contextlib.suppress(OSError):  # a pipe may also end as an error
        while os.read(watched, 4096):
            pass
    _Parent.gone.set()
    if received():  # a second signal would end the tidying up
        pass
    elif hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)  # also out of a wait for something
    else:
        signal.raise_signal(signal.SIGINT)
    time.sleep(GRACE_S)
    end_at_once()
