"""The prediction's report as an encapsulated PDF, where there is one."""

from __future__ import annotations

from pathlib import Path

from pydicom.dataset import Dataset

from DLCTPMLib.dicom_export.facts import Facts, coded, finish, new_object
from DLCTPMLib.labels.chest_regions import Code

_ENCAPSULATED_PDF = "1.2.840.10008.5.1.4.1.1.104.1"


def encapsulated_pdf(path: Path, facts: Facts, series_number: int) -> Dataset:
    """A PDF as a DICOM document."""
    content = path.read_bytes()
    dataset = new_object(_ENCAPSULATED_PDF, "DOC", facts, series_number)
    dataset.ConversionType = "WSD"
    dataset.ContentDate, dataset.ContentTime = dataset.InstanceCreationDate, dataset.InstanceCreationTime
    dataset.AcquisitionDateTime = ""
    dataset.BurnedInAnnotation = "YES"
    dataset.DocumentTitle = facts.title("Perfusion report")
    dataset.ConceptNameCodeSequence = [coded(Code("18748-4", "LN", "Diagnostic imaging report"))]
    dataset.MIMETypeOfEncapsulatedDocument = "application/pdf"
    dataset.EncapsulatedDocumentLength = len(content)
    dataset.EncapsulatedDocument = content + b"\0" * (len(content) % 2)
    return finish(dataset, facts, "Perfusion report")
