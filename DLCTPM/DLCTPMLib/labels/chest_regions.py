"""The Chest Imaging Platform's (CIP) label values: regions of the chest, tissue types, names, terminology.

A CIP label map is uint16; each voxel says where it is (region, low byte) and what it is (type, high byte).
The values are those of CIP's chest conventions. Lung masks of every source become this one form here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

SIDES = ("right lung", "left lung")
"""The two lungs' names, the right one first."""
BOTH = "lungs"
"""Name of what both lungs have together."""

MAX_REGION = 74
"""The highest region value that CIP's conventions name."""


class ChestRegion(IntEnum):
    """Where a voxel is: the CIP regions this engine reads or writes."""

    UNDEFINED = 0
    WHOLE_LUNG = 1
    RIGHT_LUNG = 2
    LEFT_LUNG = 3
    RIGHT_SUPERIOR_LOBE = 4
    RIGHT_MIDDLE_LOBE = 5
    RIGHT_INFERIOR_LOBE = 6
    LEFT_SUPERIOR_LOBE = 7
    LEFT_INFERIOR_LOBE = 8
    LEFT_UPPER_THIRD = 9
    LEFT_MIDDLE_THIRD = 10
    LEFT_LOWER_THIRD = 11
    RIGHT_UPPER_THIRD = 12
    RIGHT_MIDDLE_THIRD = 13
    RIGHT_LOWER_THIRD = 14
    UPPER_THIRD = 20
    MIDDLE_THIRD = 21
    LOWER_THIRD = 22
    TRACHEA = 58
    LEFT_MAIN_BRONCHUS = 59
    RIGHT_MAIN_BRONCHUS = 60


class ChestType(IntEnum):
    """What a voxel is: the CIP types that matter to the rule of what counts as lung."""

    UNDEFINED = 0
    NORMAL_PARENCHYMA = 1
    AIRWAY = 2
    VESSEL = 3
    EMPHYSEMATOUS = 4
    GROUND_GLASS = 5
    TRACHEA = 38
    MAIN_BRONCHUS = 39


_R = ChestRegion

RIGHT_LOBES = (_R.RIGHT_SUPERIOR_LOBE, _R.RIGHT_MIDDLE_LOBE, _R.RIGHT_INFERIOR_LOBE)
"""The right lung's lobes, from above downwards."""
LEFT_LOBES = (_R.LEFT_SUPERIOR_LOBE, _R.LEFT_INFERIOR_LOBE)
"""The left lung's lobes, from above downwards."""
RIGHT_THIRDS = (_R.RIGHT_UPPER_THIRD, _R.RIGHT_MIDDLE_THIRD, _R.RIGHT_LOWER_THIRD)
"""The right lung's thirds, from above downwards."""
LEFT_THIRDS = (_R.LEFT_UPPER_THIRD, _R.LEFT_MIDDLE_THIRD, _R.LEFT_LOWER_THIRD)
"""The left lung's thirds, from above downwards."""
SIDELESS_THIRDS = (_R.UPPER_THIRD, _R.MIDDLE_THIRD, _R.LOWER_THIRD)
"""Thirds of both lungs together, from above downwards: what CIP writes where it could not tell the sides."""

RIGHT = frozenset({_R.RIGHT_LUNG, *RIGHT_LOBES, *RIGHT_THIRDS})
"""Every region of the right lung."""
LEFT = frozenset({_R.LEFT_LUNG, *LEFT_LOBES, *LEFT_THIRDS})
"""Every region of the left lung."""
LUNG = frozenset({_R.WHOLE_LUNG, *RIGHT, *LEFT, *SIDELESS_THIRDS})
"""Every region that is lung: 1…14 and 20…22."""
LOBES = frozenset({*RIGHT_LOBES, *LEFT_LOBES})
"""Every lobe."""
THIRDS = frozenset({*RIGHT_THIRDS, *LEFT_THIRDS})
"""Every third that has a side."""

NOT_PARENCHYMA = frozenset({ChestType.TRACHEA, ChestType.MAIN_BRONCHUS})
"""Types that never count as lung, whatever their region."""

_NAMES = {
    _R.UNDEFINED: "background",
    _R.WHOLE_LUNG: "lungs",
    _R.RIGHT_LUNG: "right lung",
    _R.LEFT_LUNG: "left lung",
    _R.RIGHT_SUPERIOR_LOBE: "right upper lobe",
    _R.RIGHT_MIDDLE_LOBE: "right middle lobe",
    _R.RIGHT_INFERIOR_LOBE: "right lower lobe",
    _R.LEFT_SUPERIOR_LOBE: "left upper lobe",
    _R.LEFT_INFERIOR_LOBE: "left lower lobe",
    _R.LEFT_MAIN_BRONCHUS: "left main bronchus",
    _R.RIGHT_MAIN_BRONCHUS: "right main bronchus",
}


def display_name(region: int) -> str:
    """The name a report shows: "right lung", "left lower lobe", "right upper third"; "region 77" if unknown."""
    try:
        known = ChestRegion(region)
    except ValueError:
        return f"region {int(region)}"
    return _NAMES.get(known, known.name.lower().replace("_", " "))


def encode(region: np.ndarray | int, chest_type: np.ndarray | int = 0) -> np.ndarray | int:
    """Put regions and types (each 0…255) together: CIP value = region + 256 · type, uint16 for arrays."""
    if np.isscalar(region) and np.isscalar(chest_type):
        return int(region) + 256 * int(chest_type)
    return np.asarray(region, np.uint16) + (np.asarray(chest_type, np.uint16) << np.uint16(8))


def is_region(values: np.ndarray, regions: frozenset[ChestRegion] | set[ChestRegion]) -> np.ndarray:
    """Where CIP values are parenchyma in one of the given lung regions (boolean, same shape).

    The rule for airways and vessels: **the region decides**. CIP gives airways outside the lungs no region, and
    airways and vessels inside them the region they run in; its own whole-lung masks hold the latter, so they
    count here too. Trachea and main bronchi (types 38 and 39) never count, even if a region was painted there.
    """
    table = np.zeros(1 << 16, bool)
    for region in regions:
        table[int(region) :: 256] = True
    for chest_type in NOT_PARENCHYMA:
        table[256 * chest_type : 256 * (chest_type + 1)] = False
    values = np.asarray(values)
    return table[values if values.dtype == np.uint16 else values.astype(np.uint16)]


@dataclass(frozen=True)
class Code:
    """One coded concept: value and scheme as DICOM writes them ("SCT" is SNOMED CT), and its meaning."""

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True)
class Terminology:
    """What a segment is, in codes.

    Attributes:
        category, type: of the segment.
        modifier: of the type, such as the side.
        region: where in the body it is, where the type does not say it.
        region_modifier: of the region, such as the side.
    """

    category: Code
    type: Code
    modifier: Code | None = None
    region: Code | None = None
    region_modifier: Code | None = None


ANATOMICAL_STRUCTURE = Code("123037004", "SCT", "Anatomical Structure")
RIGHT_SIDE = Code("24028007", "SCT", "Right")
LEFT_SIDE = Code("7771000", "SCT", "Left")
BOTH_SIDES = Code("51440002", "SCT", "Right and left")
LUNG_CODE = Code("39607008", "SCT", "Lung")
UPPER_LOBE_CODE = Code("45653009", "SCT", "Upper lobe of lung")
LOWER_LOBE_CODE = Code("90572001", "SCT", "Lower lobe of lung")
MIDDLE_LOBE_CODE = Code("72481006", "SCT", "Middle lobe of right lung")
TRACHEA_CODE = Code("44567001", "SCT", "Trachea")

_TERMS = {
    _R.WHOLE_LUNG: (LUNG_CODE, BOTH_SIDES),
    _R.RIGHT_LUNG: (LUNG_CODE, RIGHT_SIDE),
    _R.LEFT_LUNG: (LUNG_CODE, LEFT_SIDE),
    _R.RIGHT_SUPERIOR_LOBE: (UPPER_LOBE_CODE, RIGHT_SIDE),
    _R.RIGHT_MIDDLE_LOBE: (MIDDLE_LOBE_CODE, RIGHT_SIDE),
    _R.RIGHT_INFERIOR_LOBE: (LOWER_LOBE_CODE, RIGHT_SIDE),
    _R.LEFT_SUPERIOR_LOBE: (UPPER_LOBE_CODE, LEFT_SIDE),
    _R.LEFT_INFERIOR_LOBE: (LOWER_LOBE_CODE, LEFT_SIDE),
    _R.TRACHEA: (TRACHEA_CODE, None),
}


def terminology(region: int) -> Terminology:
    """The SNOMED CT description of a region; thirds, which have no code of their own, are their lung."""
    if region in RIGHT_THIRDS:
        region = _R.RIGHT_LUNG
    elif region in LEFT_THIRDS:
        region = _R.LEFT_LUNG
    elif region in SIDELESS_THIRDS:
        region = _R.WHOLE_LUNG
    if region not in _TERMS:
        raise KeyError(f"no terminology for {display_name(region)}")
    code, side = _TERMS[ChestRegion(region)]
    return Terminology(ANATOMICAL_STRUCTURE, code, side)
