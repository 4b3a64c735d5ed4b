"""What a run writes for its own use only: private to the user, and gone at the end, whatever the end is.

Copies of a patient's images lie here. A folder is made for the user alone (0700) and removed by whoever made it;
when a run is interrupted at an awkward moment, ``remove_all`` removes what is left; and what a killed run left behind
is removed by the next one, which knows it by its lock: the system releases the lock of a process that has died.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

PREFIX = "dlctpm-private-"
"""Of the names of folders among the system's temporary files."""

JUST_MADE_S = 60
"""A folder may be this young and not locked yet."""

FORGOTTEN_S = 86400
"""Where the system cannot lock a folder, one that nobody has written to for so long is taken for left behind."""

publishing = threading.RLock()
"""Held while results move to their place, which must not be cut off in the middle."""

_kept: dict[Path, int | None] = {}
"""The files and folders of this process, each with the descriptor that holds its lock."""


@contextlib.contextmanager
def private_folder() -> Iterator[Path]:
    """A new folder among the system's temporary files, removed at the end."""
    folder = make_private_folder(Path(tempfile.gettempdir()), PREFIX)
    try:
        yield folder
    finally:
        remove(folder)


def make_private_folder(place: Path, prefix: str) -> Path:
    """Make a folder that only this user may enter; ``remove`` it. What killed runs left beside it goes now.

    Raises:
        OSError: it cannot be made there.
    """
    remove_left_behind(place, f"{prefix}*")
    folder = place / f"{prefix}{os.urandom(6).hex()}"
    keep_in_mind(folder)  # before it is there: an interruption may come in between
    folder.mkdir(mode=0o700)
    _kept[folder] = _lock(folder)
    return folder


def keep_in_mind(path: Path) -> None:
    """Let ``remove_all`` remove this file or folder, until ``remove`` or ``forget`` is called."""
    _kept[path] = None


def forget(path: Path) -> None:
    """A file that has become a result, or is gone."""
    lock = _kept.pop(path, None)
    if lock is not None:
        os.close(lock)


def remove(path: Path) -> None:
    """Remove one of them now."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
    forget(path)


def remove_all() -> None:
    """Remove everything of this process that is left; for a run that ends before its time."""
    for path in list(_kept):
        remove(path)


def any_left() -> bool:
    """Whether this process has something that it must remove."""
    return bool(_kept)


def _lock(folder: Path) -> int | None:
    """A descriptor that locks the folder as long as this process lives; None where it cannot be locked."""
    try:
        import fcntl

        descriptor = os.open(folder, os.O_RDONLY)
    except (ImportError, OSError):  # Windows
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # held by a run that lives, or a file system without locks
        os.close(descriptor)
        return None
    return descriptor


def remove_left_behind(place: Path, pattern: str, just_made_s: float | None = None) -> None:
    """Remove folders of processes that have ended without removing them.

    Args:
        place: the folder that holds them.
        pattern: of their names.
        just_made_s: younger ones stay, as they may not be locked yet; ``JUST_MADE_S`` if None.
    """
    youngest = JUST_MADE_S if just_made_s is None else just_made_s
    for folder in place.glob(pattern):
        try:
            age = time.time() - folder.stat().st_mtime
        except OSError:
            continue
        if folder in _kept or age < youngest:
            continue
        lock = _lock(folder)
        if lock is not None or (age > FORGOTTEN_S and os.access(folder, os.W_OK)):
            shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_kept.clear)  # a worker must not remove its parent's files
