"""The map as a plain series on the CT's own slices, for programs that read nothing else.

Whole numbers with a slope whose decimal is exact, so that values come back within one step. Its class is that of a CT
image, derived: readers of PET or NM would take it for a measurement. It is no CT: its values are no Hounsfield units.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import SimpleITK as sitk
from pydicom.dataset import Dataset

from DLCTPMLib.dicom_export.facts import Facts, finish, new_object
from DLCTPMLib.volumes.reading import CT_CLASSES

STEP = 2e-5
"""Relative perfusion between neighbouring stored values: 0…1 is 0…50,000."""

_CT_IMAGE = min(CT_CLASSES, key=len)


def plain_series(perfusion: sitk.Image, facts: Facts, series_number: int) -> Iterator[Dataset]:
    """The slices of the series, in the CT's order.

    Args:
        perfusion: the map on the CT's grid, 0…1.
        facts: what it says of itself.
        series_number: of the series.
    """
    stored = np.round(sitk.GetArrayViewFromImage(perfusion) / STEP).clip(0, 65535).astype("<u2")
    series_uid = None
    for k, (pixels, header) in enumerate(zip(stored, facts.source.slices, strict=True)):
        dataset = new_object(_CT_IMAGE, "CT", facts, series_number)
        series_uid = series_uid or dataset.SeriesInstanceUID
        dataset.SeriesInstanceUID, dataset.InstanceNumber = series_uid, k + 1
        dataset.ImageType = ["DERIVED", "SECONDARY", "AXIAL", "PERFUSION"]
        dataset.DerivationDescription = facts.statement()
        dataset.SourceImageSequence = [facts.source.reference(k)]
        for keyword in (
            "FrameOfReferenceUID",
            "PositionReferenceIndicator",
            "PatientPosition",
            "ImagePositionPatient",
            "ImageOrientationPatient",
            "PixelSpacing",
        ):
            if keyword in header:
                setattr(dataset, keyword, header[keyword].value)
        dataset.SliceThickness = header.get("SliceThickness", "")
        dataset.BodyPartExamined = "CHEST"
        dataset.KVP = dataset.AcquisitionNumber = ""
        dataset.ContentDate, dataset.ContentTime = dataset.InstanceCreationDate, dataset.InstanceCreationTime
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.Rows, dataset.Columns = pixels.shape
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
        dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = "0", f"{STEP:g}", "US"
        dataset.WindowCenter, dataset.WindowWidth = "0.5", "1"
        dataset.BurnedInAnnotation, dataset.LossyImageCompression = "NO", "00"
        dataset.ImageComments = facts.statement()
        dataset.PixelData = np.ascontiguousarray(pixels).tobytes()
        yield finish(dataset, facts, "Perfusion, no HU")
