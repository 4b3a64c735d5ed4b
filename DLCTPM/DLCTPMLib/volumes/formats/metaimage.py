"""MetaImage files (.mha, .mhd with its voxels beside it): a header of ``Key = value`` lines, then the voxels.

The format: https://itk.org/Wiki/ITK/MetaIO/Documentation. Its positions and directions are LPS millimetres.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.volumes.formats.raw_volume import RawVolume, check_size, single_volume
from DLCTPMLib.volumes.formats.voxel_bytes import as_voxels, companion, read_bytes, text_numbers

_TYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG": "i4",
    "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
_MAX_HEADER = 1 << 16
_SAID = ("TransformMatrix", "Rotation", "Orientation")


def is_metaimage(path: Path) -> bool:
    """Whether the file is a MetaImage, by its name or its first words."""
    if path.name.lower().endswith((".mha", ".mhd")):
        return True
    with path.open("rb") as file:
        start = file.read(64).replace(b" ", b"")
    return start.startswith((b"ObjectType=Image", b"NDims="))


def read_metaimage(path: Path) -> RawVolume:
    """Read a MetaImage of one volume.

    Raises:
        InputError: a damaged header, several volumes, voxels in many files or another folder, fewer than promised.
    """
    fields, end = _fields(path)
    count = _whole(fields.get("NDims", ""), path, "NDims")
    if not 1 <= count <= 10:
        raise InputError(f"{path}: its header says {count} dimensions; it is damaged, write the file again")
    size = [_whole(word, path, "DimSize") for word in fields.get("DimSize", "").split()]
    if len(size) != count:
        raise InputError(f"{path}: its header (DimSize) does not give {count} sizes; write the file again")
    kind = fields.get("ElementType", "").upper()
    if kind.endswith("_ARRAY"):
        kind = kind[: -len("_ARRAY")]
    if kind not in _TYPES:
        raise InputError(f"{path}: its header names no known ElementType ({kind[:40]}); write the file again")
    values = _whole(fields.get("ElementNumberOfChannels", "1"), path, "ElementNumberOfChannels")
    check_size([values], 1, path)
    dtype = np.dtype((">" if _true(fields, "BinaryDataByteOrderMSB", "ElementByteOrderMSB") else "<") + _TYPES[kind])
    needed = check_size(size, dtype.itemsize * values, path)
    single_volume(size, path)
    shape = (*size[2::-1], values) if values > 1 else tuple(size[2::-1])
    voxels = _voxels(path, fields, end, needed, dtype, shape)
    spacing = _numbers(fields, ("ElementSpacing", "ElementSize"), count, path)
    origin = _numbers(fields, ("Offset", "Position", "Origin"), count, path)
    matrix = _numbers(fields, _SAID, count * count, path)
    if spacing is None:
        raise InputError(f"{path}: its header states no ElementSpacing; write the file again")
    directions = None if matrix is None else matrix.reshape(count, count)[:3, :3].T
    return RawVolume(voxels, spacing[:3], directions, np.zeros(3) if origin is None else origin[:3], fields)


def _fields(path: Path) -> tuple[dict[str, str], int]:
    """The header's fields, and where they end in the file."""
    with path.open("rb") as file:
        start = file.read(_MAX_HEADER)
    fields: dict[str, str] = {}
    at = 0
    while at < len(start):
        end = start.find(b"\n", at)
        line = start[at : end if end >= 0 else len(start)].decode("latin-1")
        at = end + 1 if end >= 0 else len(start)
        if not line.strip():
            continue
        key, equals, value = line.partition("=")
        if not equals or not key.strip() or not (key.isascii() and key.isprintable()):
            break  # ITK's own keys hold brackets and bars: NRRD_kinds[0], 0008|0060
        fields[key.strip()] = value.strip()
        if key.strip() == "ElementDataFile":
            return fields, at
    raise InputError(f"{path}: its header is no MetaImage header or is cut off; copy or write the file again")


def _voxels(path: Path, fields: dict[str, str], end: int, needed: int, dtype: np.dtype, shape) -> np.ndarray:
    name = fields["ElementDataFile"]
    if name.upper().startswith("LIST") or "%" in name:
        raise InputError(f"{path}: its voxels lie in many files; save the image as one file")
    local = name.upper() == "LOCAL"
    source = path if local else companion(path, name)
    skipped = _whole(fields.get("HeaderSize", "0"), path, "HeaderSize")
    with source.open("rb") as file:
        length = file.seek(0, 2)
        at = length - needed if skipped == -1 else (end if local else 0) + max(skipped, 0)
        if not 0 <= at <= length:
            raise InputError(f"{path}: its header puts the voxels outside the file; it is damaged, write it again")
        file.seek(at)
        if fields.get("BinaryData", "True").lower() in ("false", "0"):
            count = int(np.prod(shape, dtype=object))
            if count > length:
                raise InputError(f"{path}: its voxels as text are cut off; copy or write the file again")
            return text_numbers(file.read(), count, dtype.newbyteorder("="), path).reshape(shape)
        packing = "zlib" if _true(fields, "CompressedData") else "raw"
        return as_voxels(read_bytes(file, needed, path, packing), dtype, shape)


def _true(fields: dict[str, str], *keys: str) -> bool:
    return any(fields.get(key, "").lower() in ("true", "1") for key in keys)


def _whole(text: str, path: Path, field: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise InputError(f"{path}: its header has no whole number for {field}; write the file again") from error


def _numbers(fields: dict[str, str], keys: tuple[str, ...], count: int, path: Path) -> np.ndarray | None:
    """The numbers of the first of some fields that is there."""
    for key in keys:
        if key not in fields:
            continue
        try:
            numbers = np.array([float(word) for word in fields[key].split()])
        except ValueError as error:
            raise InputError(f"{path}: its header has no numbers for {key}; write the file again") from error
        if numbers.size != count:
            raise InputError(f"{path}: its header gives {numbers.size} numbers for {key}; write the file again")
        return numbers
    return None
