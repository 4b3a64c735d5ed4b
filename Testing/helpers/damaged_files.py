"""Small valid files of every format that the readers take, and ways to damage them: what the fuzz target feeds."""

import hashlib
import io
import random
import re
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK as sitk
from dicom_mask_samples import contours_of, write_seg, write_structures
from dicom_samples import compress, write_ct_series, write_enhanced_ct, write_nm
from program_files import PROGRAM_FILES, write_program_files
from rt_samples import write_rt_dose

from DLCTPMLib.networks.bundle import SUMS

SHAPE = (12, 10, 14)
READERS = ("ct", "spect", "lungs", "dose", "structures", "transform", *PROGRAM_FILES)
SLOW = {".vtk", ".h5", ".J2K", ".JPEG", *PROGRAM_FILES}
"""Suffixes of files that are read in a process of their own, and readers that train or compare: rarer than others."""


def voxels(kind=np.int16) -> np.ndarray:
    hu = np.random.default_rng(0).integers(-1000, 300, SHAPE)
    hu[3:9, 2:8, 2:6] = hu[3:9, 2:8, 8:12] = -850
    return hu.astype(kind)


def image(array: np.ndarray) -> sitk.Image:
    made = sitk.GetImageFromArray(array)
    made.SetSpacing((20.0, 20.0, 20.0))
    made.SetOrigin((-100.0, -90.0, 10.0))
    return made


def labels() -> sitk.Image:
    array = np.zeros(SHAPE, np.uint16)
    array[3:9, 2:8, 2:6], array[3:9, 2:8, 8:12] = 2, 3
    return image(array)


def write_samples(folder: Path) -> dict[str, list[Path]]:
    """Valid files and folders for each reader."""
    samples: dict[str, list[Path]] = {reader: [] for reader in READERS}
    samples.update(write_program_files(folder / "program"))
    for suffix in (".nrrd", ".mha", ".mhd", ".nii", ".nii.gz", ".nhdr", ".vtk"):
        for reader, made in (("ct", image(voxels())), ("lungs", labels())):
            path = folder / f"{reader}{suffix}"
            sitk.WriteImage(made, str(path), useCompression=suffix in (".mha", ".nrrd"))
            samples[reader].append(path)
    nibabel.save(nibabel.Nifti2Image(voxels().T, np.diag([2, 2, 2, 1])), folder / "second.nii")
    sitk.WriteImage(image(np.abs(voxels(np.float32))), str(folder / "spect.mha"))
    counts = np.abs(voxels())
    write_nm(folder / "nm.dcm", counts, SliceVector=list(range(1, 13)), EnergyWindowVector=[1] * 12)
    write_ct_series(folder / "series", voxels(), AcquisitionNumber=1, AcquisitionTime="101010")
    write_ct_series(folder / "pet", counts.astype(float), sop_class="1.2.840.10008.5.1.4.1.1.128", modality="PT")
    write_enhanced_ct(folder / "enhanced.dcm", voxels() // 2 * 2, np.arange(12), own=False)
    with zipfile.ZipFile(folder / "ct.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted((folder / "series").iterdir()):
            archive.write(path, path.name)
    samples["ct"] += [folder / name for name in ("second.nii", "series", "enhanced.dcm", "ct.zip")]
    for name, syntax in (("series.RLE", "RLE"), ("series.JPEG", "JPEG"), ("series.J2K", "JPEG2000")):
        for path in write_ct_series(folder / name, voxels(), AcquisitionNumber=1):
            compress(path, syntax)
        samples["ct"].append(folder / name)
    right, left = (sitk.GetArrayFromImage(labels()) == value for value in (2, 3))
    outlines = {"lung r": contours_of(right, labels()), "lung l": contours_of(left, labels())}
    samples["lungs"] += [
        write_structures(folder / "structures.dcm", outlines),
        write_seg(folder / "segments.dcm", labels(), [("Lung", "right", right), ("Lung", "left", left)]),
        write_seg(folder / "shares.dcm", labels(), [("right lung", None, right), ("left lung", None, left)], True),
    ]
    samples["structures"] += [folder / name for name in ("structures.dcm", "shares.dcm")]
    samples["dose"] += [write_rt_dose(folder / "dose.dcm", image(np.abs(voxels(np.float32)) / 10), "absolute")]
    samples["spect"] += [folder / name for name in ("spect.mha", "nm.dcm", "pet")]
    for name, transform in (
        ("rigid.tfm", sitk.Euler3DTransform((1, 2, 3), 0.1, 0.2, 0.3, (4, 5, 6))),
        ("affine.txt", sitk.AffineTransform([1, 0.1, 0, 0, 1, 0, 0, 0, 1], [1, 2, 3])),
        ("rigid.h5", sitk.VersorRigid3DTransform((0, 0, 1), 0.4, (1, 2, 3))),
    ):
        sitk.WriteTransform(transform, str(folder / name))
        samples["transform"].append(folder / name)
    return samples


def flip_bits(content: bytes, draw: random.Random) -> bytes:
    damaged = bytearray(content)
    reach = min(len(damaged), draw.choice((64, 352, 1024, len(damaged))))
    for _ in range(draw.choice((1, 1, 2, 8, 64))):
        damaged[draw.randrange(reach)] ^= 1 << draw.randrange(8)
    return bytes(damaged)


def cut(content: bytes, draw: random.Random) -> bytes:
    return content[: draw.randrange(len(content))]


def drop_or_double_a_piece(content: bytes, draw: random.Random) -> bytes:
    start = draw.randrange(len(content))
    end = min(len(content), start + draw.choice((1, 4, 16, 128)))
    return content[:start] + content[start:end] * draw.choice((0, 2, 3)) + content[end:]


_NUMBERS = (
    "0",
    "-1",
    "nan",
    "inf",
    "-inf",
    "1e30",
    "1e-30",
    "4294967296",
    "99999999999999999999",
    "1,5",
    "1.2.3",
    "",
)
_WORDS = (
    "LIST",
    "LOCAL",
    "/etc/passwd",
    "../../x.raw",
    "%03d",
    "none",
    "gzip",
    "raw",
    "ascii",
    "short",
    "MET_DOUBLE",
)


def edit_a_field(content: bytes, draw: random.Random) -> bytes:
    """Put a troublesome number or word in the place of one that stands in the text of a header."""
    head = content[: draw.choice((2048, 1 << 16))]
    found = list(re.finditer(rb"(?<=[ (,:=])[-+0-9.eE]+|(?<=[=:,] )\"?[A-Za-z_]+", head))
    if not found:
        return flip_bits(content, draw)
    place = draw.choice(found)
    new = draw.choice(_NUMBERS if place.group()[:1] in b"-+.0123456789" or draw.random() < 0.3 else _WORDS)
    return content[: place.start()] + new.encode() + content[place.end() :]


def edit_a_binary_number(content: bytes, draw: random.Random) -> bytes:
    """Put a troublesome integer or float in the place of bytes of a binary header."""
    form, value = draw.choice(
        [("<h", v) for v in (-1, 0, 32767, -32768)]
        + [("<i", v) for v in (-1, 0, 2147483647)]
        + [("<f", v) for v in (float("nan"), float("inf"), 0.0, -1.0, 1e30)]
        + [("<q", v) for v in (-1, 1 << 40)]
    )
    new = struct.pack(form, value)
    start = draw.randrange(max(1, min(len(content), draw.choice((352, 600, 2000))) - len(new)))
    return content[:start] + new + content[start + len(new) :]


HIT = {"result.json", "checkpoint.pt", "cohort.csv"}
"""In a folder that holds one of these, that one is damaged: the others are read elsewhere."""

MUTATORS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    flip_bits,
    cut,
    drop_or_double_a_piece,
    edit_a_field,
    edit_a_binary_number,
)


def damage(source: Path, out: Path, seed: int) -> Path:
    """A damaged copy of a file, or of a folder with one of its files damaged; the same for the same seed.

    Checksums are mended half of the time, as whoever means ill would: those of a zip's entries, and a bundle's.
    """
    draw = random.Random(seed)
    mutate = draw.choice(MUTATORS)
    out.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        files = sorted(path for path in source.rglob("*") if path.is_file())
        hit = next((path for path in files if path.name in HIT), None) or draw.choice(files)
        for path in files:
            copy = out / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            content = path.read_bytes()
            copy.write_bytes(_mutated(content, mutate, draw) if path == hit else content)
        if (out / SUMS).exists() and draw.random() < 0.7:
            _mend_sums(out)
        return out
    for beside in source.parent.glob(f"{source.stem}.*raw*"):
        (out / beside.name).write_bytes(beside.read_bytes())
    (out / source.name).write_bytes(_mutated(source.read_bytes(), mutate, draw))
    return out / source.name


def _mutated(content: bytes, mutate: Callable, draw: random.Random) -> bytes:
    if not content.startswith(b"PK") or draw.random() < 0.5:
        return mutate(content, draw)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        parts = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    hit = draw.choice([name for name, part in parts.items() if part])
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, part in parts.items():
            archive.writestr(name, mutate(part, draw) if name == hit else part)
    return packed.getvalue()


def _mend_sums(bundle: Path) -> None:
    files = [path for path in sorted(bundle.rglob("*")) if path.is_file() and path.name != SUMS]
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(bundle).as_posix()}" for path in files
    ]
    (bundle / SUMS).write_text("".join(f"{line}\n" for line in lines))
