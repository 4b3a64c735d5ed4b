"""The calibrated threshold: monotone, and the volume above it is the SPECTs' own."""

from dataclasses import replace

import numpy as np
import pytest

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.function.definitions import parse_definition
from DLCTPMLib.networks.scale import LearnedScale

VALUES = np.arange(0, 1.2001, 0.02)


def scale_of(spect: np.ndarray, of_map: np.ndarray) -> LearnedScale:
    above = [tuple(100 * (image[:, None] > VALUES).mean(axis=0)) for image in (spect, of_map)]
    return LearnedScale(1, "made up", tuple(VALUES), *above, (0.8, 0.9))


@pytest.fixture(scope="module")
def images():
    """A SPECT and a smoother map of it, as an expected value is."""
    rng = np.random.default_rng(3)
    spect = np.clip(rng.normal(0.8, 0.3, 20_000), 0, None)
    return spect, 0.35 + 0.5 * spect


@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.66, 0.9])
def test_as_much_lies_above_it_in_the_map_as_in_the_spect(images, threshold):
    """The same quantile by NumPy."""
    spect, of_map = images
    expected = np.quantile(of_map, (spect <= threshold).mean())
    assert scale_of(*images).map_value(threshold) == pytest.approx(expected, abs=0.005)


def test_a_higher_threshold_never_means_a_lower_value_of_the_map(images):
    scale = scale_of(*images)
    found = [scale.map_value(threshold) for threshold in np.linspace(0.01, 1.6, 200)]
    assert np.all(np.diff(found) >= 0)
    assert found[-1] > found[-60]  # beyond the last value, too


def test_a_definition_on_a_map_says_what_it_is_and_keeps_its_name(images):
    scale = replace(scale_of(*images), patients=17)
    plain = parse_definition("p75:0.66,specks:0.5")
    on_map = plain.on_map(scale)
    assert on_map.name == plain.name
    assert on_map.high_above(np.zeros(0)) == on_map.low_up_to(np.zeros(0)) == scale.map_value(0.66)
    assert "0.66 of the 75th percentile of a SPECT on the mean over 17 made up" in on_map.words
    assert plain.high_above(np.zeros(0)) == 0.66
    assert plain.on_map(None) == plain


@pytest.mark.parametrize("text", ["fixed:0.66", "max:0.2", "percentile:70", "tertiles"])
def test_other_definitions_take_the_map_as_it_stands(images, text):
    assert parse_definition(text).on_map(scale_of(*images)) == parse_definition(text)


@pytest.mark.parametrize(
    "change",
    [
        {"patients": 0},
        {"values": (0.1, 0.5)},
        {"values": (0.0, 0.0)},
        {"spect_above": (100.0,)},
        {"map_above": (20.0, 30.0)},
        {"map_above": (101.0, 30.0)},
        {"map_p75": (0.9, 0.8)},
    ],
)
def test_a_damaged_scale_is_refused(change):
    told = LearnedScale(3, "made up", (0.0, 1.0), (100.0, 25.0), (100.0, 10.0), (0.8, 0.9)).to_dict()
    assert LearnedScale.from_dict(told).map_value(1.0) > 0
    with pytest.raises(InputError, match="scale"):
        LearnedScale.from_dict(told | change)
