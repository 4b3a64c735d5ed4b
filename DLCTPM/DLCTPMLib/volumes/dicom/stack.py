"""The volume that the single-slice images of a DICOM series make."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pydicom
import SimpleITK as sitk

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.volumes.dicom.acquisitions import chosen_acquisition
from DLCTPMLib.volumes.dicom.geometry import StackGeometry, stack_geometry
from DLCTPMLib.volumes.dicom.header import file_name, frame_count, header_numbers, image_type, rescale
from DLCTPMLib.volumes.dicom.pixels import placed_image, read_volume
from DLCTPMLib.volumes.dicom.series import MIN_SLICES, DicomSeries


def read_stack(series: DicomSeries, name: str, acquisition: str | None = None) -> tuple[sitk.Image, list[str]]:
    """The volume of a series of single-slice images, in rescaled units (HU for CT), with warnings.

    Integers stay integers where the rescale is whole in every slice; otherwise float32.

    Args:
        series: the headers of its images.
        name: where it comes from, for messages.
        acquisition: which acquisition is meant, where the series holds several within each other.

    Raises:
        InputError: slices that make no even, straight stack of one size; several acquisitions and none said;
            unreadable or colour pixels.
    """
    ordered, geometry, notes = ordered_slices(series, name, acquisition)
    name = _named(series, name)
    volume = read_volume([str(h.filename) for h in ordered], [rescale(h, name) for h in ordered], name)
    return placed_image(volume, geometry, name), notes


def ordered_slices(
    series: DicomSeries, name: str, acquisition: str | None = None
) -> tuple[list[pydicom.Dataset], StackGeometry, list[str]]:
    """The headers of the slices that make the volume, in its order, with the grid that they make and warnings.

    Arguments and errors as for ``read_stack``, but for those of pixels.
    """
    name = _named(series, name)
    headers, notes = _without_copies(_without_localizers(series.headers))
    _check_single(headers, name)
    if len(headers) < MIN_SLICES:
        raise InputError(f"{name}: has only {len(headers)} slices; a perfusion map needs a volume of the whole lungs")
    headers, more = chosen_acquisition(headers, acquisition, name)
    if len(headers) < MIN_SLICES:
        raise InputError(f"{name}: this acquisition has only {len(headers)} slices; choose another one")
    _one_value(headers, lambda h: f"{h.Columns}×{h.Rows}", "sizes", name)
    spacing = _one_value(headers, lambda h: tuple(header_numbers(h, "PixelSpacing", 2, name)), "pixel spacings", name)
    if any(int(h.get("SamplesPerPixel", 1) or 1) != 1 for h in headers):
        raise InputError(f"{name}: its images are in colour (screenshots?); give the original series")
    geometry = stack_geometry(
        np.array([header_numbers(h, "ImagePositionPatient", 3, name) for h in headers]),
        np.array([header_numbers(h, "ImageOrientationPatient", 6, name) for h in headers]),
        spacing,
        name,
    )
    ordered = [headers[i] for i in geometry.order]
    notes += more + _frames_of_reference(ordered)
    return ordered, replace(geometry, order=tuple(range(len(ordered)))), notes


def _named(series: DicomSeries, name: str) -> str:
    return f"{name}, series {series.number or series.uid}"


def _frames_of_reference(headers: list[pydicom.Dataset]) -> list[str]:
    """A note where the slices name several, between which positions mean nothing to each other."""
    count = len({str(header.get("FrameOfReferenceUID", "") or "") for header in headers})
    if count < 2:
        return []
    return [
        f"its slices name {count} frames of reference, as those of different examinations do (or as an anonymiser "
        "leaves them): look whether they are one scan"
    ]


def _check_single(headers: list[pydicom.Dataset], name: str) -> None:
    several = [header for header in headers if frame_count(header) > 1]
    if several and len(several) < len(headers):
        raise InputError(
            f"{name}: mixes a multi-frame file ({file_name(several[0])}, {frame_count(several[0])} frames) with "
            "single slices; give one or the other"
        )
    if several:
        raise InputError(
            f"{name}: {file_name(several[0])} is a multi-frame file of a kind that does not say where its frames "
            "lie; export the series as single slices"
        )


def _without_localizers(headers: list[pydicom.Dataset]) -> list[pydicom.Dataset]:
    """Scouts that share the series with the volume are left out, unless there is nothing else."""
    slices = [h for h in headers if "LOCALIZER" not in image_type(h)]
    return slices or headers


def _without_copies(headers: list[pydicom.Dataset]) -> tuple[list[pydicom.Dataset], list[str]]:
    """The same image (SOP Instance UID) stored twice counts once."""
    unique = {str(h.get("SOPInstanceUID", "") or h.filename): h for h in headers}
    copies = len(headers) - len(unique)
    return list(unique.values()), [f"{copies} files are copies of other slices and were left out"] if copies else []


def _one_value(headers: list[pydicom.Dataset], value: Callable, what: str, name: str):
    """What is the same in every slice."""
    counts = Counter(value(h) for h in headers)
    if len(counts) > 1:
        found = ", ".join(f"{v} ({n} slices)" for v, n in counts.most_common(4))
        raise InputError(f"{name}: mixes slices of different {what}: {found}; give one volume")
    return next(iter(counts))
