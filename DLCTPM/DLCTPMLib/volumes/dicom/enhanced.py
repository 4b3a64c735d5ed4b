"""Volumes in enhanced (multi-frame) DICOM files, whose frames each say where they lie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.volumes.dicom.geometry import StackGeometry, stack_geometry
from DLCTPMLib.volumes.dicom.header import dicom_dataset
from DLCTPMLib.volumes.dicom.pixels import placed_image, read_volume
from DLCTPMLib.volumes.dicom.series import MIN_SLICES, DicomSeries

ENHANCED_CT = {"1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2"}
"""SOP classes: enhanced CT, legacy converted enhanced CT."""

ENHANCED_PET = {"1.2.840.10008.5.1.4.1.1.130", "1.2.840.10008.5.1.4.1.1.128.1"}
"""SOP classes: enhanced PET, legacy converted enhanced PET."""


def is_enhanced(series: DicomSeries) -> bool:
    """Whether the images of a series are enhanced CT or PET files."""
    return str(series.first.SOPClassUID) in ENHANCED_CT | ENHANCED_PET


@dataclass(frozen=True)
class EnhancedFrames:
    """The frames of one enhanced file, which make a volume.

    Attributes:
        header: of the file, without pixels.
        positions_mm: (n, 3) LPS place of every frame's first pixel, in the order of the file.
        geometry: the grid that they make; its ``order`` leads from the file's frames to slices.
        rescale: slope and intercept, the same in all frames.
        thickness_mm: of the slices, None where it is not stated.
    """

    header: pydicom.Dataset
    positions_mm: np.ndarray
    geometry: StackGeometry
    rescale: tuple[float, float]
    thickness_mm: float | None


def read_enhanced(series: DicomSeries, name: str) -> tuple[sitk.Image, list[str]]:
    """The volume of one enhanced CT (in HU) or PET file, with warnings.

    Raises:
        InputError: as ``enhanced_frames``; pixels that cannot be read.
    """
    frames = enhanced_frames(series, name)
    volume = read_volume([str(series.first.filename)], [frames.rescale], name)
    stated = len(frames.positions_mm)
    if len(volume) != stated:
        raise InputError(f"{name}: has {len(volume)} frames and tells the place of {stated}; export it again")
    return placed_image(volume, frames.geometry, name), []


def enhanced_frames(series: DicomSeries, name: str) -> EnhancedFrames:
    """Where the frames of an enhanced file lie.

    Args:
        series: the file's header.
        name: for messages.

    Raises:
        InputError: several files in the series, frames without a place, several volumes or rescales in one file.
    """
    if len(series.headers) > 1:
        raise InputError(f"{name}: holds {len(series.headers)} enhanced (multi-frame) files; give one of them")
    path = Path(str(series.first.filename))
    dataset = dicom_dataset(path)
    if dataset is None:
        raise InputError(f"{name}: {path.name} is damaged; copy it again")
    frames = dataset.get("PerFrameFunctionalGroupsSequence", None) or []
    if len(frames) < MIN_SLICES:
        raise InputError(f"{name}: has only {len(frames)} frames; a perfusion map needs a volume of the whole lungs")
    shared = (dataset.get("SharedFunctionalGroupsSequence", None) or [pydicom.Dataset()])[0]

    def item(frame: pydicom.Dataset, group: str) -> pydicom.Dataset:
        """A functional group of a frame, its own or the shared one."""
        return (frame.get(group, None) or shared.get(group, None) or [pydicom.Dataset()])[0]

    def values(group: str, keyword: str, count: int) -> np.ndarray:
        rows = []
        for frame in frames:
            value = item(frame, group).get(keyword, None)
            try:
                rows.append(np.atleast_1d(np.array(value if value is not None else np.nan, float)))
            except (TypeError, ValueError):
                rows.append(np.array([np.nan]))
        if any(row.shape != (count,) or not np.isfinite(row).all() for row in rows):
            raise InputError(f"{name}: its frames do not all state {keyword}; export the series again")
        return np.array(rows)

    spacing = values("PixelMeasuresSequence", "PixelSpacing", 2)
    slopes = values("PixelValueTransformationSequence", "RescaleSlope", 1)
    intercepts = values("PixelValueTransformationSequence", "RescaleIntercept", 1)
    for what, rows in (("pixel spacings", spacing), ("rescales", np.hstack([slopes, intercepts]))):
        if np.ptp(rows, axis=0).max() > 1e-6:
            raise InputError(f"{name}: its frames have different {what}; export it as single-frame CT")
    positions = values("PlanePositionSequence", "ImagePositionPatient", 3)
    geometry = stack_geometry(
        positions, values("PlaneOrientationSequence", "ImageOrientationPatient", 6), tuple(spacing[0]), name
    )
    thickness = item(frames[0], "PixelMeasuresSequence").get("SliceThickness", None)
    return EnhancedFrames(
        dataset,
        positions,
        geometry,
        (float(slopes[0, 0]) or 1.0, float(intercepts[0, 0])),
        None if thickness is None else float(thickness),
    )
