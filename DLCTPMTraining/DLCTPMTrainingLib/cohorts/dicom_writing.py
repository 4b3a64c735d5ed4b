"""A simulated patient's images as DICOM: a CT series, and a SPECT as one multi-frame nuclear medicine (NM) file.

By the module tables of DICOM PS3.3: A.3 and C.8.2.1 (CT), A.5 and C.8.4 (NM). Every identifier follows from the
simulation's hash, dates are left empty, and no file tells of the machine that wrote it: the same patient gives the
same bytes. What says that the patient is no person: Patient's Name, Study and Series Description, Image Comments,
Synthetic Data, Quality Control Subject.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import PYDICOM_IMPLEMENTATION_UID, PYDICOM_ROOT_UID, ExplicitVRLittleEndian, generate_uid

from DLCTPMLib.common.errors import InputError

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
NM_IMAGE = "1.2.840.10008.5.1.4.1.1.20"
SIMULATED = "SIMULATED - research use only"

RECUMBENT = ("102538003", "SCT", "recumbent")
SUPINE = ("40199007", "SCT", "supine")
HEAD_FIRST = ("102540008", "SCT", "headfirst")
MAA = ("85693008", "SCT", "Technetium Tc^99m^ aggregated albumin")
TC_99M = ("72454006", "SCT", "^99m^Technetium")
PROPORTIONAL_TO_COUNTS = ("{propcounts}", "UCUM", "Proportional to counts")

_LARGEST = 65535
_FINEST_SLOPE = 2.0**-10


@dataclass(frozen=True)
class SimulatedStudy:
    """Whose images these are.

    Attributes:
        patient_id: as "SYNTH-0001".
        sex: "F" or "M".
        age: years.
        diagnosis: what was simulated.
        configuration: hash of everything that decides the voxels; all identifiers follow from it.
        generator: version of the generator of virtual patients.
    """

    patient_id: str
    sex: str
    age: int
    diagnosis: str
    configuration: str
    generator: str

    def uid(self, *what: str) -> str:
        """The identifier of a part of the study, below pydicom's root: the same for the same configuration."""
        return generate_uid(
            PYDICOM_ROOT_UID, ["DL-CTPM simulated DICOM 1", self.patient_id, self.configuration, *what]
        )


def write_ct(image: sitk.Image, study: SimulatedStudy, folder: Path) -> None:
    """Write a CT (HU, int16) into a folder, one file a slice: ``0001.dcm`` and so on."""
    hu = sitk.GetArrayViewFromImage(image)
    if hu.dtype != np.int16:
        raise InputError(f"the CT of {study.patient_id} does not hold 16-bit HU; simulate the patient again")
    for index, slice_hu in enumerate(hu):
        instance = _image(study, CT_IMAGE, "CT", 1, index + 1)
        instance.SeriesDescription = "SIMULATED chest CT"
        instance.ImageType = ["DERIVED", "PRIMARY", "AXIAL"]
        instance.PatientPosition = "HFS"
        _place(instance, image, index)
        _measure(instance, image)
        instance.KVP = None
        instance.AcquisitionNumber = None
        instance.RescaleIntercept, instance.RescaleSlope, instance.RescaleType = 0, 1, "HU"
        instance.WindowCenter, instance.WindowWidth = -600, 1500
        _pixels(instance, slice_hu)
        _save(instance, folder / f"{index + 1:04d}.dcm")


def write_spect(image: sitk.Image, study: SimulatedStudy, path: Path) -> None:
    """Write a reconstructed SPECT (not negative) as one NM file, a frame a slice.

    Voxels are stored as 16-bit multiples of a power of two, so they are true to half of it: to 1/65535 of the
    hottest voxel or better. That slope stands in the Real World Value Mapping, which the NM image may have, and in
    Rescale Slope, which the standard's NM image lacks but readers heed.
    """
    values = sitk.GetArrayViewFromImage(image)
    if not np.isfinite(values).all() or values.min() < 0:
        raise InputError(f"the SPECT of {study.patient_id} has negative voxels; simulate the patient again")
    slope = stored_step(float(values.max()))
    instance = _image(study, NM_IMAGE, "NM", 2, 1)
    instance.SeriesDescription = "SIMULATED perfusion SPECT"
    instance.ImageType = ["DERIVED", "PRIMARY", "RECON TOMO", "EMISSION"]
    _lying_supine(instance)
    frames = len(values)
    instance.FrameIncrementPointer = [0x00540080]  # Slice Vector
    instance.SliceVector = list(range(1, frames + 1))
    instance.NumberOfSlices = frames
    instance.NumberOfEnergyWindows = instance.NumberOfDetectors = instance.NumberOfRotations = 1
    instance.CountsAccumulated = None
    instance.EnergyWindowInformationSequence = Sequence([])
    instance.RadiopharmaceuticalInformationSequence = Sequence([_tracer()])
    detector = Dataset()
    detector.CollimatorType = "PARA"
    _place(detector, image, 0)
    instance.DetectorInformationSequence = Sequence([detector])
    instance.RotationInformationSequence = Sequence([])
    _measure(instance, image)
    along = _direction(image)[:, 2] @ np.cross(_direction(image)[:, 0], _direction(image)[:, 1])
    instance.SpacingBetweenSlices = _decimal(float(np.sign(along)) * image.GetSpacing()[2])
    instance.RescaleIntercept, instance.RescaleSlope, instance.RescaleType = 0, _decimal(slope), "US"
    instance.RealWorldValueMappingSequence = Sequence([_mapping(slope)])
    instance.NumberOfFrames = frames
    _pixels(instance, np.round(values / slope).astype(np.uint16))
    _save(instance, path)


def stored_step(highest: float) -> float:
    """The power of two, from 2⁻¹⁰, by which 16-bit numbers reach ``highest``: exact in DICOM's 16 characters."""
    return _FINEST_SLOPE if highest <= 0 else max(_FINEST_SLOPE, float(2.0 ** np.ceil(np.log2(highest / _LARGEST))))


def _image(study: SimulatedStudy, sop_class: str, modality: str, series: int, number: int) -> Dataset:
    """What every image of the study says: patient, study, series, frame of reference, equipment, where it is from."""
    instance = Dataset()
    instance.SOPClassUID = sop_class
    instance.SOPInstanceUID = study.uid(modality, "image", str(number))
    instance.SyntheticData = "YES"
    instance.PatientName = f"SIMULATED^{study.patient_id}"
    instance.PatientID = study.patient_id
    instance.PatientBirthDate = None
    instance.PatientSex = study.sex
    instance.PatientAge = f"{study.age:03d}Y"
    instance.PatientComments = f"{SIMULATED}: a virtual patient, not a person"
    instance.QualityControlSubject = "YES"
    instance.AdditionalPatientHistory = f"Simulated: {study.diagnosis}"
    instance.StudyInstanceUID = study.uid("study")
    instance.StudyDate = instance.StudyTime = None
    instance.StudyID = "1"
    instance.ReferringPhysicianName = instance.AccessionNumber = None
    instance.StudyDescription = SIMULATED
    instance.Modality = modality
    instance.SeriesInstanceUID = study.uid(modality, "series")
    instance.SeriesNumber = series
    instance.BodyPartExamined = "CHEST"
    instance.FrameOfReferenceUID = study.uid("frame of reference")
    instance.PositionReferenceIndicator = None
    instance.Manufacturer = "DL-CTPM (simulated)"
    instance.ManufacturerModelName = "virtual patient"
    instance.SoftwareVersions = f"generator {study.generator}"
    instance.InstanceNumber = number
    instance.ImageComments = f"{SIMULATED}: a virtual patient, not a person"
    instance.DerivationDescription = "computed from a virtual patient; nothing was scanned"
    instance.BurnedInAnnotation = "NO"
    instance.LossyImageCompression = "00"
    return instance


def _lying_supine(instance: Dataset) -> None:
    """The NM/PET Patient Orientation module: on the back, head first."""
    lying = _code(RECUMBENT)
    lying.PatientOrientationModifierCodeSequence = Sequence([_code(SUPINE)])
    instance.PatientOrientationCodeSequence = Sequence([lying])
    instance.PatientGantryRelationshipCodeSequence = Sequence([_code(HEAD_FIRST)])


def _tracer() -> Dataset:
    tracer = Dataset()
    tracer.Radiopharmaceutical = "99mTc-MAA (simulated)"
    tracer.RadiopharmaceuticalCodeSequence = Sequence([_code(MAA)])
    tracer.RadionuclideCodeSequence = Sequence([_code(TC_99M)])
    return tracer


def _mapping(slope: float) -> Dataset:
    """Stored values to counts up to a factor (Real World Value Mapping)."""
    mapping = Dataset()
    mapping.add_new(0x00409216, "US", 0)  # first and last stored value mapped: US or SS, here US
    mapping.add_new(0x00409211, "US", _LARGEST)
    mapping.RealWorldValueIntercept, mapping.RealWorldValueSlope = 0.0, slope
    mapping.LUTExplanation, mapping.LUTLabel = "simulated counts", "COUNTS"
    mapping.MeasurementUnitsCodeSequence = Sequence([_code(PROPORTIONAL_TO_COUNTS)])
    return mapping


def _code(code: tuple[str, str, str]) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code
    return item


def _direction(image: sitk.Image) -> np.ndarray:
    return np.array(image.GetDirection()).reshape(3, 3)


def _place(item: Dataset, image: sitk.Image, index: int) -> None:
    """Where the middle of a slice's first pixel lies, and how its rows and columns run."""
    item.ImagePositionPatient = [_decimal(v) for v in image.TransformIndexToPhysicalPoint([0, 0, index])]
    item.ImageOrientationPatient = [_decimal(v) for v in _direction(image)[:, :2].T.ravel()]


def _measure(instance: Dataset, image: sitk.Image) -> None:
    across, down, along = image.GetSpacing()
    instance.PixelSpacing = [_decimal(down), _decimal(across)]
    instance.SliceThickness = _decimal(along)


def _pixels(instance: Dataset, stored: np.ndarray) -> None:
    """The Image Pixel module, from (rows, columns) or (frames, rows, columns) of 16 bits."""
    instance.SamplesPerPixel, instance.PhotometricInterpretation = 1, "MONOCHROME2"
    instance.Rows, instance.Columns = stored.shape[-2:]
    instance.BitsAllocated = instance.BitsStored = 16
    instance.HighBit = 15
    instance.PixelRepresentation = int(stored.dtype.kind == "i")
    instance.add_new(0x7FE00010, "OW", np.ascontiguousarray(stored, stored.dtype.newbyteorder("<")).tobytes())


def _decimal(number: float) -> pydicom.valuerep.DSfloat:
    """A number in the 16 characters of a decimal string; 0 without its sign."""
    return pydicom.valuerep.DSfloat(float(number) + 0.0, auto_format=True)


def _save(instance: Dataset, path: Path) -> None:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = instance.SOPClassUID
    meta.MediaStorageSOPInstanceUID = instance.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = PYDICOM_IMPLEMENTATION_UID
    meta.ImplementationVersionName = "DL-CTPM"
    instance.file_meta = meta
    path.parent.mkdir(parents=True, exist_ok=True)
    pydicom.dcmwrite(path, instance, enforce_file_format=True)
