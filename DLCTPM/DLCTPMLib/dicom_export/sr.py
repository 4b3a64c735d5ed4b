"""Measurements as a structured report (TID 1500): volume, mean and share of every exported structure."""

from __future__ import annotations

from collections.abc import Sequence

import highdicom as hd
import numpy as np
import SimpleITK as sitk
from pydicom.dataset import Dataset
from pydicom.sr.codedict import Code as SrCode
from pydicom.uid import generate_uid

from DLCTPMLib.dicom_export.facts import MANUFACTURER, MODEL_NAME, Facts, ascii_text, finish, general
from DLCTPMLib.dicom_export.seg import _sr
from DLCTPMLib.dicom_export.structures import ExportStructure
from DLCTPMLib.function.codes import SCHEME
from DLCTPMLib.labels.chest_regions import LUNG_CODE
from DLCTPMLib.lungs.upright import UprightLungs
from DLCTPMLib.volumes.patient_axes import patient_array

VOLUME = SrCode("118565006", "SCT", "Volume")
MEAN = SrCode("mean-relative-perfusion", SCHEME, "Mean relative perfusion")
SHARE = SrCode("share-of-perfusion", SCHEME, "Share of the perfusion of both lungs")
_MILLILITRE, _PERCENT = SrCode("mL", "UCUM", "milliliter"), SrCode("%", "UCUM", "percent")
_ONE = SrCode("1", "UCUM", "no units")
_CT_OF_CHEST = SrCode("169069000", "SCT", "CT of chest")


def measured(perfusion: sitk.Image, lungs: UprightLungs, mask: np.ndarray) -> dict[str, float]:
    """Volume (ml), mean and share (percent) of what a mask in the lungs' box holds; no mean of nothing."""
    values = patient_array(perfusion)[lungs.box]
    total = float(values[lungs.sides > 0].sum(dtype=float))
    inside = values[mask]
    found = {"volume_ml": inside.size * lungs.axes.voxel_ml}
    if inside.size:
        found["mean"] = float(inside.mean(dtype=float))
    if total > 0:
        found["share_percent"] = 100 * float(inside.sum(dtype=float)) / total
    return found


def measurement_report(
    structures: Sequence[ExportStructure],
    perfusion: sitk.Image,
    lungs: UprightLungs,
    segment_object: Dataset,
    facts: Facts,
    series_number: int,
) -> Dataset:
    """A Comprehensive 3D SR with a group of measurements for each structure that has a voxel.

    Args:
        structures: in the order of the segmentation's segments.
        perfusion: the map.
        lungs: of its grid.
        segment_object: the segmentation that the groups refer to.
        facts: what it says of itself.
        series_number: of its series.
    """
    made_by = hd.sr.AlgorithmIdentification(
        name="DL-CTPM",
        version=ascii_text(f"{facts.software_version}, model {facts.model_version}")[:64],
        parameters=[f"weights SHA-256 {facts.model_sha256}", facts.statement()],
    )
    groups = []
    for number, structure in enumerate(structures, start=1):
        found = measured(perfusion, lungs, structure.mask())
        if not found["volume_ml"]:
            continue
        groups.append(_group(number, structure, found, segment_object, made_by, facts))
    observer = hd.sr.DeviceObserverIdentifyingAttributes(
        uid=generate_uid(entropy_srcs=["DL-CTPM", facts.software_version]),
        name="DL-CTPM",
        manufacturer_name=MANUFACTURER,
        model_name=MODEL_NAME,
    )
    context = hd.sr.ObservationContext(
        observer_device_context=hd.sr.ObserverContext(
            observer_type=SrCode("121007", "DCM", "Device"), observer_identifying_attributes=observer
        )
    )
    content = hd.sr.MeasurementReport(
        observation_context=context,
        procedure_reported=_CT_OF_CHEST,
        imaging_measurements=groups,
        title=SrCode("126000", "DCM", "Imaging Measurement Report"),
    )
    report = hd.sr.Comprehensive3DSR(
        evidence=[segment_object, *facts.source.images],
        content=content[0],
        **general(facts, series_number),
        is_complete=True,
        is_final=False,
        is_verified=False,
    )
    report.ManufacturerModelName, report.SoftwareVersions = MODEL_NAME, facts.software_version
    return finish(report, facts, "Lung measurements")


def _group(
    number: int,
    structure: ExportStructure,
    found: dict[str, float],
    segment_object: Dataset,
    made_by: hd.sr.AlgorithmIdentification,
    facts: Facts,
):
    segment = segment_object.SegmentSequence[number - 1]
    terms = structure.terminology
    side = terms.region_modifier or terms.modifier
    numbers = (("volume_ml", VOLUME, _MILLILITRE), ("mean", MEAN, _ONE), ("share_percent", SHARE, _PERCENT))
    return hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(segment.TrackingUID, segment.TrackingID),
        referenced_segment=hd.sr.ReferencedSegment(
            sop_class_uid=segment_object.SOPClassUID,
            sop_instance_uid=segment_object.SOPInstanceUID,
            segment_number=number,
            source_series=hd.sr.SourceSeriesForSegmentation(facts.source.first.SeriesInstanceUID),
        ),
        finding_type=_sr(terms.type),
        finding_sites=[hd.sr.FindingSite(_sr(LUNG_CODE), laterality=_sr(side) if side else None)],
        algorithm_id=made_by,
        measurements=[
            hd.sr.Measurement(name=name, value=round(found[key], 4), unit=unit)
            for key, name, unit in numbers
            if key in found
        ],
    )
