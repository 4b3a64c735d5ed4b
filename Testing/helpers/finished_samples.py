"""A DICOM CT of a small chest in any position, and a finished prediction of it, made without a network."""

import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from dicom_samples import write_ct_series
from highdicom.legacy import LegacyConvertedEnhancedCTImage
from pydicom.uid import generate_uid
from rt_samples import points_of

from DLCTPMLib.function.definitions import DEFAULT, Definition
from DLCTPMLib.function.regions import FunctionalLung
from DLCTPMLib.preprocessing.settings import PreprocessingSettings
from DLCTPMLib.results.result_json import header, json_ready, notes_for, write_json
from DLCTPMLib.volumes.reading import content_sha256, read_ct, voxels_sha256, write_image

SIZE, SPACING = (44, 40, 26), (6.0, 5.0, 8.0)
COSINE, SINE = np.cos(np.deg2rad(20)), np.sin(np.deg2rad(20))
POSITIONS = {
    "supine": ((1, 0, 0, 0, 1, 0), "HFS"),
    "oblique": ((1, 0, 0, 0, COSINE, SINE), "HFS"),
    "feet first": ((-1, 0, 0, 0, 1, 0), "FFS"),
    "prone": ((-1, 0, 0, 0, -1, 0), "HFP"),
}
"""Image Orientation (Patient) and Patient Position."""
ANONYMOUS = dict.fromkeys(("PatientName", "PatientID", "PatientBirthDate", "ReferringPhysicianName"), "")


@dataclass(frozen=True)
class Finished:
    """A CT and its prediction.

    Attributes:
        ct: DICOM folder.
        result: folder of the prediction.
        labels: CIP values, in the order of the CT's array.
        perfusion: of the same order.
    """

    ct: Path
    result: Path
    labels: np.ndarray
    perfusion: np.ndarray


def write_finished(
    folder: Path, position="supine", long_lungs=False, result=None, enhanced=False, **tags
) -> Finished:
    """Write both. ``long_lungs`` touch the first and the last slice; ``result`` changes what result.json holds; an
    ``enhanced`` CT is one multi-frame file, made by highdicom.
    """
    orientation, lies = POSITIONS[position]
    grid = _grid(orientation)
    labels = _labels(points_of(grid), long_lungs)
    rng = np.random.default_rng(4)
    hu = np.where(labels > 0, -800, 30) + rng.integers(-40, 40, labels.shape)
    hu[:, :2] = -1000
    write_ct_series(
        folder / "ct", hu, SPACING, grid.GetOrigin(), orientation, PatientPosition=lies, StudyDate="20240305",
        StudyTime="101112", **tags
    )  # fmt: skip
    if enhanced:
        _to_one_file(folder / "ct")
    ct = read_ct(folder / "ct").image
    points = points_of(ct)
    labels = _labels(points, long_lungs)
    perfusion = (0.6 + 0.35 * np.sin(points[..., 1] / 17) * np.cos(points[..., 2] / 23)) * (labels > 0)
    written = Finished(folder / "ct", folder / "result", labels, perfusion.astype(np.float32))
    write_result(written, ct, **(result or {}))
    return written


def write_result(finished: Finished, ct: sitk.Image, definition: Definition = DEFAULT, **changed) -> None:
    """The folder of a prediction of this CT."""
    finished.result.mkdir()
    images = {"perfusion": finished.perfusion, "lungs": finished.labels.astype(np.uint16)}
    for name, array in images.items():
        image = sitk.GetImageFromArray(array)
        image.CopyInformation(ct)
        write_image(image, finished.result / f"{name}.nrrd")
        images[name] = image
    function = FunctionalLung.of(images["perfusion"], images["lungs"], definition)
    direction = ct.GetDirection()
    described = {
        "name": "ct", "format": "DICOM series", "size": ct.GetSize(), "spacing": ct.GetSpacing(),
        "origin": ct.GetOrigin(), "direction": direction, "sha256": content_sha256(ct),
        "voxels_sha256": voxels_sha256(ct),
        "orientation": sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(direction),
        "lungs": {"source": "the test"},
    }  # fmt: skip
    content = {
        **header(),
        "notes": notes_for(75, 1),
        "model": {"name": "a-model", "version": "1.2", "sha256": "ab" * 32, "intended_use": "tests"},
        "settings": {"preprocessing": PreprocessingSettings().to_dict(), "functional_regions": function.settings()},
        "device": "cpu float32",
        "input": described,
        "regions": function.table(),
        "quality": [],
        "warnings": [],
        "timings_s": {},
        "forced": [],
        **changed,
    }
    write_json(finished.result / "result.json", json_ready(content))


def _to_one_file(folder: Path) -> None:
    slices = [pydicom.dcmread(path) for path in sorted(folder.iterdir())]  # in shuffled order
    for one in slices:
        one.SpecificCharacterSet = "ISO_IR 192"
        one.AccessionNumber = one.StudyID = one.PatientSex = one.PositionReferenceIndicator = ""
        one.Manufacturer, one.RescaleType, one.PresentationLUTShape = "made", "HU", "IDENTITY"
    shutil.rmtree(folder)
    folder.mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        converted = LegacyConvertedEnhancedCTImage(slices, generate_uid(), 4, generate_uid(), 1)
        converted.save_as(folder / "enhanced.dcm", enforce_file_format=True)


def _grid(orientation) -> sitk.Image:
    """The chest's middle lies at the middle of the grid, whatever its direction."""
    row, column = np.array(orientation[:3], float), np.array(orientation[3:], float)
    direction = np.column_stack([row, column, np.cross(row, column)])
    grid = sitk.Image(SIZE, sitk.sitkUInt8)
    grid.SetSpacing(SPACING)
    grid.SetDirection(direction.ravel().tolist())
    grid.SetOrigin((-direction @ ((np.array(SIZE) - 1) / 2 * SPACING)).tolist())
    return grid


def _labels(points: np.ndarray, long_lungs: bool) -> np.ndarray:
    """Two ellipsoids, or two columns, of CIP values 2 at the patient's right and 3 at the left."""
    labels = np.zeros(points.shape[:3], int)
    for value, x in ((2, -60.0), (3, 60.0)):
        off = ((points - (x, 0, 0)) / (42, 62, 85)) ** 2
        labels[off[..., :2].sum(axis=-1) + (0 if long_lungs else off[..., 2]) < 1] = value
    return labels
