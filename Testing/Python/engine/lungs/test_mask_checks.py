"""A lung mask is read as what its shape shows it to be, or refused: lesions, lobes, other tables, mirrored masks."""

import numpy as np
import pytest
import SimpleITK as sitk
from test_lungs import CT, LEFT, RIGHT, SHAPE, grid_image, labels_of, mask_image

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.labels.conventions import CONVENTIONS
from DLCTPMLib.lungs.masks import lungs_from_labels


def box(z, y, x):
    out = np.zeros(SHAPE, bool)
    out[z, y, x] = True
    return out


def low(mask):
    out = mask.copy()
    out[20:] = False
    return out


NODULE = box(slice(20, 22), slice(15, 17), slice(34, 36))
INFECTION = box(slice(8, 20), slice(10, 26), slice(9, 22)) | box(slice(10, 18), slice(12, 26), slice(34, 46))


@pytest.mark.parametrize(
    "lesion",
    [NODULE, INFECTION, INFECTION & LEFT, INFECTION & RIGHT],
    ids=["nodule", "infection", "of the left lung", "of the right lung"],
)
@pytest.mark.parametrize("values", [(1, 2), (2, 1), (2, 3), (3, 2)])
def test_a_lesion_is_not_the_other_lung(lesion, values):
    image = mask_image({values[0]: (RIGHT | LEFT) & ~lesion, values[1]: lesion})
    with pytest.raises(InputError, match="not the two lungs that lie side by side"):
        lungs_from_labels(image, CT)
    whole = lungs_from_labels(image, CT, values="mask")
    assert np.array_equal(labels_of(whole), 2 * RIGHT + 3 * LEFT)


@pytest.mark.parametrize("lung", [RIGHT, LEFT], ids=["right", "left"])
def test_two_lobes_of_one_lung_are_not_right_and_left(lung):
    with pytest.raises(InputError, match="lobes of one lung"):
        lungs_from_labels(mask_image({1: low(lung), 2: lung & ~low(lung)}), CT)


def lobes_of(convention):
    """The five lobes as a table of TotalSegmentator has them, beside other organs of its table."""
    left_upper, left_lower, right_upper, right_middle, right_lower = CONVENTIONS[convention]
    middle = RIGHT & box(slice(14, 20), slice(8, 18), slice(0, 56))
    return {
        left_upper: LEFT & ~low(LEFT),
        left_lower: low(LEFT),
        right_upper: RIGHT & ~low(RIGHT),
        right_middle: middle,
        right_lower: low(RIGHT) & ~middle,
    }


@pytest.mark.parametrize("convention", ["totalsegmentator", "totalsegmentator-v1"])
@pytest.mark.parametrize("organs", [False, True], ids=["lobes alone", "all organs"])
def test_lobes_are_read_by_the_version_whose_shape_they_have(convention, organs):
    lobes = lobes_of(convention)
    others = [value for value in range(1, 105) if value not in lobes] if organs else []
    spots = {value: box(1, 5 + index // 40, 5 + index % 40) for index, value in enumerate(others)}
    labels = labels_of(lungs_from_labels(mask_image(lobes | spots), CT))
    for value, region in CONVENTIONS[convention].items():
        assert np.array_equal(labels == region, lobes[value])


def test_another_order_of_lobes_is_refused():
    names = list(lobes_of("lobes").values())
    for order in ([2, 3, 4, 0, 1], [1, 0, 4, 3, 2]):
        image = mask_image({value + 1: names[index] for value, index in enumerate(order)})
        with pytest.raises(
            InputError, match=r"not the two lungs|upper lobe lies below|right lobes on the patient's left"
        ):
            lungs_from_labels(image, CT)


def test_thirds_of_unequal_volume_are_no_thirds():
    labels = {
        9 + third: LEFT & box(slice(*z), slice(0, 36), slice(0, 56))
        for third, z in enumerate(((30, 40), (12, 30), (0, 12)))
    }
    labels |= {
        12 + third: RIGHT & box(slice(*z), slice(0, 36), slice(0, 56))
        for third, z in enumerate(((30, 40), (12, 30), (0, 12)))
    }
    with pytest.raises(InputError, match="not of equal volume"):
        lungs_from_labels(mask_image(labels), CT)


def uneven_chest():
    """A CT whose lungs differ in size, height and depth, so that every mirrored or turned mask fits worse."""
    hu = np.full(SHAPE, -1000, np.int16)
    hu[:, 3:33, 4:52] = 40
    right = box(slice(6, 36), slice(6, 24), slice(8, 27))
    left = box(slice(14, 36), slice(10, 30), slice(33, 47))
    heart = box(slice(6, 20), slice(6, 16), slice(20, 27))
    hu[(right & ~heart) | left] = -850
    return grid_image(hu), right & ~heart, left


@pytest.mark.parametrize(
    ("turn", "words"),
    [
        (lambda mask: mask[:, :, ::-1], "with right and left exchanged"),
        (lambda mask: mask[:, ::-1], "with front and back exchanged"),
        (lambda mask: mask[::-1], "with head and feet exchanged"),
        (lambda mask: mask[::-1, ::-1], "with head and feet and with front and back exchanged"),
        (lambda mask: np.roll(mask[:, :, ::-1], 3, axis=2), "with right and left exchanged"),
    ],
)
def test_a_mask_that_fits_better_mirrored_or_turned_is_refused(turn, words):
    ct, right, left = uneven_chest()
    both = right | left
    assert lungs_from_labels(mask_image({1: both}), ct).warnings == []
    with pytest.raises(InputError, match=f"fits the air of the CT better {words}"):
        lungs_from_labels(mask_image({1: turn(both)}), ct)


def test_a_mask_turned_by_a_quarter_is_refused():
    ct, right, left = uneven_chest()
    turned = np.zeros(SHAPE, bool)
    turned[:, :, 10:46] = np.swapaxes((right | left)[:, :, 10:46], 1, 2)
    with pytest.raises(InputError, match="turned about an axis"):
        lungs_from_labels(mask_image({1: turned}), ct)


def test_consolidated_lung_in_a_mask_is_no_reason_to_refuse():
    ct, right, left = uneven_chest()
    hu = sitk.GetArrayFromImage(ct)
    hu[(right | left) & box(slice(0, 22), slice(0, 36), slice(0, 56))] = 20
    lungs = lungs_from_labels(mask_image({1: right | left}), grid_image(hu))
    assert np.array_equal(labels_of(lungs) > 0, right | left)


def test_a_mask_of_part_of_the_lungs_is_said():
    lungs = lungs_from_labels(mask_image({2: RIGHT & ~low(RIGHT), 3: LEFT & ~low(LEFT)}), CT)
    assert any("covers part of the lungs only" in warning for warning in lungs.warnings)
    assert lungs_from_labels(mask_image({2: RIGHT, 3: LEFT}), CT).warnings == []
