"""An image file of any format, told by its content and read by the reader of that format."""

from __future__ import annotations

from pathlib import Path

import SimpleITK as sitk

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.volumes.formats.apart import read_other_image
from DLCTPMLib.volumes.formats.metaimage import is_metaimage, read_metaimage
from DLCTPMLib.volumes.formats.nifti import header_of_pair, nifti_start, read_nifti
from DLCTPMLib.volumes.formats.nrrd import is_nrrd, read_nrrd
from DLCTPMLib.volumes.formats.raw_volume import RawVolume, image_of
from DLCTPMLib.volumes.formats.voxel_bytes import GZIP_MAGIC


def read_file(path: Path, orientation: str | None = None) -> tuple[sitk.Image, list[str]]:
    """Read an image file: three-dimensional, with one or several values a voxel, with notes for the user.

    The key-value pairs of an NRRD (Slicer's segments stand there) come as metadata of the image.

    Args:
        path: the file.
        orientation: where the array's axes run to (LPS, RAS, …), for a file that does not say.

    Raises:
        InputError: missing, unreadable, damaged, not one volume, on a grid that cannot be used, or silent on how it
            lies in the patient.
    """
    if not path.exists():
        raise InputError(f"{path}: there is no such file; check the path")
    if path.is_dir():
        raise InputError(f"{path}: is a folder where an image file is needed; give the file")
    if not path.is_file():
        raise InputError(f"{path}: is no ordinary file; give an image file")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: is empty (0 bytes); copy or write the file again")
    raw = _raw_volume(path, orientation)
    image = image_of(raw, path, orientation)
    for key, value in raw.keys.items():
        image.SetMetaData(key, value)
    return image, raw.notes


def _raw_volume(path: Path, orientation: str | None) -> RawVolume:
    header = header_of_pair(path)
    start = nifti_start(header)
    if start is not None:
        return read_nifti(header, start, orientation)
    if is_nrrd(path):
        return read_nrrd(path)
    if is_metaimage(path):
        return read_metaimage(path)
    with path.open("rb") as file:
        if file.read(2) == GZIP_MAGIC:
            raise InputError(f"{path}: is packed with gzip and holds no NIfTI image, or is damaged; unpack it first")
    return read_other_image(path)
