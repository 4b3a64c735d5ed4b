"""A mirrored CT fails where signs that do not depend on one another agree; a single one is asked about."""

import numpy as np
import pytest
import SimpleITK as sitk
from dicom_mask_samples import write_seg, write_structures
from skimage.measure import find_contours
from turned_chests import a_patient, images, mirrored

from DLCTPMLib.cli.main import BAD_INPUT, main
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


def outlines(mask, grid):
    """Contours of a mask (z, y, x) as a planning system draws them: LPS points, slice by slice."""
    drawn = []
    for z in np.flatnonzero(mask.any(axis=(1, 2))):
        for curve in find_contours(np.pad(mask[z], 1).astype(float), 0.5):
            index = np.column_stack([curve[:, ::-1] - 1, np.full(len(curve), z)])
            drawn.append(index * grid.GetSpacing() + grid.GetOrigin())
    return drawn


@pytest.mark.parametrize("kind", ["SEG", "RTSTRUCT"])
@pytest.mark.parametrize("named", ["by the image", "by the patient"])
def test_a_mirrored_ct_fails_with_lungs_of_dicom_too(tmp_path, capsys, kind, named):
    """Named by the patient, the right lung lies on the left of the image."""
    ct, labels = images(*mirrored(*a_patient()))
    sitk.WriteImage(ct, str(tmp_path / "ct.nrrd"))
    sides = sitk.GetArrayViewFromImage(labels)
    right, left = (sides == value for value in ((2, 3) if named == "by the image" else (3, 2)))
    if kind == "SEG":
        path = write_seg(tmp_path / "lungs.dcm", ct, [("R", "right", right), ("L", "left", left)])
    else:
        path = write_structures(tmp_path / "lungs.dcm", {"Lung_R": outlines(right, ct), "Lung_L": outlines(left, ct)})
    command = ["predict", str(tmp_path / "ct.nrrd"), "--lungs", str(path), "--out", str(tmp_path / "out")]
    assert main([*command, "--progress", "none"]) == BAD_INPUT
    said = capsys.readouterr().err
    assert "Left and right are exchanged" in said
    assert "situs inversus" in said
    assert not (tmp_path / "out").exists()


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


def test_mirrored_it_fails_though_heart_and_aorta_lie_left_beside_a_small_left_lung():
    found = side(images(*mirrored(*a_patient(1, "hypoplastic right lung"))))
    assert found["status"] == "FAIL"
    assert "liver, gas of stomach and colon on the other side" in found["message"]


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
        (signs(liver=-0.4, gas_ml=-15, right_percent=60), "WARN"),  # colon in front of the liver
        (signs(liver=-0.4, gas_ml=0, right_percent=72), "WARN"),
        (signs(gas_ml=-15, right_percent=72), "PASS"),
        (signs(liver=-0.4, gas_ml=-15, right_percent=72), "FAIL"),  # heart and aorta follow the small lung
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
