"""What fills the rib cage beside the lungs is measured on its side, and named as the cause of a small lung."""

import numpy as np
import pytest
from chest_phantom import Phantom

from DLCTPMLib.lungs.left_out import left_out
from DLCTPMLib.lungs.segmentation import segment_lungs
from DLCTPMLib.quality.checks import check_input
from DLCTPMLib.volumes.patient_axes import patient_array

SPACING, SHAPE = (4.0, 3.0, 3.0), (77, 90, 120)
SIDES = ("right lung", "left lung")


def chest():
    return Phantom(SPACING, SHAPE).with_ribs()


def looked_at(phantom):
    """The lungs that are found, what is left out, and the check."""
    ct = phantom.image()
    lungs = segment_lungs(ct)
    check = next(one for one in check_input(ct, lungs.upright) if one["check"] == "rib cage")
    return left_out(patient_array(ct), lungs.upright), check


def ml(mask):
    return np.count_nonzero(mask) * np.prod(SPACING) / 1000


def test_lungs_that_fill_the_rib_cage_leave_little_out():
    found, check = looked_at(chest())
    assert max(one.share for one in found.values()) < 0.05
    assert check["status"] == "PASS"


@pytest.mark.parametrize("side", [1, 2])
@pytest.mark.parametrize(("depth", "below"), [(55, 200), (100, 10)])
def test_an_effusion_is_measured_on_its_side_and_named(side, depth, below):
    phantom = chest().with_effusion(side, depth, below)
    found, check = looked_at(phantom)
    own, other = found[SIDES[side - 1]], found[SIDES[2 - side]]
    assert 0.4 * ml(phantom.dense) < own.dense_ml < 1.3 * ml(phantom.dense)
    assert own.aerated_ml < 0.1 * own.dense_ml
    assert other.share < 0.05
    lung = ml(phantom.truth == side)
    assert own.share == pytest.approx(own.dense_ml / (own.dense_ml + lung), abs=0.04)
    assert check["status"] == "WARN"
    assert check["value"] == pytest.approx(100 * own.share)
    assert f"mask of the {SIDES[side - 1]} and are dense, so that lung is small: effusion" in check["message"]


def test_a_mass_at_the_chest_wall_is_seen():
    phantom = chest()
    mass = phantom.ball((-115, 20, 20), (38, 38, 38)) & (phantom.truth == 1)
    phantom.hu[mass] = 35
    found, _ = looked_at(phantom)
    assert found["right lung"].dense_ml == pytest.approx(ml(mass), rel=0.5)


def test_a_lung_that_is_dense_as_a_whole_is_measured_by_the_other_one():
    phantom = chest()
    left = phantom.truth == 2
    phantom.hu[left] = 30
    found, check = looked_at(phantom)
    assert found["left lung"].dense_ml == pytest.approx(ml(left), rel=0.25)
    assert found["left lung"].share == 1
    assert "pneumonectomy, collapse" in check["message"]


def test_free_air_left_out_is_named_as_air():
    phantom = chest().with_pneumothorax(depth=60, collapsed=-500)
    found, check = looked_at(phantom)
    assert found["right lung"].aerated_ml > found["right lung"].dense_ml
    assert "pneumothorax" in check["message"]
