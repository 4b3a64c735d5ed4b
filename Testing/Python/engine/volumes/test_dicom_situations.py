"""DICOM as workstations write it: acquisitions in one series, rounded and odd numbers, NM vectors, displays."""

import contextlib

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_samples import (
    CT_IMAGE,
    NM_IMAGE,
    PET_IMAGE,
    compress,
    header,
    hu_volume,
    set_pixels,
    write_ct_series,
    write_enhanced_ct,
    write_nm,
)
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import generate_uid

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.volumes.reading import read_ct, read_spect

UPPER = (-5.0, -3.0, 108.75)  # three and a half slices of 2.5 mm above the first series


@pytest.fixture
def hu():
    return hu_volume()


@pytest.fixture
def counts():
    return np.random.default_rng(2).integers(1, 5000, (16, 9, 11))


def voxels(scan):
    return sitk.GetArrayFromImage(scan.image)


def change(paths, **tags):
    """Set attributes of files; a value may be a function of the dataset."""
    for path in paths:
        dataset = pydicom.dcmread(path)
        for keyword, value in tags.items():
            setattr(dataset, keyword, value(dataset) if callable(value) else value)
        dataset.save_as(path)


def two_in_one(folder, hu, first, second, origin=UPPER):
    """Two acquisitions under one Series Instance UID, the second half a step higher, so that all steps are even."""
    uid = generate_uid()
    for part, (tags, place) in enumerate(((first, (-5.0, -3.0, 100.0)), (second, origin))):
        write_ct_series(folder / str(part), hu + part, origin=place, SeriesInstanceUID=uid, **tags)
    return folder


@pytest.mark.parametrize(
    ("first", "second", "wanted"),
    [
        ({"AcquisitionNumber": 1}, {"AcquisitionNumber": 2}, "2"),
        ({"TemporalPositionIdentifier": 3}, {"TemporalPositionIdentifier": 7}, "7"),
        ({"TriggerTime": 0}, {"TriggerTime": 450.5}, "450.5"),
        ({"NominalPercentageOfCardiacPhase": 0}, {"NominalPercentageOfCardiacPhase": 50}, "50"),
        ({"AcquisitionTime": "101500.25"}, {"AcquisitionTime": "101559"}, "2"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else value,
)
@pytest.mark.parametrize("origin", [UPPER, (-5.0, -3.0, 100.0)], ids=["interleaving", "at the same places"])
def test_acquisitions_within_each_other_are_listed_and_one_is_chosen(tmp_path, hu, first, second, wanted, origin):
    folder = two_in_one(tmp_path, hu, first, second, origin)
    with pytest.raises(InputError, match=r"2 acquisitions.*12 slices from 100 to 127\.5 mm.*--acquisition"):
        read_ct(folder)
    scan = read_ct(folder, acquisition=wanted)
    assert np.array_equal(voxels(scan), hu + 1)
    assert scan.image.GetOrigin() == pytest.approx(origin)
    assert f"took acquisition {wanted}" in scan.warnings[0]
    with pytest.raises(InputError, match="has no acquisition 99"):
        read_ct(folder, acquisition="99")


def test_passes_by_instance_number_alone_are_told_apart(tmp_path, hu):
    folder = two_in_one(tmp_path, hu, {}, {})
    change((folder / "1").iterdir(), InstanceNumber=lambda dataset: int(dataset.InstanceNumber) + 12)
    with pytest.raises(InputError, match="2 acquisitions"):
        read_ct(folder)
    assert np.array_equal(voxels(read_ct(folder, acquisition="1")), hu)


def test_a_volume_of_many_acquisitions_one_after_the_other_is_one_volume(tmp_path, hu):
    paths = write_ct_series(tmp_path, hu)
    change(
        paths,
        AcquisitionNumber=lambda dataset: (int(dataset.InstanceNumber) - 1) // 4,
        AcquisitionTime=lambda dataset: f"10{(int(dataset.InstanceNumber) - 1) // 4:02d}00",
    )
    assert np.array_equal(voxels(read_ct(tmp_path)), hu)
    write_ct_series(tmp_path / "single", hu)
    with pytest.raises(InputError, match="leave out --acquisition"):
        read_ct(tmp_path / "single", acquisition="1")


def test_slices_of_several_frames_of_reference_are_said(tmp_path, hu):
    paths = write_ct_series(tmp_path, hu)
    assert read_ct(tmp_path).warnings == []
    change(paths[:3], FrameOfReferenceUID=generate_uid())
    (said,) = read_ct(tmp_path).warnings
    assert "name 2 frames of reference" in said


@pytest.mark.parametrize("thickness", [0.625, 0.7, 1.25])
def test_positions_rounded_to_a_tenth_of_a_millimetre_are_even(tmp_path, thickness):
    paths = write_ct_series(tmp_path, hu_volume((40, 6, 6)), spacing=(0.8, 0.7, thickness))
    change(paths, ImagePositionPatient=lambda dataset: [round(float(v), 1) for v in dataset.ImagePositionPatient])
    assert read_ct(tmp_path).image.GetSpacing()[2] == pytest.approx(thickness, abs=0.005)


def test_a_slice_half_a_step_off_is_still_refused(tmp_path, hu):
    paths = write_ct_series(tmp_path, hu, spacing=(0.8, 0.7, 0.6))
    change(paths[:1], ImagePositionPatient=lambda d: [*d.ImagePositionPatient[:2], d.ImagePositionPatient[2] + 0.3])
    with pytest.raises(InputError, match="unevenly spaced"):
        read_ct(tmp_path)


def spell(paths, **texts):
    """Write attributes as bytes of any spelling, which pydicom would refuse."""
    for path in paths:
        dataset = pydicom.dcmread(path)
        for keyword, text in texts.items():
            tag = pydicom.datadict.tag_for_keyword(keyword)
            vr = pydicom.datadict.dictionary_VR(tag)
            raw = pydicom.dataelem.RawDataElement(pydicom.tag.Tag(tag), vr, len(text), text.encode(), 0, False, True)
            dataset[tag] = raw
        dataset.save_as(path)


def test_a_decimal_comma_is_read_where_it_can_be_nothing_else(tmp_path, hu):
    paths = write_ct_series(tmp_path, hu)
    spell(paths, RescaleSlope="1,0 ", SliceThickness="1,25", PixelSpacing="0,75\\0,75 ")
    scan = read_ct(tmp_path)
    assert np.array_equal(voxels(scan), hu)
    assert scan.image.GetSpacing()[:2] == (0.75, 0.75)
    assert scan.description["dicom"]["SliceThickness"] == 1.25


@pytest.mark.parametrize(
    ("keyword", "text", "message"),
    [
        ("RescaleIntercept", "-1,024", "Rescale Intercept of .* is no plain number"),
        ("RescaleSlope", "1.000,5 ", "Rescale Slope of .* is no plain number"),
        ("RescaleSlope", "one ", "Rescale Slope of .* is no plain number"),
        ("PixelSpacing", "0,7,5\\1 ", "no usable Pixel Spacing"),
    ],
)
def test_a_number_that_might_be_another_is_one_sentence(tmp_path, hu, keyword, text, message):
    spell(write_ct_series(tmp_path, hu), **{keyword: text})
    with pytest.raises(InputError, match=message):
        read_ct(tmp_path)


@pytest.mark.parametrize(
    ("keyword", "value"), [("SamplesPerPixel", [1, 1]), ("NumberOfFrames", [1, 2]), ("SliceThickness", ["1", "2"])]
)
def test_a_list_where_a_number_belongs_is_one_sentence(tmp_path, hu, keyword, value):
    path = write_ct_series(tmp_path, hu)[3]
    dataset = pydicom.dcmread(path)
    setattr(dataset, keyword, value)
    dataset.save_as(path)
    with contextlib.suppress(InputError):
        read_ct(tmp_path)


def test_two_series_with_a_decimal_comma_are_listed(tmp_path, hu):
    for number in (1, 2):
        spell(write_ct_series(tmp_path / str(number), hu, number=number), SliceThickness="1,25")
    with pytest.raises(InputError, match=r"2 CT series: 1 \(12 images, 1\.25 mm"):
        read_ct(tmp_path)


def test_monochrome1_says_how_to_show_and_changes_no_value(tmp_path, hu, counts):
    write_ct_series(tmp_path / "ct", hu, PhotometricInterpretation="MONOCHROME1")
    assert np.array_equal(voxels(read_ct(tmp_path / "ct")), hu)
    path = write_nm(tmp_path / "nm.dcm", counts, step=4.4, PhotometricInterpretation="MONOCHROME1")
    assert np.array_equal(voxels(read_spect(path)), counts)


def test_compressed_monochrome1_changes_no_value(tmp_path, hu):
    for syntax in ("RLE", "JPEG2000"):
        paths = write_ct_series(tmp_path / syntax, hu, PhotometricInterpretation="MONOCHROME1")
        for path in paths:
            compress(path, syntax)
        assert np.array_equal(voxels(read_ct(tmp_path / syntax)), hu)


def test_the_first_slice_may_have_another_type_of_pixel(tmp_path, hu):
    paths = write_ct_series(tmp_path, np.maximum(hu, -1000))
    for path in paths:
        dataset = pydicom.dcmread(path)
        if int(dataset.InstanceNumber) == 1:
            stored = dataset.pixel_array.astype(np.int32) - 1024
            dataset.RescaleIntercept = 0
            set_pixels(dataset, stored.astype(np.int16))
            dataset.save_as(path)
    assert np.array_equal(voxels(read_ct(tmp_path)), hu)


def test_bits_beside_the_stored_ones_are_no_values(tmp_path, hu):
    paths = write_ct_series(tmp_path, hu)
    for path in paths:
        dataset = pydicom.dcmread(path)
        dataset.BitsStored, dataset.HighBit = 12, 11
        dataset.PixelData = (dataset.pixel_array | 0xF000).astype(np.uint16).tobytes()
        dataset.save_as(path)
    assert np.array_equal(voxels(read_ct(tmp_path)), hu)


def test_a_dicomdir_stands_for_its_folder(tmp_path, hu):
    write_ct_series(tmp_path / "IMAGES", hu)
    meta = pydicom.dataset.FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    directory = pydicom.dataset.FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    directory.FileSetID = "DISC"
    directory.save_as(tmp_path / "DICOMDIR", enforce_file_format=True)
    assert np.array_equal(voxels(read_ct(tmp_path / "DICOMDIR")), hu)


def test_a_multi_frame_file_among_single_slices_is_named(tmp_path, hu):
    uid = generate_uid()
    paths = write_ct_series(tmp_path, hu, SeriesInstanceUID=uid)
    dataset = pydicom.dcmread(paths[0])
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    set_pixels(dataset, np.zeros((5, 10, 14), np.uint16))
    dataset.save_as(tmp_path / "several", enforce_file_format=True)
    with pytest.raises(InputError, match=r"multi-frame file \(several, 5 frames\)"):
        read_ct(tmp_path)


def test_an_enhanced_pet_is_read_as_an_enhanced_ct_is(tmp_path, hu):
    path = write_enhanced_ct(tmp_path / "pet.dcm", np.abs(hu) // 2 * 2, np.arange(len(hu))[::-1], own=False)
    change([path], SOPClassUID="1.2.840.10008.5.1.4.1.1.130", Modality="PT")
    assert np.array_equal(voxels(read_spect(path)), np.abs(hu) // 2 * 2)


def test_a_spect_exported_as_pet_images_is_read_whatever_its_modality(tmp_path, counts):
    values = counts.astype(float)
    for modality in ("PT", "NM"):
        folder = tmp_path / modality
        write_ct_series(folder, values, slope=0.5, intercept=0.0, sop_class=PET_IMAGE, modality=modality)
        np.testing.assert_allclose(voxels(read_spect(folder)), values)


# Nuclear medicine files


def test_the_slice_vector_says_which_slice_a_frame_is(tmp_path, counts):
    plain = read_spect(write_nm(tmp_path / "a.dcm", counts, step=4.4))
    order = np.random.default_rng(0).permutation(len(counts))
    for name, numbers in (("back", np.arange(len(counts))[::-1]), ("any", order)):
        path = write_nm(
            tmp_path / f"{name}.dcm", counts[numbers], step=4.4, SliceVector=[int(n) + 1 for n in numbers]
        )
        scan = read_spect(path)
        assert np.array_equal(voxels(scan), voxels(plain))
        assert scan.image.GetOrigin() == plain.image.GetOrigin()


def test_a_slice_vector_that_names_a_slice_twice_is_refused(tmp_path, counts):
    path = write_nm(tmp_path / "a.dcm", counts, SliceVector=[1, 1, *range(3, 17)])
    with pytest.raises(InputError, match="does not name every slice once"):
        read_spect(path)


def windows(*limits):
    items = []
    for low, high in limits:
        item, part = Dataset(), Dataset()
        part.EnergyWindowLowerLimit, part.EnergyWindowUpperLimit = low, high
        item.EnergyWindowRangeSequence = Sequence([part])
        items.append(item)
    return Sequence(items)


def two_windows(path, counts, *limits):
    both = np.concatenate([counts // 3, counts])
    vector = [1] * len(counts) + [2] * len(counts)
    return write_nm(
        path,
        both,
        step=4.4,
        NumberOfSlices=len(counts),
        EnergyWindowVector=vector,
        SliceVector=[*range(1, len(counts) + 1)] * 2,
        EnergyWindowInformationSequence=windows(*limits),
    )


def test_the_window_around_technetiums_photopeak_is_the_emission(tmp_path, counts):
    path = two_windows(tmp_path / "a.dcm", counts, (108, 126), (126.4, 154.6))
    scan = read_spect(path)
    assert np.array_equal(voxels(scan), counts)
    assert "took energy window 2 (126.4–154.6 keV) of 2" in scan.warnings[0]
    assert np.array_equal(voxels(read_spect(path, ":1")), counts // 3)


@pytest.mark.parametrize("limits", [[(70, 90), (160, 190)], [(126, 154), (130, 150)], []])
def test_windows_that_cannot_be_told_apart_are_asked_for(tmp_path, counts, limits):
    path = two_windows(tmp_path / "a.dcm", counts, *limits)
    with pytest.raises(InputError, match=r"2 energy windows .*--spect-series 7:WINDOW"):
        read_spect(path)
    assert np.array_equal(voxels(read_spect(path, "7:2")), counts)
    with pytest.raises(InputError, match="has no energy window 3"):
        read_spect(path, "7:3")


@pytest.mark.filterwarnings("ignore:The value length")
@pytest.mark.parametrize("first", ["ORIGINAL", "DERIVED"])
@pytest.mark.parametrize("joined", [False, True])
def test_a_transmission_map_is_no_emission(tmp_path, counts, first, joined):
    values = [first, "PRIMARY", "RECON TOMO", "TRANSMISSION"]
    path = write_nm(tmp_path / "a.dcm", counts, ImageType=" ".join(values) if joined else values)
    for source in (path, tmp_path):
        with pytest.raises(InputError, match="transmission map"):
            read_spect(source)


@pytest.mark.filterwarnings("ignore:The value length")
@pytest.mark.parametrize("separator", [" ", "/", ", "])
def test_an_image_type_in_one_text_is_understood(tmp_path, counts, separator):
    path = write_nm(
        tmp_path / "a.dcm", counts, step=4.4, ImageType=separator.join(["DERIVED", "PRIMARY", "RECON TOMO"])
    )
    assert np.array_equal(voxels(read_spect(path)), counts)
    with pytest.raises(InputError, match="raw projections"):
        read_spect(write_nm(tmp_path / "b.dcm", counts, ImageType=separator.join(["ORIGINAL", "PRIMARY", "TOMO"])))


def test_a_spect_of_one_file_a_slice_is_the_volume(tmp_path, counts):
    whole = read_spect(write_nm(tmp_path / "whole.dcm", counts, step=4.4))
    folder = tmp_path / "slices"
    folder.mkdir()
    uid = generate_uid()
    for index, plane in enumerate(counts):
        dataset = header(NM_IMAGE, "NM", ImageType=["DERIVED", "PRIMARY", "RECON TOMO", "EMISSION"], SeriesNumber=7)
        dataset.SeriesInstanceUID, dataset.PixelSpacing, dataset.SliceThickness = uid, [4.4, 4.4], 4.4
        detector = Dataset()
        detector.ImagePositionPatient = [-100.0, -90.0, round(250.0 + 4.4 * index, 3)]
        detector.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        dataset.DetectorInformationSequence = Sequence([detector])
        set_pixels(dataset, plane[None].astype(np.uint16))
        dataset.save_as(folder / f"{(index * 7) % 16:03d}.dcm", enforce_file_format=True)
    scan = read_spect(folder)
    assert np.array_equal(voxels(scan), counts)
    np.testing.assert_allclose(scan.image.GetOrigin(), whole.image.GetOrigin(), atol=1e-3)
    np.testing.assert_allclose(scan.image.GetSpacing(), whole.image.GetSpacing(), atol=1e-3)
    with pytest.raises(InputError, match="is one slice of a SPECT series; give the folder"):
        read_spect(folder / "000.dcm")


def test_reconstructions_with_and_without_attenuation_correction_are_asked_for(tmp_path, counts):
    uid = generate_uid()
    for number, corrected in ((1, ["DECY", "ATTN", "SCAT"]), (2, ["DECY"])):
        write_nm(tmp_path / f"{number}.dcm", counts * number, step=4.4, CorrectedImage=corrected, SeriesNumber=number)
    with pytest.raises(InputError, match=r"attenuation-corrected.*not attenuation-corrected.*--spect-series"):
        read_spect(tmp_path)
    assert np.array_equal(voxels(read_spect(tmp_path, "2")), counts * 2)
    for path in tmp_path.iterdir():
        change([path], SeriesInstanceUID=uid, SeriesNumber=7)
    with pytest.raises(InputError, match=r"7:1 is 1\.dcm \(16 slices, attenuation-corrected\); 7:2 is 2\.dcm"):
        read_spect(tmp_path)
    assert np.array_equal(voxels(read_spect(tmp_path, "7:2")), counts * 2)


def test_a_ct_as_a_spect_is_refused_and_keeps_its_frame_of_reference(tmp_path, hu):
    paths = write_ct_series(tmp_path, hu, sop_class=CT_IMAGE)
    with pytest.raises(InputError, match="holds no SPECT series"):
        read_spect(tmp_path)
    scan = read_ct(tmp_path)
    assert scan.frame_of_reference == pydicom.dcmread(paths[0]).FrameOfReferenceUID
    assert scan.frame_of_reference not in str(scan.description)
