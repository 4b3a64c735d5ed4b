"""RT dose and structure sets of a made plan, as planning systems write them, for tests and for docs/dose.md."""

from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from dicom_mask_samples import FRAME
from dicom_samples import header
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from DLCTPMLib.volumes.dicom.rtdose import RT_DOSE


def dose_grid(size, spacing, origin, direction=None) -> sitk.Image:
    """An empty dose grid."""
    image = sitk.Image([int(n) for n in size], sitk.sitkFloat32)
    image.SetSpacing([float(s) for s in spacing])
    image.SetOrigin([float(o) for o in origin])
    if direction is not None:
        image.SetDirection([float(d) for d in np.ravel(direction)])
    return image


def points_of(image: sitk.Image) -> np.ndarray:
    """LPS points of an image's voxels, (z, y, x, 3)."""
    index = np.stack(np.meshgrid(*(np.arange(n) for n in image.GetSize()[::-1]), indexing="ij")[::-1], axis=-1)
    matrix = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    return index @ matrix.T + np.array(image.GetOrigin())


def filled(grid: sitk.Image, dose_of) -> sitk.Image:
    """The dose that a function of LPS points (…, 3) gives on a grid."""
    image = sitk.GetImageFromArray(np.asarray(dose_of(points_of(grid)), np.float32))
    image.CopyInformation(grid)
    return image


def write_rt_dose(path: Path, dose: sitk.Image, offsets: str = "relative", frame: str = FRAME, **tags) -> Path:
    """Write a dose in Gy.

    ``offsets``: relative, absolute (z coordinates), descending (first frame last).
    """
    array = sitk.GetArrayFromImage(dose)
    directions = np.array(dose.GetDirection()).reshape(3, 3)
    steps = np.arange(len(array)) * dose.GetSpacing()[2]
    first = 0
    if offsets == "descending":
        array, steps, first = array[::-1], -steps, len(array) - 1
    position = dose.TransformIndexToPhysicalPoint((0, 0, first))
    dataset = header(RT_DOSE, "RTDOSE", FrameOfReferenceUID=frame)
    dataset.ImagePositionPatient = [round(float(v), 6) for v in position]
    dataset.ImageOrientationPatient = [round(float(v), 9) for v in (*directions[:, 0], *directions[:, 1])]
    dataset.PixelSpacing = [dose.GetSpacing()[1], dose.GetSpacing()[0]]
    dataset.GridFrameOffsetVector = [
        round(float(v), 6) for v in (position[2] + directions[2, 2] * steps if offsets == "absolute" else steps)
    ]
    dataset.FrameIncrementPointer = pydicom.tag.Tag("GridFrameOffsetVector")
    dataset.DoseUnits, dataset.DoseType, dataset.DoseSummationType = "GY", "PHYSICAL", "PLAN"
    scaling = max(float(array.max()), 1e-3) / 4e9
    dataset.DoseGridScaling = f"{scaling:.9e}"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 32, 32, 31, 0
    dataset.Rows, dataset.Columns, dataset.NumberOfFrames = *array.shape[1:], len(array)
    dataset.PixelData = np.round(array / float(dataset.DoseGridScaling)).astype(np.uint32).tobytes()
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    dataset.save_as(path, enforce_file_format=True)
    return path


def change(path: Path, **tags) -> Path:
    """Set attributes of a written file; None takes one away."""
    dataset = pydicom.dcmread(path)
    for keyword, value in tags.items():
        if value is None:
            del dataset[keyword]
        else:
            setattr(dataset, keyword, value)
    dataset.save_as(path, enforce_file_format=True)
    return path


def circles(centre, radius_mm: float, heights, points: int = 72) -> list[np.ndarray]:
    """Contours of a ball's cross-sections at some heights (LPS z)."""
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
    found = []
    for z in heights:
        squared = radius_mm**2 - (z - centre[2]) ** 2
        if squared > 0:
            ring = np.sqrt(squared) * np.column_stack([np.cos(angle), np.sin(angle)]) + np.asarray(centre)[:2]
            found.append(np.column_stack([ring, np.full(points, float(z))]))
    return found


def drawn_on(path: Path, series_uid: str, instances: list[str]) -> Path:
    """Say in a structure set which images it was drawn on."""
    dataset = pydicom.dcmread(path)
    series, study, frame = Dataset(), Dataset(), Dataset()
    series.SeriesInstanceUID = series_uid
    images = []
    for uid in instances:
        image = Dataset()
        image.ReferencedSOPInstanceUID = uid
        images.append(image)
    series.ContourImageSequence = Sequence(images)
    study.RTReferencedSeriesSequence = Sequence([series])
    frame.RTReferencedStudySequence = Sequence([study])
    dataset.ReferencedFrameOfReferenceSequence = Sequence([frame])
    dataset.save_as(path, enforce_file_format=True)
    return path
