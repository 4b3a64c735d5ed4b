"""The anatomy contradicts a header that lies, and says nothing where it can not tell."""

import numpy as np
import pytest
import SimpleITK as sitk
from turned_chests import a_patient, images

from DLCTPMLib.lungs.segmentation import segment_lungs
from DLCTPMLib.quality.checks import check_input

SIZE, MM = (70, 70, 90), 4.0


def a_chest(spine=True, heart_x=52):
    """HU and CIP labels (z, y, x): lungs on domes, heart to the left, spine behind, towards head, back and left."""
    z, y, x = np.meshgrid(*[np.arange(n) for n in SIZE], indexing="ij")
    labels = np.zeros(SIZE, np.uint16)
    for side, centre in ((2, 25), (3, 65)):
        labels[((z - 30) / 30) ** 2 + ((y - 35) / 24) ** 2 + ((x - centre) / 17) ** 2 < 1] = side
        labels[((z + 4) / 32) ** 2 + ((y - 30) / 20) ** 2 + ((x - centre) / 15) ** 2 < 1] = 0
    heart = ((z - 20) / 14) ** 2 + ((y - 28) / 11) ** 2 + ((x - heart_x) / 14) ** 2 < 1
    labels[heart] = 0
    hu = np.where(((y - 35) / 33) ** 2 + ((x - 45) / 43) ** 2 < 1, 45, -1000)
    hu[labels > 0] = -830
    if spine:
        hu[((y - 52) / 5) ** 2 + ((x - 45) / 5) ** 2 < 1] = 400
    return hu.astype(np.int16), labels


def found(hu, labels):
    images = [sitk.GetImageFromArray(np.ascontiguousarray(array)) for array in (hu, labels)]
    for image in images:
        image.SetSpacing((MM,) * 3)
    names = ("front and back", "head and feet", "left and right")
    return {one["check"]: one["status"] for one in check_input(*images) if one["check"] in names}


UPRIGHT = {"front and back": "PASS", "head and feet": "PASS", "left and right": "PASS"}


def test_a_chest_as_its_header_says_passes():
    assert found(*a_chest()) == UPRIGHT


@pytest.mark.parametrize(("axis", "name"), [(0, "head and feet"), (1, "front and back")])
def test_a_chest_stored_against_its_header_fails(axis, name):
    assert found(*(np.flip(array, axis) for array in a_chest())) == UPRIGHT | {name: "FAIL"}


def test_a_heart_on_the_right_is_asked_about():
    assert found(*a_chest(heart_x=30)) == UPRIGHT | {"left and right": "WARN"}


def test_what_is_not_seen_is_not_guessed():
    hu, labels = a_chest(spine=False)
    assert found(hu[:, ::-1], labels[:, ::-1]) == UPRIGHT
    hu, labels = a_chest()
    assert found(hu[20:][::-1], labels[20:][::-1]) == UPRIGHT  # the lungs' lower ends are missing


@pytest.mark.parametrize("kept", [2, 3])
def test_beside_a_single_lung_the_spine_still_tells_back_from_front(kept):
    hu, labels = a_chest()
    hu[(labels > 0) & (labels != kept)] = 20  # fluid after a pneumonectomy
    labels[labels != kept] = 0
    assert found(hu, labels) == UPRIGHT
    assert found(hu[:, ::-1], labels[:, ::-1]) == UPRIGHT | {"front and back": "FAIL"}


TURNED = {
    "rows and columns exchanged": (lambda hu: hu.transpose(0, 2, 1), "left"),
    "turned by 90 degrees": (lambda hu: np.rot90(hu, 1, (1, 2)), "left"),
    "turned the other way": (lambda hu: np.rot90(hu, -1, (1, 2)), "right"),
    "coronal slices": (lambda hu: hu.transpose(1, 0, 2), "head"),
    "coronal slices from the back": (lambda hu: hu.transpose(1, 0, 2)[::-1], "feet"),
}
"""How a patient is stored as if axes had been exchanged, and where the spine then seems to lie."""


@pytest.mark.parametrize("how", TURNED)
def test_a_patient_with_axes_exchanged_fails_by_the_spine(how):
    turn, where = TURNED[how]
    hu = turn(a_patient()[0])
    ct = images(hu, np.zeros(hu.shape, np.uint16))[0]
    check = next(one for one in check_input(ct, segment_lungs(ct).upright) if one["check"] == "front and back")
    assert check["status"] == "FAIL"
    assert f"the {where} is" in check["message"]
