"""Whose a DICOM object is and in which coordinates it lies: what must agree before two of them are laid together.

All of it names a person or an examination, so it stays in memory and in no message.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pydicom

from DLCTPMLib.volumes.dicom.header import dicom_dataset, read_header

_MOST_SEQUENCES = 4
"""Depth to which references stand in an RT structure set: frame of reference, study, series, image."""


@dataclass(frozen=True)
class Belonging:
    """What places a DICOM object, and whose it is.

    Attributes:
        patient_id: empty where it does not stand.
        frames: Frame of Reference UIDs that it lies in; more than one for a mixed structure set.
        series: Series Instance UIDs of the images that it was drawn on; of an image its own.
        instances: SOP Instance UIDs of these images.
    """

    patient_id: str = ""
    frames: frozenset[str] = frozenset()
    series: frozenset[str] = frozenset()
    instances: frozenset[str] = frozenset()

    @classmethod
    def of_object(cls, dataset: pydicom.Dataset) -> Belonging:
        """Of an RT dose, structure set or segmentation, by its own header and the images that it refers to."""
        frames = {str(dataset.get("FrameOfReferenceUID", "") or "")}
        frames |= {
            str(roi.get("ReferencedFrameOfReferenceUID", "") or "")
            for roi in dataset.get("StructureSetROISequence", None) or []
        }
        series, instances = set(), set()
        for sequence in ("ReferencedFrameOfReferenceSequence", "ReferencedSeriesSequence"):
            _gather(dataset.get(sequence, None) or [], series, instances, _MOST_SEQUENCES)
        return cls(_patient(dataset), frozenset(frames - {""}), frozenset(series), frozenset(instances))

    @classmethod
    def of_series(cls, folder: Path, series_uid: str) -> Belonging:
        """Of an image series in a folder, by its files' headers."""
        frames, instances, patient = set(), set(), ""
        for path in sorted(one for one in folder.rglob("*") if one.is_file()):
            header = read_header(path)
            if header is None or str(header.get("SeriesInstanceUID", "") or "") != series_uid:
                continue
            patient = patient or _patient(dicom_dataset(path, ("PatientID",)) or pydicom.Dataset())
            frames.add(str(header.get("FrameOfReferenceUID", "") or ""))
            instances.add(str(header.get("SOPInstanceUID", "") or ""))
        return cls(patient, frozenset(frames - {""}), frozenset({series_uid} - {""}), frozenset(instances - {""}))


def _patient(dataset: pydicom.Dataset) -> str:
    return str(dataset.get("PatientID", "") or "").strip()


def _gather(items, series: set[str], instances: set[str], depth: int) -> None:
    """The series and images that items refer to, however deep."""
    for item in items:
        series |= {str(item.get("SeriesInstanceUID", "") or "")} - {""}
        if depth == 0:
            continue
        for name in ("RTReferencedStudySequence", "RTReferencedSeriesSequence"):
            _gather(item.get(name, None) or [], series, instances, depth - 1)
        for name in ("ContourImageSequence", "ReferencedInstanceSequence"):
            for image in item.get(name, None) or []:
                instances |= {str(image.get("ReferencedSOPInstanceUID", "") or "")} - {""}
