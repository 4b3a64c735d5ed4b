"""The folder of a node's queue: its owner's only, one node's at a time, written so that a kill loses nothing."""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from pathlib import Path

from DLCTPMLib.common.errors import InputError

KEY = "key"
"""Name of the file by which a queue is known; it holds the key of the hashes that stand for series."""

SCRATCH = "partial"
"""Folder of what is not whole yet; emptied at each start."""


class Spool:
    """An opened folder of a queue.

    Args:
        folder: made where there is none.

    Attributes:
        folder: as given.
        key: of this queue's hashes.
        scratch: an empty folder on the same disk.

    Raises:
        InputError: others may read it, it is no queue's, another node uses it, or it cannot be written to.
    """

    def __init__(self, folder: Path):
        self.folder, self.scratch = folder, folder / SCRATCH
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._check_owner()
            self._lock = os.open(folder, os.O_RDONLY)
            self._take_lock()
            self.key = self._own_key()
            shutil.rmtree(self.scratch, ignore_errors=True)
            self.scratch.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise InputError(f"{folder}: cannot hold a queue ({error.strerror}); choose another folder") from error

    def close(self) -> None:
        """Let another node use it."""
        os.close(self._lock)

    def write(self, path: Path, data: bytes) -> None:
        """Write a file that is whole and on the disk, or not there at all.

        Raises:
            OSError: it cannot be written.
        """
        partial = self.scratch / secrets.token_hex(8)
        try:
            with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
        except OSError:
            partial.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)

    def discard(self, folder: Path) -> None:
        """Remove a folder; it is gone at once, even if the removing is cut off."""
        if folder.exists():
            gone = self.scratch / secrets.token_hex(8)
            os.replace(folder, gone)
            sync_folder(folder.parent)
            shutil.rmtree(gone, ignore_errors=True)

    def _check_owner(self) -> None:
        status = self.folder.stat()
        if status.st_uid != os.getuid():
            raise InputError(f"{self.folder}: belongs to another user; choose a folder of your own for the queue")
        if stat.S_IMODE(status.st_mode) & 0o077:
            raise InputError(f"{self.folder}: other users may enter it; run 'chmod 700' on it, or choose another")

    def _take_lock(self) -> None:
        import fcntl

        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InputError(f"{self.folder}: another node uses this queue; end it, or choose another") from error

    def _own_key(self) -> str:
        path = self.folder / KEY
        if not path.exists():
            if any(other.name != SCRATCH for other in self.folder.iterdir()):
                raise InputError(f"{self.folder}: holds other files; name an empty or new folder for the queue")
            self.scratch.mkdir(mode=0o700, exist_ok=True)
            self.write(path, secrets.token_hex(16).encode())
        return path.read_text(encoding="ascii")


def sync_folder(folder: Path) -> None:
    """Have the names of a folder's files on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
