"""Lung masks of every source come to one form: CIP regions on the CT's grid, on the patient's own sides."""

import numpy as np
import pytest
import SimpleITK as sitk

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.labels.chest_regions import ChestRegion, encode, terminology
from DLCTPMLib.labels.conventions import possible_conventions
from DLCTPMLib.labels.seg_nrrd import Segment, write_segments
from DLCTPMLib.lungs.masks import lungs_from_labels, read_lungs, side_masks
from DLCTPMLib.lungs.upright import UprightLungs
from DLCTPMLib.volumes.patient_axes import PatientAxes, patient_array, same_grid

SHAPE = (40, 36, 56)
SPACING = (5.0, 6.0, 6.0)  # z, y, x


def grid_image(array):
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(SPACING[::-1])
    image.SetOrigin((-165.0, -105.0, 10.0))
    return image


def chest():
    """A CT whose lungs are two boxes, and boolean right and left masks (z, y, x)."""
    hu = np.full(SHAPE, -1000, np.int16)
    hu[:, 4:32, 4:52] = 40
    right, left = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    right[5:35, 8:28, 8:26] = True
    left[8:35, 8:28, 30:48] = True
    hu[right | left] = -850
    return grid_image(hu), right, left


CT, RIGHT, LEFT = chest()


def mask_image(values):
    """A label image from {value: mask}."""
    array = np.zeros(SHAPE, np.uint16)
    for value, mask in values.items():
        array[mask] = value
    return grid_image(array)


def labels_of(lungs):
    return sitk.GetArrayFromImage(lungs.labels)


def upper(mask):
    out = mask.copy()
    out[:20] = False
    return out


def middle(mask):
    out = mask.copy()
    out[:16] = out[24:] = False
    return out


LOBES = {4: upper(RIGHT), 6: RIGHT & ~upper(RIGHT), 7: upper(LEFT), 8: LEFT & ~upper(LEFT)}


# --- what the values mean


def test_a_cip_map_with_types_keeps_regions_and_leaves_airways_without_region_out():
    trachea = np.zeros(SHAPE, bool)
    trachea[20:, 15:18, 27:29] = True
    vessel = np.zeros(SHAPE, bool)
    vessel[10:12, 10:20, 10:12] = True
    image = mask_image({2: RIGHT, 3: LEFT, encode(2, 3): vessel & RIGHT, encode(0, 2): trachea})
    lungs = lungs_from_labels(image, CT)
    assert np.array_equal(side_masks(lungs.labels)[0], RIGHT)
    assert np.array_equal(labels_of(lungs) > 0, RIGHT | LEFT)
    assert lungs.labels.GetPixelID() == sitk.sitkUInt16
    assert lungs.warnings == []


def test_lungmask_writes_right_1_left_2():
    lungs = lungs_from_labels(mask_image({1: RIGHT, 2: LEFT}), CT)
    assert np.array_equal(labels_of(lungs), 2 * RIGHT + 3 * LEFT)


def test_lungmask_lobes_and_totalsegmentator_lobes_are_the_same_lobes():
    middle_lobe = middle(RIGHT)
    lobes = {
        7: upper(LEFT),
        8: LEFT & ~upper(LEFT),
        4: upper(RIGHT) & ~middle_lobe,
        5: middle_lobe,
        6: RIGHT & ~upper(RIGHT) & ~middle_lobe,
    }
    expected = labels_of(lungs_from_labels(mask_image(lobes), CT))
    order = (7, 8, 4, 5, 6)
    for first in (1, 10):
        image = mask_image({first + index: lobes[region] for index, region in enumerate(order)})
        assert np.array_equal(labels_of(lungs_from_labels(image, CT)), expected)
    assert set(np.unique(expected)) == {0, 4, 5, 6, 7, 8}


@pytest.mark.parametrize("value", [1, 2, 3, 255])
def test_a_mask_of_one_value_is_both_lungs_and_is_split(value):
    lungs = lungs_from_labels(mask_image({value: RIGHT | LEFT}), CT)
    assert np.array_equal(labels_of(lungs), 2 * RIGHT + 3 * LEFT)


def test_lungs_that_touch_are_split_at_the_neck():
    bridge = np.zeros(SHAPE, bool)
    bridge[18:26, 8:11, 26:30] = True
    lungs = lungs_from_labels(mask_image({1: RIGHT | LEFT | bridge}), CT)
    right, left = side_masks(lungs.labels)
    assert (RIGHT & ~right).sum() + (LEFT & ~left).sum() < 10
    assert np.array_equal(right | left, RIGHT | LEFT | bridge)


def test_thirds_without_a_side_keep_their_third_and_get_a_side():
    both = RIGHT | LEFT
    image = mask_image({20: upper(both) & ~middle(both), 21: middle(both), 22: both & ~upper(both) & ~middle(both)})
    labels = labels_of(lungs_from_labels(image, CT))
    assert set(np.unique(labels)) == {0, 9, 10, 11, 12, 13, 14}
    assert np.array_equal(np.isin(labels, [12, 13, 14]), RIGHT)
    assert np.array_equal(np.isin(labels, [9, 12]), upper(both) & ~middle(both))


@pytest.mark.parametrize(
    ("values", "convention"),
    [
        ({2, 3}, "cip"),
        ({4, 5, 6, 7, 8}, "cip"),
        ({9, 10, 11, 12, 13, 14}, "cip"),
        ({9, 512, 777}, "cip"),
        ({20, 21, 22}, "cip"),
        ({2, 7, 8, 58}, "cip"),
        ({7}, "cip"),
        ({1}, "mask"),
        ({255}, "mask"),
        ({1, 2}, "lungmask"),
        ({1, 2, 3, 4, 5}, "lobes"),
        ({10, 11, 12, 13, 14}, "totalsegmentator"),
        ({13, 14, 15, 16, 17}, "totalsegmentator-v1"),
        (set(range(1, 118)), "totalsegmentator"),
    ],
)
def test_the_numbering_is_told_from_the_values(values, convention):
    assert possible_conventions(np.array(sorted(values)), "mask.nii")[0] == convention


@pytest.mark.parametrize("values", [{1, 2, 3}, {3, 4}, {4, 5}, {100, 200}, {1, 3}, {13, 14}])
def test_an_ambiguous_numbering_is_refused_with_the_way_out(values):
    with pytest.raises(InputError, match=r"mask.nii.*relabel the lungs as 2"):
        possible_conventions(np.array(sorted(values)), "mask.nii")


def test_the_user_can_say_what_the_values_mean():
    trachea = np.zeros(SHAPE, bool)
    trachea[20:, 15:18, 27:29] = True
    image = mask_image({1: RIGHT, 2: LEFT, 3: trachea})
    lungs = lungs_from_labels(image, CT, values="lungmask")
    assert np.array_equal(labels_of(lungs), 2 * RIGHT + 3 * LEFT)
    with pytest.raises(InputError, match="unknown label numbering"):
        lungs_from_labels(image, CT, values="guess")
    with pytest.raises(InputError, match="no lung label of the numbering 'totalsegmentator'"):
        lungs_from_labels(image, CT, values="totalsegmentator")


# --- sides


def mirrored(image):
    """The same array, said to run the other way from left to right."""
    out = sitk.Image(image)
    out.SetDirection((-1, 0, 0, 0, 1, 0, 0, 0, 1))
    out.SetOrigin((165.0, -105.0, 10.0))
    return out


def test_sides_come_from_the_direction_matrix_not_from_the_array():
    lungs = lungs_from_labels(mirrored(mask_image({1: RIGHT | LEFT})), mirrored(CT))
    right, left = side_masks(lungs.labels)
    axes = PatientAxes.of(CT)
    assert np.array_equal(right, axes.view(LEFT)[..., ::-1])  # what lies first in the array is now on the left
    assert np.array_equal(left, axes.view(RIGHT)[..., ::-1])


def test_sides_the_wrong_way_round_are_mended_with_a_warning():
    lungs = lungs_from_labels(mask_image({3: RIGHT, 2: LEFT}), CT, source="mask.nrrd")
    assert np.array_equal(labels_of(lungs), 2 * RIGHT + 3 * LEFT)
    assert "mask.nrrd has right and left the other way round" in lungs.warnings[0]


def test_lobes_the_wrong_way_round_are_refused():
    with pytest.raises(InputError, match="right lobes on the patient's left"):
        lungs_from_labels(mask_image({7: upper(RIGHT), 8: RIGHT & ~upper(RIGHT), 4: LEFT}), CT)


def test_one_lung_alone_is_taken_on_its_side_with_a_warning():
    for mask, side, region in ((RIGHT, "left", 2), (LEFT, "right", 3)):
        lungs = lungs_from_labels(mask_image({1: mask}), CT)
        assert np.array_equal(labels_of(lungs), region * mask)
        assert f"{side} lung is missing" in lungs.warnings[0]


def test_one_lung_on_the_wrong_half_of_the_body_is_noticed():
    lungs = lungs_from_labels(mask_image({4: upper(LEFT), 6: LEFT & ~upper(LEFT)}), CT)
    assert any("lies in the left half of the body" in warning for warning in lungs.warnings)


# --- grids


def test_a_mask_on_another_grid_is_brought_over_with_a_warning():
    coarse = sitk.Image([28, 18, 20], sitk.sitkUInt8)
    coarse.SetSpacing((12.0, 12.0, 10.0))
    coarse.SetOrigin((-162.0, -102.0, 12.5))
    image = sitk.Resample(mask_image({2: RIGHT, 3: LEFT}), coarse, sitk.Transform(), sitk.sitkNearestNeighbor)
    lungs = lungs_from_labels(image, CT)
    assert same_grid(lungs.labels, CT)
    assert side_masks(lungs.labels)[0].sum() == pytest.approx(RIGHT.sum(), rel=0.02)
    assert "another grid" in lungs.warnings[0]


def test_a_cropped_mask_on_the_same_voxels_needs_no_warning():
    image = mask_image({2: RIGHT, 3: LEFT})[5:50, 6:30, 3:37]
    lungs = lungs_from_labels(image, CT)
    assert np.array_equal(labels_of(lungs), 2 * RIGHT + 3 * LEFT)
    assert lungs.warnings == []


def test_a_mask_beside_the_ct_is_refused():
    image = mask_image({2: RIGHT, 3: LEFT})
    image.SetOrigin((-165.0, -105.0, 60.0))  # a third of the lungs above the CT
    with pytest.raises(InputError, match=r"only \d+% of the lungs in mask.nrrd lie inside the CT"):
        lungs_from_labels(image, CT, source="mask.nrrd")


# --- files


def test_a_label_file_and_a_segmentation_give_the_same_lungs(tmp_path):
    image = mask_image(LOBES)
    sitk.WriteImage(image, str(tmp_path / "lobes.nii.gz"))
    segments = [Segment(f"s{r}", f"segment {r}", r, terminology=terminology(r)) for r in LOBES]
    write_segments(tmp_path / "lobes.seg.nrrd", image, segments)
    for name in ("lobes.nii.gz", "lobes.seg.nrrd"):
        lungs = read_lungs(tmp_path / name, CT)
        assert np.array_equal(labels_of(lungs), sitk.GetArrayFromImage(image))
        assert lungs.source.endswith(name)
        assert lungs.warnings == []


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (lambda: mask_image({}), "is empty"),
        (lambda: mask_image({58: RIGHT, 9: np.zeros(SHAPE, bool), 512: LEFT}), "is empty"),
        (lambda: CT, "not a label map"),
        (lambda: sitk.Cast(CT, sitk.sitkFloat32) * 0 + 0.5, "not a label map"),
        (lambda: sitk.Image([5, 5], sitk.sitkUInt8), "2D image"),
        (lambda: grid_image(np.full(SHAPE, np.nan, np.float32)), "not numbers"),
    ],
)
def test_what_is_no_lung_mask_is_refused(tmp_path, image, message):
    path = tmp_path / "mask.nrrd"
    sitk.WriteImage(image(), str(path))
    with pytest.raises(InputError, match=message):
        read_lungs(path, CT)


def test_a_missing_or_unreadable_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_lungs(tmp_path / "none.nrrd", CT)
    (tmp_path / "text.nrrd").write_text("not an image")
    with pytest.raises(InputError, match="cannot be read as an image"):
        read_lungs(tmp_path / "text.nrrd", CT)


# --- thirds


def thirds(labels: sitk.Image) -> np.ndarray:
    """CIP's thirds of the lungs as a (z, y, x) array of the patient's axes."""
    lungs = UprightLungs.of(labels)
    whole = np.zeros(lungs.axes.shape, np.uint8)
    whole[lungs.box] = lungs.thirds()
    return whole


def test_thirds_are_equal_volumes_of_both_lungs_together():
    array = thirds(mask_image({2: RIGHT, 3: LEFT}))
    counts = [np.isin(array, pair).sum() for pair in ((9, 12), (10, 13), (11, 14))]
    slice_voxels = (RIGHT | LEFT)[20].sum()
    assert max(counts) - min(counts) <= slice_voxels
    heights = {value: np.flatnonzero((array == value).any(axis=(1, 2))) for value in range(9, 15)}
    assert heights[9].min() == heights[12].min()  # the same planes for both sides
    assert heights[9].min() > heights[10].max() > heights[11].max()
    assert np.array_equal(np.isin(array, [12, 13, 14]), RIGHT)


def test_lungs_with_lobes_have_thirds_too():
    assert set(np.unique(thirds(mask_image(LOBES)))) == {0, 9, 10, 11, 12, 13, 14}


def test_thirds_on_a_feet_first_grid_lie_in_the_same_places():
    image = mask_image({2: RIGHT, 3: LEFT})
    turned = sitk.Flip(image, (False, False, True))
    assert np.array_equal(thirds(turned), thirds(image))


def test_thirds_on_a_tilted_grid_follow_the_height():
    image = mask_image({2: RIGHT, 3: LEFT})
    angle = np.deg2rad(17)
    tilted = sitk.Image(image)
    tilted.SetDirection((1, 0, 0, 0, np.cos(angle), -np.sin(angle), 0, np.sin(angle), np.cos(angle)))
    array = thirds(tilted)
    counts = [np.isin(array, pair).sum() for pair in ((9, 12), (10, 13), (11, 14))]
    assert max(counts) - min(counts) < 0.03 * sum(counts)
    k, j, _ = np.nonzero(np.isin(array, [9, 12]))
    k2, j2, _ = np.nonzero(np.isin(array, [10, 13]))
    height, height2 = (z * 5 * np.cos(angle) + y * 6 * np.sin(angle) for z, y in ((k, j), (k2, j2)))
    assert height.min() >= height2.max() - 2.5


def test_thirds_are_those_of_the_chest_imaging_platform(real_data):
    folder = real_data / "cip_copd_64"
    ct = sitk.ReadImage(str(folder / "ct-64.nrrd"))
    theirs = read_lungs(folder / "lm-64.nrrd", ct).labels
    assert np.array_equal(thirds(theirs), patient_array(theirs))


def test_the_real_whole_lung_mask_splits_into_the_real_lungs(real_data):
    folder = real_data / "cip_copd_64"
    ct = sitk.ReadImage(str(folder / "ct-64.nrrd"))
    whole = side_masks(read_lungs(folder / "wholeLung-64.nrrd", ct).labels)
    parts = side_masks(read_lungs(folder / "lm-64.nrrd", ct).labels)
    for a, b in zip(whole, parts, strict=True):
        assert np.count_nonzero(a ^ b) < 0.002 * np.count_nonzero(b)


def test_every_chest_region_has_a_side_or_none():
    """``side_masks`` knows every lung region that a mask can have after reading."""
    for region in ChestRegion:
        array = np.full((1, 1, 2), int(region), np.uint16)
        right, left = side_masks(sitk.GetImageFromArray(array))
        assert right.all() == (region.name.startswith("RIGHT") and "BRONCHUS" not in region.name)
        assert left.all() == (region.name.startswith("LEFT") and "BRONCHUS" not in region.name)
