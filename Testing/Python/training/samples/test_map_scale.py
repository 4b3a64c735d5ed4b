"""The scale of a model's maps from patients it was not trained on, held against quantiles by NumPy."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_training import CPU, NETWORK, READY

from DLCTPMLib.networks.registry import build_network
from DLCTPMLib.networks.settings import network_settings
from DLCTPMTrainingLib.samples.map_scale import pooled_scale, scale_of_patients, unrounded
from DLCTPMTrainingLib.training.packaging import scale_of_samples
from DLCTPMTrainingLib.training.validation import predict_samples


@pytest.fixture(scope="module")
def patients():
    """SPECTs of twelve patients with more or less high lung, and maps that are drawn towards their middle."""
    rng = np.random.default_rng(5)
    spects = [np.clip(rng.normal(rng.uniform(0.6, 0.9), 0.3, 5000), 0, None) for _ in range(12)]
    return [(0.3 + 0.6 * np.minimum(spect, 1) + rng.normal(0, 0.02, 5000), spect) for spect in spects]


def test_volumes_above_the_calibrated_threshold_are_unbiased_over_the_patients(patients):
    scale = scale_of_patients(patients, "made up")
    for threshold in (0.4, 0.66, 0.9):
        line = scale.map_value(threshold)
        bias = [(of_map > line).mean() - (spect > threshold).mean() for of_map, spect in patients]
        assert abs(np.mean(bias)) < 0.005
        pooled = [np.concatenate(images) for images in zip(*patients, strict=True)]  # equal sizes: one quantile
        assert line == pytest.approx(np.quantile(pooled[0], (pooled[1] <= threshold).mean()), abs=0.01)
    p75 = [np.percentile(of_map, 75) for of_map, _ in patients]
    assert scale.map_p75 == pytest.approx((min(p75), max(p75)), abs=1e-4)
    assert scale.patients == 12


def test_every_patient_counts_alike_however_large(patients):
    """One patient's voxels repeated change nothing."""
    again = [tuple(np.tile(image, 50) for image in patients[0]), *patients[1:]]
    ours, theirs = scale_of_patients(again, "a"), scale_of_patients(patients, "a")
    assert ours.spect_above == pytest.approx(theirs.spect_above)


def test_rounding_to_levels_hardly_moves_a_volume(patients):
    for _, spect in patients[:4]:
        rounded = np.rint(np.clip(spect, 0, 1) * 10) / 10
        back = unrounded(rounded, 11, 1.0)
        for threshold in (0.3, 0.5, 0.66, 0.8):
            assert (back > threshold).mean() == pytest.approx((spect > threshold).mean(), abs=0.01)
        assert np.array_equal(np.rint(back * 10) / 10, rounded)
    assert np.array_equal(unrounded(spect, 0, 1.0), spect)


def test_members_are_pooled_by_their_patients(patients):
    first, second = scale_of_patients(patients[:3], "a"), scale_of_patients(patients[3:], "b")
    both, whole = pooled_scale([first, second]), scale_of_patients(patients, "c")
    assert both.patients == 12
    assert both.spect_above == pytest.approx(whole.spect_above, abs=2e-4)
    assert both.map_above == pytest.approx(whole.map_above, abs=2e-4)
    assert both.map_p75 == whole.map_p75
    assert pooled_scale([first, None]) is None


def test_a_network_is_measured_on_its_validation_patients_alone():
    network = build_network(NETWORK).eval()
    held_out = READY.samples.of_patients(READY.validation)
    scale = scale_of_samples(network, held_out, READY.preprocessing)
    maps = predict_samples(network, held_out, CPU)
    assert scale.patients == len(READY.validation)
    assert scale.map_p75 == pytest.approx([np.percentile(maps[held_out.mask], 75)] * 2, abs=1e-4)
    assert scale_of_samples(network, READY.samples.of_patients([]), READY.preprocessing) is None


def test_lungs_that_fill_less_than_the_grid_are_predicted_where_they_lie():
    """A network that takes any size gets them without what was filled up behind them (as in a cohort whose largest
    lungs belong to another patient)."""
    torch.manual_seed(0)
    about = {"architecture": "unet", "channels": (4, 4, 6, 6), "kernel": 3, "norm": "group", "place": "lungs"}
    network = build_network(network_settings(about)).eval()
    samples = READY.samples.of_patients(READY.validation)
    smaller = samples.mask.copy()
    smaller[:, -5:] = False
    samples = replace(samples, mask=smaller, enhanced=samples.enhanced * smaller[:, None])
    maps = predict_samples(network, samples, CPU)
    assert maps.shape == samples.mask.shape
    alone = network(torch.from_numpy(samples.enhanced[:1, :, :-5]).float() / 255)[0, 0].detach().numpy()
    inside = smaller[0, :-5]
    assert np.allclose(maps[0, :-5][inside], alone[inside], atol=1e-5)
    assert scale_of_samples(network, samples, READY.preprocessing).patients == len(READY.validation)
