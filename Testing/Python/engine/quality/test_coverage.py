"""Parts of a chest, and other parts of the body, fail; a whole chest never does."""

import numpy as np
import pytest
import SimpleITK as sitk
from chest_phantom import Phantom

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.lungs.segmentation import segment_lungs
from DLCTPMLib.quality.checks import check_input
from DLCTPMLib.volumes.patient_axes import patient_array

SPACING = (4.0, 3.0, 3.0)


@pytest.fixture(scope="module")
def patient():
    """From the abdomen to the crown of a head whose sinuses and mastoid cells are full of air."""
    phantom = Phantom(SPACING, (140, 90, 120))
    above = phantom.z > 165
    head = phantom.ball((0, 0, 225), (75, 95, 90))
    phantom.hu[above & ~head & (np.hypot(phantom.x, phantom.y - 20) > 55)] = -1000
    phantom.hu[above & head] = 40
    for side in (-1, 1):
        phantom.hu[above & phantom.ball((side * 22, -60, 215), (19, 19, 20))] = -1000  # a maxillary sinus
        phantom.hu[above & phantom.ball((side * 48, 30, 215), (13, 18, 18))] = -600  # mastoid cells
    return phantom


def part(phantom, low, high):
    """The CT between two heights (mm)."""
    heights = phantom.z[:, 0, 0]
    first, last = np.searchsorted(heights, (low, high))
    return phantom.image()[:, :, int(first) : int(last)]


def whole_chest(ct):
    lungs = segment_lungs(ct)
    found = {check["check"]: check for check in check_input(ct, lungs.upright)}
    return found["whole chest"], [name for name, check in found.items() if check["status"] == "FAIL"], lungs


def test_a_whole_chest_and_the_head_above_it_pass_with_no_piece_of_the_head(patient):
    check, failed, lungs = whole_chest(part(patient, -150, 310))
    assert (check["status"], failed) == ("PASS", [])
    assert patient.z[:, 0, 0][np.searchsorted(patient.z[:, 0, 0], -150) :][lungs.upright.box[0].stop - 1] < 140


@pytest.mark.parametrize("low", [20, 60, 90, 105])
def test_a_neck_with_the_tips_of_the_lungs_is_no_chest(patient, low):
    try:
        _, failed, _ = whole_chest(part(patient, low, 310))
    except InputError:
        return  # no lungs found: as good
    assert failed


@pytest.mark.parametrize(
    ("low", "high", "missing"),
    [
        (0, 150, "no diaphragm"),
        (-150, 60, "no apex of the lungs"),
        (-30, 68, "no diaphragm) and top"),  # 98 mm
    ],
)
def test_part_of_a_chest_fails_by_the_end_that_is_missing(patient, low, high, missing):
    check, failed, _ = whole_chest(part(patient, low, high))
    assert check["status"] == "FAIL"
    assert missing in check["message"]
    heights = patient.z[:, 0, 0]
    end = np.searchsorted(heights, low) if low > -150 else np.searchsorted(heights, high) - 1
    area = np.count_nonzero(patient.truth[end]) * SPACING[1] * SPACING[2] / 100
    assert check["value"] == pytest.approx(area, rel=0.1)
    assert "whole chest" in failed


def test_what_is_much_of_a_small_chest_is_too_much():
    phantom = Phantom(SPACING, (90, 90, 120))
    ct = part(phantom, 60, 150)
    ct.SetSpacing([0.85 * mm for mm in ct.GetSpacing()])
    check, _, _ = whole_chest(ct)
    assert check["value"] < 200
    assert check["status"] == "FAIL"


def test_filling_before_and_after_the_scan_hides_no_cut(patient):
    ct = part(patient, -30, 68)
    lungs = segment_lungs(ct)
    labels = sitk.ConstantPad(lungs.labels, [0, 0, 2], [0, 0, 3], 0)
    filled = sitk.ConstantPad(ct, [0, 0, 2], [0, 0, 3], -1024)
    check = next(c for c in check_input(filled, labels) if c["check"] == "whole chest")
    assert check["status"] == "FAIL"


def test_the_lowest_tip_of_a_recess_may_be_missing(patient):
    lowest = patient.z[:, 0, 0][(patient.truth > 0).any(axis=(1, 2))].min()
    ct = part(patient, lowest + 10, 150)
    check, failed, lungs = whole_chest(ct)
    assert np.count_nonzero(patient_array(lungs.labels)[0]) > 0
    area = np.count_nonzero(patient.truth[np.searchsorted(patient.z[:, 0, 0], lowest + 10)]) * 9 / 100
    assert check["value"] == pytest.approx(area, rel=0.2)  # nor is the mask wider where the CT ends
    assert (check["status"], failed) == ("PASS", [])
