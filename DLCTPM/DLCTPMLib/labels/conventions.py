"""What the values of a lung label map mean: CIP's regions, or the plain numbering of another program.

A file seldom says which numbering it follows, so it is read from the set of its values, by a stated rule
(``convention_of``); where the rule cannot tell, the user has to.
"""

from __future__ import annotations

import numpy as np

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.labels.chest_regions import LUNG, MAX_REGION, ChestRegion

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
    "cip": {},
}
"""Names of the numberings and their lung values; "mask" is any one value for lung, "cip" is CIP's own.

"lungmask" is what lungmask's R231 model writes, "lobes" its LTRCLobes model, "totalsegmentator" the multi-label
output of TotalSegmentator's task "total" (version 2).
"""


def present_values(array: np.ndarray) -> np.ndarray:
    """The sorted distinct values above zero of a uint16 array, without sorting the array."""
    seen = np.zeros(1 << 16, bool)
    for plane in array:
        if plane.any():
            seen[plane.ravel()] = True
    seen[0] = False
    return np.flatnonzero(seen)


def convention_of(values: np.ndarray, name: str) -> str:
    """Tell the numbering from the set of values above zero.

    The rule, first match wins:

    1. a value above 255: CIP, for only CIP packs a type into the high byte;
    2. one value alone that is not one of CIP's lobes or thirds: a mask of lung, whatever the value;
    3. {1, 2}: lungmask's right and left;
    4. {1, 2, 3, 4, 5}: lungmask's lobes;
    5. 10 to 14 together without 9, or beside values that CIP does not name: TotalSegmentator's lobes
       (CIP's thirds always come with 9, the left upper one);
    6. {2, 3}, or CIP regions of which one at least is a lobe above 5 or a third: CIP;
    7. anything else (such as {1, 2, 3}: right, left and trachea, or CIP's whole, right and left lung?) is
       ambiguous.

    Raises:
        InputError: the values fit none of these, or more than one; ``name`` names the file in the message.
    """
    found = {int(value) for value in values}
    lung_parts = {int(region) for region in LUNG if region > _R.LEFT_LUNG}
    if max(found) > 255:
        return "cip"
    if len(found) == 1 and not found & lung_parts:
        return "mask"
    if found == {1, 2}:
        return "lungmask"
    if found == {1, 2, 3, 4, 5}:
        return "lobes"
    total = set(CONVENTIONS["totalsegmentator"])
    if total <= found and (9 not in found or max(found) > MAX_REGION):
        return "totalsegmentator"
    unambiguous = lung_parts - {4, 5}
    if found == {2, 3} or (found & unambiguous and max(found) <= MAX_REGION):
        return "cip"
    shown = ", ".join(str(value) for value in sorted(found)[:12]) + (" …" if len(found) > 12 else "")
    raise InputError(
        f"{name}: cannot tell what the label values {shown} mean; say so with --lungs-values, relabel the lungs as "
        "2 (right) and 3 (left), or give a .seg.nrrd with segments named 'right lung' and 'left lung'."
    )


def to_cip(array: np.ndarray, name: str, convention: str = "auto") -> tuple[np.ndarray, str]:
    """Translate a label array (uint16, any shape) to CIP values.

    Returns:
        The CIP values (uint16, same shape; region 1 where the side is not known) and the numbering that was read.

    Raises:
        InputError: no voxel is labelled, the numbering is ambiguous, or it is not one of ``CONVENTIONS``.
    """
    if convention != "auto" and convention not in CONVENTIONS:
        raise InputError(f"unknown label numbering '{convention}'; use auto, {', '.join(CONVENTIONS)}.")
    values = present_values(array)
    if values.size == 0:
        raise InputError(f"{name} is empty: no voxel is labelled; give another lung mask, or none.")
    if convention == "auto":
        convention = convention_of(values, name)
    if convention == "cip":
        return array, convention
    table = np.zeros(1 << 16, np.uint16)
    if convention == "mask":
        table[1:] = _R.WHOLE_LUNG
    for value, region in CONVENTIONS[convention].items():
        table[value] = region
    if not table[values].any():
        raise InputError(f"{name} has no lung label of the numbering '{convention}'; give another lung mask.")
    return table[array], convention
