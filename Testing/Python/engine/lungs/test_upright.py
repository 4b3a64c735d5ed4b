import numpy as np
import SimpleITK as sitk

from DLCTPMLib.labels.chest_regions import ChestRegion
from DLCTPMLib.lungs.masks import side_masks
from DLCTPMLib.lungs.upright import UprightLungs
from DLCTPMLib.volumes.patient_axes import file_image


def some_labels(orientation: str = "LPS") -> sitk.Image:
    """CIP labels of lobes and thirds, with an airway inside and the trachea's type, in some orientation."""
    values = np.zeros((20, 16, 18), np.uint16)
    values[3:15, 2:9, 1:7] = ChestRegion.RIGHT_SUPERIOR_LOBE
    values[3:9, 4:12, 10:17] = ChestRegion.LEFT_LOWER_THIRD
    values[4, 4, 3] += 256 * 2  # an airway inside the lung
    values[4, 5, 12] += 256 * 38  # the trachea never counts
    return sitk.DICOMOrient(sitk.GetImageFromArray(values), orientation)


def test_both_lungs_of_a_label_image_in_any_orientation_are_its_side_masks():
    for orientation in ("LPS", "RAS", "SPL"):
        labels = some_labels(orientation)
        crops = UprightLungs.of(labels).crops()
        for (box, mask), expected in zip(crops.values(), side_masks(labels), strict=True):
            whole = np.zeros(expected.shape, bool)
            whole[box] = mask
            assert np.array_equal(whole, expected)
            assert all(mask.any(axis=other).all() for other in ((1, 2), (0, 2), (0, 1)))  # nothing to spare


def test_the_label_image_made_of_it_has_the_same_lungs():
    for orientation in ("LPS", "RAS", "SPL"):
        labels = some_labels(orientation)
        again = UprightLungs.of(labels).labels(labels)
        assert again.GetPixelID() == sitk.sitkUInt16
        assert again.GetDirection() == labels.GetDirection()
        for ours, expected in zip(side_masks(again), side_masks(labels), strict=True):
            assert np.array_equal(ours, expected)
        assert set(np.unique(sitk.GetArrayViewFromImage(again))) == {0, 4, 11}


def test_a_lung_that_is_absent_has_no_crop():
    empty = sitk.Image([4, 5, 6], sitk.sitkUInt16)
    assert UprightLungs.of(empty).crops() == {}
    one = np.zeros((6, 5, 4), np.uint16)
    one[2:4, 1:3, 1] = 3
    assert list(UprightLungs.of(file_image(one, empty)).crops()) == ["left lung"]


def test_what_is_upright_already_is_given_back_and_a_box_with_room_to_spare_is_made_tight():
    lungs = UprightLungs.of(some_labels())
    assert UprightLungs.of(lungs) is lungs
    room = UprightLungs.of_regions(
        lungs.axes,
        (slice(0, 20), slice(0, 16), slice(0, 18)),
        np.pad(lungs.regions(), [(b.start, n - b.stop) for b, n in zip(lungs.box, (20, 16, 18), strict=True)]),
    )
    assert room.box == lungs.box
    assert np.array_equal(room.sides, lungs.sides)


def test_parts_are_kept_only_where_the_mask_has_them():
    lungs = UprightLungs.of(some_labels())
    assert set(np.unique(lungs.regions())) == {0, 4, 11}
    sides = UprightLungs.of_sides(lungs.axes, lungs.box, lungs.sides)
    assert sides.parts is None
    assert set(np.unique(sides.regions())) == {0, 2, 3}
    assert np.array_equal(UprightLungs.of(sides.labels(some_labels())).sides, lungs.sides)


def test_one_lobe_alone_has_its_own_box():
    lungs = UprightLungs.of(some_labels())
    lobe = lungs.only([ChestRegion.RIGHT_SUPERIOR_LOBE])
    assert lobe.box == (slice(3, 15), slice(2, 9), slice(1, 7))
    assert lobe.sides.all()
    assert lungs.only([ChestRegion.LEFT_SUPERIOR_LOBE]).sides.size == 0


def test_lungs_lie_on_an_image_of_the_same_voxels_in_another_order_and_on_no_shifted_one():
    labels = some_labels()
    lungs = UprightLungs.of(labels)
    assert lungs.lie_on(sitk.DICOMOrient(labels, "RAS"))
    shifted = sitk.Image(labels)
    shifted.SetOrigin((0.1, 0.0, 0.0))
    assert not lungs.lie_on(shifted)
    assert not lungs.lie_on(labels[:-1])  # cut at the end: origin and spacing are the same
