"""What a library reads that can die of a damaged file, read in a process of its own.

SimpleITK reads dozens of formats with code that a damaged file can bring to a segmentation fault. The formats that
chests come in have readers of their own here; everything else is opened in a child process, whose death is an
ordinary failure of that file.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from DLCTPMLib.common.console import NO_WINDOW
from DLCTPMLib.common.ending.temporary_files import private_folder
from DLCTPMLib.common.errors import InputError
from DLCTPMLib.volumes.formats.metaimage import read_metaimage
from DLCTPMLib.volumes.formats.raw_volume import RawVolume

SHORTEST_S, BYTES_A_SECOND = 12.0, 5e6
"""A file that takes more processor time to open than this, by its size, is given up: a damaged one may be read for
ever."""

WAITED = 10
"""So many times as long by the clock may it take: on a busy machine a sound file gets little of a processor."""

_LIMITED = """
import sys
try:
    import resource
except ImportError:  # Windows: the clock alone ends it
    pass
else:
    most = int(sys.argv[3])
    resource.setrlimit(resource.RLIMIT_CPU, (most, most + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
"""

_UNORIENTED = (".vtk", ".png", ".jpg", ".jpeg", ".bmp", ".gipl", ".gipl.gz", ".spr", ".pic", ".lsm", ".hdr", ".img")
"""Endings of formats that cannot say how a volume lies in the patient; Analyze (``.hdr``, ``.img``) is one."""

_UNMEASURED = (".tif", ".tiff")
"""Endings of formats that cannot say how far slices lie apart either."""

_READ_IMAGE = """
import sys
import SimpleITK as sitk
sitk.ProcessObject.SetGlobalWarningDisplay(False)
try:
    image = sitk.ReadImage(sys.argv[1])
except RuntimeError as error:
    sys.exit(4 if "allocat" in str(error) else 3)
for key in image.GetMetaDataKeys():
    image.EraseMetaData(key)
sitk.WriteImage(image, sys.argv[2])
"""

_DECODE = """
import sys
from pathlib import Path
import numpy as np
import SimpleITK as sitk
sitk.ProcessObject.SetGlobalWarningDisplay(False)
for path in sorted(Path(sys.argv[1]).glob("*.dcm")):
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(path))
    try:
        np.save(path.with_suffix(".npy"), sitk.GetArrayFromImage(reader.Execute()))
    except RuntimeError:
        break
"""

_READ_TRANSFORM = """
import json, sys
import SimpleITK as sitk
sitk.ProcessObject.SetGlobalWarningDisplay(False)
try:
    transform = sitk.ReadTransform(sys.argv[1])
except RuntimeError:
    sys.exit(3)
linear = transform.GetDimension() == 3 and transform.IsLinear()
at = [[0.0] * 3, [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
points = [transform.TransformPoint(p) for p in at] if linear else None
open(sys.argv[2], "w").write(json.dumps([transform.GetName(), points]))
"""


def read_other_image(path: Path) -> RawVolume:
    """Any image that SimpleITK reads, brought over as a MetaImage.

    Raises:
        InputError: it cannot be read, or reading it kills or hangs the reader.
        MemoryError: it does not fit into memory.
    """
    with private_folder() as folder:
        out = folder / "image.mha"
        status = _run(_READ_IMAGE, path, out)
        if status == 4:
            raise MemoryError(f"{path}: does not fit into memory")
        if status != 0:
            raise InputError(
                f"{path}: cannot be read as an image (damaged, or none of NRRD, NIfTI, MetaImage, DICOM …); "
                "check the file"
            )
        try:
            raw = read_metaimage(out)
        except InputError as error:
            raise InputError(str(error).replace(str(out), str(path))) from error
    if path.name.lower().endswith(_UNMEASURED):
        raise InputError(
            f"{path}: is a TIFF, which does not say how far its slices lie apart; give the original DICOM, or a "
            "volume in NRRD, NIfTI or MetaImage"
        )
    return replace(raw, directions=None) if path.name.lower().endswith(_UNORIENTED) else raw


def decode_with_gdcm(folder: Path) -> None:
    """Decode the pixels of every ``.dcm`` file of a folder by GDCM, each to a ``.npy`` file beside it.

    At the first file that cannot be decoded, or that GDCM dies of, it ends: what is missing was not decoded.
    """
    _run(_DECODE, folder, folder)


def read_other_transform(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Matrix (3, 3) and offset (3,) of a linear transform in a binary ITK file (.h5, .mat).

    Raises:
        InputError: it cannot be read, or is not linear and three-dimensional.
    """
    with private_folder() as folder:
        out = folder / "transform.json"
        if _run(_READ_TRANSFORM, path, out) != 0:
            raise InputError(f"{path}: not an ITK transform file, or damaged; export the transform as .tfm")
        name, points = json.loads(out.read_text())
    if points is None:
        raise InputError(
            f"{path}: the transform ({name}) is not a rigid or affine transform in three dimensions: "
            "give one, or resample the SPECT onto the CT with it beforehand"
        )
    offset, *ends = np.array(points)
    return np.array(ends).T - offset[:, None], offset


def _run(program: str, path: Path, out: Path) -> int:
    """Run a few lines of Python on a file; what it prints is not for the user."""
    most = SHORTEST_S + _size(path) / BYTES_A_SECOND
    try:
        done = subprocess.run(
            [sys.executable, "-c", _LIMITED + program, str(path.absolute()), str(out), f"{most:.0f}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=WAITED * most,
            check=False,
            **NO_WINDOW,
        )
    except subprocess.TimeoutExpired:
        return -1
    return done.returncode


def _size(path: Path) -> int:
    """Bytes of a file, or of all files of a folder."""
    return sum(one.stat().st_size for one in path.iterdir()) if path.is_dir() else path.stat().st_size
