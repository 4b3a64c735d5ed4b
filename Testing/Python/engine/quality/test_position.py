"""How the patient lay is seen by the couch, fluid under gas and density, held against the header, and heeded."""

import pytest
import SimpleITK as sitk
from small_chest import chest_ct, lung_labels, on_grid, points_mm
from turned_chests import a_patient, images, on_couch

from DLCTPMLib.quality.checks import check_input
from DLCTPMLib.registration import RegistrationSettings, settings_for_position

DEGREES = {"back": 0.0, "right": 90.0, "front": 180.0, "left": -90.0}
CODES = {"back": "HFS", "right": "FFDR", "front": "HFP", "left": "HFDL"}


def position(pair, code=None):
    header = None if code is None else {"PatientPosition": code}
    found = check_input(*pair, header=header)
    return next(one for one in found if one["check"] == "patient position")


def levels(pair, direction):
    """A bubble in the small chest's middle, round but for a level of fluid towards one side; without couch."""
    x, y, z = points_mm()
    hu = sitk.GetArrayFromImage(pair[0])
    hu[sitk.GetArrayFromImage(pair[1]) > 0] = -830
    along = {"back": y, "front": -y, "left": x, "right": -x}[direction]
    hu[(x**2 + y**2 + (z - 1040) ** 2 < 22**2) & (along < 4)] = -990
    return on_grid(hu), pair[1]


@pytest.mark.parametrize("side", DEGREES)
def test_the_couch_shows_on_which_side_the_patient_lies(side):
    hu, lungs = a_patient()
    found = position(images(on_couch(hu, side), lungs))
    assert (found["value"], found["status"]) == (DEGREES[side], "PASS" if side == "back" else "WARN")
    assert "couch" in found["message"]
    assert ("has learned from patients who lie on the back" in found["message"]) == (side != "back")


def test_an_ordinary_virtual_patient_lies_on_the_back_of_its_own_couch():
    assert position(images(*a_patient()), "HFS")["status"] == "PASS"


def test_rows_back_to_front_do_not_turn_the_patient():
    hu, lungs = a_patient()
    assert position(images(hu[:, ::-1], lungs[:, ::-1]))["value"] == 0  # the spine lies on the couch's side


@pytest.mark.parametrize("side", DEGREES)
def test_a_level_of_fluid_shows_it_where_no_couch_does(side):
    found = position(levels((chest_ct(), lung_labels()), side))
    assert found["value"] == DEGREES[side]
    assert "levels of fluid" in found["message"]


def test_a_round_bubble_in_the_stomach_is_no_level():
    hu, lungs = a_patient(3)
    assert "levels of fluid" not in position(images(on_couch(hu, None), lungs))["message"]


@pytest.mark.parametrize(("slope", "degrees"), [(0.5, 0), (-0.5, 180), (0.05, None)])
def test_the_denser_side_of_the_lungs_shows_it_where_nothing_else_does(slope, degrees):
    hu, lungs = sitk.GetArrayFromImage(chest_ct()), lung_labels()
    inside = sitk.GetArrayFromImage(lungs) > 0
    hu[inside] = (-830 + slope * points_mm()[1])[inside]
    found = position((on_grid(hu), lungs))
    assert found["value"] == degrees
    assert found["status"] == ("WARN" if degrees else "PASS")


@pytest.mark.parametrize("stated", CODES)
@pytest.mark.parametrize("side", ["back", "front"])
def test_a_header_that_contradicts_the_couch_is_told(side, stated):
    hu, lungs = a_patient()
    found = position(images(on_couch(hu, side), lungs), CODES[stated])
    assert found["value"] == DEGREES[side]
    assert (found["status"] == "PASS") == (side == stated == "back")
    assert ("the header or the image's orientation is wrong" in found["message"]) == (side != stated)


@pytest.mark.parametrize("stated", CODES)
def test_the_header_is_believed_where_the_image_shows_nothing(stated):
    hu, lungs = sitk.GetArrayFromImage(chest_ct()), lung_labels()
    hu[sitk.GetArrayFromImage(lungs) > 0] = -830
    pair = on_grid(hu), lungs
    found = position(pair, CODES[stated])
    assert found["value"] == DEGREES[stated]
    assert CODES[stated] in found["message"]
    assert position(pair)["value"] is position(pair, "")["value"] is position(pair, "SITTING")["value"] is None


def test_registration_expects_no_gravity_of_a_patient_who_does_not_lie_on_the_back():
    hu, lungs = a_patient()
    assert settings_for_position(*images(on_couch(hu, "back"), lungs)) == (RegistrationSettings(), [])
    settings, (note,) = settings_for_position(*images(on_couch(hu, "front"), lungs))
    assert settings == RegistrationSettings(gravity_percent_per_cm=0.0)
    assert "prone" in note


def test_a_blanket_is_no_couch():
    hu, lungs = a_patient()
    hu = on_couch(hu, None)
    body = hu > -500
    rows = body.any(axis=(0, 2)).argmax()
    for z in range(len(hu)):  # folds run across the patient, not along
        hu[z, rows - 4 + z % 5, 15:-15] = -600
    assert position(images(hu, lungs))["value"] != 180
