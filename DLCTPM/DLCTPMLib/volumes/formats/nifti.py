"""NIfTI-1 and NIfTI-2 images (.nii, .nii.gz, .hdr with .img), and which of their two geometries counts.

A NIfTI header can place the volume twice, by a rotation (qform) and by a matrix (sform), each with a code that
says what it means; code 0 means that it says nothing. (https://nifti.nimh.nih.gov/nifti-1, nifti1.h, nifti2.h.)
Readers differ where the two disagree and guess where both codes are 0. Here the sform counts if its code is the
higher one, as most readers take it; other contradictions, and headers that say nothing, are refused.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.volumes.formats.raw_volume import (
    RawVolume,
    check_size,
    orientation_code,
    orientation_directions,
    single_volume,
)
from DLCTPMLib.volumes.formats.voxel_bytes import GZIP_MAGIC, as_voxels, companion, read_bytes

SAME_PLACE_MM = 1.0
"""Two geometries that put no corner of the volume further apart than this are one."""

_TYPES = {
    2: "u1",
    4: "i2",
    8: "i4",
    16: "f4",
    64: "f8",
    256: "i1",
    512: "u2",
    768: "u4",
    1024: "i8",
    1280: "u8",
}
_COLOURS = {128, 2304}
_METRE, _MICRON = 1, 3
_HALF_TURN = 3 * 2.0**-23
"""A quaternion whose b, c, d come closer to 1 in float32 is a half turn: its a is 0, the rest is rounding."""
_LPS = np.array([-1.0, -1.0, 1.0])


@dataclass(frozen=True)
class _Header:
    """The fields that matter, of either version."""

    dim: tuple[int, ...]
    datatype: int
    pixdim: tuple[float, ...]
    vox_offset: int
    slope: float
    intercept: float
    units: int
    qform_code: int
    sform_code: int
    quaternion: tuple[float, ...]
    offset: tuple[float, ...]
    srow: tuple[float, ...]
    byte_order: str
    in_one_file: bool
    length: int
    description: str


def header_of_pair(path: Path) -> Path:
    """The header beside the ``.img`` of a pair, where that is given and the header is there; else the file itself."""
    name = path.name.lower()
    for ending in (".img", ".img.gz"):
        if name.endswith(ending):
            stem = path.name[: -len(ending)]
            beside = (path.with_name(f"{stem}{other}") for other in (".hdr", ".hdr.gz"))
            return next((one for one in beside if one.is_file()), path)
    return path


def nifti_start(path: Path) -> bytes | None:
    """The first 540 bytes, unpacked, if they are a NIfTI header; None otherwise."""
    with path.open("rb") as file:
        start = file.read(540)
        if start[:2] == GZIP_MAGIC:
            file.seek(0)
            try:
                with gzip.GzipFile(fileobj=file) as plain:
                    start = plain.read(540)
            except (OSError, EOFError, zlib.error):
                return None
    return start if _version(start) else None


def _version(start: bytes) -> tuple[int, str] | None:
    """Version and byte order of a header."""
    if len(start) < 348:
        return None
    for order in "<>":
        (size,) = struct.unpack(order + "i", start[:4])
        if size == 348 and start[344:347] in (b"n+1", b"ni1"):
            return 1, order
        if size == 540 and len(start) >= 540 and start[4:7] in (b"n+2", b"ni2"):
            return 2, order
    return None


def _header(start: bytes) -> _Header:
    version, order = _version(start)

    def take(form: str, at: int) -> tuple:
        return struct.unpack_from(order + form, start, at)

    if version == 1:
        magic = start[344:347]
        return _Header(
            dim=take("8h", 40),
            datatype=take("h", 70)[0],
            pixdim=take("8f", 76),
            vox_offset=_whole(take("f", 108)[0]),
            slope=take("f", 112)[0],
            intercept=take("f", 116)[0],
            units=start[123] & 7,
            qform_code=take("h", 252)[0],
            sform_code=take("h", 254)[0],
            quaternion=take("3f", 256),
            offset=take("3f", 268),
            srow=take("12f", 280),
            byte_order=order,
            in_one_file=magic == b"n+1",
            length=348,
            description=_text(start[148:228]),
        )
    return _Header(
        dim=take("8q", 16),
        datatype=take("h", 12)[0],
        pixdim=take("8d", 104),
        vox_offset=take("q", 168)[0],
        slope=take("d", 176)[0],
        intercept=take("d", 184)[0],
        units=take("i", 500)[0] & 7,
        qform_code=take("i", 344)[0],
        sform_code=take("i", 348)[0],
        quaternion=take("3d", 352),
        offset=take("3d", 376),
        srow=take("12d", 400),
        byte_order=order,
        in_one_file=start[4:7] == b"n+2",
        length=540,
        description=_text(start[240:320]),
    )


def _text(field: bytes) -> str:
    return "".join(one for one in field.partition(b"\0")[0].decode("latin-1") if one.isprintable())


def _whole(value: float) -> int:
    return int(value) if math.isfinite(value) and abs(value) < 1 << 31 else -1


def read_nifti(path: Path, start: bytes, orientation: str | None = None) -> RawVolume:
    """Read a NIfTI file whose header (``nifti_start``) has been found.

    Args:
        path: the file, packed by gzip or not, whatever its name.
        start: its first bytes, unpacked.
        orientation: where the array's axes run to; decides between two geometries that contradict each other.

    Raises:
        InputError: a damaged header, several volumes, colour or complex voxels, fewer voxels than promised, or
            geometries that contradict each other.
    """
    header = _header(start)
    count = header.dim[0]
    if not 1 <= count <= 7:
        raise InputError(f"{path}: its header says {count} dimensions; it is damaged, write the file again")
    size = list(header.dim[1 : count + 1])
    if header.datatype in _COLOURS:
        raise InputError(f"{path}: is a colour image; a volume with one value in each voxel is needed")
    if header.datatype not in _TYPES:
        raise InputError(
            f"{path}: has voxels of NIfTI type {header.datatype}, which is no plain number; write the file again "
            "with whole or floating-point numbers"
        )
    dtype = np.dtype(header.byte_order + _TYPES[header.datatype])
    needed = check_size(size, dtype.itemsize, path)
    single_volume(size, path)
    voxels = as_voxels(_voxel_bytes(path, header, needed), dtype, tuple(size[2::-1]))
    spacing, directions, origin, notes = _geometry(header, size[:3], path, orientation)
    keys = {"ITK_FileNotes": header.description} if header.description else {}
    return RawVolume(_scaled(voxels, header, path), spacing, directions, origin, keys, notes)


def _voxel_bytes(path: Path, header: _Header, needed: int) -> bytes:
    source = path
    if not header.in_one_file:
        source = companion(path, _image_beside(path))
    lowest = header.length if header.in_one_file else 0
    offset = header.vox_offset or lowest + 4 * header.in_one_file  # some leave it 0: then the data follow at once
    if not lowest <= offset <= 1 << 30:
        raise InputError(f"{path}: its header puts the voxels where none can be; it is damaged, write the file again")
    with source.open("rb") as file:
        packed = file.read(2) == GZIP_MAGIC
        file.seek(0)
        return read_bytes(file, offset + needed, path, "gzip" if packed else "raw")[offset:]


def _image_beside(path: Path) -> str:
    for ending in (".hdr.gz", ".hdr"):
        if path.name.lower().endswith(ending):
            stem = path.name[: -len(ending)]
            names = (f"{stem}.img", f"{stem}.img.gz")
            return next((name for name in names if (path.parent / name).is_file()), names[0])
    return f"{path.stem}.img"


def _scaled(voxels: np.ndarray, header: _Header, path: Path) -> np.ndarray:
    """Voxels with slope and intercept applied; a slope of 0 (or none that is a number) means that there is none."""
    slope, intercept = header.slope, header.intercept
    if slope == 0 or not math.isfinite(slope) or (slope == 1 and intercept == 0):
        return voxels
    if not math.isfinite(intercept):
        raise InputError(f"{path}: the intercept of its values is not a number; write the file again")
    whole = voxels.dtype.kind in "iu" and float(slope).is_integer() and float(intercept).is_integer()
    reach = max(abs(float(voxels.min())), abs(float(voxels.max()))) * abs(slope) + abs(intercept)
    if whole and reach < 1 << 31:
        return voxels.astype(np.int32) * np.int32(slope) + np.int32(intercept)
    if not reach < 3e38:
        raise InputError(f"{path}: the slope of its values ({slope:g}) makes them no numbers; write the file again")
    return voxels.astype(np.float32) * np.float32(slope) + np.float32(intercept)


def _geometry(header: _Header, size: list[int], path: Path, orientation: str | None):
    """Spacing, directions (None where neither form has a code), origin and notes."""
    unit = {_METRE: 1000.0, _MICRON: 0.001}.get(header.units, 1.0)
    qform = _qform(header, path) * unit if header.qform_code > 0 else None
    sform = _sform(header) * unit if header.sform_code > 0 else None
    if qform is None and sform is None:
        return np.abs(np.array(header.pixdim[1:4])) * unit, None, np.zeros(3), []
    chosen, notes = (sform if sform is not None else qform), []
    if qform is not None and sform is not None and not _same(qform, sform, size):
        chosen, notes = _one_of(qform, sform, header, path, orientation)
    spacing = np.linalg.norm(chosen[:, :3], axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        directions = chosen[:, :3] / spacing
    return spacing, directions, chosen[:, 3], notes


def _one_of(qform: np.ndarray, sform: np.ndarray, header: _Header, path: Path, orientation: str | None):
    """The geometry that counts of two that contradict each other."""
    if not (np.isfinite(qform).all() and np.isfinite(sform).all()):
        raise InputError(f"{path}: its axes are not finite numbers; convert the original DICOM again")
    codes = {name: _code(form) for name, form in (("sform", sform), ("qform", qform))}
    both = f"its two geometries contradict each other (qform: {codes['qform']}, sform: {codes['sform']})"
    if orientation is not None:
        wanted = orientation_code(orientation_directions(orientation))
        fitting = [name for name, code in codes.items() if code == wanted]
        if len(fitting) == 1:
            form = sform if fitting[0] == "sform" else qform
            return form, [f"{path}: {both}; the {fitting[0]} was taken, as --orientation says {wanted}"]
    if header.sform_code > header.qform_code:
        return sform, [f"{path}: {both}; the sform was taken, whose code is the higher: look at the sides"]
    raise InputError(
        f"{path}: {both} and neither has precedence; convert the original DICOM again, or say with --orientation "
        "where the array's axes run to"
    )


def _code(form: np.ndarray) -> str:
    if abs(np.linalg.det(form[:, :3])) < 1e-12:
        return "no axes"
    return orientation_code(form[:, :3] / np.linalg.norm(form[:, :3], axis=0))


def _same(a: np.ndarray, b: np.ndarray, size: list[int]) -> bool:
    corners = np.array([[*(bit * (n - 1) for bit, n in zip(c, size, strict=True)), 1] for c in np.ndindex(2, 2, 2)])
    with np.errstate(invalid="ignore", over="ignore"):
        return bool(np.linalg.norm(corners @ (a - b).T, axis=1).max() <= SAME_PLACE_MM)


def _qform(header: _Header, path: Path) -> np.ndarray:
    """Voxel index (x, y, z, 1) to LPS, (3, 4), by the quaternion (nifti1.h, method 2)."""
    b, c, d = header.quaternion
    squares = b * b + c * c + d * d
    if not math.isfinite(squares) or squares > 1.01:
        raise InputError(f"{path}: its qform is no rotation (not finite, or no unit quaternion); write it again")
    a = 0.0 if 1 - squares < _HALF_TURN else math.sqrt(1 - squares)
    norm = math.sqrt(a * a + squares)
    a, b, c, d = (value / norm for value in (a, b, c, d))
    rotation = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    spacing = np.abs(np.array(header.pixdim[1:4]))
    if header.pixdim[0] < 0:
        rotation[:, 2] *= -1
    return np.column_stack([rotation * spacing, header.offset]) * _LPS[:, None]


def _sform(header: _Header) -> np.ndarray:
    """Voxel index (x, y, z, 1) to LPS, (3, 4), by the matrix (nifti1.h, method 3)."""
    return np.array(header.srow).reshape(3, 4) * _LPS[:, None]
