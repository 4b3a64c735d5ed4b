"""Image files say where they lie, or are refused: NIfTI's two geometries, shear, headers that lie about the file."""

import gzip
import itertools
import shutil
import struct
import sys

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.volumes.formats import apart
from DLCTPMLib.volumes.formats.any_format import read_file
from DLCTPMLib.volumes.patient_axes import PatientAxes
from DLCTPMLib.volumes.reading import read_ct, read_image

VOXELS = np.random.default_rng(3).integers(-1000, 400, (9, 10, 11)).astype(np.int16)  # x, y, z
RAS = np.array([[2.0, 0, 0, -30], [0, 2.5, 0, 40], [0, 0, 3, -50], [0, 0, 0, 1]])


def turned(axis=2, degrees=20.0):
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    rotation = np.eye(4)
    a, b = [i for i in range(3) if i != axis]
    rotation[[a, a, b, b], [a, b, a, b]] = c, -s, s, c
    return rotation @ RAS


def nifti(path, qform=(RAS, 1), sform=(RAS, 1), voxels=VOXELS, kind=nibabel.Nifti1Image):
    image = kind(voxels, None)
    image.header.set_xyzt_units("mm")
    image.set_qform(*qform)
    image.set_sform(*sform)
    nibabel.save(image, path)
    return path


def lps_points(image, indices=((0, 0, 0), (8, 0, 0), (0, 9, 0), (0, 0, 10), (8, 9, 10))):
    return np.array([image.TransformIndexToPhysicalPoint(i) for i in indices])


def nibabel_points(path, indices=((0, 0, 0), (8, 0, 0), (0, 9, 0), (0, 0, 10), (8, 9, 10))):
    return nibabel.affines.apply_affine(nibabel.load(path).affine, np.array(indices)) * (-1, -1, 1)


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize(
    "form", [RAS, turned(), np.diag([-1, 1, -1, 1]) @ turned(0, 35)], ids=["ras", "z", "mirrored"]
)
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_a_nifti_lies_where_nibabel_says_it_lies(tmp_path, kind, form, name):
    for qform, sform in (((form, 1), (form, 0)), ((form, 0), (form, 1)), ((form, 1), (form, 1))):
        path = nifti(tmp_path / name, qform, sform, kind=kind)
        image, notes = read_file(path)
        np.testing.assert_allclose(lps_points(image), nibabel_points(path), atol=1e-3)
        assert np.array_equal(sitk.GetArrayFromImage(image), VOXELS.T)
        assert notes == []


@pytest.mark.parametrize(
    "code", ["uint8", "int16", "int32", "float32", "float64", "int8", "uint16", "uint32", "int64"]
)
def test_every_type_of_voxel_in_either_byte_order_is_what_nibabel_reads(tmp_path, code):
    for order in "<>":
        header = nibabel.Nifti1Header(endianness=order)
        header.set_data_dtype(code)
        image = nibabel.Nifti1Image(np.abs(VOXELS).astype(code) % 100, RAS, header)
        nibabel.save(image, tmp_path / "a.nii")
        np.testing.assert_array_equal(
            sitk.GetArrayFromImage(read_image(tmp_path / "a.nii")), nibabel.load(tmp_path / "a.nii").get_fdata().T
        )


def test_a_pair_of_header_and_image_is_read(tmp_path):
    nibabel.save(nibabel.Nifti1Pair(VOXELS, RAS), tmp_path / "a.hdr")
    for name in ("a.hdr", "a.img"):
        assert np.array_equal(sitk.GetArrayFromImage(read_image(tmp_path / name)), VOXELS.T)
    for name in ("a.hdr", "a.img"):
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).unlink()
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content))
    assert np.array_equal(sitk.GetArrayFromImage(read_image(tmp_path / "a.img.gz")), VOXELS.T)


@pytest.mark.parametrize("kind", [nibabel.Nifti1Pair, nibabel.AnalyzeImage])
@pytest.mark.parametrize("name", ["a.hdr", "a.img"])
def test_a_pair_that_says_no_orientation_is_not_believed_by_either_of_its_files(tmp_path, kind, name):
    image = kind(VOXELS, None)
    image.header.set_zooms((2.0, 2.5, 3.0))
    nibabel.save(image, tmp_path / "a.img")
    with pytest.raises(InputError, match="does not say which way"):
        read_image(tmp_path / name)
    read = read_image(tmp_path / name, "RAS")
    assert read.GetSpacing() == pytest.approx((2, 2.5, 3))
    assert np.array_equal(sitk.GetArrayFromImage(read), VOXELS.T)


def test_a_tiff_knows_no_distance_between_its_slices(tmp_path):
    path = tmp_path / "a.tif"
    sitk.WriteImage(sitk.GetImageFromArray(VOXELS), str(path))
    with pytest.raises(InputError, match="how far its slices lie apart"):
        read_image(path, "LPS")


@pytest.mark.parametrize(("slope", "intercept"), [(0.0, 5.0), (1.0, -1024.0), (0.5, 3.0), (np.nan, 0.0)])
def test_a_slope_of_zero_scales_nothing_and_others_do(tmp_path, slope, intercept):
    path = nifti(tmp_path / "a.nii")
    content = bytearray(path.read_bytes())
    struct.pack_into("<2f", content, 112, slope, intercept)
    path.write_bytes(content)
    scales = np.isfinite(slope) and slope != 0
    expected = VOXELS.T * slope + intercept if scales else VOXELS.T
    np.testing.assert_allclose(sitk.GetArrayFromImage(read_image(path)), expected)


def test_a_gzip_under_another_name_and_a_plain_file_called_gz_are_read(tmp_path):
    plain = nifti(tmp_path / "a.nii")
    (tmp_path / "packed.nii").write_bytes(gzip.compress(plain.read_bytes()))
    shutil.copy(plain, tmp_path / "plain.nii.gz")
    shutil.copy(plain, tmp_path / "no_ending")
    for name in ("packed.nii", "plain.nii.gz", "no_ending"):
        assert np.array_equal(sitk.GetArrayFromImage(read_image(tmp_path / name)), VOXELS.T)


def test_a_nifti_that_says_no_orientation_is_refused_until_the_user_says_it(tmp_path):
    path = nifti(tmp_path / "ct.nii.gz", (RAS, 0), (RAS, 0))
    with pytest.raises(InputError, match="--orientation"):
        read_ct(path)
    image = read_ct(path, orientation="RAS").image
    assert PatientAxes.of(image).flipped == (False, True, True)
    assert image.GetSpacing() == pytest.approx((2, 2.5, 3))
    for code in ("LPX", "LRS", "LP", "LPSS"):
        with pytest.raises(InputError, match="three letters"):
            read_ct(path, orientation=code)


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_no_format_may_keep_its_orientation_to_itself(tmp_path, suffix):
    path = tmp_path / f"ct{suffix}"
    sitk.WriteImage(sitk.GetImageFromArray(VOXELS), str(path))
    lines = path.read_bytes().split(b"\n")
    silent = [line for line in lines if not line.startswith((b"space: ", b"TransformMatrix"))]
    assert len(silent) == len(lines) - 1
    path.write_bytes(b"\n".join(silent))
    with pytest.raises(InputError, match="does not say which way"):
        read_image(path)
    assert read_image(path, "LPS").GetSize() == (11, 10, 9)


def test_an_orientation_said_against_the_file_is_refused(tmp_path):
    path = nifti(tmp_path / "ct.nii")
    assert read_image(path, "ras").GetSize() == (9, 10, 11)
    with pytest.raises(InputError, match="states that its axes run to RAS, not LPS"):
        read_image(path, "LPS")


def test_of_two_geometries_the_sform_counts_where_its_code_is_higher_and_is_said(tmp_path):
    mirrored = np.diag([-1, 1, 1, 1]) @ RAS
    path = nifti(tmp_path / "ct.nii", (mirrored, 1), (RAS, 2))
    image, notes = read_file(path)
    np.testing.assert_allclose(lps_points(image), nibabel_points(path), atol=1e-3)
    assert "contradict" in notes[0]
    assert "sform was taken" in notes[0]
    assert notes == read_ct(path).warnings


@pytest.mark.parametrize("codes", [(1, 1), (2, 1)])
def test_two_geometries_without_precedence_are_refused_until_the_user_says_which(tmp_path, codes):
    mirrored = np.diag([-1, 1, 1, 1]) @ RAS
    path = nifti(tmp_path / "ct.nii", (mirrored, codes[0]), (RAS, codes[1]))
    with pytest.raises(InputError, match="contradict each other"):
        read_image(path)
    for code, form in (("RAS", RAS), ("LAS", mirrored)):
        np.testing.assert_allclose(lps_points(read_image(path, code))[0], form[:3, 3] * (-1, -1, 1), atol=1e-3)


def sheared(path, degrees):
    """A CT whose slices are shifted against each other, in the words of each format."""
    tangent = np.tan(np.radians(degrees))
    if path.suffix == ".nii":
        form = RAS.copy()
        form[1, 2] = tangent * form[2, 2]
        return nifti(path, (RAS, 0), (form, 1))
    image = sitk.GetImageFromArray(VOXELS)
    image.SetSpacing((40, 40, 40))
    column = np.array([0, tangent, 1]) / np.hypot(tangent, 1)
    image.SetDirection([1, 0, column[0], 0, 1, column[1], 0, 0, column[2]])
    sitk.WriteImage(image, str(path))
    return path


@pytest.mark.parametrize("suffix", [".nii", ".nrrd", ".mha"])
def test_sheared_axes_are_refused_in_every_format_alike(tmp_path, suffix):
    with pytest.raises(InputError, match=r"not at right angles \(sheared by 20\.0°"):
        read_image(sheared(tmp_path / f"a{suffix}", 20))
    assert read_image(sheared(tmp_path / f"b{suffix}", 0.01)).GetDimension() == 3


def test_the_volume_of_a_voxel_is_its_determinant():
    image = sitk.Image(4, 4, 4, sitk.sitkUInt8)
    image.SetSpacing((2, 2, 2))
    image.SetDirection([1, 0, 0, 0, 1, 0.6, 0, 0, 0.8])
    assert PatientAxes.of(image).voxel_ml == pytest.approx(8e-3 * 0.8)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("suffix", [".nrrd", ".nhdr", ".mha", ".mhd", ".nii.gz"])
def test_sound_files_read_as_simpleitk_reads_them(tmp_path, suffix, compressed):
    for number, (kind, flip) in enumerate(itertools.product((np.uint8, np.int16, np.float64), (1, -1))):
        image = sitk.GetImageFromArray(np.abs(VOXELS).astype(kind))
        image.SetSpacing((1.5, 2.5, 3.5))
        image.SetOrigin((1.0, -2.0, 3.0))
        image.SetDirection((turned(1, 15)[:3, :3] / (2, 2.5, 3) * (flip, flip, 1)).ravel().tolist())
        path = tmp_path / f"{number}{suffix}"
        sitk.WriteImage(image, str(path), useCompression=compressed)
        ours, theirs = read_image(path), sitk.ReadImage(str(path))
        assert np.array_equal(sitk.GetArrayFromImage(ours), sitk.GetArrayFromImage(theirs))
        np.testing.assert_allclose(lps_points(ours), lps_points(theirs), atol=1e-3)


def test_a_nrrd_with_one_frame_is_the_volume_and_with_two_is_refused(tmp_path):
    for frames in (1, 2):
        header = (
            f"NRRD0004\ntype: short\ndimension: 4\nspace: RAS\nsizes: {frames} 9 10 11\nendian: little\n"
            "space directions: none (2,0,0) (0,2.5,0) (0,0,3)\nspace origin: (-30,40,-50)\n"
            "kinds: list domain domain domain\nencoding: raw\n\n"
        )
        voxels = np.repeat(VOXELS.T[..., None], frames, axis=-1)
        (tmp_path / f"{frames}.nrrd").write_bytes(header.encode() + voxels.tobytes())
    image = read_image(tmp_path / "1.nrrd")
    assert np.array_equal(sitk.GetArrayFromImage(image), VOXELS.T)
    np.testing.assert_allclose(lps_points(image), nibabel_points(nifti(tmp_path / "a.nii")), atol=1e-3)
    with pytest.raises(InputError, match="has 2 values in each voxel"):
        read_image(tmp_path / "2.nrrd")


def test_a_nrrd_of_slices_that_stand_nowhere_is_refused(tmp_path):
    header = (
        "NRRD0004\ntype: short\ndimension: 3\nspace: RAS\nsizes: 9 10 11\nendian: little\n"
        "space directions: (2,0,0) (0,2.5,0) none\nspace origin: (-30,40,-50)\nencoding: raw\n\n"
    )
    (tmp_path / "a.nrrd").write_bytes(header.encode() + VOXELS.T.tobytes())
    with pytest.raises(InputError, match=r"a\.nrrd: is a 2D image"):
        read_image(tmp_path / "a.nrrd")


META = {
    "ObjectType": "Image",
    "NDims": "3",
    "BinaryData": "True",
    "BinaryDataByteOrderMSB": "False",
    "CompressedData": "False",
    "TransformMatrix": "1 0 0 0 1 0 0 0 1",
    "Offset": "0 0 0",
    "ElementSpacing": "2 2 3",
    "DimSize": "9 10 11",
    "ElementType": "MET_SHORT",
    "ElementDataFile": "LOCAL",
}


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("NDims", "-1", "dimensions"),
        ("NDims", "3000000000", "dimensions"),
        ("NDims", "three", "no whole number for NDims"),
        ("DimSize", "9 10 0", "empty or damaged"),
        ("DimSize", "9 10 -11", "empty or damaged"),
        ("DimSize", "9 10 12", "cut off"),
        ("DimSize", "90000 90000 90000", "no image has"),
        ("DimSize", "9 10", "does not give 3 sizes"),
        ("TransformMatrix", "1 0 0 0 1 99999999999999999999 0 0 1", "not at right angles"),
        ("TransformMatrix", "1e30 0 0 0 1e30 0 0 0 1e30", "no unit directions"),
        ("TransformMatrix", "1 0 0 0 nan 0 0 0 1", "not finite"),
        ("TransformMatrix", "2 0 0 0 2 0 0 0 2", "no unit directions"),
        ("TransformMatrix", "1 0 0 0 1 0 1 0 0", "not at right angles"),
        ("ElementSpacing", "2 2 0", "make no sense"),
        ("ElementSpacing", "2 2 1e-30", "make no sense"),
        ("ElementSpacing", "2 2 1e3", "make no sense"),
        ("ElementSpacing", "2,5 2,5 3", "no numbers for ElementSpacing"),
        ("Offset", "0 0 inf", "not finite"),
        ("ElementType", "MET_NONSENSE", "ElementType"),
        ("ElementNumberOfChannels", "-3", "empty or damaged"),
        ("ElementDataFile", "../../secret.raw", "another folder"),
        ("ElementDataFile", "/etc/passwd", "another folder"),
        ("ElementDataFile", "missing.raw", "not beside it"),
        ("ElementDataFile", "LIST", "many files"),
        ("HeaderSize", "99999999", "outside the file"),
        ("CompressedData", "True", "damaged or cut off"),
    ],
)
def test_a_metaimage_header_is_looked_at_before_its_voxels(tmp_path, field, value, message):
    fields = META | {field: value}
    fields["ElementDataFile"] = fields.pop("ElementDataFile")
    text = "".join(f"{key} = {entry}\n" for key, entry in fields.items())
    path = tmp_path / "folder" / "a.mha"
    path.parent.mkdir()
    (tmp_path.parent / "secret.raw").write_bytes(VOXELS.tobytes())
    path.write_bytes(text.encode() + VOXELS.tobytes())
    with pytest.raises(InputError, match=message):
        read_image(path)


def test_a_nifti_with_numbers_that_are_none_is_refused(tmp_path):
    for at, form, message in (
        (280, "<4f", "not finite"),  # the first row of the sform
        (40, "<h", "dimensions"),
        (42, "<h", "empty or damaged"),
        (70, "<h", "NIfTI type"),
        (108, "<f", "where none can be"),
    ):
        path = nifti(tmp_path / "a.nii", (RAS, 0), (RAS, 1))
        content = bytearray(path.read_bytes())
        struct.pack_into(form, content, at, *([np.nan] * 4 if form[-1] == "f" and form[1] == "4" else [-7]))
        path.write_bytes(content)
        with pytest.raises(InputError, match=message):
            read_image(path)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
def test_a_file_cut_off_anywhere_is_one_sentence(tmp_path, suffix):
    whole = tmp_path / f"a{suffix}"
    image = sitk.GetImageFromArray(VOXELS)
    sitk.WriteImage(image, str(whole), useCompression=suffix != ".nii")
    content = whole.read_bytes()
    for share in (0.0, 0.02, 0.1, 0.5, 0.9, 0.999):
        cut = tmp_path / f"cut{suffix}"
        cut.write_bytes(content[: int(share * len(content))])
        with pytest.raises(InputError, match=str(cut)):
            read_image(cut)


def test_a_packed_file_that_promises_more_than_it_can_hold_takes_no_memory(tmp_path):
    header = nibabel.Nifti1Header()
    header.set_data_shape((2000, 2000, 2000))
    header.set_sform(RAS, 1)
    (tmp_path / "bomb.nii.gz").write_bytes(gzip.compress(header.binaryblock + bytes(1000)))
    with pytest.raises(InputError, match="cut off"):
        read_image(tmp_path / "bomb.nii.gz")


def test_a_format_without_a_reader_of_its_own_is_opened_in_another_process(tmp_path):
    path = tmp_path / "a.vtk"
    sitk.WriteImage(sitk.GetImageFromArray(VOXELS), str(path))
    with pytest.raises(InputError, match="does not say which way"):
        read_image(path)
    assert np.array_equal(sitk.GetArrayFromImage(read_image(path, "LPS")), VOXELS)
    for name, content in (
        ("damaged.vtk", path.read_bytes()[:200]),
        ("other.gz", gzip.compress(b"x")),
        ("a.txt", b"x"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=name):
            read_image(tmp_path / name)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows limits no process by its processor time")
def test_a_reader_that_never_ends_is_given_up_by_its_processor_time(tmp_path, monkeypatch):
    path = tmp_path / "a.vtk"
    sitk.WriteImage(sitk.GetImageFromArray(VOXELS), str(path))
    monkeypatch.setattr(apart, "SHORTEST_S", 1.0)
    monkeypatch.setattr(apart, "WAITED", 500)
    monkeypatch.setattr(apart, "_READ_IMAGE", "while True: pass")
    with pytest.raises(InputError, match=r"a\.vtk: cannot be read"):
        read_image(path, "LPS")
