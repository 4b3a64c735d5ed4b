"""CIP's label values, names and codes."""

import numpy as np
import pytest

from DLCTPMLib.labels import chest_regions as cr
from DLCTPMLib.labels.chest_regions import ChestRegion, ChestType


def test_the_values_are_those_of_the_chest_imaging_platform():
    """Read off CIP's own conventions (ChestConventions.xml)."""
    expected = {
        "WHOLE_LUNG": 1,
        "RIGHT_LUNG": 2,
        "LEFT_LUNG": 3,
        "RIGHT_SUPERIOR_LOBE": 4,
        "RIGHT_MIDDLE_LOBE": 5,
        "RIGHT_INFERIOR_LOBE": 6,
        "LEFT_SUPERIOR_LOBE": 7,
        "LEFT_INFERIOR_LOBE": 8,
        "LEFT_UPPER_THIRD": 9,
        "RIGHT_LOWER_THIRD": 14,
        "UPPER_THIRD": 20,
        "LOWER_THIRD": 22,
        "TRACHEA": 58,
    }
    assert {name: ChestRegion[name].value for name in expected} == expected
    assert (ChestType.AIRWAY, ChestType.VESSEL, ChestType.TRACHEA) == (2, 3, 38)


def test_lung_is_one_to_fourteen_and_twenty_to_twentytwo():
    assert {int(r) for r in cr.LUNG} == {*range(1, 15), 20, 21, 22}
    assert not cr.RIGHT & cr.LEFT
    assert len(cr.RIGHT) == 7
    assert len(cr.LEFT) == 6


def test_region_and_type_survive_encoding():
    regions, types = np.meshgrid(np.arange(75), np.arange(90))
    values = cr.encode(regions, types)
    assert values.dtype == np.uint16
    assert np.array_equal(values & 255, regions)
    assert np.array_equal(values >> 8, types)
    assert cr.encode(ChestRegion.LEFT_UPPER_THIRD, ChestType.VESSEL) == 777  # as in a real CIP label map


@pytest.mark.parametrize(
    ("value", "is_lung"),
    [
        (9, True),
        (777, True),  # vessel in the left upper third
        (521, True),  # airway in the left upper third
        (512, False),  # airway of no region: trachea and main bronchi
        (768, False),  # vessel of no region
        (cr.encode(3, 38), False),  # trachea painted over the left lung
        (cr.encode(2, 39), False),  # main bronchus painted over the right lung
        (58, False),
        (0, False),
    ],
)
def test_the_region_decides_what_is_lung(value, is_lung):
    assert cr.is_region(np.array([value], np.uint16), cr.LUNG)[0] == is_lung


def test_names_are_the_ones_a_clinician_uses():
    assert cr.display_name(2) == "right lung"
    assert cr.display_name(8) == "left lower lobe"
    assert cr.display_name(12) == "right upper third"
    assert cr.display_name(77) == "region 77"


def test_terminology_tells_lobe_and_side():
    term = cr.terminology(ChestRegion.LEFT_INFERIOR_LOBE)
    assert (term.type.value, term.modifier.value) == ("90572001", "7771000")
    assert cr.terminology(ChestRegion.RIGHT_UPPER_THIRD) == cr.terminology(ChestRegion.RIGHT_LUNG)
    with pytest.raises(KeyError):
        cr.terminology(ChestRegion.UNDEFINED)
