"""A mirrored CT fails where signs that do not depend on one another agree; a single one is asked about."""

import numpy as np
import pytest
from turned_chests import a_patient, images, mirrored

from DLCTPMLib.lungs.upright import UprightLungs
from DLCTPMLib.quality.anatomy import Landmarks
from DLCTPMLib.quality.checks import check_input
from DLCTPMLib.quality.chest import ChestMeasurements
from DLCTPMLib.quality.left_right import SideSigns, left_and_right


def side(pair):
    return next(one for one in check_input(*pair) if one["check"] == "left and right")


def signs(heart_mm=10, aorta_mm=12, liver=0.4, gas_ml=15, right_percent=55):
    return SideSigns(heart_mm, aorta_mm, liver, gas_ml, right_percent)


@pytest.mark.parametrize("seed", [1, 3])
def test_a_mirrored_ct_fails_and_names_situs_inversus(seed):
    assert side(images(*a_patient(seed)))["status"] == "PASS"
    found = side(images(*mirrored(*a_patient(seed))))
    assert found["status"] == "FAIL"
    assert "mirrored" in found["message"]
    assert "situs inversus" in found["message"]


def test_every_sign_changes_with_the_mirror():
    def measured(hu, lungs):
        ct, labels = images(hu, lungs)
        chest = ChestMeasurements(ct, UprightLungs.of(labels))
        return SideSigns.of(chest, Landmarks.of(chest))

    one, other = (measured(*pair) for pair in (a_patient(), mirrored(*a_patient())))
    for name in ("heart_mm", "aorta_mm", "liver", "gas_ml"):
        assert getattr(other, name) == pytest.approx(-getattr(one, name), abs=4.1)  # a voxel
    assert one.liver > 0.2
    assert one.right_percent + other.right_percent == pytest.approx(100)


def test_a_hypoplastic_right_lung_is_asked_about():
    assert side(images(*a_patient(1, "hypoplastic right lung")))["status"] == "WARN"


@pytest.mark.parametrize(
    ("found", "status"),
    [
        (signs(), "PASS"),
        (signs(None, None, None, None, None), "PASS"),
        (signs(heart_mm=-10), "WARN"),  # collapse or surgery on the right
        (signs(liver=-0.4), "WARN"),
        (signs(heart_mm=-10, aorta_mm=-12, right_percent=28), "WARN"),  # a missing right lung: the liver is right
        (signs(heart_mm=-10, aorta_mm=-12, liver=None, gas_ml=None, right_percent=44), "WARN"),  # no abdomen is seen
        (signs(heart_mm=10, aorta_mm=-12, liver=-0.4), "WARN"),
        (signs(heart_mm=-10, aorta_mm=-12, liver=-0.4, gas_ml=-15, right_percent=45), "FAIL"),
        (signs(heart_mm=0, aorta_mm=-12, liver=-0.4, gas_ml=0, right_percent=50), "FAIL"),
    ],
)
def test_signs_are_weighed(found, status):
    assert left_and_right(found)[1] == status


def test_without_the_abdomen_liver_and_gas_are_not_guessed():
    hu, lungs = a_patient()
    lowest = np.flatnonzero((lungs > 0).any(axis=(1, 2)))[0]
    ct, labels = images(hu[lowest + 8 :], lungs[lowest + 8 :])
    chest = ChestMeasurements(ct, UprightLungs.of(labels))
    found = SideSigns.of(chest, Landmarks.of(chest))
    assert found.told()["liver"] >= 0
