"""A SPECT or PET comes out of DICOM as one volume in the right place, or with a clear sentence."""

import numpy as np
import pytest
import SimpleITK as sitk
from dicom_samples import PET_IMAGE, write_ct_series, write_nm

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.volumes.reading import read_spect


@pytest.fixture
def counts():
    return np.random.default_rng(2).integers(1, 5000, (16, 9, 11))


@pytest.mark.parametrize("step", [-4.4, 4.4])
def test_nm_frames_lie_where_detector_and_signed_spacing_say(tmp_path, counts, step):
    scan = read_spect(write_nm(tmp_path / "spect.dcm", counts, spacing=(4.0, 5.0), step=step))
    for frame, row, column in [(0, 0, 0), (5, 3, 2), (15, 8, 10)]:
        point = (-100 + 5.0 * column, -90 + 4.0 * row, 250 + step * frame)
        assert scan.image[scan.image.TransformPhysicalPointToIndex(point)] == counts[frame, row, column]


def test_nm_without_slice_spacing_takes_the_thickness_and_says_so(tmp_path, counts):
    scan = read_spect(write_nm(tmp_path / "spect.dcm", counts, SpacingBetweenSlices=None))
    assert scan.image.GetSpacing()[2] == pytest.approx(4.4)
    assert "no spacing between slices" in scan.warnings[0]


def test_nm_counts_are_rescaled_when_the_file_says_so(tmp_path, counts):
    plain = read_spect(write_nm(tmp_path / "plain.dcm", counts)).image
    scaled = read_spect(write_nm(tmp_path / "scaled.dcm", counts, RescaleSlope=0.25, RescaleIntercept=0)).image
    np.testing.assert_allclose(sitk.GetArrayFromImage(scaled), 0.25 * sitk.GetArrayFromImage(plain), rtol=1e-6)


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("STATIC", "planar scintigram"),
        ("WHOLE BODY", "whole-body planar"),
        ("TOMO", "raw projections"),
        ("RECON GATED TOMO", "gated SPECT with several volumes"),
    ],
)
def test_what_is_no_reconstruction_is_refused_by_its_name(tmp_path, counts, kind, sentence):
    path = write_nm(tmp_path / "nm" / "image", counts, kind=kind)
    for source in (path, path.parent):
        with pytest.raises(InputError, match=f"{sentence}.*RECON TOMO"):
            read_spect(source)


def test_a_single_planar_frame_given_as_spect_is_refused(tmp_path, counts):
    path = write_nm(tmp_path / "planar.dcm", counts[:1], kind="STATIC", NumberOfSlices=None)
    with pytest.raises(InputError, match="planar scintigram"):
        read_spect(path)


def test_a_reconstruction_is_found_among_other_nm_images(tmp_path, counts):
    write_nm(tmp_path / "projections", counts, kind="TOMO")
    write_nm(tmp_path / "reconstruction", counts)
    assert read_spect(tmp_path).image.GetSize() == (11, 9, 16)


def test_two_volumes_in_one_nm_file_are_refused(tmp_path, counts):
    with pytest.raises(InputError, match="16 frames of 8 slices"):
        read_spect(write_nm(tmp_path / "nm.dcm", counts, NumberOfSlices=8))


def test_nm_without_a_place_in_the_patient_is_refused(tmp_path, counts):
    with pytest.raises(InputError, match="does not say where it lies"):
        read_spect(write_nm(tmp_path / "nm.dcm", counts, DetectorInformationSequence=[]))


def test_a_pet_series_is_read_with_the_slope_of_every_slice(tmp_path):
    slopes = np.linspace(0.1, 3.0, 12)
    values = np.random.default_rng(4).integers(0, 4000, (12, 10, 14)) * slopes[:, None, None]
    write_ct_series(tmp_path, values, slope=slopes, intercept=0.0, modality="PT", sop_class=PET_IMAGE)
    np.testing.assert_allclose(sitk.GetArrayFromImage(read_spect(tmp_path).image), values, rtol=1e-5)
