"""One object as it came over the network: whether it is a whole CT image, and of which series."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from io import BytesIO

import pydicom
from pydicom.dataset import Dataset

from DLCTPMLib.dicom_export.facts import MODEL_NAME
from DLCTPMLib.volumes.dicom.header import frame_count
from DLCTPMLib.volumes.reading import CT_CLASSES

OUT_OF_RESOURCES, NO_MATCH, DAMAGED, TOO_LARGE = 0xA700, 0xA900, 0xC000, 0xC001
"""Statuses of a refused object (DICOM PS3.4 B.2.3): no room now, not what is taken here, unreadable, too large."""


class RefusedError(Exception):
    """An object is not taken.

    Attributes:
        status: what the caller is answered.
        words: why, naming nobody.
        series, instance: its UIDs, as far as they are known.
    """

    def __init__(self, status: int, words: str, series: str = "", instance: str = ""):
        super().__init__(words)
        self.status, self.words, self.series, self.instance = status, words, series, instance


@dataclass(frozen=True)
class Received:
    """A CT image: the UIDs of its series and of itself, and the whole file."""

    series: str
    instance: str
    data: bytes


def received(data: bytes, sop_class: str, sop_instance: str) -> Received:
    """Check an object.

    Args:
        data: as a file, with its preamble.
        sop_class, sop_instance: what the caller said that it is.

    Raises:
        RefusedError: damaged, cut off, another object than was said, no CT image, or an image of this program.
    """
    dataset = _read(data)
    series, instance = (str(dataset.get(name, "") or "") for name in ("SeriesInstanceUID", "SOPInstanceUID"))

    def refuse(status: int, words: str) -> RefusedError:
        return RefusedError(status, words, series, sop_instance)

    if not series or instance != sop_instance or str(dataset.get("SOPClassUID", "")) != sop_class:
        raise refuse(NO_MATCH, "is another object than was announced")
    if sop_class not in CT_CLASSES:
        raise refuse(NO_MATCH, "is no CT image")
    if any(
        one.get("ManufacturerModelName") == MODEL_NAME
        for one in (dataset, *(dataset.get("ContributingEquipmentSequence") or ()))
    ):
        raise refuse(NO_MATCH, "was made by DL-CTPM, and is no CT to map")
    if not _has_pixels(dataset):
        raise refuse(DAMAGED, "is cut off or damaged")
    return Received(series, instance, data)


def _read(data: bytes) -> Dataset:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they quote values
            dataset = pydicom.dcmread(BytesIO(data))
            for name in ("ContributingEquipmentSequence", "SeriesInstanceUID", "SOPInstanceUID", "Rows", "Columns"):
                _ = dataset.get(name)
    except Exception as error:  # on a damaged object pydicom raises whatever its parts raise
        raise RefusedError(DAMAGED, "cannot be read") from error
    return dataset


def _has_pixels(dataset: Dataset) -> bool:
    """Whether the pixels are there, all of them where they are not compressed."""
    try:
        pixels = dataset.get("PixelData") or b""
        if dataset.file_meta.TransferSyntaxUID.is_compressed:
            return len(pixels) > 0
        samples = int(dataset.Rows) * int(dataset.Columns) * frame_count(dataset) * int(dataset.SamplesPerPixel)
        return samples > 0 and len(pixels) >= samples * int(dataset.BitsAllocated) // 8
    except (AttributeError, TypeError, ValueError):
        return False
