"""The simulated scan of a chest phantom: physics, frame, noise and refusals. Every number here is simulated."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from scipy import ndimage

from DLCTPMLib.common.errors import InputError
from DLCTPMTrainingLib.spect.patient import (
    breathing_matrix,
    next_collision,
    on_grid,
    orbit_radii_mm,
    scan_frame,
    smeared,
)
from DLCTPMTrainingLib.spect.physics import attenuation_per_mm, constant
from DLCTPMTrainingLib.spect.reconstruction import post_filter
from DLCTPMTrainingLib.spect.settings import SpectSettings
from DLCTPMTrainingLib.spect.simulator import Acquisition, acquire, counts_per_view, reconstruct, simulate_spect

SMALL = SpectSettings(
    matrix=64, voxel_mm=8.84, views=20, seconds_per_view=90.0, subsets=5, attenuation_shift_mm=(0, 0, 0)
)
"""The same scan at half the resolution and a third of the views: seconds instead of half a minute."""


def image_of(array: np.ndarray, spacing_mm: float = 4.0) -> sitk.Image:
    image = sitk.GetImageFromArray(array.astype(np.float32))
    image.SetSpacing([spacing_mm] * 3)
    image.SetOrigin([-(n - 1) / 2 * spacing_mm for n in array.shape[::-1]])
    return image


@pytest.fixture(scope="module")
def chest() -> tuple[sitk.Image, sitk.Image]:
    """An adult chest of 38 × 26 cm with a dorsal gradient and a defect in the left lung: perfusion, CT."""
    z, y, x = ((np.arange(n) - (n - 1) / 2) * 4.0 for n in (84, 80, 110))
    z, y, x = z[:, None, None], y[None, :, None], x[None, None, :]
    hu = np.where((x / 190) ** 2 + (y / 130) ** 2 + 0 * z < 1, 30.0, -1000.0)
    hu[np.broadcast_to(x**2 + (y - 85) ** 2 < 18**2, hu.shape)] = 400.0
    lung = np.zeros(hu.shape, dtype=bool)
    for side in (-1, 1):
        lung |= (((x - side * 85) / 62) ** 2 + (y / 92) ** 2 + ((z + 20) / 150) ** 2 < 1) & (z > -100)
    lung &= ((x - 25) / 60) ** 2 + ((y + 45) / 50) ** 2 + ((z + 50) / 60) ** 2 > 1
    hu[lung] = -780.0
    perfusion = np.where(lung, 1.0 + 0.05 * y / 10.0, 0.0)
    perfusion[lung & ((x - 105) ** 2 + (y - 10) ** 2 + (z + 30) ** 2 < 35**2)] *= 0.1
    return image_of(perfusion), image_of(hu)


@pytest.fixture(scope="module")
def full_scan(chest) -> tuple[Acquisition, Acquisition]:
    """The paper's protocol on the phantom: counts, and their expectation (one projection of the fine grid)."""
    expected = acquire(*chest, SpectSettings(poisson_noise=False), device="cpu")
    drawn = np.random.default_rng(3)
    noisy = dataclasses.replace(
        expected,
        photopeak=drawn.poisson(expected.photopeak).astype(np.float32),
        lower_window=drawn.poisson(expected.lower_window).astype(np.float32),
    )
    return expected, noisy


def truth_on(image: sitk.Image, perfusion: sitk.Image) -> np.ndarray:
    return sitk.GetArrayFromImage(sitk.Resample(perfusion, image))


# ---------------------------------------------------------------- reference figures


def test_the_papers_protocol_records_four_to_five_million_counts(full_scan):
    assert 4e6 < full_scan[0].photopeak.sum(dtype=np.float64) < 5e6


def test_a_real_chest_records_four_to_five_million_counts(real_data):
    ct = sitk.ReadImage(str(real_data / "lungdx_a0001_kernB" / "lungdx_a0001_kernB.nrrd"), sitk.sitkFloat32)
    ct = sitk.BinShrink(ct, [max(1, int(4 / s)) for s in ct.GetSpacing()])
    hu = sitk.GetArrayFromImage(ct)
    body = np.stack([ndimage.binary_fill_holes(ndimage.binary_opening(s, iterations=2)) for s in hu > -300])
    parts, _ = ndimage.label((hu < -400) & (hu > -990) & ndimage.binary_erosion(body, iterations=3))
    sizes = np.bincount(parts.ravel())
    lung = np.isin(parts, np.argsort(sizes[1:])[-2:] + 1)
    perfusion = sitk.GetImageFromArray(np.where(lung, np.clip(1 + hu / 1000, 0, None), 0).astype(np.float32))
    perfusion.CopyInformation(ct)
    settings = SpectSettings(projection_subdivision=1, poisson_noise=False)
    assert 4e6 < acquire(perfusion, ct, settings, device="cpu").photopeak.sum(dtype=np.float64) < 5e6


def test_counts_scatter_as_poisson_says(chest):
    settings = dataclasses.replace(SMALL, voxel_mm=4.42, matrix=128, projection_subdivision=1)
    expected = acquire(*chest, dataclasses.replace(settings, poisson_noise=False), device="cpu")
    ratios = []
    for seed in range(4):
        noisy = acquire(*chest, settings, seed, device="cpu")
        for drawn, mean in ((noisy.photopeak, expected.photopeak), (noisy.lower_window, expected.lower_window)):
            assert np.array_equal(drawn, np.round(drawn))
            enough = mean > 1
            ratios.append(((drawn - mean)[enough] ** 2 / mean[enough]).mean())
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.01)


def test_a_point_is_reconstructed_to_ten_to_twelve_millimetres(chest):
    _, ct = chest
    settings = SpectSettings(breathing_mm=0, scatter=False, poisson_noise=False)
    array = np.zeros((60, 60, 90), dtype=np.float32)
    points = [(30, 30, 30), (30, 30, 66), (25, 40, 66)]
    for point in points:
        array[point] = 1.0
    perfusion = image_of(array, 4.42)
    spect = reconstruct(acquire(perfusion, ct, settings, device="cpu"), ct, settings, device="cpu")
    values = sitk.GetArrayFromImage(spect)
    for point in points:
        where = perfusion.TransformIndexToPhysicalPoint([int(i) for i in point[::-1]])
        k, j, i = spect.TransformPhysicalPointToIndex(where)[::-1]
        spot = values[k - 5 : k + 6, j - 5 : j + 6, i - 5 : i + 6]
        for axis in range(3):
            profile = spot.sum(axis=tuple(a for a in range(3) if a != axis))
            assert 10.0 < width_mm(profile, settings.voxel_mm) < 12.0


def width_mm(profile: np.ndarray, voxel_mm: float) -> float:
    """Full width at half maximum of a spline through the profile."""
    fine = np.linspace(0, len(profile) - 1, 50 * len(profile))
    curve = ndimage.map_coordinates(profile, [fine], order=3)
    return (curve > curve.max() / 2).sum() * (fine[1] - fine[0]) * voxel_mm


# ---------------------------------------------------------------- the picture


def test_the_lungs_come_back_with_their_gradient_and_their_defect(chest, full_scan):
    perfusion, ct = chest
    spect = reconstruct(full_scan[1], ct, SpectSettings(), device="cpu")
    assert spect.GetSize() == (128, 128, 128)
    assert spect.GetSpacing() == pytest.approx((4.42,) * 3)
    values, truth = sitk.GetArrayFromImage(spect), truth_on(spect, perfusion)
    inside = ndimage.binary_erosion(truth > 0, iterations=2)
    blurred = post_filter(truth, 11.0, 4.42)
    assert np.corrcoef(values[inside], blurred[inside])[0, 1] > 0.9
    emitted = counts_per_view(SpectSettings()) * 60 * SpectSettings().stored_per_count
    assert values.sum() == pytest.approx(emitted, rel=0.1)
    defect = spect.TransformPhysicalPointToIndex((105.0, 10.0, -30.0))[::-1]
    mirror = spect.TransformPhysicalPointToIndex((-105.0, 10.0, -30.0))[::-1]
    assert values[defect] < 0.4 * values[mirror]
    assert 1000 < np.percentile(values[inside], 75) < 5000  # where the paper's raw values lie


def test_orientation_of_the_files_does_not_matter(chest):
    perfusion, ct = chest
    settings = dataclasses.replace(SMALL, poisson_noise=False)
    upright = sitk.GetArrayFromImage(simulate_spect(perfusion, ct, settings, device="cpu"))
    turned = simulate_spect(sitk.DICOMOrient(perfusion, "RAS"), sitk.DICOMOrient(ct, "SPR"), settings, device="cpu")
    assert turned.GetDirection() == (1, 0, 0, 0, 1, 0, 0, 0, 1)
    assert sitk.GetArrayFromImage(turned) == pytest.approx(upright, abs=1e-3 * float(upright.max()))


def test_the_spect_lies_in_the_cts_frame_wherever_that_is(chest):
    perfusion, ct = (sitk.Image(image) for image in chest)
    for image in (perfusion, ct):
        image.SetOrigin([o + shift for o, shift in zip(image.GetOrigin(), (31.0, -170.0, 1200.0), strict=True)])
    settings = dataclasses.replace(SMALL, poisson_noise=False, breathing_mm=0)
    spect = simulate_spect(perfusion, ct, settings, device="cpu")
    values, truth = sitk.GetArrayFromImage(spect), truth_on(spect, perfusion)
    assert ndimage.center_of_mass(values) == pytest.approx(ndimage.center_of_mass(truth), abs=0.3)


def test_one_seed_gives_one_image_and_another_seed_another(chest):
    first, again, other = (
        sitk.GetArrayFromImage(simulate_spect(*chest, SMALL, seed, device="cpu")) for seed in (7, 7, 8)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


# ---------------------------------------------------------------- no inverse crime


def test_data_come_from_a_finer_grid_than_the_reconstructions(full_scan):
    scan = full_scan[0]
    assert scan.geometry(2).voxel_mm == pytest.approx(2.21)
    assert scan.geometry().voxel_mm == pytest.approx(4.42)
    fine, coarse = scan.frame.grid(2), scan.frame.grid()
    corner = coarse.TransformContinuousIndexToPhysicalPoint([-0.5] * 3)
    assert fine.TransformContinuousIndexToPhysicalPoint([-0.5] * 3) == pytest.approx(corner)
    assert tuple(2 * n for n in coarse.GetSize()) == fine.GetSize()


def test_a_moved_attenuation_map_changes_the_image_but_not_the_data(chest):
    settings = dataclasses.replace(SMALL, poisson_noise=False)
    moved = dataclasses.replace(settings, attenuation_shift_mm=SpectSettings().attenuation_shift_mm)
    scan, same = acquire(*chest, settings, device="cpu"), acquire(*chest, moved, device="cpu")
    assert np.array_equal(scan.photopeak, same.photopeak)
    right, wrong = (sitk.GetArrayFromImage(reconstruct(scan, chest[1], s, device="cpu")) for s in (settings, moved))
    lung = right > 0.3 * right.max()
    assert 0.005 < np.abs(wrong - right)[lung].mean() / right[lung].mean() < 0.1


def test_a_shift_moves_the_map_along_the_patients_axes():
    array = np.zeros((20, 20, 20), dtype=np.float32)
    array[10, 10, 10] = 1.0
    image = image_of(array)
    moved = on_grid(image, image, 0.0, (4.0, -8.0, 12.0))
    assert np.argwhere(moved > 0.5).tolist() == [[13, 8, 11]]


# ---------------------------------------------------------------- breathing


def test_breathing_moves_counts_and_loses_none():
    activity = np.zeros((120, 3, 3), dtype=np.float32)
    activity[30:100] = 1.0
    moved = smeared(activity, breathing_matrix(activity, SpectSettings(breathing_mm=12.0), 2.21))
    assert moved.sum() == pytest.approx(activity.sum(), rel=1e-5)
    assert ndimage.center_of_mass(moved)[0] == pytest.approx(ndimage.center_of_mass(activity)[0], abs=0.05)


def test_the_lung_base_travels_and_the_apex_hardly():
    activity = np.zeros((150, 1, 1), dtype=np.float32)
    activity[25:125] = 1.0
    matrix = breathing_matrix(activity, SpectSettings(breathing_mm=12.0, breathing_phases=64), 2.0)
    position = np.arange(150) * 2.0

    def travel_mm(index: int) -> float:
        reached = position[matrix[:, index] > 0.001]
        return reached.max() - reached.min()

    assert travel_mm(26) == pytest.approx(12.0, abs=2.1)  # one 2 mm slice of it is the slice's own thickness
    assert travel_mm(123) < 4.1
    mean_shift = position @ matrix - position
    assert np.abs(mean_shift[10:140]).max() < 0.01


def test_most_time_is_spent_near_the_end_of_expiration():
    activity = np.zeros((80, 1, 1), dtype=np.float32)
    activity[20:60] = 1.0
    matrix = breathing_matrix(activity, SpectSettings(breathing_mm=12.0, breathing_phases=64), 1.0)
    position = np.arange(80) - 22.0
    skewness = (position**3 * matrix[:, 22]).sum()
    assert np.argmax(matrix[:, 22]) > 22  # the longest rest is headwards of the mean position,
    assert skewness < 0  # and the tail of the breath goes footwards


def test_attenuation_is_averaged_not_added():
    mu = np.full((60, 2, 2), 0.01, dtype=np.float32)
    activity = np.zeros_like(mu)
    activity[15:45] = 1.0
    matrix = breathing_matrix(activity, SpectSettings(breathing_mm=15.0), 4.42)
    moved = smeared(mu, matrix / matrix.sum(axis=1, keepdims=True))
    assert moved == pytest.approx(mu, rel=1e-5)


def test_a_patient_who_holds_the_breath_is_not_smeared():
    activity = np.random.default_rng(0).random((20, 3, 3), dtype=np.float32)
    moved = smeared(activity, breathing_matrix(activity, SpectSettings(breathing_mm=0.0), 4.42))
    assert moved == pytest.approx(activity, rel=1e-5)


# ---------------------------------------------------------------- scatter


def sampled_klein_nishina(energy_kev: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Energies after one Compton collision (rejection from the Klein–Nishina cross-section)."""
    after = np.zeros_like(energy_kev)
    waiting = np.arange(len(energy_kev))
    while len(waiting):
        cosine = generator.uniform(-1, 1, len(waiting))
        ratio = 1 / (1 + energy_kev[waiting] / 511.0 * (1 - cosine))
        accepted = generator.random(len(waiting)) < ratio**2 * (ratio + 1 / ratio - 1 + cosine**2) / 2
        after[waiting[accepted]] = energy_kev[waiting[accepted]] * ratio[accepted]
        waiting = waiting[~accepted]
    return after


def test_the_energy_window_shares_are_klein_nishinas():
    generator = np.random.default_rng(1)
    emitted = np.full(400_000, 140.5)
    once = sampled_klein_nishina(emitted, generator)
    twice = sampled_klein_nishina(once, generator)

    def share(energy: np.ndarray, centre: float, half_width: float) -> float:
        sigma = constant("energy_resolution") * np.sqrt(140.5 * energy) / 2.3548
        seen = energy + sigma * generator.standard_normal(len(energy))
        return float((np.abs(seen - centre) < half_width * centre).mean())

    peak, lower = (constant("photopeak_kev"), 0.10), (constant("lower_window_kev"), 0.05)
    full = share(emitted, *peak)
    assert share(once, *peak) / full == pytest.approx(constant("photopeak_once"), abs=0.003)
    assert share(twice, *peak) / full == pytest.approx(constant("photopeak_twice"), abs=0.003)
    assert share(once, *lower) / full == pytest.approx(constant("lower_once"), abs=0.003)
    assert share(twice, *lower) / full == pytest.approx(constant("lower_twice"), abs=0.003)
    assert share(emitted, *lower) / full == pytest.approx(constant("lower_unscattered"), abs=0.001)


def test_first_collisions_around_a_point_in_water_follow_the_inverse_square():
    mu = torch.full((41, 41, 41), 0.01536)
    emission = torch.zeros_like(mu)
    emission[20, 20, 20] = 1.0
    collisions = next_collision(emission, mu, 5.0)
    for steps in (3, 8, 15):
        distance = steps * 5.0
        density = 0.96 * 0.01536 * np.exp(-0.01536 * distance) / (4 * np.pi * distance**2)
        assert float(collisions[20, 20, 20 + steps]) == pytest.approx(density * 125.0, rel=1e-3)
    # Within 10 cm of water 1 − e^−1.536 of the photons collide, all but 4 % of them in Compton scatter.
    z, y, x = np.mgrid[:41, :41, :41] - 20
    within = torch.from_numpy(np.sqrt(z**2 + y**2 + x**2) * 5.0 < 100.0)
    assert float(collisions[within].sum()) == pytest.approx(0.96 * (1 - np.exp(-1.536)), rel=0.05)


def test_scatter_is_a_seventh_or_so_of_the_primary_counts_and_the_estimate_is_near(full_scan):
    expected = full_scan[0]
    scatter = expected.photopeak.sum(dtype=np.float64) - expected.primary_counts
    assert 0.1 < scatter / expected.primary_counts < 0.35
    estimate = expected.scatter_estimate.sum(dtype=np.float64)
    assert estimate == pytest.approx(scatter, rel=0.25)
    assert abs(estimate / scatter - 1) > 0.01  # it is an estimate, not the truth


def test_a_scan_without_scatter_records_only_primary_photons(chest):
    scan = acquire(*chest, dataclasses.replace(SMALL, scatter=False, poisson_noise=False), device="cpu")
    assert scan.photopeak.sum(dtype=np.float64) == pytest.approx(scan.primary_counts, rel=1e-5)


# ---------------------------------------------------------------- orbit, settings, refusals


def test_the_collimator_stays_outside_the_body():
    y, x = np.mgrid[:100, :100] - 49.5
    ellipse = np.where((x / 40) ** 2 + (y / 25) ** 2 < 1, 0.015, 0.0)[None]
    radii = orbit_radii_mm(ellipse, SpectSettings(orbit_margin_mm=30.0), 4.0)
    assert radii[0] == pytest.approx(25 * 4.0 + 30, abs=4)
    assert radii[15] == pytest.approx(40 * 4.0 + 30, abs=4)
    assert orbit_radii_mm(ellipse, SpectSettings(orbit_radius_mm=250.0), 4.0) == (250.0,) * 60


def test_the_computed_part_holds_the_whole_body(chest):
    perfusion, ct = chest
    frame = scan_frame(perfusion, ct, SpectSettings())
    resampled = sitk.GetArrayFromImage(sitk.Resample(ct, frame.grid(), sitk.Transform(), sitk.sitkLinear, -1000.0))
    mu = attenuation_per_mm(resampled)
    assert mu[:, [0, -1]].max() < 1e-3
    assert mu[:, :, [0, -1]].max() < 1e-3
    assert frame.shape[1] == frame.shape[2] < 128
    assert frame.whole(mu).shape == (128, 128, 128)


def test_settings_survive_json():
    settings = SpectSettings(views=40, subsets=8, orbit_radius_mm=220.0, attenuation_shift_mm=(1, 2, 3))
    assert SpectSettings.from_dict(json.loads(json.dumps(settings.to_dict()))) == settings


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"subsets": 7}, "7 subsets"),
        ({"views": 0}, "views"),
        ({"breathing_mm": -1.0}, "breathing_mm"),
        ({"matrix": 127}, "matrix"),
        ({"orbit_radius_mm": 0.0}, "orbit_radius_mm"),
        ({"attenuation_shift_mm": (1.0, 2.0)}, "three numbers"),
        ({"activity_mbq": float("nan")}, "activity_mbq"),
    ],
)
def test_impossible_settings_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        SpectSettings(**change)


def test_an_unknown_setting_is_refused():
    with pytest.raises(InputError, match="filtre"):
        SpectSettings.from_dict({"filtre": 9})


def test_images_that_cannot_be_scanned_are_refused(chest):
    perfusion, ct = chest
    with pytest.raises(InputError, match="0 everywhere"):
        acquire(perfusion * 0, ct, SMALL)
    with pytest.raises(InputError, match="negative"):
        acquire(perfusion - 1.0, ct, SMALL)
    with pytest.raises(InputError, match="no body"):
        acquire(perfusion, ct * 0 - 1000.0, SMALL)
    with pytest.raises(InputError, match="scalar volume"):
        acquire(perfusion[:, :, 10], ct, SMALL)
    far = sitk.Image(perfusion)
    far.SetOrigin((500.0, 0.0, 0.0))
    with pytest.raises(InputError, match="field of view"):
        acquire(far, ct, SMALL)
