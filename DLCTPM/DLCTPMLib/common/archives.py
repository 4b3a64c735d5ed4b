"""A zip unpacked to a temporary folder for as long as it is read."""

from __future__ import annotations

import errno
import re
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath

from DLCTPMLib.common.ending.temporary_files import private_folder
from DLCTPMLib.common.errors import InputError


@contextmanager
def unpacked(archive: Path) -> Iterator[Path]:
    """Unpack a zip into a temporary folder, which is removed at the end whatever happens.

    Raises:
        InputError: not a zip, damaged, encrypted, larger than the disk has room for, or with an entry
            whose path leads out of the folder.
    """
    with private_folder() as folder:
        try:
            _extract(archive, folder)
        except (InputError, MemoryError):
            raise
        except Exception as error:  # a damaged zip makes zipfile raise whatever its parts raise
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EACCES, errno.EDQUOT):
                raise
            raise InputError(f"{archive}: this zip is damaged; make or download it again") from error
        yield folder


def _extract(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as zipped:
        entries = [entry for entry in zipped.infolist() if not entry.is_dir()]
        for entry in entries:
            _check_entry(archive, entry)
        needed = sum(entry.file_size for entry in entries)
        if needed > shutil.disk_usage(folder).free:
            raise InputError(
                f"{archive}: unpacking needs {needed / 1e9:.1f} GB and the temporary folder's disk has less; "
                "free some space or set TMPDIR to a larger disk"
            )
        for number, entry in enumerate(entries):
            # A numbered folder each and a tame name: nothing in the archive can lead anywhere or clash.
            name = re.sub(r"[^\w.-]", "_", PurePosixPath(entry.filename).name)[-100:]
            place = folder / f"{number:06d}"
            place.mkdir()
            with zipped.open(entry) as packed, open(place / name, "wb") as plain:
                shutil.copyfileobj(packed, plain, 1 << 20)


def _check_entry(archive: Path, entry: zipfile.ZipInfo) -> None:
    for path in (PurePosixPath(entry.filename), PureWindowsPath(entry.filename)):
        if path.is_absolute() or path.drive or ".." in path.parts:
            raise InputError(
                f"{archive}: the entry '{entry.filename}' leads out of the zip, so it is not trusted; "
                "unpack it yourself and give the folder"
            )
    if entry.flag_bits & 1:
        raise InputError(f"{archive}: this zip is encrypted; unpack it with its password and give the folder")
