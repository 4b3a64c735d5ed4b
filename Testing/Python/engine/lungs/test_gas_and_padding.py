"""Gas that is no lung, gas that is, and what the scanner did not see: told apart, and said."""

import numpy as np
import pytest
import SimpleITK as sitk
from chest_phantom import DOME_MM, Phantom, dice, found, overlaps

from DLCTPMLib.lungs.field_of_view import Padding
from DLCTPMLib.lungs.segmentation import segment_lungs
from DLCTPMLib.quality.checks import check_input

SPACING, SHAPE = (4.0, 3.0, 3.0), (77, 100, 127)
RIM_MM = 9.0
FILLS = [-1024, 0, -2000, -3024, -32768]


def chest(width=SHAPE[2]):
    return Phantom(SPACING, (*SHAPE[:2], width))


@pytest.mark.parametrize("radii", [(14, 14, 12), (30, 35, 20), (55, 55, 35)])
@pytest.mark.parametrize("side", [1, 2])
def test_gas_under_either_dome_is_no_lung_whatever_its_size(side, radii):
    phantom = chest().with_gas_under_the_dome(side, radii)
    lungs = segment_lungs(phantom.image())
    assert found(lungs)[phantom.gas].mean() < 0.01
    assert min(overlaps(lungs, phantom)) > 0.98


@pytest.mark.parametrize("noise", [12, 100])
def test_gas_over_a_fluid_level_is_no_lung_in_noise_either(noise):
    phantom = chest().with_gas_under_the_dome(radii=(45, 45, 25), level=5)
    lungs = segment_lungs(phantom.image(noise=noise))
    assert found(lungs)[phantom.gas].mean() < 0.01
    assert min(overlaps(lungs, phantom)) > 0.97


def thin_walled():
    """Gas whose wall to the lung is thinner than a voxel over two centimetres, and so looks like lung there."""
    phantom = chest().with_gas_under_the_dome(radii=(45, 45, 25))
    thin = phantom.ball((72, -5, DOME_MM), (20, 20, 9)) & (phantom.hu == 40)
    phantom.hu[thin] = -500
    return phantom


def test_gas_whose_wall_looks_like_lung_is_left_out_and_said():
    phantom = thin_walled()
    lungs = segment_lungs(phantom.image())
    assert found(lungs)[phantom.gas].mean() < 0.02
    assert min(overlaps(lungs, phantom)) > 0.97
    (said,) = lungs.warnings
    assert "taken for stomach or bowel" in said
    ml = float(said.split()[0])
    assert ml == pytest.approx(np.count_nonzero(phantom.gas) * np.prod(phantom.spacing) / 1000, rel=0.25)


@pytest.mark.parametrize("place", [(-75, 10, 100), (-110, 0, 20), (72, 0, -45), (-75, 60, -20)])
def test_a_bulla_at_apex_chest_wall_dome_or_back_stays_lung(place):
    phantom = chest()
    bulla = phantom.ball(place, (32, 32, 32)) & (phantom.truth > 0)
    phantom.hu[phantom.ball(place, (37, 37, 37)) & (phantom.truth > 0)] = -690  # a voxel with less than 1 mm of wall
    phantom.hu[bulla] = -995
    lungs = segment_lungs(phantom.image())
    assert found(lungs)[bulla].mean() > 0.98
    assert lungs.warnings == []


def test_a_lung_as_dark_as_air_but_for_its_vessels_stays_lung():
    phantom = chest()
    phantom.hu[(phantom.truth > 0) & (phantom.hu < 0)] = -945  # 55 HU above air: severe emphysema
    assert min(overlaps(segment_lungs(phantom.image(noise=25)), phantom)) > 0.98


def test_free_air_in_front_of_a_collapsed_lung_is_said():
    phantom = chest().with_pneumothorax(collapsed=-500)
    lungs = segment_lungs(phantom.image())
    assert found(lungs)[phantom.free].mean() < 0.1
    assert any("pneumothorax" in warning for warning in lungs.warnings)


def test_air_in_a_fold_of_skin_and_under_the_arms_is_no_lung():
    phantom = chest().with_air_in_a_fold_of_skin()
    assert not found(segment_lungs(phantom.image()))[phantom.fold].any()
    phantom = chest(width=153).with_arms_at_the_sides()
    lungs = segment_lungs(phantom.image())
    assert not found(lungs)[phantom.armpits].any()
    assert min(overlaps(lungs, phantom)) > 0.98


@pytest.mark.parametrize("fill", FILLS)
def test_a_lung_is_found_up_to_the_edge_of_the_field_of_view_whatever_fills_the_rest(fill):
    phantom = chest().with_padding(fill, radius=105)
    ct = phantom.image()
    lungs = segment_lungs(ct)
    assert min(overlaps(lungs, phantom)) > 0.98
    assert not found(lungs)[phantom.flat].any()
    field = next(check for check in check_input(ct, lungs.upright) if check["check"] == "field of view")
    assert field["status"] == "WARN"
    rim = (phantom.truth > 0) & (phantom.x**2 + phantom.y**2 > (105 - RIM_MM) ** 2)
    area = np.count_nonzero(rim) * np.prod(SPACING) / RIM_MM / 100
    assert area < field["value"] < 1.5 * area  # a staircase of voxels is up to 4/π as long as its circle


def test_only_what_is_flat_and_leaves_a_disc_is_padding():
    phantom = chest()
    calm = phantom.image(noise=0)  # air around an oval body: as flat, but it leaves no disc
    assert not Padding.of(sitk.GetArrayFromImage(calm))
    noisy = phantom.image(noise=250)  # reaches below −1500 HU
    assert sitk.GetArrayFromImage(noisy).min() < -1900
    assert not Padding.of(sitk.GetArrayFromImage(noisy))
    circle = Padding.of(np.where(phantom.x**2 + phantom.y**2 > 140**2, -1024, sitk.GetArrayFromImage(calm)))
    assert np.array_equal(circle.columns, (phantom.x**2 + phantom.y**2 > 140**2)[0])
    assert (circle.fill_hu, circle.below_hu) == (-1024, None)


def test_noise_far_below_air_cuts_no_holes():
    phantom = chest()
    lungs = segment_lungs(phantom.image(noise=180))
    inner = phantom.truth > 0
    assert (sitk.GetArrayFromImage(phantom.image(noise=180))[inner] < -1400).any()
    assert found(lungs)[inner].mean() > 0.98
    assert dice(found(lungs), inner) > 0.97
    field = next(c for c in check_input(phantom.image(noise=180), lungs.upright) if c["check"] == "field of view")
    assert field["status"] == "PASS"
