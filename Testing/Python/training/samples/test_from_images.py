"""Samples come from whatever the readers read: a DICOM series gives those of the same image in a file."""

import numpy as np
import pytest
import SimpleITK as sitk
from dicom_samples import write_ct_series
from small_chest import SPACING, chest_ct, lung_labels, perfusion_spect

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.preprocessing.settings import PreprocessingSettings
from DLCTPMTrainingLib.samples.from_images import cached_samples

SETTINGS = PreprocessingSettings(grid_shape=(16, 16, 16))


@pytest.fixture
def files(tmp_path):
    images = {"ct": chest_ct(), "spect": perfusion_spect(), "lungs": lung_labels()}
    for name, image in images.items():
        sitk.WriteImage(image, str(tmp_path / f"{name}.nrrd"))
    return {name: tmp_path / f"{name}.nrrd" for name in images}


def test_a_patient_as_a_dicom_series_gives_the_samples_of_the_file(files, tmp_path):
    hu, origin = sitk.GetArrayFromImage(chest_ct()), chest_ct().GetOrigin()
    write_ct_series(tmp_path / "series", hu, spacing=SPACING, origin=origin)
    plain = cached_samples("A", files, SETTINGS, tmp_path / "cache")
    dicom = cached_samples("A", files | {"ct": tmp_path / "series"}, SETTINGS, tmp_path / "cache")
    assert np.array_equal(plain.enhanced, dicom.enhanced)
    assert np.array_equal(plain.target, dicom.target)
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_training_refuses_what_prediction_refuses(files, tmp_path):
    image = chest_ct()
    array = sitk.GetArrayFromImage(image) + 2000  # no air: no CT numbers
    wrong = sitk.GetImageFromArray(array)
    wrong.CopyInformation(image)
    sitk.WriteImage(wrong, str(files["ct"]))
    with pytest.raises(InputError, match=r"patient A: .*not a chest CT in Hounsfield units"):
        cached_samples("A", files, SETTINGS, tmp_path / "cache")


def test_a_spect_that_lies_beside_its_ct_is_brought_to_it(files, tmp_path):
    """Of a SPECT moved by 14 mm, registered samples are nearer to those of the SPECT as it lay."""
    as_it_lay = cached_samples("A", files, SETTINGS, tmp_path / "cache")
    moved = perfusion_spect()
    moved.SetOrigin([moved.GetOrigin()[0], moved.GetOrigin()[1], moved.GetOrigin()[2] + 14.0])
    sitk.WriteImage(moved, str(tmp_path / "moved.nrrd"))
    beside = files | {"spect": tmp_path / "moved.nrrd"}
    error = {}
    for kind in ("none", "rigid"):
        samples = cached_samples("A", beside, SETTINGS, tmp_path / "cache", register=kind)
        difference = (samples.target.astype(float) - as_it_lay.target)[as_it_lay.mask]
        error[kind] = np.abs(difference).mean()
    assert error["rigid"] < 0.5 * error["none"], error
    assert len(list((tmp_path / "cache").iterdir())) == 3
