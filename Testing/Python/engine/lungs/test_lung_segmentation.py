"""Lungs from the CT alone: phantoms with every hazard, any orientation, real chests."""

from itertools import permutations, product

import numpy as np
import pytest
import SimpleITK as sitk
from chest_phantom import Phantom, dice, found, overlaps

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.lungs.masks import read_lungs, side_masks
from DLCTPMLib.lungs.segmentation import LungSegmentationSettings, segment_lungs
from DLCTPMLib.volumes.patient_axes import PatientAxes, patient_array, upright_grid
from DLCTPMTrainingLib.benchmark.plain_lungs import segment_lungs_plain


@pytest.fixture(scope="module")
def plain_chest():
    phantom = Phantom()
    return phantom, segment_lungs(phantom.image())


def test_both_lungs_are_found_on_their_sides_with_their_vessels(plain_chest):
    phantom, lungs = plain_chest
    assert min(overlaps(lungs, phantom)) > 0.985
    assert lungs.warnings == []
    vessels = (phantom.truth > 0) & (phantom.hu == 40)
    assert found(lungs)[vessels].mean() > 0.9


def test_trachea_and_main_bronchi_are_left_out(plain_chest):
    phantom, lungs = plain_chest
    central = phantom.airway & (np.abs(phantom.x) < 35)  # beyond, the bronchi open into the lungs
    assert not found(lungs)[central].any()


def test_the_fast_segmentation_is_the_plain_one():
    image = Phantom().with_touching_lungs().with_stomach_gas().with_table().image()
    fast, plain = segment_lungs(image).labels, segment_lungs_plain(image)
    for ours, reference in zip(side_masks(fast), side_masks(plain), strict=True):
        assert dice(ours, reference) > 0.995


def test_touching_lungs_are_split_where_they_meet():
    phantom = Phantom().with_touching_lungs()
    lungs = segment_lungs(phantom.image())
    assert min(overlaps(lungs, phantom)) > 0.98
    right, left = side_masks(lungs.labels)
    lateral = phantom.x
    assert lateral[right].max() < 12
    assert lateral[left].min() > -12


def test_gas_in_the_stomach_under_the_diaphragm_is_no_lung():
    phantom = Phantom().with_stomach_gas()
    lungs = segment_lungs(phantom.image())
    assert found(lungs)[phantom.gas].mean() < 0.005
    assert min(overlaps(lungs, phantom)) > 0.98


@pytest.mark.parametrize("padding", [-2000, -3024])
def test_padding_outside_the_field_of_view_is_no_air(padding):
    phantom = Phantom().with_padding(padding)
    lungs = segment_lungs(phantom.image())
    assert min(overlaps(lungs, phantom)) > 0.98


def test_lungs_cut_by_the_field_of_view_are_kept_up_to_the_cut():
    phantom = Phantom().with_padding(-2000, radius=105)
    lungs = segment_lungs(phantom.image())
    assert min(overlaps(lungs, phantom)) > 0.98
    assert not found(lungs)[phantom.hu == -2000].any()


def test_the_hollow_table_is_no_lung():
    phantom = Phantom().with_table()
    lungs = segment_lungs(phantom.image())
    assert not found(lungs)[phantom.table].any()
    assert min(overlaps(lungs, phantom)) > 0.98


def test_bullae_as_dark_as_air_belong_to_the_lung():
    phantom = Phantom().with_bullae()
    lungs = segment_lungs(phantom.image())
    assert found(lungs)[phantom.bullae].mean() > 0.98
    assert min(overlaps(lungs, phantom)) > 0.98


def test_a_consolidation_inside_the_lung_belongs_to_it():
    phantom = Phantom().with_consolidation()
    assert min(overlaps(segment_lungs(phantom.image()), phantom)) > 0.98


def test_a_float_ct_with_overshoot_gives_the_same_lungs(plain_chest):
    phantom, lungs = plain_chest
    rough = sitk.GetArrayFromImage(phantom.image(dtype=np.float32))
    rough[rough < -900] -= 90.5  # air at −1090
    image = sitk.GetImageFromArray(rough)
    image.CopyInformation(phantom.image())
    assert dice(found(segment_lungs(image)), found(lungs)) > 0.995


@pytest.mark.parametrize("offset", [0, 2])
def test_thick_slices_keep_gas_and_lung_apart(offset):
    """8 mm slices averaged from 2 mm ones: the wall between gas and lung is thinner than a slice."""
    thin = Phantom(spacing=(2.0, 2.0, 2.0), shape=(156, 150, 190)).with_stomach_gas().with_table()
    slabs = slice(offset, offset + 152)
    thick = Phantom(spacing=(8.0, 2.0, 2.0), shape=(38, 150, 190))
    thick.hu = thin.hu[slabs].reshape(38, 4, 150, 190).mean(axis=1)
    thick.truth = thin.truth[slabs].reshape(38, 4, 150, 190)[:, 2]
    gas = thin.gas[slabs].reshape(38, 4, 150, 190).all(axis=1)
    lungs = segment_lungs(thick.image())
    assert min(overlaps(lungs, thick)) > 0.98
    assert not found(lungs)[gas].any()


def test_one_lung_is_enough_and_said():
    phantom = Phantom().without_left_lung()
    lungs = segment_lungs(phantom.image())
    assert dice(side_masks(lungs.labels)[0], phantom.truth == 1) > 0.98
    assert not side_masks(lungs.labels)[1].any()
    assert any("left lung is missing" in warning for warning in lungs.warnings)


def reoriented(image, order, flips):
    """The same patient stored with other axes: permuted, then flipped."""
    return sitk.Flip(sitk.PermuteAxes(image, order), flips)


ORIENTATIONS = [((0, 1, 2), flips) for flips in product((False, True), repeat=3) if any(flips)] + [
    (order, (False, True, False)) for order in permutations((0, 1, 2)) if order != (0, 1, 2)
]


@pytest.mark.parametrize(("order", "flips"), ORIENTATIONS)
def test_no_voxel_moves_when_the_axes_are_flipped_or_permuted(plain_chest, order, flips):
    phantom, lungs = plain_chest
    turned = segment_lungs(reoriented(phantom.image(), order, flips))
    assert np.array_equal(patient_array(turned.labels), patient_array(lungs.labels))
    assert turned.labels.GetDirection() != lungs.labels.GetDirection()


def test_a_patient_turned_by_90_degrees_with_the_direction_matrix_keeps_the_voxels(plain_chest):
    phantom, lungs = plain_chest
    image = phantom.image()
    turned = sitk.Flip(sitk.PermuteAxes(image, (1, 0, 2)), (True, False, False))
    assert np.array_equal(
        patient_array(segment_lungs(turned).labels),
        patient_array(lungs.labels),
    )


def test_a_tilted_grid_gives_the_same_volumes(plain_chest):
    phantom, lungs = plain_chest
    image = phantom.image()
    angle = np.deg2rad(17)
    tilt = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    grid = upright_grid(image)
    centre = np.array(image.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in image.GetSize()]))
    size = [int(n * f) for n, f in zip(grid.GetSize(), (1, 1.35, 1.25), strict=True)]
    tilted = sitk.Image(size, sitk.sitkInt16)
    tilted.SetSpacing(image.GetSpacing())
    tilted.SetDirection(tilt.ravel())
    half = (np.array(size) - 1) / 2 * np.array(image.GetSpacing())
    tilted.SetOrigin(centre - tilt @ half)
    tilted = sitk.Resample(image, tilted, sitk.Transform(), sitk.sitkLinear, -2000, sitk.sitkInt16)
    there = segment_lungs(tilted)
    for a, b in zip(side_masks(there.labels), side_masks(lungs.labels), strict=True):
        assert np.count_nonzero(a) == pytest.approx(np.count_nonzero(b), rel=0.01)


def head():
    phantom = Phantom()
    phantom.hu[:] = -1000
    phantom.hu[phantom.ball((0, 0, 0), (75, 95, 110))] = 900
    phantom.hu[phantom.ball((0, 0, 0), (68, 88, 103))] = 40
    for x in (-25, 25):
        phantom.hu[phantom.ball((x, -60, -30), (17, 17, 18))] = -1000
    return phantom.image()


def abdomen():
    phantom = Phantom()
    phantom.hu[:] = -1000
    phantom.hu[(phantom.x / 165) ** 2 + (phantom.y / 110) ** 2 < 1] = 40
    for x, z in ((-90, 20), (60, -40), (0, 70), (80, 60)):
        phantom.hu[phantom.ball((x, -50, z), (35, 30, 30))] = -990
    return phantom.image()


def only_air():
    phantom = Phantom()
    phantom.hu[:] = -1000
    return phantom.image()


def nothing():
    return sitk.Image([60, 60, 40], sitk.sitkInt16)


@pytest.mark.parametrize("image", [head, abdomen, only_air, nothing])
def test_a_scan_without_lungs_is_refused_with_the_way_out(image):
    with pytest.raises(InputError, match=r"no lungs were found.*--lungs"):
        segment_lungs(image())


@pytest.mark.parametrize("wrong", [{"air_hu": -2000}, {"cell_mm": 0}, {"padding_hu": -900}])
def test_senseless_settings_are_refused(wrong):
    with pytest.raises(InputError):
        LungSegmentationSettings(**wrong)


def test_real_lungs_agree_with_the_chest_imaging_platform(real_data):
    folder = real_data / "cip_copd_64"
    ct = sitk.ReadImage(str(folder / "ct-64.nrrd"))
    ours = side_masks(segment_lungs(ct).labels)
    theirs = side_masks(read_lungs(folder / "lm-64.nrrd", ct).labels)
    assert dice(ours[0] | ours[1], theirs[0] | theirs[1]) > 0.98
    assert min(dice(a, b) for a, b in zip(ours, theirs, strict=True)) > 0.98


def test_real_lungs_lie_on_their_sides_without_trachea(real_data):
    ct = sitk.ReadImage(str(real_data / "lungdx_a0001_kernB" / "lungdx_a0001_kernB.nrrd"))
    lungs = segment_lungs(ct)
    right, left = side_masks(lungs.labels)
    litres = PatientAxes.of(ct).voxel_ml / 1000
    assert 2.9 < np.count_nonzero(right) * litres < 3.5
    assert 2.0 < np.count_nonzero(left) * litres < 2.6
    trachea = ct.TransformPhysicalPointToIndex(TRACHEA_A0001)
    assert ct[trachea] < -900
    assert lungs.labels[trachea] == 0


TRACHEA_A0001 = (-10.3, 155.2, -209.0)
"""A point inside the trachea above the carina, picked by eye (LPS, mm)."""
