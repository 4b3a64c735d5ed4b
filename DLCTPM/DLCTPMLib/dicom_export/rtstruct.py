"""Structures as a DICOM RT Structure Set, written with pydicom: contours on the CT's own slices.

No library does this well enough: one loses area, one leaves out the frame of reference, one is not kept up.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pydicom
from pydicom.dataset import Dataset

from DLCTPMLib.dicom_export.contours import planar_contours, without_islands
from DLCTPMLib.dicom_export.facts import Facts, ascii_text, coded, finish, new_object
from DLCTPMLib.dicom_export.seg import algorithm, file_mask
from DLCTPMLib.dicom_export.source import CtSource, image_reference
from DLCTPMLib.dicom_export.structures import ExportStructure
from DLCTPMLib.lungs.upright import UprightLungs
from DLCTPMLib.volumes.dicom.rtstruct import STRUCTURE_SET

_STUDY_COMPONENT = "1.2.840.10008.3.1.2.3.1"
"""Detached Study Management (retired): what the standard still wants as the class of a referenced study."""


def structure_set(
    structures: Sequence[ExportStructure],
    lungs: UprightLungs,
    facts: Facts,
    series_number: int,
    holes: str = "keyhole",
) -> Dataset:
    """An RT Structure Set.

    Args:
        structures: what to write; one without voxels (or with specks only) stands there without contours.
        lungs: whose box the structures' masks have.
        facts: what it says of itself.
        series_number: of its series.
        holes: "keyhole" joins a hole to the curve around it, "xor" leaves it a contour of its own.
    """
    source = facts.source
    dataset = new_object(STRUCTURE_SET, "RTSTRUCT", facts, series_number)
    dataset.OperatorsName = ""
    dataset.FrameOfReferenceUID = source.first.FrameOfReferenceUID
    dataset.PositionReferenceIndicator = source.first.PositionReferenceIndicator
    dataset.StructureSetLabel = ascii_text(" ".join([*[mark[:6] for mark in facts.marks], "DL-CTPM"]))[:16]
    dataset.StructureSetDescription = facts.statement()
    dataset.StructureSetDate, dataset.StructureSetTime = dataset.InstanceCreationDate, dataset.InstanceCreationTime
    dataset.ReferencedFrameOfReferenceSequence = [_frame(source)]
    dataset.StructureSetROISequence, dataset.ROIContourSequence, dataset.RTROIObservationsSequence = [], [], []
    for number, structure in enumerate(structures, start=1):
        dataset.StructureSetROISequence.append(_roi(number, structure, facts))
        contours = Dataset()
        contours.ROIDisplayColor = [round(255 * part) for part in structure.colour_rgb]
        contours.ReferencedROINumber = number
        mask = without_islands(structure.mask(), lungs.axes.voxel_ml)
        items = _contours(file_mask(mask, lungs), source, holes)
        if items:
            contours.ContourSequence = items
        dataset.ROIContourSequence.append(contours)
        dataset.RTROIObservationsSequence.append(_observation(number, structure))
    dataset.ApprovalStatus = "UNAPPROVED"
    return finish(dataset, facts, "Lungs and function")


def _frame(source: CtSource) -> Dataset:
    """The frame of reference, with the study, series and images that contours lie on."""
    series = Dataset()
    series.SeriesInstanceUID = source.first.SeriesInstanceUID
    series.ContourImageSequence = [image_reference(one) for one in source.images]
    study = Dataset()
    study.ReferencedSOPClassUID, study.ReferencedSOPInstanceUID = _STUDY_COMPONENT, source.first.StudyInstanceUID
    study.RTReferencedSeriesSequence = [series]
    frame = Dataset()
    frame.FrameOfReferenceUID = source.first.FrameOfReferenceUID
    frame.RTReferencedStudySequence = [study]
    return frame


def _roi(number: int, structure: ExportStructure, facts: Facts) -> Dataset:
    roi = Dataset()
    roi.ROINumber = number
    roi.ReferencedFrameOfReferenceUID = facts.source.first.FrameOfReferenceUID
    roi.ROIName = structure.name
    roi.ROIDescription = ascii_text(structure.label)
    roi.ROIGenerationAlgorithm = "AUTOMATIC"
    roi.ROIGenerationDescription = ascii_text(f"AI: DL-CTPM {facts.software_version}, {facts.model_version}")[:64]
    roi.ROIDerivationAlgorithmIdentificationSequence = algorithm(facts)
    return roi


def _observation(number: int, structure: ExportStructure) -> Dataset:
    terms = structure.terminology
    observation = Dataset()
    observation.ObservationNumber = observation.ReferencedROINumber = number
    observation.RTROIInterpretedType, observation.ROIInterpreter = "ORGAN", ""
    observation.ROIObservationLabel = structure.name[:16]
    observation.RTROIIdentificationCodeSequence = [coded(terms.type)]
    return observation


def _contours(mask: np.ndarray, source: CtSource, holes: str) -> list[Dataset]:
    held = [int(k) for k in np.flatnonzero(mask.any(axis=(1, 2)))]
    curves = {k: planar_contours(mask[k], holes) for k in held}
    several = any(len(of_slice) > 1 for of_slice in curves.values())
    kind = "CLOSEDPLANAR_XOR" if holes == "xor" and several else "CLOSED_PLANAR"  # one kind in a structure
    items = []
    for k in held:
        for curve in curves[k]:
            points = _points_mm(curve, source.slices[k])
            item = Dataset()
            item.ContourImageSequence = [source.reference(k)]
            item.ContourGeometricType = kind
            item.NumberOfContourPoints = len(points)
            item.ContourNumber = len(items) + 1
            item.ContourData = [f"{value:.4f}" for value in points.ravel()]
            items.append(item)
    return items


def _points_mm(curve: np.ndarray, header: pydicom.Dataset) -> np.ndarray:
    """Points (row, column) of a slice in LPS mm (PS3.3 C.7.6.2.1.1)."""
    along_row, along_column = np.array([float(v) for v in header.ImageOrientationPatient]).reshape(2, 3)
    between_rows, between_columns = (float(v) for v in header.PixelSpacing)
    origin = np.array([float(v) for v in header.ImagePositionPatient])
    return origin + curve[:, 1:] * between_columns * along_row + curve[:, :1] * between_rows * along_column
