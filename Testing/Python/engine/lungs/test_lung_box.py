import numpy as np
import SimpleITK as sitk

from DLCTPMLib.labels.chest_regions import ChestRegion
from DLCTPMLib.lungs.box import LungBox
from DLCTPMLib.lungs.masks import side_masks
from DLCTPMLib.volumes.patient_axes import file_image


def some_labels(orientation: str = "LPS") -> sitk.Image:
    """CIP labels of lobes and thirds, with an airway inside and the windpipe's type, in some orientation."""
    values = np.zeros((20, 16, 18), np.uint16)
    values[3:15, 2:9, 1:7] = ChestRegion.RIGHT_SUPERIOR_LOBE
    values[3:9, 4:12, 10:17] = ChestRegion.LEFT_LOWER_THIRD
    values[4, 4, 3] += 256 * 2  # an airway inside the lung
    values[4, 5, 12] += 256 * 38  # the windpipe never counts
    return sitk.DICOMOrient(sitk.GetImageFromArray(values), orientation)


def test_both_lungs_of_a_label_image_in_any_orientation_are_its_side_masks():
    for orientation in ("LPS", "RAS", "SPL"):
        labels = some_labels(orientation)
        crops = LungBox.of(labels).crops()
        for (box, mask), expected in zip(crops.values(), side_masks(labels), strict=True):
            whole = np.zeros(expected.shape, bool)
            whole[box] = mask
            assert np.array_equal(whole, expected)
            assert all(mask.any(axis=other).all() for other in ((1, 2), (0, 2), (0, 1)))  # nothing to spare


def test_the_label_image_made_of_it_has_the_same_lungs():
    for orientation in ("LPS", "RAS", "SPL"):
        labels = some_labels(orientation)
        again = LungBox.of(labels).labels(labels)
        assert again.GetPixelID() == sitk.sitkUInt16
        assert again.GetDirection() == labels.GetDirection()
        for ours, expected in zip(side_masks(again), side_masks(labels), strict=True):
            assert np.array_equal(ours, expected)
        assert set(np.unique(sitk.GetArrayViewFromImage(again))) == {0, 2, 3}


def test_a_lung_that_is_absent_has_no_crop():
    empty = sitk.Image([4, 5, 6], sitk.sitkUInt16)
    assert LungBox.of(empty).crops() == {}
    one = np.zeros((6, 5, 4), np.uint16)
    one[2:4, 1:3, 1] = 3
    assert list(LungBox.of(file_image(one, empty)).crops()) == ["left lung"]
