"""The dose of a plan from files: DICOM RT dose, one or several, or a plain volume in Gy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.volumes.dicom.belonging import Belonging
from DLCTPMLib.volumes.dicom.rtdose import is_rt_dose, read_rt_dose
from DLCTPMLib.volumes.formats.raw_volume import check_agrees
from DLCTPMLib.volumes.reading import content_sha256, describe, read_map

MOST_GY = 250.0
"""A plain volume with more is taken for one in cGy; a DICOM RT dose says its unit itself and is only asked about."""

MOST_IN_DICOM_GY = 10_000.0
"""Beside a brachytherapy source there may be thousands."""

LEAST_GY = 2.0
"""A plain volume that stays below one ordinary fraction may be no dose at all: a perfusion map reaches about 1."""

ROUNDING = 1e-3
"""Negative values down to this share of the maximum are rounding of an interpolation, and count as 0."""


@dataclass(frozen=True)
class PlanDose:
    """The dose of a plan.

    Attributes:
        image: Gy, float32, on its own grid.
        description: for ``dose.json``: names no patient.
        belonging: of a DICOM dose; None of a plain volume.
        notes: sentences for the user.
    """

    image: sitk.Image
    description: dict
    belonging: Belonging | None = None
    notes: list[str] = field(default_factory=list)


def read_dose(paths: Sequence[str | Path], summed: bool = False, orientation: str | None = None) -> PlanDose:
    """Read the dose of a plan.

    Args:
        paths: DICOM RT dose files or folders of them, or one image file that holds Gy.
        summed: add several RT dose files up.
        orientation: where the array's axes run to (LPS, RAS, …), for an image file that does not say.

    Raises:
        InputError: missing or damaged; a relative or negative dose; several files and nobody asked for their sum.
    """
    files = _files([Path(path) for path in paths])
    if not any(map(is_rt_dose, files)):
        if len(files) > 1:
            raise InputError(f"{files[1]}: only DICOM RT dose files are added up; give one dose volume")
        return _plain(files[0], orientation)
    read = read_rt_dose(files, summed)
    if orientation is not None:
        check_agrees(np.array(read.image.GetDirection()).reshape(3, 3), orientation, files[0])
    fault = _fault(read.image, MOST_IN_DICOM_GY)
    if fault:
        raise InputError(f"{files[0]}: {fault}; export the plan's dose")
    description = {
        **_described(read.image, Path(paths[0]), "DICOM RT dose"),
        "type": read.dose_type or None,
        "units": "GY",
        "summation": read.summation or None,
        "files": read.files,
    }
    notes, highest = list(read.notes), description["maximum_gy"]
    if highest > MOST_GY:
        notes.append(f"{files[0]}: its highest dose is {highest:g} Gy: make sure that it is not in cGy")
    return PlanDose(read.image, description, read.belonging, notes)


def _files(paths: list[Path]) -> list[Path]:
    """The files that are meant; of a folder its RT dose files."""
    files = []
    for path in paths:
        if not path.exists():
            raise InputError(f"{path}: there is no such file or folder; check the path")
        found = [path]
        if path.is_dir():
            found = [one for one in sorted(path.rglob("*")) if one.is_file() and is_rt_dose(one)]
            if not found:
                raise InputError(f"{path}: holds no DICOM RT dose; give the folder or the file of the plan's dose")
        files += found
    return files


def _plain(path: Path, orientation: str | None) -> PlanDose:
    image = sitk.Cast(read_map(path, orientation), sitk.sitkFloat32)
    fault = _fault(image, MOST_GY)
    if fault:
        raise InputError(f"{path}: {fault}; give the plan's dose in Gy")
    notes = [f"{path} is taken as Gy in the CT's coordinates: it names neither a unit nor a frame of reference"]
    description = {**_described(image, path, path.suffix.lstrip(".").upper() or "image file"), "units": "GY"}
    if description["maximum_gy"] < LEAST_GY:
        notes.append(
            f"{path}: its highest value is {description['maximum_gy']:g}: make sure that it is a plan's dose"
        )
    return PlanDose(image, {**description, "type": None, "summation": None, "files": 1}, None, notes)


def _fault(image: sitk.Image, most_gy: float) -> str:
    """Why values are no dose in Gy, as half a sentence; empty where they may be one."""
    values = sitk.GetArrayViewFromImage(image)
    lowest, highest = float(values.min()), float(values.max())
    if not np.isfinite((lowest, highest)).all():
        return "has doses that are no numbers"
    if highest <= 0:
        return "its dose is 0 everywhere"
    if lowest < -ROUNDING * highest:
        return "has negative doses"
    return f"its highest value is {highest:g}, no dose in Gy (cGy?)" if highest > most_gy else ""


def _described(image: sitk.Image, path: Path, file_format: str) -> dict:
    return {
        **describe(image, path, file_format),
        "sha256": content_sha256(image),
        "maximum_gy": round(float(sitk.GetArrayViewFromImage(image).max()), 4),
    }
