"""NRRD files (.nrrd, .nhdr with its voxels beside it): ``field: value`` lines, an empty line, then the voxels.

The format: https://teem.sourceforge.net/nrrd/format.html. A header without a known space, or without directions in
it, does not say how the volume lies in the patient.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.volumes.formats.raw_volume import RawVolume, check_size, single_volume
from DLCTPMLib.volumes.formats.voxel_bytes import as_voxels, companion, read_bytes, text_numbers

_TYPES = {
    "i1": "signed char, int8, int8_t",
    "u1": "uchar, unsigned char, uint8, uint8_t",
    "i2": "short, short int, signed short, signed short int, int16, int16_t",
    "u2": "ushort, unsigned short, unsigned short int, uint16, uint16_t",
    "i4": "int, signed int, int32, int32_t",
    "u4": "uint, unsigned int, uint32, uint32_t",
    "i8": "longlong, long long, long long int, signed long long, signed long long int, int64, int64_t",
    "u8": "ulonglong, unsigned long long, unsigned long long int, uint64, uint64_t",
    "f4": "float",
    "f8": "double",
}
_TYPE_OF = {name: code for code, names in _TYPES.items() for name in names.split(", ")}
_SPACES = {
    "left-posterior-superior": (1, 1, 1),
    "right-anterior-superior": (-1, -1, 1),
    "left-anterior-superior": (1, -1, 1),
}
_SHORT = {"lps": "left-posterior-superior", "ras": "right-anterior-superior", "las": "left-anterior-superior"}
_PACKING = {"raw": "raw", "gzip": "gzip", "gz": "gzip", "bzip2": "bzip2", "bz2": "bzip2"}
_TEXT = ("ascii", "text", "txt")
_SPATIAL_KINDS = ("domain", "space", "???", "none", "")
_MAX_HEADER = 1 << 22


@dataclass(frozen=True)
class _Axes:
    """What the axes of the array are: the places of the three spatial ones, and of the one of values."""

    size: list[int]
    spatial: list[int]
    values: int | None
    vectors: list[np.ndarray | None]


def is_nrrd(path: Path) -> bool:
    """Whether the file begins as an NRRD does."""
    with path.open("rb") as file:
        return file.read(7) == b"NRRD000"


def read_nrrd(path: Path) -> RawVolume:
    """Read an NRRD of one volume; voxels of several values keep them (last axis).

    Raises:
        InputError: a damaged header, several volumes, voxels in many files or another folder, fewer than promised.
    """
    fields, keys, end = _fields(path)
    axes = _axes(fields, path)
    kind = _TYPE_OF.get(fields.get("type", "").lower())
    if kind is None:
        raise InputError(f"{path}: its header names no known type of voxel; write the file again")
    dtype = np.dtype(("<" if fields.get("endian", "little").lower() == "little" else ">") + kind)
    needed = check_size(axes.size, dtype.itemsize, path)
    voxels = _voxels(path, fields, end, needed, dtype, tuple(axes.size[::-1]))
    voxels = _ordered(voxels, axes)
    spacing, directions, origin = _geometry(fields, axes, path)
    return RawVolume(voxels, spacing, directions, origin, keys)


def _fields(path: Path) -> tuple[dict[str, str], dict[str, str], int]:
    """The header's fields, its author's key-value pairs, and where it ends in the file."""
    with path.open("rb") as file:
        start = file.read(_MAX_HEADER)
    fields: dict[str, str] = {}
    keys: dict[str, str] = {}
    at = start.find(b"\n") + 1
    while 0 < at < len(start):
        end = start.find(b"\n", at)
        end = len(start) if end < 0 else end
        line = start[at:end].decode("utf-8", "replace").rstrip("\r")
        at = end + 1
        if not line:
            return fields, keys, at
        if line.startswith("#"):
            continue
        field, colon, value = line.partition(":")
        if not colon:
            break
        if value.startswith("="):
            keys[field] = value[1:]
        else:
            fields[field.strip().lower()] = value.strip()
    if at >= len(start) and "sizes" in fields and _data_file(fields):
        return fields, keys, len(start)  # a detached header needs no empty line
    raise InputError(f"{path}: its header is no NRRD header or is cut off; copy or write the file again")


def _data_file(fields: dict[str, str]) -> str | None:
    return fields.get("data file", fields.get("datafile"))


def _axes(fields: dict[str, str], path: Path) -> _Axes:
    count = _whole(fields.get("dimension", ""), path, "dimension")
    if not 1 <= count <= 16:
        raise InputError(f"{path}: its header says {count} dimensions; it is damaged, write the file again")
    size = [_whole(word, path, "sizes") for word in fields.get("sizes", "").split()]
    if len(size) != count:
        raise InputError(f"{path}: its header does not give {count} sizes; write the file again")
    kinds = fields.get("kinds", "").lower().split() or [""] * count
    if "space directions" in fields:
        vectors = _vectors(fields["space directions"], path)
        if len(vectors) != count:
            raise InputError(f"{path}: its header does not give {count} space directions; write the file again")
        spatial = [axis for axis, vector in enumerate(vectors) if vector is not None]
    else:
        vectors = [None] * count
        spatial = [axis for axis in range(count) if len(kinds) != count or kinds[axis] in _SPATIAL_KINDS]
    if len(spatial) > 3:  # a fourth axis that stands in the space is the one of time
        spatial = spatial[:3]
    others = [axis for axis in range(count) if axis not in spatial]
    values = next((axis for axis in others if axis < min(spatial, default=0) and size[axis] > 1), None)
    frames = [size[axis] for axis in others if axis != values]
    if len(spatial) < 3:  # however many frames there are
        frames = []
    single_volume([size[axis] for axis in spatial] + frames, path)
    return _Axes(size, spatial, values, vectors)


def _vectors(text: str, path: Path) -> list[np.ndarray | None]:
    """Vectors in parentheses, or none, one an axis."""
    vectors: list[np.ndarray | None] = []
    for word in re.findall(r"\([^()]*\)|[^\s()]+", text):
        if word.lower() == "none":
            vectors.append(None)
            continue
        try:
            vectors.append(np.array([float(number) for number in word.strip("()").split(",")]))
        except ValueError as error:
            raise InputError(f"{path}: its header has no numbers for its axes; write the file again") from error
    return vectors


def _voxels(path: Path, fields: dict[str, str], end: int, needed: int, dtype: np.dtype, shape) -> np.ndarray:
    encoding = fields.get("encoding", "").lower()
    if encoding not in (*_PACKING, *_TEXT):
        raise InputError(f"{path}: its encoding ({encoding[:40]}) is none that is read; save it as gzip")
    name = _data_file(fields)
    if name is not None and (name.upper().startswith("LIST") or "%" in name):
        raise InputError(f"{path}: its voxels lie in many files; save the image as one file")
    source = path if name is None else companion(path, name.removeprefix("./"))
    lines = _whole(fields.get("line skip", fields.get("lineskip", "0")), path, "line skip")
    skipped = _whole(fields.get("byte skip", fields.get("byteskip", "0")), path, "byte skip")
    packing = _PACKING.get(encoding)
    if skipped and packing not in (None, "raw"):
        raise InputError(f"{path}: skips bytes of packed voxels, which is not read; save it as one file")
    with source.open("rb") as file:
        length = file.seek(0, 2)
        file.seek(end if name is None else 0)
        for _ in range(max(0, min(lines, length))):
            file.readline()
        at = length - needed if skipped == -1 else file.tell() + max(skipped, 0)
        if not 0 <= at <= length:
            raise InputError(f"{path}: its header puts the voxels outside the file; it is damaged, write it again")
        file.seek(at)
        if packing is None:
            if needed // dtype.itemsize > length:
                raise InputError(f"{path}: its voxels as text are cut off; copy or write the file again")
            return text_numbers(file.read(), needed // dtype.itemsize, dtype.newbyteorder("="), path).reshape(shape)
        return as_voxels(read_bytes(file, needed, path, packing), dtype, shape)


def _ordered(voxels: np.ndarray, axes: _Axes) -> np.ndarray:
    """The array as (z, y, x) or (z, y, x, values); axes of one frame are dropped."""
    last = len(axes.size) - 1
    wanted = [last - axis for axis in axes.spatial[::-1]] + ([] if axes.values is None else [last - axes.values])
    dropped = [axis for axis in range(voxels.ndim) if axis not in wanted]
    voxels = voxels.transpose([*wanted, *dropped])
    return np.ascontiguousarray(voxels.reshape(voxels.shape[: len(wanted)]))


def _geometry(fields: dict[str, str], axes: _Axes, path: Path):
    """Spacing, directions (None where the header does not say) and origin of the spatial axes, in LPS."""
    space = fields.get("space", "").lower().removesuffix("-time").removesuffix("t") if "space" in fields else ""
    signs = _SPACES.get(_SHORT.get(space, space))
    vectors = [axes.vectors[axis] for axis in axes.spatial]
    if any(vector is None for vector in vectors):
        words = fields.get("spacings", "").split()
        try:
            spacing = np.array([float(words[axis]) for axis in axes.spatial])
        except (ValueError, IndexError) as error:
            raise InputError(f"{path}: its header states no spacings; write the file again") from error
        return np.abs(spacing), None, np.zeros(3)
    if any(vector.size not in (3, 4) for vector in vectors):
        raise InputError(f"{path}: its axes are not in three dimensions; write the file again")
    matrix = np.array([vector[:3] for vector in vectors]).T
    spacing = np.linalg.norm(matrix, axis=0)
    if signs is None:
        return spacing, None, np.zeros(3)
    origin = (_vectors(fields.get("space origin", "(0,0,0)"), path) or [None])[0]
    if origin is None or origin.size not in (3, 4):
        raise InputError(f"{path}: its header has no numbers for its space origin; write the file again")
    with np.errstate(divide="ignore", invalid="ignore"):
        directions = matrix * np.array(signs)[:, None] / spacing
    return spacing, directions, origin[:3] * np.array(signs)


def _whole(text: str, path: Path, field: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise InputError(f"{path}: its header has no whole number for {field}; write the file again") from error
