"""A CT or SPECT comes out of files, folders and zips as one volume in the right place, or with a clear sentence."""

import contextlib
import json
import shutil
import sys
import zipfile

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_samples import (
    MR_IMAGE,
    PATIENT,
    PATIENT_ID,
    compress,
    hu_volume,
    write_ct_series,
    write_enhanced_ct,
    write_nm,
)
from pydicom.encaps import encapsulate

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.labels.seg_nrrd import write_segments
from DLCTPMLib.volumes.reading import read_ct, read_image, read_spect, write_image
from DLCTPMLib.volumes.transform_files import write_transform

SPACING = (0.8, 0.7, 2.5)


@pytest.fixture
def hu():
    return hu_volume()


@pytest.fixture
def counts():
    return np.random.default_rng(2).integers(1, 5000, (16, 9, 11))


def ct_image(array, spacing=SPACING, origin=(-5.0, -3.0, 100.0)):
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    return image


@pytest.mark.parametrize("suffix", [".nrrd", ".nii.gz", ".nii", ".mha", ".mhd", ".nhdr"])
def test_a_ct_file_of_any_format_keeps_values_and_place(tmp_path, hu, suffix):
    path = tmp_path / f"ct{suffix}"
    sitk.WriteImage(ct_image(hu), str(path))
    scan = read_ct(path)
    assert np.array_equal(sitk.GetArrayFromImage(scan.image), hu)
    np.testing.assert_allclose(scan.image.GetSpacing(), SPACING, rtol=1e-6)
    np.testing.assert_allclose(scan.image.GetOrigin(), (-5, -3, 100), rtol=1e-6)
    assert scan.description["size"] == [14, 10, 12]
    assert scan.warnings == []


def test_shuffled_slices_without_suffix_come_out_in_order_and_in_hu(tmp_path, hu):
    write_ct_series(tmp_path / "study" / "deep", hu)
    (tmp_path / "study" / "notes.txt").write_text("not an image")
    (tmp_path / "study" / "DICOMDIR").write_bytes(b"\0" * 200)
    scan = read_ct(tmp_path)
    assert scan.image.GetPixelID() == sitk.sitkInt16
    assert np.array_equal(sitk.GetArrayFromImage(scan.image), hu)
    np.testing.assert_allclose(scan.image.GetSpacing(), SPACING)
    np.testing.assert_allclose(scan.image.GetOrigin(), (-5, -3, 100))


@pytest.mark.parametrize(
    "orientation",
    [
        (1, 0, 0, 0, 1, 0),
        (-1, 0, 0, 0, -1, 0),  # prone
        (1, 0, 0, 0, 0, -1),  # coronal
        (0, 1, 0, 0, 0, -1),  # sagittal
        (0.96, 0.28, 0, -0.28, 0.96, 0),  # oblique in plane
    ],
)
def test_every_voxel_lies_where_its_dicom_header_says(tmp_path, hu, orientation):
    write_ct_series(tmp_path, hu, orientation=orientation)
    image = read_ct(tmp_path).image
    row, column = np.array(orientation[:3], float), np.array(orientation[3:], float)
    for index in [(0, 0, 0), (3, 2, 1), (11, 9, 13)]:  # slice, row, column
        step = index[0] * 2.5 * np.cross(row, column)
        point = np.array((-5.0, -3.0, 100.0)) + step + index[1] * 0.7 * column + index[2] * 0.8 * row
        voxel = image.TransformPhysicalPointToIndex([float(p) for p in point])
        assert image[voxel] == hu[index]


def test_slices_stored_from_head_to_feet_are_turned_upward(tmp_path, hu):
    write_ct_series(tmp_path, hu, step=(0, 0, -2.5))
    image = read_ct(tmp_path).image
    assert image.GetOrigin()[2] == pytest.approx(100 - 11 * 2.5)
    assert np.array_equal(sitk.GetArrayFromImage(image), hu[::-1])


def test_each_slice_has_its_own_rescale(tmp_path):
    slopes = np.linspace(1.0, 2.0, 12)  # the first slice is in whole HU, the others are not
    intercepts = np.linspace(-1024, -1000, 12)
    stored = np.random.default_rng(3).integers(0, 900, (12, 10, 14))
    truth = stored * slopes[:, None, None] + intercepts[:, None, None]
    write_ct_series(tmp_path, truth, slope=slopes, intercept=intercepts)
    image = read_ct(tmp_path).image
    np.testing.assert_allclose(sitk.GetArrayFromImage(image), truth, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("syntax", ["RLE", "JPEG", "JPEG2000"])
def test_compressed_slices_read_as_the_plain_ones(tmp_path, hu, syntax):
    for path in write_ct_series(tmp_path, hu):
        compress(path, syntax)
        assert pydicom.dcmread(path).file_meta.TransferSyntaxUID.is_compressed
    assert np.array_equal(sitk.GetArrayFromImage(read_ct(tmp_path).image), hu)


def test_jpeg_ls_reads_as_the_example_in_its_standard(tmp_path):
    """ITU-T T.87 annex H.3 prints a 4×4 image and its code stream byte by byte."""
    stream = bytes.fromhex(
        "FFD8 FFF7 000B 08 0004 0004 01 01 11 00 FFDA 0008 01 01 00 00 00 00"
        "C000 006C 8020 8E01 C000 0057 4000 006E E600 0001 BC18 0000 05D8 0000 9160 FFD9".replace(" ", "")
    )
    example = [[0, 0, 90, 74], [68, 50, 43, 205], [64, 145, 145, 145], [100, 145, 145, 145]]
    for path in write_ct_series(tmp_path, np.full((9, 4, 4), -1024)):
        dataset = pydicom.dcmread(path)
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.JPEGLSLossless
        dataset.PixelData = encapsulate([stream])
        dataset["PixelData"].VR = "OB"
        dataset.save_as(path, enforce_file_format=True)
    assert np.array_equal(sitk.GetArrayFromImage(read_ct(tmp_path).image)[4], np.array(example) - 1024)


def test_what_cannot_be_decoded_is_named_with_its_compression(tmp_path, hu):
    path = write_ct_series(tmp_path, hu)[4]
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.HTJ2KLossless
    dataset.PixelData = encapsulate([b"\xff\x4f\xff\x51 no real code stream"])
    dataset["PixelData"].VR = "OB"
    dataset.save_as(path, enforce_file_format=True)
    with pytest.raises(InputError, match=rf"{path.name} \(High-Throughput JPEG 2000.*decompress"):
        read_ct(tmp_path)


def test_the_zip_of_a_dicom_folder_reads_as_the_folder_and_leaves_nothing(tmp_path, hu, monkeypatch):
    write_ct_series(tmp_path / "series", hu)
    archive = shutil.make_archive(str(tmp_path / "series"), "zip", tmp_path / "series")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    assert np.array_equal(sitk.GetArrayFromImage(read_ct(archive).image), hu)
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize("entry", ["../outside", "/absolute", "a/../../outside", "C:\\outside", "..\\outside"])
def test_a_zip_entry_that_leads_outside_is_refused(tmp_path, entry):
    archive = tmp_path / "evil.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr(entry, "x")
    with pytest.raises(InputError, match="leads out of the zip"):
        read_ct(archive)
    assert [p.name for p in tmp_path.iterdir()] == ["evil.zip"]


def test_a_truncated_zip_is_called_damaged(tmp_path, hu):
    write_ct_series(tmp_path / "series", hu)
    archive = tmp_path / "series.zip"
    shutil.make_archive(str(archive.with_suffix("")), "zip", tmp_path / "series")
    archive.write_bytes(archive.read_bytes()[:3000])
    with pytest.raises(InputError, match="damaged"):
        read_ct(archive)


def test_two_ct_series_are_listed_and_chosen_by_number_or_uid(tmp_path, hu):
    write_ct_series(tmp_path / "a", hu, number=3, ConvolutionKernel="B40f")
    path = write_ct_series(tmp_path / "b", hu[:10] + 7, number=4, ConvolutionKernel="B70f")[0]
    with pytest.raises(InputError, match=r"2 CT series: 3 \(12 images.*B40f.*4 \(10 images.*B70f.*--series"):
        read_ct(tmp_path)
    uid = pydicom.dcmread(path).SeriesInstanceUID
    for wanted in ("4", uid):
        assert np.array_equal(sitk.GetArrayFromImage(read_ct(tmp_path, wanted).image), hu[:10] + 7)
    with pytest.raises(InputError, match="no CT series 9; it has 3 "):
        read_ct(tmp_path, "9")


def test_scouts_projections_and_derived_series_give_way_to_the_original(tmp_path, hu):
    write_ct_series(tmp_path / "ct", hu, number=2)
    write_ct_series(
        tmp_path / "scout", hu[:2], number=1, step=(0, 3, 0), ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]
    )
    write_ct_series(tmp_path / "mip", hu, number=5, ImageType=["DERIVED", "SECONDARY", "AXIAL", "MIP"])
    write_ct_series(tmp_path / "cor", hu, number=6, ImageType=["DERIVED", "SECONDARY", "REFORMATTED"])
    write_ct_series(tmp_path / "mr", hu, number=7, modality="MR", sop_class=MR_IMAGE)
    scan = read_ct(tmp_path)
    assert scan.description["dicom"]["SeriesNumber"] == 2
    assert "passed over 1 " in scan.warnings[0]
    assert PATIENT not in scan.warnings[0]


def test_a_scout_within_the_series_is_left_out(tmp_path, hu):
    first = pydicom.dcmread(write_ct_series(tmp_path / "ct", hu)[0])
    write_ct_series(
        tmp_path / "scout",
        hu[:1, :4],
        SeriesInstanceUID=first.SeriesInstanceUID,
        ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"],
        ImageOrientationPatient=[1, 0, 0, 0, 0, -1],
    )
    assert read_ct(tmp_path).image.GetSize() == (14, 10, 12)


def test_missing_slices_are_named_by_where_they_should_be(tmp_path, hu):
    paths = write_ct_series(tmp_path, hu)
    by_z = {round(pydicom.dcmread(p).ImagePositionPatient[2], 3): p for p in paths}
    by_z[110.0].unlink()
    by_z[112.5].unlink()
    with pytest.raises(InputError, match=r"missing \(2 between z = 107.5 and z = 115 mm\)"):
        read_ct(tmp_path)


def test_uneven_spacing_is_refused_with_its_steps(tmp_path, hu):
    write_ct_series(tmp_path, hu[:6], number=3)
    uid = pydicom.dcmread(next(tmp_path.iterdir())).SeriesInstanceUID
    write_ct_series(tmp_path / "more", hu[6:], spacing=(0.8, 0.7, 3.1), origin=(-5, -3, 115), SeriesInstanceUID=uid)
    with pytest.raises(InputError, match=r"unevenly spaced \(2.50 mm .* 3.10 mm"):
        read_ct(tmp_path)


def test_positions_rounded_to_a_tenth_of_a_millimetre_are_even_enough(tmp_path, hu):
    for path in write_ct_series(tmp_path, hu, spacing=(0.8, 0.7, 1.25)):
        dataset = pydicom.dcmread(path)
        z = dataset.ImagePositionPatient[2]
        dataset.ImagePositionPatient = [-5, -3, round(float(z) + 1e-6, 1)]
        dataset.save_as(path)
    assert read_ct(tmp_path).image.GetSpacing()[2] == pytest.approx(1.25, abs=0.01)


def test_two_slices_at_one_place_are_refused_but_plain_copies_are_not(tmp_path, hu):
    path = write_ct_series(tmp_path, hu)[0]
    shutil.copy(path, tmp_path / "copy of it")
    scan = read_ct(tmp_path)
    assert np.array_equal(sitk.GetArrayFromImage(scan.image), hu)
    assert "1 files are copies" in scan.warnings[0]
    dataset = pydicom.dcmread(path)
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    dataset.save_as(tmp_path / "second phase")
    with pytest.raises(InputError, match="1 of its 13 slices lie where another one does"):
        read_ct(tmp_path)


def test_gantry_tilt_is_told_in_degrees(tmp_path, hu):
    angle = np.radians(15)
    write_ct_series(tmp_path, hu, step=(0, 2.5 * np.tan(angle), 2.5))
    with pytest.raises(InputError, match=r"sheared by 15\.0° \(gantry tilt\)"):
        read_ct(tmp_path)


def test_slices_of_two_sizes_are_refused(tmp_path, hu):
    path = write_ct_series(tmp_path, hu)[0]
    uid = pydicom.dcmread(path).SeriesInstanceUID
    write_ct_series(tmp_path / "more", hu[:3, :8], origin=(-5, -3, 130), SeriesInstanceUID=uid)
    with pytest.raises(InputError, match=r"different sizes: 14×10 \(12 slices\), 14×8 \(3 slices\)"):
        read_ct(tmp_path)


def test_slices_without_a_position_are_refused(tmp_path, hu):
    path = write_ct_series(tmp_path, hu)[0]
    dataset = pydicom.dcmread(path)
    del dataset.ImagePositionPatient
    dataset.save_as(path)
    with pytest.raises(InputError, match=rf"{path.name} has no usable Image Position Patient"):
        read_ct(tmp_path)


def test_the_description_names_no_patient(tmp_path, hu, counts):
    write_ct_series(tmp_path / "ct", hu, ContrastBolusAgent=f"given to {PATIENT}", KVP=120)
    write_nm(tmp_path / "nm", counts)
    for scan in (read_ct(tmp_path / "ct"), read_spect(tmp_path / "nm")):
        text = json.dumps(scan.description)
        for secret in (PATIENT, PATIENT_ID, "Doe", "Roe", "1970", "General Hospital", "1.2.826"):
            assert secret not in text
        assert scan.image.GetMetaDataKeys() == ()
    assert read_ct(tmp_path / "ct").description["dicom"]["contrast_agent_stated"] is True


@pytest.mark.parametrize(
    ("tags", "stated"),
    [
        ({}, False),
        ({"ContrastBolusAgent": ""}, False),
        ({"ContrastBolusAgent": "None"}, False),
        ({"ContrastBolusAgent": "ORAL"}, False),
        ({"ContrastBolusAgent": "Gastro 20", "ContrastBolusRoute": "Oral"}, False),
        ({"ContrastBolusAgent": "APPLIED", "ContrastBolusRoute": "IV"}, True),
        ({"ContrastBolusAgent": "Agent 370"}, True),
        ({"ContrastBolusVolume": 80}, True),
        ({"ContrastBolusVolume": 0}, False),
        ({"ContrastBolusAgentSequence": [pydicom.Dataset()]}, True),
    ],
)
def test_contrast_medium_is_stated_where_the_blood_carries_it(tmp_path, hu, tags, stated):
    write_ct_series(tmp_path, hu, **tags)
    assert read_ct(tmp_path).description["dicom"]["contrast_agent_stated"] is stated


def test_what_a_file_header_says_about_the_patient_is_dropped(tmp_path, hu):
    image = ct_image(hu)
    image.SetMetaData("patient_name", PATIENT)
    sitk.WriteImage(image, str(tmp_path / "ct.nrrd"))
    assert PATIENT in (tmp_path / "ct.nrrd").read_bytes().decode("latin-1")
    assert read_ct(tmp_path / "ct.nrrd").image.GetMetaDataKeys() == ()


@pytest.mark.parametrize("own", [False, True])
def test_an_enhanced_ct_file_reads_as_the_series_it_holds(tmp_path, hu, own):
    hu = hu // 2 * 2
    path = write_enhanced_ct(tmp_path / "one file", hu, np.random.default_rng(8).permutation(len(hu)), own)
    for source in (path, tmp_path):
        image = read_ct(source).image
        assert np.array_equal(sitk.GetArrayFromImage(image), hu)
        np.testing.assert_allclose(image.GetSpacing(), SPACING)
        np.testing.assert_allclose(image.GetOrigin(), (-5, -3, 100))


def test_one_slice_of_a_series_asks_for_its_folder(tmp_path, hu):
    path = write_ct_series(tmp_path, hu)[0]
    with pytest.raises(InputError, match="one slice of a CT series; give the folder"):
        read_ct(path)


def test_a_volume_without_air_is_no_ct_in_hounsfield_units(tmp_path, hu):
    path = tmp_path / "raw.nrrd"
    sitk.WriteImage(ct_image(hu + np.int16(1024)), str(path))
    with pytest.raises(InputError, match="not a chest CT in Hounsfield units"):
        read_ct(path)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_voxels_that_are_not_numbers_are_counted(tmp_path, hu, bad):
    array = hu.astype(np.float32)
    array[3, 4, :2] = bad
    path = tmp_path / "ct.nrrd"
    sitk.WriteImage(ct_image(array), str(path))
    for read in (read_ct, read_spect):
        with pytest.raises(InputError, match=r"ct\.nrrd: 2 voxels are not numbers"):
            read(path)


def test_a_four_dimensional_file_with_one_volume_is_that_volume(tmp_path, hu):
    one, two = tmp_path / "one.nii", tmp_path / "two.nii"
    sitk.WriteImage(sitk.JoinSeries([ct_image(hu)]), str(one))
    sitk.WriteImage(sitk.JoinSeries([ct_image(hu)] * 2), str(two))
    assert np.array_equal(sitk.GetArrayFromImage(read_ct(one).image), hu)
    with pytest.raises(InputError, match="holds 2 volumes"):
        read_ct(two)


def test_colour_and_thin_images_are_refused(tmp_path, hu):
    colour, thin = tmp_path / "colour.nrrd", tmp_path / "thin.nrrd"
    sitk.WriteImage(sitk.Compose([sitk.GetImageFromArray(hu)] * 3), str(colour))
    sitk.WriteImage(ct_image(hu[:1]), str(thin))
    with pytest.raises(InputError, match="3 values in each voxel"):
        read_ct(colour)
    with pytest.raises(InputError, match="only 1 slices"):
        read_ct(thin)


def test_a_written_image_reads_back_and_nothing_lies_beside_it(tmp_path, hu):
    path = tmp_path / "out.nrrd"
    write_image(ct_image(hu), path)
    assert np.array_equal(sitk.GetArrayFromImage(read_image(path)), hu)
    assert list(tmp_path.iterdir()) == [path]


@contextlib.contextmanager
def files_of_at_most(size: int):
    """As ``ulimit -f`` or a quota does: no file of this process may be larger."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.skipif(sys.platform == "win32", reason="limits of file sizes are POSIX")
@pytest.mark.parametrize("name", ["a.nrrd", "a.mha", "a.nii", "a.nii.gz", "a.seg.nrrd", "a.tfm"])
def test_what_could_not_be_written_whole_is_not_there(tmp_path, hu, name):
    path = tmp_path / name

    def write():
        if name == "a.tfm":
            write_transform(sitk.Euler3DTransform((1, 2, 3), 0.1, 0.2, 0.3, (4, 5, 6)), path)
        elif name == "a.seg.nrrd":
            write_segments(path, ct_image(hu), [])
        else:
            write_image(ct_image(hu), path)

    with files_of_at_most(100), pytest.raises(InputError, match=rf"^{path}: .*whole"):
        write()
    assert list(tmp_path.iterdir()) == []
    write()
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", [".mhd", ".nhdr", ".hdr", ".png", ""])
def test_an_image_of_two_files_is_not_written(tmp_path, hu, suffix):
    with pytest.raises(InputError, match="written as one file"):
        write_image(ct_image(hu), tmp_path / f"a{suffix}")
    assert list(tmp_path.iterdir()) == []


def test_the_same_image_is_written_as_the_same_bytes(tmp_path, hu):
    write_image(ct_image(hu), tmp_path / "a.nrrd")
    write_image(ct_image(hu), tmp_path / "b.nrrd")
    assert (tmp_path / "a.nrrd").read_bytes() == (tmp_path / "b.nrrd").read_bytes()


def test_an_image_that_cannot_be_written_leaves_the_old_one(tmp_path, hu):
    old = tmp_path / "out.xyz"
    old.write_text("old")
    with pytest.raises(InputError, match="name a file that ends in"):
        write_image(ct_image(hu), old)
    assert old.read_text() == "old"
    assert list(tmp_path.iterdir()) == [old]
    with pytest.raises(InputError, match="there is no folder"):
        write_image(ct_image(hu), tmp_path / "nowhere" / "out.nrrd")


def test_the_real_dicom_zip_equals_itks_own_series_reader(real_data, tmp_path):
    archive = next((real_data / "lungdx_a0002_B40f").glob("*.zip"))
    with zipfile.ZipFile(archive) as zipped:
        zipped.extractall(tmp_path)
    reference = sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(tmp_path)))
    scan = read_ct(archive)
    assert np.array_equal(sitk.GetArrayFromImage(scan.image), sitk.GetArrayFromImage(reference))
    assert scan.image.GetOrigin() == reference.GetOrigin()
    assert scan.image.GetSpacing() == reference.GetSpacing()
