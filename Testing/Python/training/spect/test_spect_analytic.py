"""The analytic SPECT: width, breathing, noise, place."""

import numpy as np
import pytest
import SimpleITK as sitk

from DLCTPMTrainingLib.common.grid import Grid
from DLCTPMTrainingLib.spect.analytic import (
    AnalyticSpectSettings,
    blurred_spect,
    breathing_matrix,
    misalignment,
    smooth_unit_noise,
)


def fwhm(profile, step):
    """Width at half maximum of a peak, by linear interpolation."""
    profile = np.asarray(profile, float)
    half = profile.max() / 2
    above = np.flatnonzero(profile >= half)
    a, b = above[0], above[-1]
    left = a - (profile[a] - half) / (profile[a] - profile[a - 1])
    right = b + (profile[b] - half) / (profile[b] - profile[b + 1])
    return (right - left) * step


@pytest.fixture(scope="module")
def point():
    grid = Grid((-120.0, -100.0, 0.0), (4.0, 4.0, 4.0), (61, 51, 61))
    perfusion = np.zeros(grid.shape, np.float32)
    perfusion[:, 23:28, 28:33] = 1e-9  # a column gives the lungs their height
    perfusion[-4, 25, 30] = 1.0  # near the apex, where breathing moves little
    return grid, perfusion


def test_a_point_is_spread_to_the_drawn_width(point):
    grid, perfusion = point
    image, drawn = blurred_spect(
        perfusion,
        perfusion > 2,
        grid,
        (0, 0, 0),
        1000.0,
        0.0,
        AnalyticSpectSettings(),
        np.random.default_rng(0),
        np.random.default_rng(1),
    )
    values = sitk.GetArrayFromImage(image)
    z, y, x = np.unravel_index(values.argmax(), values.shape)
    wide = np.hypot(drawn["fwhm_mm"], 4.42 * 0.9)  # sampling by linear interpolation widens a little
    assert image.GetSize() == (128, 128, 128)
    assert image.GetSpacing() == pytest.approx((4.42,) * 3)
    assert drawn["fwhm_mm"] * 0.95 < fwhm(values[z, y, :], 4.42) < wide * 1.05
    place = np.array(image.TransformIndexToPhysicalPoint([int(x), int(y), int(z)]))
    assert place == pytest.approx([0, 0, 228], abs=4)


def test_breathing_keeps_counts_and_moves_the_base_more_than_the_apex():
    z = np.arange(0.0, 400.0, 2.0)
    matrix = breathing_matrix(z, 60.0, 300.0, 14.0)
    assert matrix.sum(axis=0)[20:-20] == pytest.approx(1, abs=1e-5)
    spread = [np.sqrt(np.average((z - np.average(z, weights=c)) ** 2, weights=c)) for c in matrix.T[[40, 90, 145]]]
    assert spread[0] > spread[1] > spread[2]
    assert spread[2] < 1.5
    assert np.array_equal(breathing_matrix(z, 60.0, 300.0, 0.0), np.eye(len(z), dtype=np.float32))


def test_noise_has_unit_variance_and_the_asked_for_autocorrelation():
    white = np.random.default_rng(0).standard_normal((64, 64, 64), dtype=np.float32)
    noise = smooth_unit_noise(white, 11.0, 4.42)
    assert noise.std() == pytest.approx(1, abs=1e-3)
    spectrum = np.abs(np.fft.fftn(noise)) ** 2
    autocorrelation = np.fft.fftshift(np.fft.ifftn(spectrum).real)
    assert fwhm(autocorrelation[32, 32], 4.42) == pytest.approx(11.0, rel=0.1)


def test_misalignment_turns_then_shifts():
    movement = misalignment((1, 2, 3), (0, 0, 90))
    assert movement @ [1, 0, 0, 1] == pytest.approx([1, 3, 3, 1])
