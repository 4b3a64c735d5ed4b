"""A definition of high-functional lung is read, printed and applied as it says."""

import numpy as np
import pytest
from skimage.morphology import remove_small_objects

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.function.definitions import DEFAULT, HIGH, IN_USE, LOW, MIDDLE, Definition, parse_definition

rng = np.random.default_rng(5)
sides = np.zeros((6, 8, 14), np.uint8)
sides[:, 1:7, 1:6], sides[1:, 1:7, 8:13] = 1, 2
perfusion = rng.random(sides.shape).astype(np.float32) * (sides > 0)
lung = perfusion[sides > 0]


@pytest.mark.parametrize(
    "definition", [*IN_USE, Definition("fixed", 0.5), Definition("max", 0.3, 1.5), Definition("p75", 0.1 + 0.2)]
)
def test_a_printed_definition_is_read_back_the_same(definition):
    assert parse_definition(definition.name) == definition


def test_the_default_is_the_papers():
    assert DEFAULT.name == "p75:0.66"
    assert DEFAULT.high_above(lung) == DEFAULT.low_up_to(lung) == 0.66


@pytest.mark.parametrize(
    ("text", "high"),
    [
        ("p75:0.66", lung > 0.66),
        ("fixed:0.4", lung > 0.4),
        ("max:0.2", lung > 0.2 * lung.max()),
        ("percentile:70", lung > np.quantile(lung, 0.7)),
        ("tertiles", lung > np.quantile(lung, 2 / 3)),
    ],
)
def test_high_functional_lung_is_what_the_text_says(text, high):
    classes = parse_definition(text).classes(perfusion, sides, 0.01)
    assert np.array_equal(classes[sides > 0] == HIGH, high)
    assert not classes[sides == 0].any()
    if text != "tertiles":
        assert (classes[sides > 0][~high] == LOW).all()


def test_tertiles_are_three_equal_parts():
    classes = parse_definition("tertiles").classes(perfusion, sides, 0.01)[sides > 0]
    counts = [np.count_nonzero(classes == kind) for kind in (LOW, MIDDLE, HIGH)]
    assert max(counts) - min(counts) <= 1
    assert perfusion[sides > 0][classes == LOW].max() < perfusion[sides > 0][classes == MIDDLE].min()


def test_islands_under_the_volume_are_removed_in_each_lung():
    """Against scikit-image, lung by lung: first high islands, then low ones."""
    expected = np.zeros(sides.shape, bool)
    for side in (1, 2):
        high = remove_small_objects((perfusion > 0.5) & (sides == side), min_size=7, connectivity=1)
        low = remove_small_objects(~high & (sides == side), min_size=7, connectivity=1)
        expected |= ~low & (sides == side)
    classes = parse_definition("p75:0.5,specks:0.07").classes(perfusion, sides, 0.01)
    assert np.array_equal(classes == HIGH, expected)
    assert not np.array_equal(expected, (perfusion > 0.5) & (sides > 0))


def test_islands_of_a_third_go_to_the_middle_third():
    raw = parse_definition("tertiles").classes(perfusion, sides, 0.01)
    clean = parse_definition("tertiles,specks:0.05").classes(perfusion, sides, 0.01)
    changed = raw != clean
    assert changed.any()
    assert (clean[changed] == MIDDLE).all()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "p75",
        "p75:",
        "p75:0",
        "p75:1",
        "p75:nan",
        "percentile:100",
        "median:2",
        "tertiles:3",
        "max:0.2,ml:1",
        "max:0.2,specks:-1",
        "max:0.2,specks:inf",
        "max:0.2,specks:",
        "max:0.2,",
        "fixed:0.5;0.6",
    ],
)
def test_what_is_no_definition_is_told_with_those_that_are(text):
    with pytest.raises(InputError, match=r"no definition .* give p75:0\.66"):
        parse_definition(text)


def test_lungs_without_a_voxel_have_no_function():
    assert not DEFAULT.classes(perfusion, np.zeros_like(sides), 0.01).any()
