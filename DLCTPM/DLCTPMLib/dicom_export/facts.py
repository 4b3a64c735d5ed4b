"""What every exported object says of itself: by whom and how it was made, what it is not for, whose it is."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field

import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import PYDICOM_IMPLEMENTATION_UID, ExplicitVRLittleEndian, generate_uid

from DLCTPMLib.dicom_export.source import IDENTITY, STUDY, CtSource
from DLCTPMLib.function.codes import SCHEME
from DLCTPMLib.function.definitions import Definition
from DLCTPMLib.labels.chest_regions import Code

MANUFACTURER = "DL-CTPM"
"""Manufacturer of objects: the project."""

MODEL_NAME = "DL-CTPM"
"""Manufacturer's model name of objects."""
RESEARCH = "research use only"

_TIMES_OF_ONE_EXPORT = "%Y%m%d", "%H%M%S"


@dataclass(frozen=True)
class Facts:
    """What objects of one export say.

    Attributes:
        result: content of the prediction's ``result.json``.
        definition: of high-functional lung.
        source: the CT.
        made: when they were made.
    """

    result: dict
    definition: Definition
    source: CtSource
    made: datetime.datetime = field(default_factory=datetime.datetime.now)

    @property
    def marks(self) -> list[str]:
        """FORCED and SIMULATED, as far as they hold."""
        return ["FORCED"] * bool(self.result.get("forced")) + ["SIMULATED"] * bool(self.result["simulated"])

    @property
    def software_version(self) -> str:
        """Of the program that made the map."""
        return str(self.result["software"]["version"])

    @property
    def model_version(self) -> str:
        """Name and version of the model."""
        return f"{self.result['model']['name']} {self.result['model']['version']}"

    @property
    def model_sha256(self) -> str:
        """Hash of its weights."""
        return str(self.result["model"]["sha256"])

    def title(self, what: str) -> str:
        """A description of at most 64 characters: what it is, that it is for research, what must be said first."""
        return ascii_text(" ".join([*self.marks, f"{what}, {RESEARCH}"]))[:64]

    def statement(self) -> str:
        """All that must be said, at most 1024 characters of ASCII."""
        sentences = [
            str(self.result["research_use_only"]),
            *(["SIMULATED: of a virtual patient."] if self.result["simulated"] else []),
            *(["FORCED: checks of the input FAILED, so this cannot be right."] if self.result.get("forced") else []),
            f"Relative perfusion estimated from a CT by artificial intelligence: DL-CTPM {self.software_version}, "
            f"model {self.model_version}, SHA-256 of its weights {self.model_sha256}.",
            f"High-functional lung {self.definition.name}: {self.definition.words}.",
        ]
        return ascii_text(" ".join(sentences))[:1024]


def ascii_text(text: str) -> str:
    """Text that every character set has."""
    plain = text.replace("−", "-").replace("–", "-").replace("×", "x")
    return plain.encode("ascii", "replace").decode()


def finish(dataset: Dataset, facts: Facts, what: str) -> Dataset:
    """Give an object what all have in common, whoever built it: descriptions, equipment, character set, identity."""
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SeriesDescription = facts.title(what)
    dataset.SeriesDate, dataset.SeriesTime = (facts.made.strftime(layout) for layout in _TIMES_OF_ONE_EXPORT)
    first = facts.source.first
    for keyword in (*IDENTITY, *STUDY, "PatientIdentityRemoved", "DeidentificationMethod"):
        if keyword in first:
            setattr(dataset, keyword, first[keyword].value)
    if facts.result["simulated"]:
        dataset.SyntheticData = "YES"
    if "DeidentificationMethodCodeSequence" in first:
        dataset.DeidentificationMethodCodeSequence = first.DeidentificationMethodCodeSequence
    equipment = Dataset()
    equipment.PurposeOfReferenceCodeSequence = [coded(Code("109102", "DCM", "Processing Equipment"))]
    equipment.Manufacturer, equipment.ManufacturerModelName = MANUFACTURER, MODEL_NAME
    equipment.SoftwareVersions = [facts.software_version, ascii_text(facts.model_version)[:64]]
    equipment.DeviceSerialNumber = facts.model_sha256
    equipment.ContributionDescription = facts.statement()
    dataset.ContributingEquipmentSequence = [equipment]
    scheme = Dataset()
    scheme.CodingSchemeDesignator, scheme.CodingSchemeName = SCHEME, "DL-CTPM private codes"
    scheme.CodingSchemeResponsibleOrganization = MANUFACTURER
    dataset.CodingSchemeIdentificationSequence = [scheme]
    return dataset


def new_object(sop_class: str, modality: str, facts: Facts, series_number: int) -> FileDataset:
    """An object in the CT's study with its general modules, for what pydicom alone builds; ``finish`` ends it."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = sop_class, generate_uid()
    meta.ImplementationClassUID = PYDICOM_IMPLEMENTATION_UID
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, meta.MediaStorageSOPInstanceUID
    dataset.Modality = modality
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = facts.source.first.StudyInstanceUID, generate_uid()
    dataset.SeriesNumber, dataset.InstanceNumber = series_number, 1
    dataset.Manufacturer, dataset.ManufacturerModelName = MANUFACTURER, MODEL_NAME
    dataset.SoftwareVersions = facts.software_version
    dataset.DeviceSerialNumber = facts.model_sha256
    dataset.InstanceCreationDate, dataset.InstanceCreationTime = (
        facts.made.strftime(layout) for layout in _TIMES_OF_ONE_EXPORT
    )
    return dataset


def coded(code: Code) -> pydicom.Dataset:
    """A code as an item of a code sequence."""
    item = Dataset()
    setattr(item, "CodeValue" if len(code.value) <= 16 else "LongCodeValue", code.value)
    item.CodingSchemeDesignator, item.CodeMeaning = code.scheme, code.meaning[:64]
    return item


def general(facts: Facts, series_number: int) -> dict:
    """Arguments that every class of highdicom takes."""
    return {
        "series_instance_uid": generate_uid(),
        "series_number": series_number,
        "sop_instance_uid": generate_uid(),
        "instance_number": 1,
        "manufacturer": MANUFACTURER,
    }


def equipment(facts: Facts) -> dict:
    """Arguments that its classes of images take."""
    return {
        "manufacturer_model_name": MODEL_NAME,
        "software_versions": facts.software_version,
        "device_serial_number": facts.model_sha256,
    }
