"""Scores of the six zones: equal in a uniform lung, and where they say they are."""

import numpy as np
import pytest
from small_chest import lung_labels, on_grid

from DLCTPMLib.function.regions import region_table
from DLCTPMLib.function.zones import zone_scores


def scores(factors):
    """Scores of a table whose zones have these means over the lungs' mean, in percent."""
    names = [f"{side} {part} third" for side in ("right", "left") for part in ("upper", "middle", "lower")]
    regions = {name: {"mean": factor / 200} for name, factor in zip(names, factors, strict=True)}
    return [zone["score"] for zone in zone_scores({"lungs": {"mean": 0.5}, **regions}).values()]


@pytest.mark.parametrize("value", [0.02, 0.4, 1.0])
def test_the_zones_of_a_uniform_lung_all_have_the_middle_score(value):
    table = region_table(on_grid(np.full(lung_labels().GetSize()[::-1], value, np.float32)), lung_labels())
    zones = zone_scores(table)
    assert len(zones) == 6
    assert {zone["score"] for zone in zones.values()} == {3}
    assert all(zone["relative"] == pytest.approx(1) for zone in zones.values())


def test_a_score_begins_at_its_limit():
    assert scores([59, 60, 84, 85, 114, 115]) == [1, 2, 2, 3, 3, 4]
    assert scores([139, 140, 200, 0, 100, 100]) == [4, 5, 5, 1, 3, 3]


def test_without_perfusion_there_is_no_score_and_without_lung_no_zone():
    regions = {"lungs": {"mean": 0.0}, "right upper third": {"mean": 0.0}}
    assert zone_scores(regions) == {"right upper zone": {"relative": None, "score": None}}
