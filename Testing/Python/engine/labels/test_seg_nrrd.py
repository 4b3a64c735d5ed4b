"""Slicer's segmentation files: written, read, and recognised by code, id and name."""

import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
import SimpleITK as sitk

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.labels.chest_regions import ChestRegion, Code, Terminology, terminology
from DLCTPMLib.labels.seg_nrrd import Segment, SegNrrd, segments_of, write_segments
from DLCTPMLib.labels.segments import cip_labels, segment_region

LUNG = Code("39607008", "SCT", "Lung")
ANATOMY = Code("123037004", "SCT", "Anatomical Structure")


def labels_image():
    array = np.zeros((6, 8, 10), np.uint16)
    array[1:5, 2:6, 1:4] = 2
    array[1:5, 2:6, 6:9] = 3
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((1.5, 2.0, 3.0))
    image.SetOrigin((-20.0, 5.0, 100.0))
    image.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))
    return image


def read_segments(path) -> SegNrrd:
    return segments_of(sitk.ReadImage(str(path)), str(path))


def both_lungs():
    return [
        Segment("right", "right lung", 2, (0.1, 0.5, 0.9), terminology(ChestRegion.RIGHT_LUNG)),
        Segment("left", "left lung", 3, (0.9, 0.5, 0.1), terminology(ChestRegion.LEFT_LUNG)),
    ]


def test_what_is_written_is_read_again(tmp_path):
    image, segments = labels_image(), both_lungs()
    write_segments(tmp_path / "lungs.seg.nrrd", image, segments)
    again = read_segments(tmp_path / "lungs.seg.nrrd")
    assert list(again.segments) == segments
    for segment in again.segments:
        assert np.array_equal(again.mask(segment), sitk.GetArrayFromImage(image) == segment.value)
    assert again.image.GetOrigin() == pytest.approx(image.GetOrigin())
    assert again.image.GetDirection() == pytest.approx(image.GetDirection())


@pytest.mark.skipif(find_spec("slicer") is None, reason="slicer-core is not installed")
def test_slicer_opens_what_is_written_and_its_overlapping_file_is_read(tmp_path):
    """Slicer's own storage node reads our file; then it writes one with two layers for us to read."""
    write_segments(tmp_path / "ours.seg.nrrd", labels_image(), both_lungs())
    script = f"""
import slicer, vtk
scene = slicer.vtkMRMLScene()
node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
storage = scene.AddNewNodeByClass("vtkMRMLSegmentationStorageNode")
storage.SetFileName({str(tmp_path / "ours.seg.nrrd")!r})
assert storage.ReadData(node) == 1
segmentation = node.GetSegmentation()
for index in range(segmentation.GetNumberOfSegments()):
    segment = segmentation.GetNthSegment(index)
    tag = vtk.reference("")
    segment.GetTag("TerminologyEntry", tag)
    print(segmentation.GetNthSegmentID(index), segment.GetName(), segment.GetLabelValue(), str(tag).split("~")[3])
lesion = slicer.vtkSegment()
lesion.SetName("lesion")
right = segmentation.GetSegment("right").GetRepresentation("Binary labelmap")
copy = slicer.vtkOrientedImageData()
copy.DeepCopy(right)
lesion.AddRepresentation("Binary labelmap", copy)
lesion.SetLabelValue(2)
segmentation.AddSegment(lesion, "lesion")
storage.SetFileName({str(tmp_path / "theirs.seg.nrrd")!r})
assert storage.WriteData(node) == 1
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "right right lung 2 SCT^24028007^Right" in done.stdout
    assert "left left lung 3 SCT^7771000^Left" in done.stdout

    theirs = read_segments(tmp_path / "theirs.seg.nrrd")
    assert [segment.id for segment in theirs.segments] == ["right", "left", "lesion"]
    assert [segment_region(segment) for segment in theirs.segments] == [2, 3, None]
    voxels = [int(theirs.mask(segment).sum()) for segment in theirs.segments]
    assert voxels[:2] == [48, 48]
    assert theirs.segments[2].layer == 1


@pytest.mark.parametrize(
    ("segment", "region"),
    [
        (Segment("lung_upper_lobe_left", "x", 1), ChestRegion.LEFT_SUPERIOR_LOBE),  # TotalSegmentator's ids
        (Segment("lung_middle_lobe_right", "x", 1), ChestRegion.RIGHT_MIDDLE_LOBE),
        (Segment("Segment_3", "right lung", 1), ChestRegion.RIGHT_LUNG),  # LungCTSegmenter's names
        (Segment("Segment_3", "left lower lobe", 1), ChestRegion.LEFT_INFERIOR_LOBE),
        (Segment("Segment_3", "RUL", 1), ChestRegion.RIGHT_SUPERIOR_LOBE),
        (Segment("Segment_3", "Lungs", 1), ChestRegion.WHOLE_LUNG),
        (Segment("Segment_3", "left upper third", 1), ChestRegion.LEFT_UPPER_THIRD),
        (Segment("trachea", "trachea", 1), ChestRegion.TRACHEA),
        (Segment("lung_vessels", "lung vessels", 1), None),
        (Segment("Segment_1", "right lung nodule", 1), None),
        (Segment("Segment_1", "rib_left_1", 1), None),
        (Segment("Segment_1", "upper lobe", 1), None),  # of which lung?
        # the code comes first, whatever the words say
        (
            Segment("left", "left lung", 1, terminology=terminology(ChestRegion.RIGHT_LUNG)),
            ChestRegion.RIGHT_LUNG,
        ),
        # then the id
        (Segment("right_lung", "left lung", 1), ChestRegion.RIGHT_LUNG),
        # words tell the side or lobe that the code leaves open
        (Segment("s", "right lung", 1, terminology=Terminology(ANATOMY, LUNG)), ChestRegion.RIGHT_LUNG),
        (
            Segment("s", "left upper lobe", 1, terminology=Terminology(ANATOMY, LUNG)),
            ChestRegion.LEFT_SUPERIOR_LOBE,
        ),
        # Slicer's default code says nothing
        (
            Segment("s", "Left Lung", 1, terminology=Terminology(ANATOMY, Code("85756007", "SCT", "Tissue"))),
            ChestRegion.LEFT_LUNG,
        ),
    ],
)
def test_a_segment_is_known_by_code_then_id_then_name(segment, region):
    assert segment_region(segment) == region


def written(tmp_path, array, segments, name="s.seg.nrrd"):
    write_segments(tmp_path / name, sitk.GetImageFromArray(array), segments)
    return read_segments(tmp_path / name)


def test_order_and_values_in_the_file_do_not_matter(tmp_path):
    array = np.zeros((2, 2, 4), np.uint16)
    array[..., 0], array[..., 3] = 7, 1
    segmentation = written(tmp_path, array, [Segment("b", "left lung", 1), Segment("a", "right lung", 7)])
    labels = sitk.GetArrayFromImage(cip_labels(segmentation, "s"))
    assert labels[0, 0].tolist() == [2, 0, 0, 3]


def test_where_segments_overlap_the_finer_one_wins_and_the_trachea_is_out():
    layers = np.zeros((1, 1, 6, 3), np.uint8)
    layers[..., :5, 0] = 1  # right lung
    layers[..., 1:3, 1] = 1  # right upper lobe
    layers[..., 2:4, 2] = 1  # trachea
    image = sitk.GetImageFromArray(layers, isVector=True)
    for index, name in enumerate(("right lung", "right upper lobe", "trachea")):
        image.SetMetaData(f"Segment{index}_ID", f"Segment_{index}")
        image.SetMetaData(f"Segment{index}_Name", name)
        image.SetMetaData(f"Segment{index}_Layer", str(index))
        image.SetMetaData(f"Segment{index}_LabelValue", "1")
    labels = sitk.GetArrayFromImage(cip_labels(segments_of(image, "s"), "s"))
    assert labels[0, 0].tolist() == [2, 4, 0, 0, 2, 0]


def test_a_better_known_segment_beats_a_namesake_and_equals_are_refused(tmp_path):
    array = np.zeros((2, 2, 4), np.uint16)
    array[..., 0], array[..., 3] = 1, 2
    coded = Segment("a", "first", 1, terminology=terminology(ChestRegion.RIGHT_LUNG))
    namesake = Segment("b", "right lung", 2)
    for segments in ([coded, namesake], [namesake, coded]):
        labels = sitk.GetArrayFromImage(cip_labels(written(tmp_path, array, segments), "s"))
        assert labels[0, 0].tolist() == [2, 0, 0, 0]
    twins = [Segment("a", "right lung", 1), Segment("b", "lung right", 2)]
    with pytest.raises(InputError, match="both look like"):
        cip_labels(written(tmp_path, array, twins), "s")


def test_a_segmentation_without_lungs_is_refused(tmp_path):
    segmentation = written(tmp_path, np.ones((2, 2, 2), np.uint16), [Segment("liver", "liver", 1)])
    with pytest.raises(InputError, match=r"'liver'.*right lung"):
        cip_labels(segmentation, "s")


def test_a_plain_label_map_holds_no_segments():
    with pytest.raises(InputError, match="no segments"):
        segments_of(labels_image(), "plain.nrrd")


def test_a_damaged_header_is_refused():
    image = labels_image()
    image.SetMetaData("Segment0_ID", "a")
    image.SetMetaData("Segment0_LabelValue", "two")
    with pytest.raises(InputError, match="damaged"):
        segments_of(image, "s")
