"""Lungs as DICOM structure sets and segmentations come out as the masks that were drawn, on the CT they belong to."""

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_mask_samples import FRAME, contours_of, write_seg, write_structures
from pydicom.uid import ExplicitVRLittleEndian, RLELossless, generate_uid
from skimage.draw import polygon2mask
from test_lungs import CT, LEFT, RIGHT, SPACING, labels_of

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.lungs.masks import read_lungs
from DLCTPMLib.volumes.dicom.rtstruct import contour_mask
from DLCTPMLib.volumes.dicom.seg import segment_masks

ORIGIN = np.array(CT.GetOrigin())


@pytest.mark.parametrize("names", [("Lung_R", "Lung_L"), ("Right Lung", "LUNG LT"), ("lung rt", "Left lung")])
@pytest.mark.parametrize("every", [1, 2, 3])
def test_structures_named_as_lungs_are_the_lungs_drawn(tmp_path, names, every):
    structures = {"BODY": contours_of(RIGHT | LEFT, CT)} | {
        name: contours_of(lung, CT, every) for name, lung in zip(names, (RIGHT, LEFT), strict=True)
    }
    lungs = read_lungs(write_structures(tmp_path / "rs.dcm", structures), CT, frame_of_reference=FRAME)
    labels = labels_of(lungs)
    assert lungs.warnings == []
    inner = slice(9, 34)  # contours on every other slice may end a slice early
    assert np.array_equal(labels[inner], (2 * RIGHT + 3 * LEFT)[inner])
    assert np.count_nonzero((labels > 0) != (RIGHT | LEFT)) <= (every - 1) * RIGHT[10].sum() * 2


def test_a_structure_set_alone_in_a_folder_is_found_and_two_are_asked_for(tmp_path):
    for number in (1, 2):
        write_structures(
            tmp_path / f"{number}.dcm", {"lung r": contours_of(RIGHT, CT), "lung l": contours_of(LEFT, CT)}
        )
        if number == 1:
            assert np.array_equal(labels_of(read_lungs(tmp_path, CT)), 2 * RIGHT + 3 * LEFT)
    with pytest.raises(InputError, match="holds 2 structure sets"):
        read_lungs(tmp_path, CT)


def test_structures_of_another_frame_of_reference_are_refused_and_an_unknown_one_is_said(tmp_path):
    path = write_structures(tmp_path / "rs.dcm", {"lung r": contours_of(RIGHT, CT), "lung l": contours_of(LEFT, CT)})
    with pytest.raises(InputError, match="another frame of reference"):
        read_lungs(path, CT, frame_of_reference=generate_uid())
    assert "cannot be told" in read_lungs(path, CT).warnings[0]


def ring(outer, inner, keyhole):
    """A square with a square hole, in pixels of a slice: as two contours, or as one with a keyhole."""

    def square(half):
        return np.array([(-half, -half), (half, -half), (half, half), (-half, half)], float)

    if not keyhole:
        return [square(outer), square(inner)]
    hole = square(inner)[::-1]
    return [np.vstack([square(outer), square(outer)[:1], hole[3:], hole, hole[3:][:0], square(outer)[:1]])]


@pytest.mark.parametrize("keyhole", [False, True], ids=["two contours", "keyhole"])
def test_a_hole_is_a_hole_however_it_is_drawn(keyhole):
    image = sitk.Image(41, 41, 3, sitk.sitkUInt8)
    contours = [np.column_stack([part + 20.2, np.full(len(part), 1.0)]) for part in ring(15, 6, keyhole)]
    mask = contour_mask(contours, image, "rs")
    assert mask[1].sum() == 30 * 30 - 12 * 12
    assert not mask[1, 20, 20]
    assert not mask[[0, 2]].any()


def placed(square, z):
    return np.column_stack([square * SPACING[:2], np.full(len(square), z)]) + ORIGIN


def test_a_hole_that_lies_a_hair_above_its_rim_is_a_hole():
    rim, hole = ring(8, 3, keyhole=False)
    middle = np.array([25.3, 20.3])
    expected = contour_mask([placed(one + middle, 5 * SPACING[2]) for one in (rim, hole)], CT, "x")
    heights = (5 * SPACING[2], 5 * SPACING[2] + 0.04)
    found = contour_mask([placed(one + middle, z) for one, z in zip((rim, hole), heights, strict=True)], CT, "x")
    solid, missing = (contour_mask([placed(one + middle, 5 * SPACING[2])], CT, "x") for one in (rim, hole))
    assert np.array_equal(expected, solid & ~missing)
    assert missing.sum() > 20
    assert np.array_equal(found, expected)


def test_a_contour_that_stands_twice_counts_once():
    rim, _ = ring(8, 3, keyhole=False)
    contour = placed(rim + np.array([25.3, 20.3]), 5 * SPACING[2])
    once = contour_mask([contour], CT, "x")
    assert once.any()
    assert np.array_equal(contour_mask([contour, contour.copy()], CT, "x"), once)


def test_contours_of_one_structure_may_stand_in_several_items_but_its_number_is_its_own(tmp_path):
    path = write_structures(tmp_path / "rs.dcm", {"lung r": contours_of(RIGHT, CT), "lung l": contours_of(LEFT, CT)})
    dataset = pydicom.dcmread(path)
    first = dataset.ROIContourSequence[0]
    rest = pydicom.Dataset()
    rest.ReferencedROINumber = first.ReferencedROINumber
    rest.ContourSequence = first.ContourSequence[10:]
    first.ContourSequence = first.ContourSequence[:10]
    dataset.ROIContourSequence.append(rest)
    dataset.StructureSetROISequence = dataset.StructureSetROISequence[::-1]
    dataset.save_as(path)
    assert np.array_equal(labels_of(read_lungs(path, CT)), 2 * RIGHT + 3 * LEFT)
    dataset.StructureSetROISequence[0].ROINumber = dataset.StructureSetROISequence[1].ROINumber
    dataset.save_as(path)
    with pytest.raises(InputError, match="several structures have one number"):
        read_lungs(path, CT)


def test_a_free_form_contour_is_filled_as_scikit_image_fills_it():
    random = np.random.default_rng(4)
    angle = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    image = sitk.Image(80, 70, 2, sitk.sitkUInt8)
    for _ in range(20):
        radius = 15 + 8 * random.random(60)
        points = np.column_stack([38.3 + radius * np.cos(angle), 33.7 + radius * np.sin(angle)])
        mask = contour_mask([np.column_stack([points, np.zeros(60)])], image, "rs")[0]
        assert np.array_equal(mask, polygon2mask((70, 80), points[:, ::-1]))


def test_contours_across_the_slices_are_refused(tmp_path):
    sagittal = [points[:, [2, 1, 0]] for points in contours_of(RIGHT, CT)]
    with pytest.raises(InputError, match="do not lie on the slices"):
        read_lungs(write_structures(tmp_path / "rs.dcm", {"lung": sagittal}), CT)


def test_a_structure_set_without_lungs_or_contours_is_refused(tmp_path):
    with pytest.raises(InputError, match="no segment is recognised as lung"):
        read_lungs(write_structures(tmp_path / "a.dcm", {"Lung nodule": contours_of(RIGHT, CT)}), CT)
    with pytest.raises(InputError, match="no closed contours"):
        read_lungs(write_structures(tmp_path / "b.dcm", {"lung": []}), CT)


@pytest.mark.parametrize("fractional", [False, True])
def test_segments_are_known_by_their_codes_before_their_labels(tmp_path, fractional):
    segments = [
        ("Segment_7", "right", RIGHT),
        ("right lung", "left", LEFT),
        ("lung nodule", None, RIGHT & LEFT.any()),
    ]
    lungs = read_lungs(write_seg(tmp_path / "seg.dcm", CT, segments, fractional), CT, frame_of_reference=FRAME)
    assert np.array_equal(labels_of(lungs), 2 * RIGHT + 3 * LEFT)
    assert lungs.warnings == []


def test_segments_without_codes_are_known_by_their_labels(tmp_path):
    path = write_seg(tmp_path / "seg.dcm", CT, [("left lung", None, LEFT), ("right lung", None, RIGHT)])
    assert np.array_equal(labels_of(read_lungs(path, CT, frame_of_reference=FRAME)), 2 * RIGHT + 3 * LEFT)


def test_a_damaged_segmentation_is_one_sentence(tmp_path):
    path = write_seg(tmp_path / "seg.dcm", CT, [("left lung", "left", LEFT)])
    dataset = pydicom.dcmread(path)
    dataset.PixelData = dataset.PixelData[:100]
    dataset.save_as(path)
    with pytest.raises(InputError, match="damaged or cut off"):
        read_lungs(path, CT)


def in_measures(**values):
    def change(dataset):
        for keyword, value in values.items():
            setattr(dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0], keyword, value)

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda seg: setattr(seg.SegmentSequence[0], "SegmentNumber", [1, 2]), "values of the wrong kind"),
        (lambda seg: delattr(seg, "Rows"), "values of the wrong kind"),
        (lambda seg: setattr(seg, "MaximumFractionalValue", [1, 2]), "values of the wrong kind"),
        (in_measures(SpacingBetweenSlices=[1.0, 2.0]), "values of the wrong kind"),
        (in_measures(PixelSpacing=[0.0, 1.0]), "make no sense"),
        (lambda seg: setattr(seg, "Columns", 0), "0×"),
    ],
)
def test_a_segmentation_with_values_of_the_wrong_kind_is_one_sentence(tmp_path, recwarn, change, words):
    path = write_seg(tmp_path / "seg.dcm", CT, [("left lung", "left", LEFT)])
    dataset = pydicom.dcmread(path)
    change(dataset)
    dataset.save_as(path)
    recwarn.clear()
    with pytest.raises(InputError, match=words) as refused:
        read_lungs(path, CT)
    assert str(path) in str(refused.value)
    assert [str(one.message) for one in recwarn] == []


def test_a_structure_set_with_a_list_for_a_number_is_one_sentence(tmp_path):
    path = write_structures(tmp_path / "rs.dcm", {"lung r": contours_of(RIGHT, CT)})
    dataset = pydicom.dcmread(path)
    dataset.ROIContourSequence[0].ContourSequence[0].ContourGeometricType = ["CLOSED_PLANAR", "POINT"]
    dataset.ROIContourSequence[0].ContourSequence[0].ContourData = "1"
    dataset.StructureSetROISequence[0].ROINumber = [1, 2]
    dataset.save_as(path)
    with pytest.raises(InputError, match=r"rs\.dcm: "):
        read_lungs(path, CT)


@pytest.mark.parametrize("kind", ["binary", "compressed"])
def test_what_highdicom_writes_is_read_voxel_by_voxel(tmp_path, kind):
    highdicom = pytest.importorskip("highdicom", reason="highdicom, an independent writer, is optional")
    from dicom_samples import write_ct_series
    from pydicom.sr.codedict import codes

    paths = write_ct_series(tmp_path / "ct", sitk.GetArrayFromImage(CT), spacing=SPACING[::-1], origin=tuple(ORIGIN))
    sources = sorted((pydicom.dcmread(p) for p in paths), key=lambda d: d.ImagePositionPatient[2])
    for source in sources:
        source.PatientSex, source.AccessionNumber, source.StudyID, source.StudyDate = "O", "", "", "20260101"
        source.StudyTime = "101010"
    descriptions = [
        highdicom.seg.SegmentDescription(
            number,
            label,
            codes.SCT.AnatomicalStructure,
            codes.SCT.Lung,
            highdicom.seg.SegmentAlgorithmTypeValues.MANUAL,
        )
        for number, label in ((1, "right lung"), (2, "left lung"))
    ]
    written = highdicom.seg.Segmentation(
        sources,
        np.stack([RIGHT, LEFT], axis=-1).astype(np.uint8 if kind == "binary" else np.float32),
        "BINARY" if kind == "binary" else "FRACTIONAL",
        descriptions,
        generate_uid(),
        9,
        generate_uid(),
        1,
        "maker",
        "model",
        "1",
        "serial",
        transfer_syntax_uid=ExplicitVRLittleEndian if kind == "binary" else RLELossless,
    )
    written.save_as(tmp_path / "seg.dcm")
    found = segment_masks(tmp_path / "seg.dcm")
    assert [mask.name for mask in found.masks] == ["right lung", "left lung"]
    assert [mask.voxels.sum() for mask in found.masks] == [RIGHT.sum(), LEFT.sum()]
    assert np.array_equal(labels_of(read_lungs(tmp_path / "seg.dcm", CT)), 2 * RIGHT + 3 * LEFT)
