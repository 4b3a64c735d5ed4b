"""The voxel bytes of an image file: as long as its header says, or the file is refused before memory is taken."""

from __future__ import annotations

import bz2
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np

from DLCTPMLib.common.errors import InputError

GZIP_MAGIC = b"\x1f\x8b"
_MOST_PACKED = 1100
"""No deflate stream is longer than this many times its packed length (1032 by the format)."""
_MOST_PACKED_BZ2 = 60_000_000
_DAMAGE = (EOFError, OSError, zlib.error, ValueError)


def read_bytes(file: BinaryIO, needed: int, path: Path, packing: str = "raw") -> bytes:
    """The next ``needed`` bytes of an open file, unpacked.

    Args:
        file: open for reading, where the voxels begin.
        needed: how many bytes the header promises.
        path: the file, for messages.
        packing: "raw", "gzip", "zlib" or "bzip2".

    Raises:
        InputError: fewer bytes than promised, or damaged ones.
    """
    start = file.tell()
    packed = file.seek(0, 2) - start
    file.seek(start)
    most = {"raw": 1, "bzip2": _MOST_PACKED_BZ2}.get(packing, _MOST_PACKED)
    if needed > packed * most:
        raise _cut_off(path, packed if packing == "raw" else 0, needed)
    try:
        if packing == "raw":
            content = file.read(needed)
        elif packing == "bzip2":
            with bz2.BZ2File(file) as plain:
                content = plain.read(needed)
        else:
            content = _inflated(file.read(), needed)
    except MemoryError:
        raise
    except _DAMAGE as error:
        raise InputError(f"{path}: its packed voxels are damaged or cut off; copy or write the file again") from error
    if len(content) < needed:
        raise _cut_off(path, len(content), needed)
    return content


def _inflated(packed: bytes, needed: int) -> bytes:
    """The first bytes of gzip members or a zlib stream, the checksum behind them verified."""
    parts, there = [], 0
    while packed and there < needed:
        stream = zlib.decompressobj(zlib.MAX_WBITS | 32)
        parts.append(stream.decompress(packed, needed - there))
        there += len(parts[-1])
        more = stream.decompress(stream.unconsumed_tail, 1) if not stream.eof else b""
        if not stream.eof and not more:
            raise EOFError("the checksum is missing")
        packed = stream.unused_data
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _cut_off(path: Path, there: int, needed: int) -> InputError:
    found = f"{there} are there" if there else "the file is too short to hold them"
    return InputError(
        f"{path}: is cut off or its header is wrong: {needed} bytes of voxels are promised and {found}; "
        "copy or write the file again"
    )


def as_voxels(content: bytes, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    """Bytes as an array of the machine's own byte order."""
    array = np.frombuffer(content, dtype).reshape(shape)
    return array if array.dtype.isnative else array.astype(dtype.newbyteorder("="))


def text_numbers(content: bytes, count: int, dtype: np.dtype, path: Path) -> np.ndarray:
    """Voxels written as decimal text.

    Raises:
        InputError: not as many numbers as promised, or something else than numbers.
    """
    words = content.split()
    try:
        if len(words) < count:
            raise ValueError
        return np.array([float(word) for word in words[:count]]).astype(dtype)
    except (ValueError, OverflowError) as error:
        raise InputError(f"{path}: its voxels as text are cut off or no numbers; write the file again") from error


def companion(path: Path, name: str) -> Path:
    """The file of voxels that a header names, which must lie beside it.

    Raises:
        InputError: it is named in another folder, or is not there.
    """
    name = name.strip()
    if not name or "/" in name or "\\" in name or "\0" in name or name in (".", ".."):
        raise InputError(
            f"{path}: its voxels lie in a file of another folder, which is not followed; put both files into one "
            "folder, or save the image as one file"
        )
    beside = path.parent / name
    try:
        there = beside.is_file()
    except OSError:
        there = False
    if not there:
        raise InputError(f"{path}: its voxels lie in a file {name[:80]} that is not beside it; copy both files")
    return beside
