"""Images of every patient made ready once: files that can be read again quickly, lungs, transform, thumbnails."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from DLCTPMLib.common.atomic_output import whole_file
from DLCTPMLib.common.errors import InputError
from DLCTPMLib.lungs.masks import read_lungs, side_masks
from DLCTPMLib.lungs.segmentation import segment_lungs
from DLCTPMLib.registration.for_position import register_as_it_lay
from DLCTPMLib.registration.search import read_transform, write_transform
from DLCTPMLib.volumes.boxes import bounding_box
from DLCTPMLib.volumes.patient_axes import PatientAxes
from DLCTPMLib.volumes.reading import read_ct, read_image, read_spect, write_image
from DLCTPMTrainingLib.cohorts.table import CohortRow
from DLCTPMTrainingLib.common.files import read_json, write_json

THUMBNAIL_MM = 3.0
"""Pixels of the contact sheet's pictures."""


@dataclass(frozen=True)
class Patient:
    """One patient of a study with everything on disk.

    Attributes:
        row: the line of the cohort table.
        files: ``ct``, ``spect``, ``lungs`` and, where the SPECT was registered, ``transform``.
        registration: its metric before and after, improved, warnings; None without.
        thumbnail: a file of pictures for the contact sheet.
    """

    row: CohortRow
    files: dict[str, Path]
    registration: dict | None
    thumbnail: Path

    def load(self) -> PatientImages:
        """Read the images."""
        ct = read_image(self.files["ct"])
        transform = read_transform(self.files["transform"]) if "transform" in self.files else None
        lungs = read_lungs(self.files["lungs"], ct).labels
        return PatientImages(ct, lungs, read_image(self.files["spect"]), transform)


@dataclass(frozen=True)
class PatientImages:
    """CT, lungs on its grid, SPECT on its own, and the transform from CT points to SPECT points (None: identity)."""

    ct: sitk.Image
    lungs: sitk.Image
    spect: sitk.Image
    transform: sitk.Transform | None


def prepare_patient(row: CohortRow, kind: str, folder: Path) -> Patient:
    """Make one patient ready, or find what an earlier run has made.

    Args:
        row: the patient.
        kind: "none", "rigid" or "affine" registration of the SPECT.
        folder: where the made files lie; ``done.json`` is written last.

    Raises:
        InputError: naming the patient whose images cannot be used.
    """
    folder = folder / row.patient_id
    note = folder / "done.json"
    files = _files(row, kind, folder)
    if not note.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        try:
            registration = _prepare(row, kind, files, folder)
        except InputError as error:
            raise InputError(f"line {row.line}: patient {row.patient_id}: {error}") from error
        write_json(note, {"registration": registration})
    return Patient(row, files, read_json(note)["registration"], folder / "thumbnail.npz")


def _files(row: CohortRow, kind: str, folder: Path) -> dict[str, Path]:
    files = {
        "ct": row.ct if _readable(row.ct) else folder / "ct.nrrd",
        "spect": row.spect if _readable(row.spect) else folder / "spect.nrrd",
        "lungs": row.lungs if row.lungs and _readable(row.lungs) else folder / "lungs.nrrd",
    }
    return files if kind == "none" else {**files, "transform": folder / "ct-to-spect.tfm"}


def _readable(path: Path) -> bool:
    """Whether an image is one file that needs no search through DICOM headers."""
    return path.is_file() and path.name.lower().endswith((".nrrd", ".nhdr", ".nii", ".nii.gz", ".mha", ".mhd"))


def _prepare(row: CohortRow, kind: str, files: dict[str, Path], folder: Path) -> dict | None:
    scan, spect = read_ct(row.ct), read_spect(row.spect).image
    ct = scan.image
    for name, image in (("ct", ct), ("spect", spect)):
        if files[name].parent == folder:
            write_image(image, files[name])
    if row.lungs:
        lungs = read_lungs(row.lungs, ct, frame_of_reference=scan.frame_of_reference).labels
        if files["lungs"].parent == folder:
            write_image(lungs, files["lungs"])
    else:
        lungs = segment_lungs(ct).labels
        write_image(lungs, files["lungs"])
    registration, transform = None, None
    if kind != "none":
        found = register_as_it_lay(ct, spect, kind, lungs, scan.description.get("dicom"))
        transform = found.transform
        write_transform(transform, files["transform"])
        registration = {
            "before": found.metric_before,
            "after": found.metric_after,
            "improved": found.improved,
            "warnings": found.warnings,
        }
    thumbnail = thumbnails(ct, lungs, spect, transform)
    with whole_file(folder / "thumbnail.npz") as partial, partial.open("wb") as stream:
        np.savez_compressed(stream, **thumbnail)
    return registration


def thumbnails(
    ct: sitk.Image, lungs: sitk.Image, spect: sitk.Image, transform: sitk.Transform | None
) -> dict[str, np.ndarray]:
    """Coronal pictures through the middle of the lungs, for a look at mask and registration.

    Returns:
        ``ct`` (HU, clipped, int16), ``spect`` (0…1 of its 99.5th percentile in the lungs, float16) and ``lung``
        (bool), each (z, x), head at the top and the patient's right on the left, pixels of ``THUMBNAIL_MM``.
    """
    axes = PatientAxes.of(lungs)
    right, left = side_masks(lungs)
    box = bounding_box(right | left)
    middle = np.array([[(b.start + b.stop - 1) / 2 for b in box]])
    corners = axes.points_mm(np.array(list(np.ndindex(2, 2, 2))) * (np.array(axes.shape) - 1))
    low, high = corners.min(axis=0), corners.max(axis=0)
    size = [max(1, int((h - lo) / THUMBNAIL_MM)) for lo, h in zip(low, high, strict=True)]
    plane = sitk.Image([size[0], 1, size[2]], sitk.sitkUInt8)
    plane.SetSpacing([THUMBNAIL_MM] * 3)
    plane.SetOrigin([float(low[0]), float(axes.points_mm(middle)[0, 1]), float(low[2])])
    identity = sitk.Transform(3, sitk.sitkIdentity)

    def cut(image: sitk.Image, how: int, transform: sitk.Transform = identity, outside: float = 0) -> np.ndarray:
        moved = sitk.Resample(image, plane, transform, how, outside, sitk.sitkFloat32)
        return sitk.GetArrayFromImage(moved)[::-1, 0]

    counts = cut(spect, sitk.sitkLinear, transform or identity)
    lung = cut(lungs, sitk.sitkNearestNeighbor) > 0
    top = np.percentile(counts[lung], 99.5) if lung.any() else counts.max()
    return {
        "ct": np.clip(cut(ct, sitk.sitkLinear, outside=-1000), -1100, 400).astype(np.int16),
        "spect": np.clip(counts / max(top, 1e-6), 0, 1).astype(np.float16),
        "lung": lung,
    }
