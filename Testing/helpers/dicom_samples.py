"""Small DICOM series that tests write with pydicom and read back with the engine."""

from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
NM_IMAGE = "1.2.840.10008.5.1.4.1.1.20"
PET_IMAGE = "1.2.840.10008.5.1.4.1.1.128"
MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4"
PATIENT = "Doe^Jane"
PATIENT_ID = "HOSPITAL-4711"


def hu_volume(shape=(12, 10, 14), seed=0) -> np.ndarray:
    """HU that differ from voxel to voxel, so that any swap or shift shows."""
    return np.random.default_rng(seed).integers(-1000, 400, shape).astype(np.int16)


def header(sop_class: str, modality: str, **tags) -> FileDataset:
    """A DICOM image without pixels; a patient's name in every place where names stand."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, meta.MediaStorageSOPInstanceUID
    dataset.Modality = modality
    dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate = PATIENT, PATIENT_ID, "19700101"
    dataset.ReferringPhysicianName, dataset.InstitutionName = "Roe^Richard", "General Hospital"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = generate_uid(), generate_uid()
    dataset.SeriesDescription = f"chest of {PATIENT}"
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    return dataset


def set_pixels(dataset: Dataset, stored: np.ndarray) -> None:
    """Put uncompressed 16-bit pixels in: (rows, columns) or (frames, rows, columns)."""
    dataset.Rows, dataset.Columns = stored.shape[-2:]
    if stored.ndim == 3:
        dataset.NumberOfFrames = stored.shape[0]
    dataset.PixelRepresentation = int(stored.dtype.kind == "i")
    dataset.PixelData = stored.tobytes()


def write_ct_series(
    folder: Path,
    hu: np.ndarray,
    spacing=(0.8, 0.7, 2.5),
    origin=(-5.0, -3.0, 100.0),
    orientation=(1, 0, 0, 0, 1, 0),
    step=None,
    slope=1.0,
    intercept=-1024.0,
    sop_class=CT_IMAGE,
    modality="CT",
    number=3,
    seed=1,
    **tags,
) -> list[Path]:
    """Write a volume (slices, rows, columns) as one file a slice, in shuffled order under names without suffix.

    ``spacing`` is (between columns, between rows, between slices) in mm; ``step`` the LPS way from a slice to the
    next, along the normal unless told; ``slope`` and ``intercept`` may be one value or one for each slice.
    """
    folder.mkdir(parents=True, exist_ok=True)
    normal = np.cross(orientation[:3], orientation[3:])
    step = normal * spacing[2] if step is None else np.asarray(step, float)
    slopes, intercepts = np.broadcast_to(slope, len(hu)), np.broadcast_to(intercept, len(hu))
    series, study, frame = generate_uid(), generate_uid(), generate_uid()
    paths = []
    for name, index in enumerate(np.random.default_rng(seed).permutation(len(hu))):
        dataset = header(sop_class, modality, SeriesInstanceUID=series, StudyInstanceUID=study)
        dataset.FrameOfReferenceUID = frame
        dataset.SeriesNumber, dataset.InstanceNumber = number, int(index) + 1
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        dataset.ImagePositionPatient = [float(f"{v:.6f}") for v in np.asarray(origin) + index * step]
        dataset.ImageOrientationPatient = [float(f"{v:.9f}") for v in orientation]
        dataset.PixelSpacing, dataset.SliceThickness = [spacing[1], spacing[0]], spacing[2]
        dataset.RescaleSlope, dataset.RescaleIntercept = float(slopes[index]), float(intercepts[index])
        stored = np.round((hu[index] - intercepts[index]) / slopes[index])
        set_pixels(dataset, stored.astype(np.uint16))
        for keyword, value in tags.items():
            setattr(dataset, keyword, value)
        path = folder / f"IM{name:04d}"
        dataset.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def write_nm(path: Path, counts: np.ndarray, kind="RECON TOMO", spacing=(4.4, 4.4), step=-4.4, **tags) -> Path:
    """Write (frames, rows, columns) as one NM multi-frame file, placed by its detector information."""
    dataset = header(NM_IMAGE, "NM", ImageType=["ORIGINAL", "PRIMARY", kind, "EMISSION"], SeriesNumber=7)
    dataset.PixelSpacing, dataset.SliceThickness = list(spacing), abs(step)
    dataset.SpacingBetweenSlices = step
    dataset.NumberOfSlices = len(counts)
    detector = Dataset()
    detector.ImagePositionPatient = [-100.0, -90.0, 250.0]
    detector.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.DetectorInformationSequence = Sequence([detector])
    set_pixels(dataset, counts.astype(np.uint16))
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


def write_enhanced_ct(path: Path, hu: np.ndarray, order: np.ndarray, own: bool) -> Path:
    """Write a volume as one enhanced CT file, its frames in some order; ``own``: nothing is shared by the frames."""

    def group(**sequences) -> Dataset:
        result = Dataset()
        for name, values in sequences.items():
            item = Dataset()
            for keyword, value in values.items():
                setattr(item, keyword, value)
            setattr(result, f"{name}Sequence", Sequence([item]))
        return result

    general = {
        "PixelMeasures": {"PixelSpacing": [0.7, 0.8], "SliceThickness": 2.5},
        "PlaneOrientation": {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0]},
        "PixelValueTransformation": {"RescaleSlope": 2, "RescaleIntercept": -1024, "RescaleType": "HU"},
    }
    dataset = header("1.2.840.10008.5.1.4.1.1.2.1", "CT", ImageType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"])
    frames = [
        group(PlanePosition={"ImagePositionPatient": [-5, -3, 100 + 2.5 * int(i)]}, **(general if own else {}))
        for i in order
    ]
    dataset.PerFrameFunctionalGroupsSequence = Sequence(frames)
    dataset.SharedFunctionalGroupsSequence = Sequence([group(**({} if own else general))])
    set_pixels(dataset, ((hu[order] + 1024) // 2).astype(np.uint16))
    dataset.save_as(path, enforce_file_format=True)
    return path


def compress(path: Path, syntax: str) -> None:
    """Compress the pixels of a file in place: RLE by pydicom, JPEG lossless or JPEG 2000 by GDCM in SimpleITK."""
    dataset = pydicom.dcmread(path)
    if syntax == "RLE":
        dataset.compress(pydicom.uid.RLELossless)
    else:
        pixels = sitk.GetImageFromArray(dataset.pixel_array)
        scratch = path.with_name("scratch.dcm")
        writer = sitk.ImageFileWriter()
        writer.SetFileName(str(scratch))
        writer.UseCompressionOn()
        writer.SetCompressor(syntax)
        writer.Execute(pixels)
        packed = pydicom.dcmread(scratch)
        scratch.unlink()
        frame = next(pydicom.encaps.generate_frames(packed.PixelData, number_of_frames=1))
        dataset.file_meta.TransferSyntaxUID = packed.file_meta.TransferSyntaxUID
        dataset.PixelData = encapsulate([frame])
        dataset["PixelData"].VR = "OB"
    dataset.save_as(path, enforce_file_format=True)
