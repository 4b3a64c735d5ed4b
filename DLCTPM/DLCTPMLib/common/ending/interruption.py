"""Ctrl-C, SIGTERM and SIGHUP end a run tidily at whatever moment they come.

The first signal raises KeyboardInterrupt in the main thread, and the work in hand takes itself back. Now and then
that exception is lost: Python drops it in callbacks and destructors, and libraries written in C clear it, most of all
while modules are imported. So the signal is remembered: every report of progress raises it again, results are not
published after it, and a run that has not ended ``GRACE_S`` later is ended from another thread, as it is at once by a
second signal. Before there is anything to take back (no temporary file, no report of progress) the first signal ends
the program itself.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import NoReturn

from DLCTPMLib.common.ending import temporary_files

GRACE_S = 20.0
"""How long the interrupted work may tidy up before the process ends at once."""

SAME_S = 0.2
"""A signal that comes so soon after the first is the first again: sent to a process and to its group."""

INTERRUPTED = 130
"""Exit status after Ctrl-C; after SIGTERM it is 143, after SIGHUP 129 (128 and the signal's number)."""

CLEAR_LINE = "\r\x1b[2K"
"""Written to a terminal, it takes the place of an unfinished progress bar."""

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")


class _State:
    """Of this process: the first signal and when it came; whether the process is ours to end, work has begun and the
    user was told; and what is to be done last."""

    number: int | None = None
    at = 0.0
    owned = False
    begun = False
    told = False
    last: tuple[Callable[[], None], ...] = ()


def own_process() -> None:
    """Handle signals for the rest of this process's life; the first thing that a program does."""
    _State.owned = True
    for number in _handled():
        signal.signal(number, _on_signal)
    if os.name == "nt":  # there a signal's number cannot be written to a pipe
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(reading,), name="signals", daemon=True).start()


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Let signals interrupt the block; without ``own_process`` the caller's handlers are back afterwards."""
    if _State.owned:
        yield
        return
    _State.number, _State.told = None, False
    try:
        before = {number: signal.signal(number, _on_signal) for number in _handled()}
    except ValueError:  # not the main thread: whoever called owns the signals
        yield
        return
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _State.number = None  # whoever called goes on


def received() -> bool:
    """Whether a signal has come that shall end the run."""
    return _State.number is not None


def raise_if_received() -> None:
    """Raise KeyboardInterrupt (again) if a signal has come; whoever calls this has begun to work."""
    _State.begun = True
    if received():
        interrupt()


def interrupt() -> NoReturn:
    """Interrupt the run as Ctrl-C does, for a reason of the program's own.

    Raises:
        KeyboardInterrupt: always.
    """
    _State.number = _State.number or signal.SIGINT
    raise KeyboardInterrupt


def at_the_end(action: Callable[[], None]) -> None:
    """Do this last when an interrupted run has nothing more to write."""
    _State.last += (action,)


def exit_status() -> int:
    """The exit status of an interrupted run."""
    terminal = {None, signal.SIGINT, getattr(signal, "SIGBREAK", None)}
    return INTERRUPTED if _State.number in terminal else 128 + _State.number


def finish(say: Callable[[str], object]) -> int:
    """Say that the run was interrupted, remove what is left of it, and return its exit status."""
    if not _State.told:
        _State.told = True
        say("interrupted")
    temporary_files.remove_all()
    for action in _State.last:
        action()
    return exit_status()


def end_at_once() -> None:
    """End the process with its workers, after removing what it would leave behind."""
    multiprocessing = sys.modules.get("multiprocessing")
    with contextlib.suppress(Exception):  # it may be half imported
        for child in multiprocessing.active_children() if multiprocessing else ():
            child.kill()
    whole = temporary_files.publishing.acquire(timeout=2.0)
    try:
        status = finish(_say)
    finally:
        if whole:
            temporary_files.publishing.release()
    os._exit(status)


def _say(line: str) -> None:
    """Past Python's own buffer, which the interrupted thread may hold."""
    with contextlib.suppress(OSError, ValueError):  # whoever read it may be gone
        os.write(2, f"{CLEAR_LINE if os.isatty(2) else ''}{line}\n".encode())


def _handled() -> list[int]:
    """The signals, but for a SIGHUP that ``nohup`` has switched off."""
    numbers = {getattr(signal, name) for name in _NAMES if hasattr(signal, name)}
    hangup = getattr(signal, "SIGHUP", None)
    return sorted(n for n in numbers if n != hangup or signal.getsignal(n) != signal.SIG_IGN)


def _on_signal(number: int, frame: object) -> None:
    if received():
        # where the watching thread does not see it, the second signal is seen here; in somebody else's process it
        # leaves the tidying up alone
        if _State.owned and os.name == "nt" and time.monotonic() - _State.at > SAME_S:
            end_at_once()
        return
    _State.number, _State.at = number, time.monotonic()
    if _State.owned and not _State.begun and not temporary_files.any_left():
        end_at_once()
    raise KeyboardInterrupt


def _watch(reading: int) -> None:
    """End the process at the second signal, or when the first has not ended it in time."""
    handled = _handled()
    while os.read(reading, 1)[0] not in handled:
        pass
    first = time.monotonic()
    ender = threading.Timer(GRACE_S, end_at_once)
    ender.daemon = True
    ender.start()
    while number := os.read(reading, 1):
        if number[0] in handled and time.monotonic() - first > SAME_S:
            end_at_once()


def _in_worker() -> None:
    """A forked worker's signals are its own."""
    _State.owned, _State.number, _State.last = False, None, ()
    with contextlib.suppress(ValueError):
        signal.set_wakeup_fd(-1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_worker)
