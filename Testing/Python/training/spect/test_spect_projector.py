"""The SPECT projector against analytic values, SciPy's rotation and an independent program."""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np
import pytest
import torch
from scipy import ndimage, optimize

from DLCTPMLib.common.errors import InputError
from DLCTPMTrainingLib.spect.physics import CONSTANTS, Collimator, attenuation_per_mm, constant, decay_factor
from DLCTPMTrainingLib.spect.projector import Attenuation, CollimatorResponse, Projector, Rotation, ViewGeometry

LEHR_FWHM_MM = {50.0: 5.37, 100.0: 7.05, 150.0: 8.96, 200.0: 10.97}


def ring(shape, voxel_mm=4.42, views=12, radius_mm=150.0, start_deg=0.0) -> ViewGeometry:
    angles = tuple(start_deg + np.arange(views) * 360.0 / views)
    return ViewGeometry(shape, voxel_mm, angles, (radius_mm,) * views)


def noise(*shape, seed=0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).random(shape, dtype=np.float32))


def gaussian_fwhm_mm(profile: np.ndarray, voxel_mm: float) -> float:
    position = np.arange(len(profile)) * voxel_mm
    start = [profile.max(), position[profile.argmax()], 3.0]
    (_, _, sigma), _ = optimize.curve_fit(
        lambda x, a, m, s: a * np.exp(-0.5 * ((x - m) / s) ** 2), position, profile, start
    )
    return abs(sigma) * 2.354820045


def half_maximum_width_mm(profile: np.ndarray, voxel_mm: float) -> float:
    """NEMA NU 1: parabola through the peak, straight lines to half of it."""
    peak = int(profile.argmax())
    left, top, right = profile[peak - 1 : peak + 2]
    half = 0.5 * (top + (left - right) ** 2 / (8 * (2 * top - left - right)))
    above = np.flatnonzero(profile > half)
    rise = above[0] - (profile[above[0]] - half) / (profile[above[0]] - profile[above[0] - 1])
    fall = above[-1] + (profile[above[-1]] - half) / (profile[above[-1]] - profile[above[-1] + 1])
    return (fall - rise) * voxel_mm


# ---------------------------------------------------------------- collimator response


@pytest.mark.parametrize(("distance_mm", "expected_mm"), LEHR_FWHM_MM.items())
def test_a_line_source_in_air_has_the_width_of_an_lehr_collimator(distance_mm, expected_mm):
    voxel_mm, side = 1.105, 81
    geometry = ViewGeometry((3, side, side), voxel_mm, (0.0,), (distance_mm,))
    volume = torch.zeros(geometry.shape)
    volume[:, side // 2, side // 2] = 1.0  # on the rotation axis: exactly `distance_mm` from the collimator

    profile = Projector.of(geometry, collimator=Collimator()).forward(volume)[0, 1].numpy()

    assert gaussian_fwhm_mm(profile, voxel_mm) == pytest.approx(expected_mm, rel=0.01)
    assert half_maximum_width_mm(profile, voxel_mm) == pytest.approx(expected_mm, rel=0.01)


def test_the_line_source_keeps_its_width_on_the_grid_that_simulates_patients():
    voxel_mm, side = 2.21, 81
    for distance_mm, expected_mm in LEHR_FWHM_MM.items():
        geometry = ViewGeometry((3, side, side), voxel_mm, (0.0,), (distance_mm,))
        volume = torch.zeros(geometry.shape)
        volume[:, side // 2, side // 2] = 1.0
        profile = Projector.of(geometry, collimator=Collimator()).forward(volume)[0, 1].numpy()
        assert gaussian_fwhm_mm(profile, voxel_mm) == pytest.approx(expected_mm, rel=0.01)


def test_a_source_beside_the_axis_is_sharp_from_its_own_side_and_blurred_from_the_other():
    side, voxel_mm, offset = 61, 2.21, 20
    geometry = ViewGeometry((3, side, side), voxel_mm, (0.0, 90.0, 180.0, 270.0), (120.0,) * 4)
    volume = torch.zeros(geometry.shape)
    volume[:, side // 2 - offset, side // 2] = 1.0  # towards the front of the patient
    views = Projector.of(geometry, collimator=Collimator()).forward(volume)[:, 1].numpy()
    width = [gaussian_fwhm_mm(profile, voxel_mm) for profile in views]
    expected = Collimator().fwhm_mm(np.array([120.0 - offset * voxel_mm, 120.0, 120.0 + offset * voxel_mm, 120.0]))
    assert width == pytest.approx(list(expected), rel=0.01)


def test_counts_in_air_do_not_depend_on_distance():
    geometry = ring((15, 61, 61), 2.21, views=4, radius_mm=100.0)
    volume = torch.zeros(geometry.shape)
    volume[7, 20, 30] = 100.0
    totals = Projector.of(geometry, collimator=Collimator()).forward(volume).sum(dim=(1, 2))
    assert totals.numpy() == pytest.approx(np.full(4, 100.0), rel=0.02)  # the far tails leave the detector's edge


# ---------------------------------------------------------------- attenuation


def test_a_point_inside_a_water_block_is_attenuated_by_the_water_before_it():
    side, voxel_mm = 41, 4.0
    geometry = ViewGeometry((3, side, side), voxel_mm, (0.0, 90.0, 180.0, 270.0), (200.0,) * 4)
    mu = torch.zeros(geometry.shape)
    mu[:, 10:31, 5:36] = 0.01536
    volume = torch.zeros(geometry.shape)
    volume[1, 15, 12] = 1.0

    counts = Projector.of(geometry, mu).forward(volume).sum(dim=(1, 2)).numpy()

    voxels_before = np.array([15 - 10, 35 - 12, 30 - 15, 12 - 5]) + 0.5  # front, left, back, right
    assert counts == pytest.approx(np.exp(-0.01536 * voxel_mm * voxels_before), rel=1e-5)


def test_attenuation_through_a_slanted_slab_follows_the_path_length():
    side, voxel_mm = 101, 2.0
    geometry = ViewGeometry((1, side, side), voxel_mm, (30.0,), (200.0,))
    mu = torch.zeros(geometry.shape)
    mu[:, 20:41] = 0.01
    volume = torch.zeros(geometry.shape)
    volume[0, 60, 50] = 1.0
    transmitted = Projector.of(geometry, mu).forward(volume).sum() / Projector.of(geometry).forward(volume).sum()
    assert float(transmitted) == pytest.approx(np.exp(-0.01 * 21 * voxel_mm / np.cos(np.radians(30))), rel=0.01)


def test_hounsfield_units_become_the_attenuation_of_air_water_and_bone():
    mu = attenuation_per_mm(np.array([-1100.0, -1000.0, -500.0, 0.0, 1453.0], dtype=np.float32))
    assert mu == pytest.approx([0.0, 0.0, 0.00768, 0.01536, 0.02947], abs=1e-7)


# ---------------------------------------------------------------- rotation


@pytest.mark.parametrize("angle_deg", [17.0, 45.0, 133.0, 281.5])
def test_rotation_is_scipys_linear_interpolation(angle_deg):
    side = 32
    geometry = ViewGeometry((2, side, side), 4.42, (angle_deg,), (200.0,))
    volume = noise(side, side, 2)
    ours = Rotation(geometry).forward(volume, 0).numpy()

    depth, u = np.meshgrid(np.arange(side) - 15.5, np.arange(side) - 15.5, indexing="ij")
    sine, cosine = np.sin(np.radians(angle_deg)), np.cos(np.radians(angle_deg))
    at = [-depth * cosine + u * sine + 15.5, depth * sine + u * cosine + 15.5]
    padded = np.pad(volume[..., 0].numpy(), 2)
    theirs = ndimage.map_coordinates(padded, [at[0] + 2, at[1] + 2], order=1, cval=0.0)
    assert ours[..., 0] == pytest.approx(theirs, abs=1e-5)


def test_a_quarter_turn_moves_voxels_without_interpolation():
    volume = noise(24, 24, 2)
    geometry = ViewGeometry((2, 24, 24), 4.42, (0.0, 90.0), (200.0, 200.0))
    rotation = Rotation(geometry)
    assert torch.equal(rotation.forward(volume, 0), volume.flip(0))  # front of the patient nearest the detector
    assert torch.equal(rotation.forward(volume, 1), volume.transpose(0, 1))  # the patient's left nearest


def test_the_detector_passes_front_then_left_then_back():
    geometry = ViewGeometry((1, 21, 21), 4.42, (0.0, 90.0, 180.0), (200.0,) * 3)
    mu = torch.zeros(geometry.shape)
    mu[0, :10] = 0.05  # an absorber in the front half
    volume = torch.zeros(geometry.shape)
    volume[0, 15, 10] = 1.0
    front, left, back = Projector.of(geometry, mu).forward(volume).sum(dim=(1, 2))
    assert front < 0.15
    assert left == pytest.approx(1.0)
    assert back == pytest.approx(1.0)


# ---------------------------------------------------------------- adjoints


def operators(geometry: ViewGeometry):
    rotation = Rotation(geometry)
    return {
        "rotation": rotation,
        "attenuation": Attenuation(geometry, rotation, noise(*geometry.shape, seed=3) * 0.03),
        "response": CollimatorResponse(geometry, Collimator()),
    }


@pytest.mark.parametrize("name", ["rotation", "attenuation", "response"])
def test_each_operator_has_an_exact_adjoint(name):
    geometry = ring((9, 20, 20), views=7, start_deg=11.0, radius_mm=70.0)
    operator = operators(geometry)[name]
    for view in range(geometry.views):
        a, b = noise(20, 20, 9, seed=1), noise(20, 20, 9, seed=2)
        there = (operator.forward(a, view).double() * b).sum()
        back = (operator.adjoint(b, view).double() * a).sum()
        assert float(there / back) == pytest.approx(1.0, abs=1e-6)


def test_the_whole_projector_has_an_exact_adjoint():
    geometry = ViewGeometry((10, 24, 24), 4.42, tuple(np.arange(60) * 6.0), tuple(np.linspace(90, 160, 60)))
    projector = Projector.of(geometry, noise(*geometry.shape, seed=3) * 0.02, Collimator())
    volume, projections = noise(10, 24, 24, seed=1), noise(60, 10, 24, seed=2)
    there = (projector.forward(volume).double() * projections).sum()
    back = (projector.adjoint(projections).double() * volume).sum()
    assert float(there / back) == pytest.approx(1.0, abs=1e-4)


def test_a_subset_of_views_is_the_same_as_those_views_of_all():
    geometry = ring((6, 16, 16), views=12)
    projector = Projector.of(geometry, noise(*geometry.shape, seed=3) * 0.02, Collimator(), keep_attenuation=True)
    volume = noise(6, 16, 16)
    everything = projector.forward(volume)
    assert torch.equal(projector.forward(volume, [1, 7]), everything[[1, 7]])


# ---------------------------------------------------------------- an independent program


def pytomography_projector(geometry: ViewGeometry, mu_per_mm: torch.Tensor, collimator: Collimator):
    """The same camera in PyTomography: centimetres, (x, y, z), and angles that turn the other way."""
    with warnings.catch_warnings():  # it silences every warning of the process when imported
        pytest.importorskip("pytomography", reason="PyTomography, the independent cross-check, is not installed")
        import pytomography
        from pytomography.metadata.SPECT import SPECTObjectMeta, SPECTProjMeta, SPECTPSFMeta
        from pytomography.projectors.SPECT import SPECTSystemMatrix
        from pytomography.transforms.SPECT import SPECTAttenuationTransform, SPECTPSFTransform
    pytomography.set_device("cpu")

    depth, side, _ = geometry.shape
    voxel_cm = geometry.voxel_mm / 10
    object_meta = SPECTObjectMeta([voxel_cm] * 3, [side, side, depth])
    projection_meta = SPECTProjMeta(
        [side, depth],
        [voxel_cm] * 2,
        -np.array(geometry.angles_deg),
        np.array(geometry.radii_mm) / 10,
    )
    response = SPECTPSFMeta(
        [0.0], sigma_fit=lambda distance_cm, _: collimator.sigma_mm(distance_cm * 10) / 10, min_sigmas=6
    )
    return SPECTSystemMatrix(
        [SPECTAttenuationTransform(mu_per_mm.permute(2, 1, 0) * 10), SPECTPSFTransform(response)],
        [],
        object_meta,
        projection_meta,
    )


def test_views_agree_with_pytomography():
    geometry = ViewGeometry(
        (12, 40, 40), 4.42, (0.0, 23.0, 90.0, 151.0, 222.0, 301.0), (130, 140, 150, 140, 135, 150)
    )
    mu = torch.zeros(geometry.shape)
    mu[:, 6:30, 8:34] = 0.012
    volume = torch.zeros(geometry.shape)
    volume[3:9, 10:25, 14:33] = noise(6, 15, 19)
    theirs = pytomography_projector(geometry, mu, Collimator()).forward(volume.permute(2, 1, 0)).permute(0, 2, 1)
    ours = Projector.of(geometry, mu, Collimator()).forward(volume)
    assert float((ours - theirs).abs().max() / theirs.max()) < 1e-3


# ---------------------------------------------------------------- the numbers and the settings


def test_angers_formula_for_these_holes_gives_the_nominal_sensitivity():
    photopeak_efficiency = 0.84  # 9.5 mm NaI(Tl) at 140 keV, Cherry, Sorenson & Phelps, Fig. 14-7
    cps = 1e6 * constant("gamma_yield") * Collimator().geometric_efficiency * photopeak_efficiency
    assert cps == pytest.approx(constant("sensitivity"), rel=0.1)


def test_the_effective_length_is_shorter_by_two_mean_free_paths_in_lead():
    assert Collimator().effective_length_mm == pytest.approx(34.26, abs=0.005)


def test_activity_halves_in_one_half_life():
    assert decay_factor(constant("half_life_h") * 60.0, 0.0) == pytest.approx(0.5)
    assert decay_factor(0.0, 60.0) == pytest.approx(np.mean(0.5 ** (np.linspace(0, 60, 10001) / 360.432)), rel=1e-6)


def test_every_constant_has_a_source():
    assert all(entry.source and entry.meaning for entry in CONSTANTS.values())


def test_impossible_geometry_is_refused():
    good = ring((4, 8, 8))
    with pytest.raises(InputError, match="square"):
        dataclasses.replace(good, shape=(4, 8, 9))
    with pytest.raises(InputError, match="radius"):
        dataclasses.replace(good, radii_mm=(100.0,))
    with pytest.raises(InputError, match="positive"):
        dataclasses.replace(good, voxel_mm=0.0)
