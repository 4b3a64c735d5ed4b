"""The checks of the input see what a radiographer would see."""

import numpy as np
import pytest
import SimpleITK as sitk

from DLCTPMLib.lungs.masks import read_lungs
from DLCTPMLib.quality.checks import check_input
from DLCTPMLib.volumes.reading import read_ct

SIZE, SPACING = (60, 70, 90), (3.0, 3.0, 3.0)


def a_chest(spacing=SPACING, blood_hu=45.0, lung_hu=-830.0, sides=(2, 3), noise=15.0, texture=45.0):
    """HU and CIP labels (z, y, x) of two lungs with a mediastinum between them, in a body in air."""
    rng = np.random.default_rng(2)
    z, y, x = np.meshgrid(*[np.arange(n) for n in SIZE], indexing="ij")
    labels = np.zeros(SIZE, np.uint16)
    for side, centre in ((2, 24), (3, 66)):
        if side in sides:
            labels[((z - 30) / 26) ** 2 + ((y - 35) / 27) ** 2 + ((x - centre) / 16) ** 2 < 1] = side
    body = ((y - 35) / 33) ** 2 + ((x - 45) / 43) ** 2 < 1
    hu = np.where(body, 45.0, -1000.0)
    hu[((z - 30) / 24) ** 2 + ((y - 32) / 14) ** 2 + ((x - 45) / 8) ** 2 < 1] = blood_hu
    hu = np.where(labels > 0, lung_hu + rng.normal(0, texture, SIZE), hu) + rng.normal(0, noise, SIZE)
    return hu, labels


def images(hu, labels, spacing=SPACING):
    pair = [sitk.GetImageFromArray(hu.astype(np.int16)), sitk.GetImageFromArray(labels)]
    for image in pair:
        image.SetSpacing(spacing)
    return pair


def checks(hu, labels, spacing=SPACING, metadata=None, header=None):
    return {check["check"]: check for check in check_input(*images(hu, labels, spacing), metadata, header)}


def not_passed(found):
    return {name: check["status"] for name, check in found.items() if check["status"] != "PASS"}


def test_an_ordinary_chest_passes_all_but_its_coarse_pixels():
    found = checks(*a_chest())
    assert not_passed(found) == {"pixel spacing": "WARN"}
    for check in found.values():
        assert set(check) == {"check", "status", "value", "message"}
        unseen = check["check"] in ("front and back", "head and feet", "patient position")  # no spine, no couch
        assert isinstance(check["value"], float) or unseen
        assert check["message"].endswith(".")


def test_values_measured_are_those_of_the_image():
    hu, labels = a_chest()
    found = checks(hu, labels)
    litres = np.count_nonzero(labels) * 27 / 1e6
    assert found["lung volume"]["value"] == pytest.approx(1000 * litres)
    assert f"{litres:.1f} litres" in found["lung volume"]["message"]
    assert found["mean lung density"]["value"] == pytest.approx(hu.astype(np.int16)[labels > 0].mean())
    assert found["slice spacing"]["value"] == 3


@pytest.mark.parametrize(("blood_hu", "noise"), [(130, 15), (350, 15), (130, 60)])
def test_contrast_medium_is_noticed(blood_hu, noise):
    check = checks(*a_chest(blood_hu=blood_hu, noise=noise))["intravenous contrast"]
    assert check["status"] == "WARN"
    assert check["value"] > 100


@pytest.mark.parametrize(
    ("blood_hu", "stated", "status", "said"),
    [
        (130, None, "WARN", "contrast medium in the blood;"),
        (130, True, "WARN", "as the header states"),
        (130, False, "WARN", "though the header states none"),
        (45, True, "WARN", "though the header states an agent"),
        (45, False, "PASS", "nor in the header"),
        (45, None, "PASS", "no sign of contrast medium."),
        (65, None, "PASS", "no sign of contrast medium."),  # blood of a haematocrit of 0.6
        (115, None, "WARN", "contrast medium in the blood;"),  # 80 HU more than in anaemia
    ],
)
def test_contrast_medium_is_held_against_the_header(blood_hu, stated, status, said):
    header = None if stated is None else {"contrast_agent_stated": stated}
    check = checks(*a_chest(blood_hu=blood_hu), header=header)["intravenous contrast"]
    assert check["status"] == status
    assert said in check["message"]


def test_noise_is_not_taken_for_contrast_medium():
    check = checks(*a_chest(noise=70))["intravenous contrast"]
    assert check["status"] == "PASS"
    assert check["value"] == pytest.approx(60, abs=10)  # a quarter of 45 ± 25 HU lies above


def test_contrast_cannot_be_judged_beside_a_single_lung():
    found = checks(*a_chest(sides=(2,)))
    assert found["intravenous contrast"]["status"] == "WARN"
    assert found["intravenous contrast"]["value"] is None
    assert found["lung balance"]["status"] == "WARN"
    assert "one lung only" in found["lung balance"]["message"]


def test_an_image_without_hounsfield_units_fails():
    hu, labels = a_chest()
    found = checks(hu + 1024, labels)
    assert found["intensities"]["status"] == "FAIL"
    assert found["mean lung density"]["status"] == "FAIL"


@pytest.mark.parametrize(
    ("cut", "face"),
    [
        ((slice(None, 40),), "top"),
        ((slice(15, None),), "bottom"),
        ((slice(None), slice(20, None)), "front"),
        ((slice(None), slice(None, 50)), "back"),
        ((slice(None), slice(None), slice(15, None)), "right"),
        ((slice(None), slice(None), slice(None, 75)), "left"),
    ],
)
def test_lungs_cut_by_the_volume_are_named_with_the_face(cut, face):
    hu, labels = a_chest()
    found = checks(hu[cut], labels[cut])["field of view"]
    assert found["status"] == "WARN"
    assert f"cut off: {face} (" in found["message"]
    axis = {"top": 0, "bottom": 0, "front": 1, "back": 1, "right": 2, "left": 2}[face]
    last = -1 if face in ("top", "back", "left") else 0
    area = np.count_nonzero(np.take(labels[cut], last, axis=axis)) * 0.09
    assert found["value"] == pytest.approx(area)


def test_faces_are_the_patients_whatever_the_order_of_the_file():
    hu, labels = a_chest()
    pair = [sitk.Flip(image, (False, True, True)) for image in images(hu[:40], labels[:40])]
    message = {check["check"]: check for check in check_input(*pair)}["field of view"]["message"]
    assert "top (" in message


def test_lungs_cut_by_the_round_field_of_view_are_noticed():
    hu, labels = a_chest()
    hu[:, :, :20] = -2000
    labels[:, :, :20] = 0
    found = checks(hu, labels)["field of view"]
    assert found["status"] == "WARN"
    assert "edge of the reconstruction" in found["message"]


@pytest.mark.parametrize(
    ("lung_hu", "check", "status"),
    [
        (-550, "mean lung density", "WARN"),
        (-940, "mean lung density", "WARN"),
        (-400, "mean lung density", "WARN"),  # severe, but lungs with air in them
        (-400, "dense lung", "WARN"),
        (-100, "mean lung density", "FAIL"),
    ],
)
def test_lungs_of_odd_density_are_pointed_out(lung_hu, check, status):
    assert checks(*a_chest(lung_hu=lung_hu))[check]["status"] == status


def test_consolidation_in_the_mask_is_pointed_out():
    hu, labels = a_chest()
    hu[:20][labels[:20] > 0] = 20
    hu[20:25][labels[20:25] > 0] = -400
    found = checks(hu, labels)["dense lung"]
    inside = hu.astype(np.int16)[labels > 0]
    assert found["status"] == "WARN"
    assert found["value"] == pytest.approx(100 * np.mean(inside > -500))
    for share, ml in ((np.mean(inside > limit), np.sum(inside > limit) * 0.027) for limit in (-500, -300)):
        assert f"{100 * share:.0f} % " in found["message"]
        assert f"({ml:.0f} ml)" in found["message"]


@pytest.mark.parametrize(
    ("texture", "noise", "status"), [(45, 15, "PASS"), (0, 15, "WARN"), (0, 1, "FAIL"), (0, 0, "FAIL")]
)
def test_lungs_without_texture_are_no_lungs(texture, noise, status):
    hu, labels = a_chest(texture=texture, noise=noise)
    found = checks(hu, labels)["lung texture"]
    assert found["status"] == status
    assert found["value"] == pytest.approx(hu.astype(np.int16)[labels > 0].std(), rel=1e-3)


def test_lungs_cut_off_at_a_value_are_a_filling():
    hu, labels = a_chest()
    found = checks(np.maximum(hu, -820), labels)["lung texture"]
    assert found["status"] == "FAIL"
    assert "cut off at a value" in found["message"]


def test_thick_slices_are_pointed_out():
    found = checks(*a_chest(), spacing=(0.9, 0.9, 8.0))
    assert not_passed(found).keys() >= {"slice spacing"}
    assert "8 mm" in found["slice spacing"]["message"]
    assert found["pixel spacing"]["status"] == "PASS"


def test_a_tiny_mask_fails():
    found = checks(*a_chest(), spacing=(1.0, 1.0, 1.0))
    assert found["lung volume"]["status"] == "FAIL"


@pytest.mark.parametrize("spacing", [1.2, 2.0])
def test_a_childs_lungs_are_asked_about(spacing):
    found = checks(*a_chest(), spacing=(spacing,) * 3)["lung volume"]
    assert found["status"] == "WARN"
    assert "a child" in found["message"]


def test_a_lung_that_was_taken_out_is_asked_about():
    found = checks(*a_chest(sides=(3,)))
    assert "pneumonectomy" in found["lung balance"]["message"]
    assert "FAIL" not in not_passed(found).values()


def test_an_empty_mask_fails_without_stumbling():
    hu, labels = a_chest(sides=())
    found = checks(hu, labels)
    assert found["lung volume"]["status"] == found["lung balance"]["status"] == "FAIL"


def test_lungs_are_held_against_those_of_the_training():
    hu, labels = a_chest()
    ranges = {"lung_volume_ml": [500, 900], "lung_mean_hu": [-900, -700]}
    found = checks(hu, labels, metadata={"training_ranges": ranges})
    assert found["right lung: volume in training"]["status"] == "WARN"
    assert "outside what the model knows" in found["right lung: volume in training"]["message"]
    assert found["left lung: mean density in training"]["status"] == "PASS"


def test_a_tilted_grid_is_pointed_out():
    ct, lungs = images(*a_chest())
    angle = np.radians(17)
    tilt = [np.cos(angle), -np.sin(angle), 0, np.sin(angle), np.cos(angle), 0, 0, 0, 1]
    ct.SetDirection(tilt)
    lungs.SetDirection(tilt)
    check = next(check for check in check_input(ct, lungs) if check["check"] == "tilt")
    assert check["status"] == "WARN"
    assert check["value"] == pytest.approx(17)


def test_the_copd_ct_of_the_chest_imaging_platform_has_no_contrast(real_data):
    ct = read_ct(real_data / "cip_copd_64" / "ct-64.nrrd").image
    lungs = read_lungs(real_data / "cip_copd_64" / "lm-64.nrrd", ct).labels
    found = {check["check"]: check for check in check_input(ct, lungs)}
    assert set(not_passed(found)) == {"slice spacing", "pixel spacing"}
    assert 30 < found["intravenous contrast"]["value"] < 60
