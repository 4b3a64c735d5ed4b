"""Results that appear only when they are whole: one file, or a folder of them."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from DLCTPMLib.common.ending import temporary_files
from DLCTPMLib.common.ending.interruption import raise_if_received
from DLCTPMLib.common.errors import InputError

FULL_DISK_BYTES = 1 << 16
"""A disk with less free space than this after a write has not taken all of it."""


NO_ROOM = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "your quota of the disk is used up",
    errno.EFBIG: "a file would be larger than is allowed (ulimit -f, or the disk's format)",
}
"""Errors of a place that takes no more, in words."""


def check_disk(path: str | os.PathLike) -> None:
    """Raise InputError if the disk that holds ``path`` is full; some file formats lose their end without a word."""
    if shutil.disk_usage(Path(path).parent).free < FULL_DISK_BYTES:
        raise InputError(f"{path}: the disk is full; free some space and run again")


@contextmanager
def whole_file(path: str | os.PathLike) -> Iterator[Path]:
    """Give a hidden name beside ``path`` to write to; at the end it takes the place of ``path``, or vanishes.

    Raises:
        InputError: ``path`` is a folder, its folder does not exist or takes no file, or the disk is full.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path}: is a folder; name the file to write")
    if not path.parent.is_dir():
        raise InputError(f"{path}: there is no folder {path.parent}; make it first or choose another place")
    partial = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        try:
            temporary_files.keep_in_mind(partial)
            yield partial
            check_disk(path)
            raise_if_received()
            os.replace(partial, path)
        except InputError as error:
            if type(error) is InputError and str(partial) in str(error):  # nobody knows the hidden name
                raise InputError(str(error).replace(str(partial), str(path))) from error
            raise
        except OSError as error:
            raise InputError(f"{path}: {_reason(error)}; free some space or choose another place") from error
    finally:
        temporary_files.remove(partial)


def _reason(error: OSError) -> str:
    return NO_ROOM.get(error.errno, f"cannot be written ({error.strerror})")


@contextmanager
def whole_folder(path: str | os.PathLike) -> Iterator[Path]:
    """Give a hidden folder to fill; at the end it takes the place of ``path`` and all that was in it, or vanishes.

    Args:
        path: where the folder shall be; its parents are made.

    Raises:
        InputError: ``path`` is a file, cannot be written to, or the disk is full.
    """
    path = Path(path)
    if path.exists() and not path.is_dir():
        raise InputError(f"{path}: is a file; name a folder to write")
    scratch: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = temporary_files.make_private_folder(path.parent, f".{path.name}.partial-")
        (scratch / "new").mkdir()
        yield scratch / "new"
        raise_if_received()
        with temporary_files.publishing:
            _put_in_place(scratch / "new", path, scratch / "old")
    except OSError as error:
        raise InputError(f"{path}: {_reason(error)}; free some space or choose another place") from error
    finally:
        if scratch is not None:
            temporary_files.remove(scratch)


def _put_in_place(new: Path, path: Path, old: Path) -> None:
    """Rename ``new`` to ``path``; what was there goes to ``old``, and comes back if that fails."""
    try:
        if path.exists():
            os.rename(path, old)
        os.rename(new, path)
    except BaseException:
        if old.exists() and not path.exists():
            os.rename(old, path)
        raise


class OutputFolder:
    """Collects results in a hidden folder and moves them to the one asked for at the end.

    The hidden folder lies inside the one asked for where that exists (it may be a disk of its own), else beside it.

    A context manager: files are written to ``work``; when the block ends well they replace those of the same
    name in ``folder``, and results of an earlier run that this one did not make are removed, so that the
    folder never mixes two runs. When the block fails or is interrupted, ``folder`` stays exactly as it was.

    Args:
        folder: where the results shall be; made with its parents when needed.
        owned: every file name that this kind of job may write.

    Raises:
        InputError: ``folder`` is a file or cannot be written to; the disk is full.

    Example:
        >>> with OutputFolder("results", ["result.json"]) as out:
        ...     (out.work / "result.json").write_text("{}")
    """

    def __init__(self, folder: str | os.PathLike, owned: Iterable[str]):
        self.folder = Path(folder)
        self.work = Path()
        self._owned = tuple(owned)
        self._parents: list[Path] = []

    def __enter__(self) -> OutputFolder:
        if self.folder.exists() and not self.folder.is_dir():
            raise InputError(f"{self.folder}: is a file, so no results can go there; name a folder with --out")
        try:
            target = self.folder.resolve()
        except (OSError, RuntimeError) as error:  # links that lead in a circle; RuntimeError before Python 3.13
            raise InputError(f"{self.folder}: leads nowhere; choose another place with --out") from error
        place = target if target.exists() else target.parent
        self._parents = [p for p in target.parents if not p.exists()]
        try:
            place.mkdir(parents=True, exist_ok=True)
            prefix = f".{target.name}.partial-"
            self.work = temporary_files.make_private_folder(place, prefix)
        except OSError as error:
            self._remove_parents()
            raise InputError(
                f"{self.folder}: no results can be written there ({error.strerror}); choose another place with --out"
            ) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                raise_if_received()
                with temporary_files.publishing:
                    self._publish()
        except BaseException:
            kind = BaseException
            raise
        finally:
            temporary_files.remove(self.work)
            if kind is not None:
                self._remove_parents()
        if type(error) is InputError and str(self.work) in str(error):  # nobody knows the hidden name
            raise InputError(str(error).replace(str(self.work), str(self.folder))) from error
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            raise InputError(f"{self.folder}: {NO_ROOM[error.errno]}; free some space and run again") from error

    def _publish(self) -> None:
        """Move everything to its place; put back what was there if any move fails."""
        new = sorted(path.name for path in self.work.iterdir())
        made = not self.folder.exists()
        self.folder.mkdir(exist_ok=True)
        earlier = self.work / ".earlier"
        earlier.mkdir()
        saved, placed = [], []
        try:
            for name in dict.fromkeys((*new, *self._owned)):
                if (self.folder / name).exists():
                    os.replace(self.folder / name, earlier / name)
                    saved.append(name)
            for name in new:
                os.replace(self.work / name, self.folder / name)
                placed.append(name)
        except BaseException:
            for name in placed:
                temporary_files.remove(self.folder / name)
            for name in saved:
                os.replace(earlier / name, self.folder / name)
            if made:
                self.folder.rmdir()
            raise

    def _remove_parents(self) -> None:
        """Take away the parent folders that were made for nothing."""
        for folder in self._parents:
            try:
                folder.rmdir()
            except OSError:
                return
