"""From SPECT/CT pairs to training samples: a pair is preprocessed once and kept in 8 bits.

Training then reads nothing but these small arrays.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from DLCTPMLib.agreement.spect_grid import SpectGrid
from DLCTPMLib.common.errors import InputError
from DLCTPMLib.labels.chest_regions import BOTH, SIDES
from DLCTPMLib.lungs.masks import read_lungs
from DLCTPMLib.lungs.segmentation import segment_lungs
from DLCTPMLib.lungs.upright import LEFT_SIDE, RIGHT_SIDE, UprightLungs
from DLCTPMLib.mapping.mapping import LungGrids
from DLCTPMLib.preprocessing.enhancement import high_intensity_reference, network_inputs, standardise_spect
from DLCTPMLib.preprocessing.grid import LungGrid
from DLCTPMLib.preprocessing.settings import PreprocessingSettings
from DLCTPMLib.registration.for_position import transform_of_pair
from DLCTPMLib.volumes.patient_axes import patient_array
from DLCTPMLib.volumes.reading import read_ct, read_spect
from DLCTPMLib.volumes.transform_files import read_transform
from DLCTPMTrainingLib.samples.lung_samples import FULL_SCALE, Samples
from DLCTPMTrainingLib.samples.scan_variants import variant_stream, varied

CACHE_VERSION = 3
"""Raised whenever this file changes what a sample holds."""


def samples_of_pair(
    patient_id: str,
    ct: sitk.Image,
    lungs: sitk.Image | UprightLungs,
    spect: sitk.Image,
    settings: PreprocessingSettings,
    transform: sitk.Transform | None = None,
    variants: int = 0,
) -> Samples:
    """Preprocess one patient (Fig. 2a): each lung's images and standardised SPECT.

    Args:
        patient_id: goes with both lungs, so that patients and never lungs are split.
        ct: HU.
        lungs: upright, or as a label image of CIP values on the CT's grid.
        spect: perfusion SPECT on its own grid.
        settings: preprocessing; HIR is taken on the SPECT's own grid (``hir_scope``).
        transform: maps CT points to SPECT points; identity if None.
        variants: as many more samples, of the same patient scanned and segmented in another way
            (``scan_variants``); always the same ones.

    Raises:
        InputError: if there is no lung, or no activity in it.
    """
    lungs = UprightLungs.of(lungs)
    references = high_intensity_references(lungs, spect, settings, transform)
    samples = _of_scan(patient_id, ct, lungs, spect, settings, transform, references)
    for number in range(variants):
        other_ct, other_lungs = varied(ct, lungs, variant_stream(patient_id, number))
        other = _of_scan(patient_id, other_ct, other_lungs, spect, settings, transform, references)
        samples = Samples.joined([samples, other])
    return samples


def _of_scan(
    patient_id: str,
    ct: sitk.Image,
    lungs: UprightLungs,
    spect: sitk.Image,
    settings: PreprocessingSettings,
    transform: sitk.Transform | None,
    references: dict[str, float],
) -> Samples:
    """The samples of one scan, the SPECT divided by references that were taken before."""
    on_grid = LungGrids.of(ct, lungs, settings)
    found = []
    for name, grid in on_grid.grids.items():
        hu = grid.down(on_grid.hu)
        counts = grid.down_crop(on_grid.crop_of(name, spect, transform))
        reference = references[name] if name in references else references[SIDES[0]]
        target = np.where(grid.mask, standardise_spect(counts, reference, settings), 0)
        images = _bytes(network_inputs(hu, grid.mask, settings, grid.lung_part))
        facts = _facts_of_sides(ct, lungs) if name == BOTH else _facts_of_one(lungs, grid, hu)
        found.append((patient_id, name, images, _bytes(target), grid.mask, *facts))
    return Samples(*map(np.array, zip(*found, strict=True)))


def _facts_of_one(lungs: UprightLungs, grid: LungGrid, hu: np.ndarray) -> tuple[float, float]:
    """Volume in ml and mean HU of one lung."""
    return np.count_nonzero(grid.inside) * lungs.axes.voxel_ml, float(hu[grid.mask].mean())


def _facts_of_sides(ct: sitk.Image, lungs: UprightLungs) -> tuple[np.ndarray, np.ndarray]:
    """The same of the right and of the left lung, NaN of one that is not there."""
    hu = patient_array(ct)[lungs.box]
    masks = [lungs.sides == value for value in (RIGHT_SIDE, LEFT_SIDE)]
    volumes = [np.count_nonzero(mask) * lungs.axes.voxel_ml or np.nan for mask in masks]
    return np.array(volumes), np.array([hu[mask].mean(dtype=float) if mask.any() else np.nan for mask in masks])


def high_intensity_references(
    lungs: sitk.Image | UprightLungs,
    spect: sitk.Image,
    settings: PreprocessingSettings,
    transform: sitk.Transform | None = None,
) -> dict[str, float]:
    """HIR of Eq. 2 for each lung, by ``hir_scope`` the same number for both or one each."""
    grid = SpectGrid.of(lungs, spect, transform)
    counts = patient_array(spect)
    parts = dict(zip(SIDES, (grid.right, grid.left), strict=True))
    if settings.hir_scope == "patient":
        reference = high_intensity_reference(counts[grid.lung >= 0.5], settings.hir_percentile)
        return dict.fromkeys(parts, reference)
    return {
        side: high_intensity_reference(counts[part >= 0.5], settings.hir_percentile)
        for side, part in parts.items()
        if (part >= 0.5).any()
    }


def cached_samples(
    patient_id: str,
    files: dict[str, Path],
    settings: PreprocessingSettings,
    cache: Path,
    variants: int = 0,
    register: str = "none",
) -> Samples:
    """Samples of a patient whose images lie in files; computed only when a file or a setting has changed.

    Args:
        patient_id: the patient.
        files: ``ct``, ``spect`` (files, DICOM folders or zips) and, where there is one, ``lungs`` (else they are
            found in the CT) and ``transform``.
        settings: preprocessing.
        cache: folder of the kept samples.
        variants: as in ``samples_of_pair``.
        register: "rigid" or "affine" brings the SPECT to the CT where ``files`` have no ``transform``; "none" takes
            it where it lies.
    """
    how = [CACHE_VERSION, settings.to_dict(), variants, register]
    key = hashlib.sha256(json.dumps(how, sort_keys=True).encode())
    for name, path in sorted(files.items()):
        key.update(name.encode())
        key.update(_content_hash(path))
    kept = cache / f"{patient_id}-{key.hexdigest()[:16]}.npz"
    if kept.is_file():
        return Samples.load(kept)
    try:
        ct, spect = read_ct(files["ct"]), read_spect(files["spect"]).image
        if "lungs" in files:
            lungs = read_lungs(files["lungs"], ct.image, frame_of_reference=ct.frame_of_reference).labels
        else:
            lungs = segment_lungs(ct.image).labels
        known = files.get("transform")
        transform = read_transform(known) if known else transform_of_pair(ct, spect, lungs, register)
        samples = samples_of_pair(patient_id, ct.image, lungs, spect, settings, transform, variants)
    except InputError as error:
        raise InputError(f"patient {patient_id}: {error}") from error
    samples.save(kept)
    return samples


def _content_hash(path: Path) -> bytes:
    """The hash of a file, or of all files of a folder (a DICOM series) with their places in it."""
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).digest()
    content = hashlib.sha256()
    for one in sorted(one for one in path.rglob("*") if one.is_file()):
        content.update(str(one.relative_to(path)).encode("utf-8", "surrogateescape") + _content_hash(one))
    return content.digest()


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.rint(values * FULL_SCALE).astype(np.uint8)
