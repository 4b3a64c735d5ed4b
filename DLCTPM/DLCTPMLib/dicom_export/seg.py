"""Structures as a DICOM Segmentation: binary, on the CT's own slices, one segment a structure."""

from __future__ import annotations

from collections.abc import Sequence

import highdicom as hd
import numpy as np
from pydicom.dataset import Dataset
from pydicom.sr.codedict import Code as SrCode
from pydicom.uid import generate_uid
from skimage.color import rgb2lab

from DLCTPMLib.dicom_export.facts import Facts, ascii_text, coded, equipment, finish, general
from DLCTPMLib.dicom_export.structures import ExportStructure
from DLCTPMLib.labels.chest_regions import Code
from DLCTPMLib.lungs.upright import UprightLungs

AI_FAMILY = SrCode("123109", "DCM", "Artificial Intelligence")


def algorithm(facts: Facts) -> hd.AlgorithmIdentificationSequence:
    """The algorithm that made the map: artificial intelligence, by name, version and hash of its weights."""
    return hd.AlgorithmIdentificationSequence(
        name="DL-CTPM",
        family=AI_FAMILY,
        version=ascii_text(f"{facts.software_version}, model {facts.model_version}")[:64],
        parameters={"weights SHA-256": facts.model_sha256, "high function": facts.definition.name},
    )


def file_mask(mask: np.ndarray, lungs: UprightLungs) -> np.ndarray:
    """A mask in the lungs' box as one of the whole CT, (slices, rows, columns) in file order."""
    view = np.zeros(lungs.axes.shape, bool)
    view[lungs.box] = mask
    return lungs.axes.file_order(view)


def segmentation(
    structures: Sequence[ExportStructure], lungs: UprightLungs, facts: Facts, series_number: int
) -> Dataset:
    """A SEG with a segment for each structure; one without voxels has no frame.

    Args:
        structures: what to write.
        lungs: whose box the structures' masks have.
        facts: what it says of itself.
        series_number: of its series.
    """
    source = facts.source
    whole = file_mask(lungs.sides > 0, lungs)
    held = np.flatnonzero(whole.any(axis=(1, 2)))
    slices = slice(int(held[0]), int(held[-1]) + 1) if source.enhanced is None else slice(None)
    pixels = np.zeros((*whole[slices].shape, len(structures)), np.uint8)
    for number, structure in enumerate(structures):
        pixels[..., number] = source.in_frame_order(file_mask(structure.mask(), lungs)[slices])
    made_by = algorithm(facts)
    segment_object = hd.seg.Segmentation(
        source_images=source.images[slices],
        pixel_array=pixels,
        segmentation_type="BINARY",
        segment_descriptions=[
            _description(number, structure, made_by) for number, structure in enumerate(structures, start=1)
        ],
        **general(facts, series_number),
        **equipment(facts),
        content_description=facts.title("Lungs and function"),
        content_label="LUNG_FUNCTION",
    )
    segment_object.BodyPartExamined = "CHEST"
    return finish(segment_object, facts, "Lungs and function")


def _description(number: int, structure: ExportStructure, made_by: hd.AlgorithmIdentificationSequence):
    terms = structure.terminology
    description = hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=ascii_text(structure.label)[:64],
        segmented_property_category=_sr(terms.category),
        segmented_property_type=_sr(terms.type),
        algorithm_type="AUTOMATIC",
        algorithm_identification=made_by,
        tracking_uid=generate_uid(),
        tracking_id=structure.name,
        anatomic_regions=[_sr(terms.region)] if terms.region else None,
    )
    if terms.modifier:
        kind = description.SegmentedPropertyTypeCodeSequence[0]
        kind.SegmentedPropertyTypeModifierCodeSequence = [coded(terms.modifier)]
    if terms.region and terms.region_modifier:
        description.AnatomicRegionSequence[0].AnatomicRegionModifierSequence = [coded(terms.region_modifier)]
    description.RecommendedDisplayCIELabValue = _cielab(structure.colour_rgb)
    return description


def _sr(code: Code) -> SrCode:
    return SrCode(code.value, code.scheme, code.meaning)


def _cielab(rgb: tuple[float, float, float]) -> list[int]:
    """A colour as DICOM's CIELab triplet (PS3.3 C.10.7.1.1)."""
    lightness, a, b = rgb2lab(np.array([[rgb]]))[0, 0]
    return [round(lightness / 100 * 65535), round((a + 128) / 255 * 65535), round((b + 128) / 255 * 65535)]
