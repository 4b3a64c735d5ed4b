"""Volumes in enhanced (multi-frame) DICOM files, whose frames each say where they lie."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.volumes.dicom.geometry import stack_geometry
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


def read_enhanced(series: DicomSeries, name: str) -> tuple[sitk.Image, list[str]]:
    """The volume of one enhanced CT (in HU) or PET file, with warnings.

    Raises:
        InputError: several files in the series, frames without a place, several volumes or rescales in one file.
    """
    if len(series.headers) > 1:
        raise InputError(f"{name}: holds {len(series.headers)} enhanced (multi-frame) files; give one of them")
    path = str(series.first.filename)
    dataset = dicom_dataset(Path(path))
    if dataset is None:
        raise InputError(f"{name}: {Path(path).name} is damaged; copy it again")
    frames = dataset.get("PerFrameFunctionalGroupsSequence", None) or []
    if len(frames) < MIN_SLICES:
        raise InputError(f"{name}: has only {len(frames)} frames; a perfusion map needs a volume of the whole lungs")
    shared = (dataset.get("SharedFunctionalGroupsSequence", None) or [pydicom.Dataset()])[0]

    def values(group: str, keyword: str, count: int) -> np.ndarray:
        """A property of every frame, from its own group or the shared one."""
        rows = []
        for frame in frames:
            holder = (frame.get(group, None) or shared.get(group, None) or [pydicom.Dataset()])[0]
            value = holder.get(keyword, None)
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
    geometry = stack_geometry(
        values("PlanePositionSequence", "ImagePositionPatient", 3),
        values("PlaneOrientationSequence", "ImageOrientationPatient", 6),
        tuple(spacing[0]),
        name,
    )
    volume = read_volume([path], [(float(slopes[0, 0]) or 1.0, float(intercepts[0, 0]))], name)
    if len(volume) != len(frames):
        raise InputError(f"{name}: has {len(volume)} frames and tells the place of {len(frames)}; export it again")
    return placed_image(volume, geometry, name), []
