"""Lungs as DICOM structure sets and segmentations come out as the masks that were drawn, on the CT they belong to."""

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_samples import header
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import generate_uid
from skimage.draw import polygon2mask
from test_lungs import CT, LEFT, RIGHT, SHAPE, SPACING, labels_of

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.lungs.masks import read_lungs
from DLCTPMLib.volumes.dicom.rtstruct import STRUCTURE_SET, contour_mask
from DLCTPMLib.volumes.dicom.seg import segment_masks

FRAME = generate_uid()
ORIGIN = np.array(CT.GetOrigin())


def rectangle(mask_slice, z):
    """The outline of a box of pixels, at pixel edges, as LPS points."""
    rows, columns = np.flatnonzero(mask_slice.any(axis=1)), np.flatnonzero(mask_slice.any(axis=0))
    y, x = (rows[0] - 0.5, rows[-1] + 0.5), (columns[0] - 0.5, columns[-1] + 0.5)
    corners = np.array([(x[0], y[0], z), (x[1], y[0], z), (x[1], y[1], z), (x[0], y[1], z)])
    return corners * SPACING[::-1] + ORIGIN


def contours_of(mask, every=1):
    return [rectangle(mask[z], z) for z in np.flatnonzero(mask.any(axis=(1, 2)))[::every]]


def write_structures(path, structures, frame=FRAME):
    dataset = header(STRUCTURE_SET, "RTSTRUCT")
    rois, drawn = [], []
    for number, (name, contours) in enumerate(structures.items(), 1):
        roi, item = Dataset(), Dataset()
        roi.ROINumber, roi.ROIName, roi.ReferencedFrameOfReferenceUID = number, name, frame
        item.ReferencedROINumber = number
        item.ContourSequence = Sequence([])
        for points in contours:
            contour = Dataset()
            contour.ContourGeometricType, contour.NumberOfContourPoints = "CLOSED_PLANAR", len(points)
            contour.ContourData = [round(float(v), 3) for v in np.ravel(points)]
            item.ContourSequence.append(contour)
        rois.append(roi)
        drawn.append(item)
    dataset.StructureSetROISequence, dataset.ROIContourSequence = Sequence(rois), Sequence(drawn)
    dataset.save_as(path, enforce_file_format=True)
    return path


@pytest.mark.parametrize("names", [("Lung_R", "Lung_L"), ("Right Lung", "LUNG LT"), ("lung rt", "Left lung")])
@pytest.mark.parametrize("every", [1, 2, 3])
def test_structures_named_as_lungs_are_the_lungs_drawn(tmp_path, names, every):
    structures = {"BODY": contours_of(RIGHT | LEFT)} | {
        name: contours_of(lung, every) for name, lung in zip(names, (RIGHT, LEFT), strict=True)
    }
    lungs = read_lungs(write_structures(tmp_path / "rs.dcm", structures), CT, frame_of_reference=FRAME)
    labels = labels_of(lungs)
    assert lungs.warnings == []
    inner = slice(9, 34)  # contours on every other slice may end a slice early
    assert np.array_equal(labels[inner], (2 * RIGHT + 3 * LEFT)[inner])
    assert np.count_nonzero((labels > 0) != (RIGHT | LEFT)) <= (every - 1) * RIGHT[10].sum() * 2


def test_a_structure_set_alone_in_a_folder_is_found_and_two_are_asked_for(tmp_path):
    for number in (1, 2):
        write_structures(tmp_path / f"{number}.dcm", {"lung r": contours_of(RIGHT), "lung l": contours_of(LEFT)})
        if number == 1:
            assert np.array_equal(labels_of(read_lungs(tmp_path, CT)), 2 * RIGHT + 3 * LEFT)
    with pytest.raises(InputError, match="holds 2 structure sets"):
        read_lungs(tmp_path, CT)


def test_structures_of_another_frame_of_reference_are_refused_and_an_unknown_one_is_said(tmp_path):
    path = write_structures(tmp_path / "rs.dcm", {"lung r": contours_of(RIGHT), "lung l": contours_of(LEFT)})
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
    sagittal = [points[:, [2, 1, 0]] for points in contours_of(RIGHT)]
    with pytest.raises(InputError, match="do not lie on the slices"):
        read_lungs(write_structures(tmp_path / "rs.dcm", {"lung": sagittal}), CT)


def test_a_structure_set_without_lungs_or_contours_is_refused(tmp_path):
    with pytest.raises(InputError, match="no segment is recognised as lung"):
        read_lungs(write_structures(tmp_path / "a.dcm", {"Lung nodule": contours_of(RIGHT)}), CT)
    with pytest.raises(InputError, match="no closed contours"):
        read_lungs(write_structures(tmp_path / "b.dcm", {"lung": []}), CT)


def code(value, meaning):
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", meaning
    return item


SIDES = {"right": code("24028007", "Right"), "left": code("7771000", "Left")}


def write_seg(path, segments, fractional=False, order=None):
    """A segmentation of (label, side code or None, mask), frames without voxels left out, in some order."""
    dataset = header("1.2.840.10008.5.1.4.1.1.66.4", "SEG", FrameOfReferenceUID=FRAME)
    dataset.SegmentationType = "FRACTIONAL" if fractional else "BINARY"
    dataset.MaximumFractionalValue = 200
    bits = 8 if fractional else 1
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, bits, bits - 1
    dataset.Rows, dataset.Columns = SHAPE[1:]
    items, frames, pixels = [], [], []
    for number, (label, side, mask) in enumerate(segments, 1):
        item = Dataset()
        item.SegmentNumber, item.SegmentLabel = number, label
        if side:
            kind = code("39607008", "Lung")
            kind.SegmentedPropertyTypeModifierCodeSequence = Sequence([SIDES[side]])
            item.SegmentedPropertyTypeCodeSequence = Sequence([kind])
        items.append(item)
        for z in np.flatnonzero(mask.any(axis=(1, 2))):
            frame, place, reference = Dataset(), Dataset(), Dataset()
            place.ImagePositionPatient = [float(v) for v in ORIGIN + np.array([0, 0, SPACING[0] * z])]
            reference.ReferencedSegmentNumber = number
            frame.PlanePositionSequence, frame.SegmentIdentificationSequence = (
                Sequence([place]),
                Sequence([reference]),
            )
            frames.append(frame)
            pixels.append(mask[z])
    shared, plane, measures = Dataset(), Dataset(), Dataset()
    plane.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    measures.PixelSpacing, measures.SpacingBetweenSlices = [SPACING[1], SPACING[2]], SPACING[0]
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = Sequence([plane]), Sequence([measures])
    places = np.random.default_rng(0).permutation(len(frames))
    dataset.SegmentSequence = Sequence(items)
    dataset.SharedFunctionalGroupsSequence = Sequence([shared])
    dataset.PerFrameFunctionalGroupsSequence = Sequence([frames[i] for i in places])
    dataset.NumberOfFrames = len(frames)
    stored = np.array(pixels)[places]
    content = (stored * np.uint8(200)).tobytes() if fractional else np.packbits(stored, bitorder="little").tobytes()
    dataset.PixelData = content + b"\0" * (len(content) % 2)
    dataset["PixelData"].VR = "OB"
    dataset.save_as(path, enforce_file_format=True)
    return path


@pytest.mark.parametrize("fractional", [False, True])
def test_segments_are_known_by_their_codes_before_their_labels(tmp_path, fractional):
    segments = [
        ("Segment_7", "right", RIGHT),
        ("right lung", "left", LEFT),
        ("lung nodule", None, RIGHT & LEFT.any()),
    ]
    lungs = read_lungs(write_seg(tmp_path / "seg.dcm", segments, fractional), CT, frame_of_reference=FRAME)
    assert np.array_equal(labels_of(lungs), 2 * RIGHT + 3 * LEFT)
    assert lungs.warnings == []


def test_segments_without_codes_are_known_by_their_labels(tmp_path):
    path = write_seg(tmp_path / "seg.dcm", [("left lung", None, LEFT), ("right lung", None, RIGHT)])
    assert np.array_equal(labels_of(read_lungs(path, CT, frame_of_reference=FRAME)), 2 * RIGHT + 3 * LEFT)


def test_a_damaged_segmentation_is_one_sentence(tmp_path):
    path = write_seg(tmp_path / "seg.dcm", [("left lung", "left", LEFT)])
    dataset = pydicom.dcmread(path)
    dataset.PixelData = dataset.PixelData[:100]
    dataset.save_as(path)
    with pytest.raises(InputError, match="damaged or cut off"):
        read_lungs(path, CT)


def test_what_highdicom_writes_is_read_voxel_by_voxel(tmp_path):
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
        np.stack([RIGHT, LEFT], axis=-1),
        highdicom.seg.SegmentationTypeValues.BINARY,
        descriptions,
        generate_uid(),
        9,
        generate_uid(),
        1,
        "maker",
        "model",
        "1",
        "serial",
    )
    written.save_as(tmp_path / "seg.dcm")
    found = segment_masks(tmp_path / "seg.dcm")
    assert [mask.name for mask in found.masks] == ["right lung", "left lung"]
    assert [mask.voxels.sum() for mask in found.masks] == [RIGHT.sum(), LEFT.sum()]
    assert np.array_equal(labels_of(read_lungs(tmp_path / "seg.dcm", CT)), 2 * RIGHT + 3 * LEFT)
