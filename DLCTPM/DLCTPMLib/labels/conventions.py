"""What the values of a lung label map mean: CIP's regions, or the plain numbering of another program.

A file seldom says which numbering it follows, so it is read from the set of its values, by a stated rule
(``possible_conventions``) and then judged by the shape of what it labels; where that cannot tell, the user has to.
"""

from __future__ import annotations

import numpy as np

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.labels.chest_regions import LEFT_THIRDS, LUNG, MAX_REGION, RIGHT_THIRDS, ChestRegion

_R = ChestRegion

CONVENTIONS: dict[str, dict[int, ChestRegion]] = {
    "mask": {},
    "lungmask": {1: _R.RIGHT_LUNG, 2: _R.LEFT_LUNG},
    "lobes": {
        1: _R.LEFT_SUPERIOR_LOBE,
        2: _R.LEFT_INFERIOR_LOBE,
        3: _R.RIGHT_SUPERIOR_LOBE,
        4: _R.RIGHT_MIDDLE_LOBE,
        5: _R.RIGHT_INFERIOR_LOBE,
    },
    "totalsegmentator": {
        10: _R.LEFT_SUPERIOR_LOBE,
        11: _R.LEFT_INFERIOR_LOBE,
        12: _R.RIGHT_SUPERIOR_LOBE,
        13: _R.RIGHT_MIDDLE_LOBE,
        14: _R.RIGHT_INFERIOR_LOBE,
    },
    "totalsegmentator-v1": {
        13: _R.LEFT_SUPERIOR_LOBE,
        14: _R.LEFT_INFERIOR_LOBE,
        15: _R.RIGHT_SUPERIOR_LOBE,
        16: _R.RIGHT_MIDDLE_LOBE,
        17: _R.RIGHT_INFERIOR_LOBE,
    },
    "cip": {},
}
"""Names of the numberings and their lung values; "mask" is any one value for lung, "cip" is CIP's own.

"lungmask" is what lungmask's R231 model writes, "lobes" its LTRCLobes model, "totalsegmentator" the multi-label
output of TotalSegmentator's task "total" (version 2), "totalsegmentator-v1" that of its first version.
"""


def present_values(array: np.ndarray) -> np.ndarray:
    """The sorted distinct values above zero of a uint16 array, without sorting the array."""
    seen = np.zeros(1 << 16, bool)
    for plane in array:
        if plane.any():
            seen[plane.ravel()] = True
    seen[0] = False
    return np.flatnonzero(seen)


def possible_conventions(values: np.ndarray, name: str) -> list[str]:
    """The numberings that a set of values above zero may follow, the likeliest first.

    The values alone seldom prove a numbering ({1, 2} may be right and left lung, or lung and nodule), so whoever
    reads a mask must also see that its shape agrees. The rule, first match wins:

    1. a value above 255: CIP, for only CIP packs a type into the high byte;
    2. one value alone that is not one of CIP's lobes or thirds: a mask of lung, whatever the value;
    3. {1, 2}: lungmask's right and left;
    4. {1, 2, 3, 4, 5}: lungmask's lobes;
    5. {2, 3}, or CIP regions of which one at least is a lobe above 5 or a third, the thirds of a side all there:
       CIP;
    6. 13 to 17 together: TotalSegmentator's lobes of version 1; 10 to 14 together: those of version 2. Full
       tables of organs hold both, and CIP's thirds are values of version 2 (9
       aside, beside which only tables of organs have higher values): then all of these are possible;
    7. anything else (such as {1, 2, 3}: right, left and trachea, or CIP's whole, right and left lung?) is
       ambiguous.

    Raises:
        InputError: the values fit none of these; ``name`` names the file in the message.
    """
    found = {int(value) for value in values}
    if max(found) > 255:
        return ["cip"]
    lung_parts = {int(region) for region in LUNG if region > _R.LEFT_LUNG}
    if len(found) == 1 and not found & lung_parts:
        return ["mask"]
    if found in ({1, 2}, {1, 2, 3, 4, 5}):
        return ["lungmask" if len(found) == 2 else "lobes"]
    thirds = [{int(third) for third in side} for side in (LEFT_THIRDS, RIGHT_THIRDS)]
    whole = all(found & side in (set(), side) for side in thirds)
    cip = found == {2, 3} or (found & (lung_parts - {4, 5}) and max(found) <= MAX_REGION and whole)
    total = [one for one in ("totalsegmentator", "totalsegmentator-v1") if set(CONVENTIONS[one]) <= found]
    if 9 in found and max(found) <= MAX_REGION:  # CIP's thirds always come with 9; a table of organs goes higher
        total = []
    possible = ["cip"] * bool(cip) + total
    if not possible:
        raise InputError(
            f"{name}: cannot tell what the label values {_shown(found)} mean; say so with --lungs-values, relabel "
            "the lungs as 2 (right) and 3 (left), or give a .seg.nrrd with segments named 'right lung' and 'left "
            "lung'."
        )
    return possible


def _shown(found: set[int]) -> str:
    return ", ".join(str(value) for value in sorted(found)[:12]) + (" …" if len(found) > 12 else "")


def check_convention(convention: str) -> None:
    """Refuse a name that is no numbering.

    Raises:
        InputError: neither "auto" nor one of ``CONVENTIONS``.
    """
    if convention != "auto" and convention not in CONVENTIONS:
        raise InputError(f"unknown label numbering '{convention}'; use auto, {', '.join(CONVENTIONS)}.")


def to_cip(array: np.ndarray, name: str, convention: str) -> np.ndarray:
    """Translate a label array (uint16, any shape) of one numbering to CIP values.

    Returns:
        The CIP values (uint16, same shape; region 1 where the side is not known).

    Raises:
        InputError: no voxel has a lung label of the numbering.
    """
    if convention == "cip":
        return array
    values = present_values(array)
    table = np.zeros(1 << 16, np.uint16)
    if convention == "mask":
        table[1:] = _R.WHOLE_LUNG
    for value, region in CONVENTIONS[convention].items():
        table[value] = region
    if not table[values].any():
        raise InputError(f"{name} has no lung label of the numbering '{convention}'; give another lung mask.")
    return table[array]
