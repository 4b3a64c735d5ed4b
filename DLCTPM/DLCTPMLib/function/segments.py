"""High- and low-functional lung of each side as segments, told apart by codes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from DLCTPMLib.function.definitions import HIGH, LOW, MIDDLE, Definition
from DLCTPMLib.function.regions import FunctionalLung
from DLCTPMLib.labels.chest_regions import ANATOMICAL_STRUCTURE, LEFT_SIDE, LUNG_CODE, RIGHT_SIDE, Code, Terminology
from DLCTPMLib.labels.seg_nrrd import Segment, write_segments
from DLCTPMLib.lungs.upright import looked_up
from DLCTPMLib.volumes.patient_axes import file_image

SCHEME = "99DLCTPM"
"""Coding scheme of what SNOMED CT has no code for."""

CLASS_NAMES = {HIGH: "high", LOW: "low", MIDDLE: "middle"}
"""What each class is called, before "-functional lung"."""

CLASS_CODES = {
    kind: Code(f"{name}-functional-lung", SCHEME, f"{name.capitalize()}-functional lung")
    for kind, name in CLASS_NAMES.items()
}
"""The code of each class."""

COLOURS = {HIGH: (0.90, 0.62, 0.0), LOW: (0.0, 0.45, 0.70), MIDDLE: (0.6, 0.6, 0.6)}
"""Told apart with any colour vision; the left lung's are a shade darker."""
_LEFT_SHADE = 0.8

_SIDES = (("right", RIGHT_SIDE), ("left", LEFT_SIDE))
_VALUES = {(HIGH, 0): 1, (LOW, 0): 2, (HIGH, 1): 3, (LOW, 1): 4, (MIDDLE, 0): 5, (MIDDLE, 1): 6}
"""Label value of every class (of right lung, 0, and left lung, 1)."""


def terminology_of_class(kind: int, side: Code | None) -> Terminology:
    """A class in codes: high- or low-functional lung (private) in the lung (SNOMED CT) of a side, or of both."""
    return Terminology(ANATOMICAL_STRUCTURE, CLASS_CODES[kind], None, LUNG_CODE, side)


def functional_segments(kinds: list[int], definition: Definition) -> list[Segment]:
    """The segments of some classes in both lungs; their names carry the definition."""
    segments = []
    for (kind, side), value in _VALUES.items():
        if kind not in kinds:
            continue
        name, code = _SIDES[side]
        function = f"{CLASS_NAMES[kind]}-functional lung"
        shade = _LEFT_SHADE if side else 1.0
        segments.append(
            Segment(
                f"{name}-{function.replace(' ', '-')}",
                f"{name.capitalize()} {function} ({definition.name})",
                value,
                tuple(shade * part for part in COLOURS[kind]),
                terminology_of_class(kind, code),
            )
        )
    return segments


def write_function_segments(path: str | Path, function: FunctionalLung, notes: dict[str, str]) -> None:
    """Write the functional regions as ``.seg.nrrd``.

    Args:
        path: the file.
        function: the lungs as divided.
        notes: further keys of its header, ASCII; the definition comes by itself.
    """
    table = np.zeros(4 * 4, np.uint8)
    for (kind, side), value in _VALUES.items():
        table[4 * (side + 1) + kind] = value
    lungs = function.lungs
    values = np.zeros(lungs.axes.shape, np.uint8)
    values[lungs.box] = looked_up(table, np.uint8(4) * lungs.sides + function.classes)
    kinds = [HIGH, LOW, *[MIDDLE] * bool((function.classes == MIDDLE).any())]
    notes = {"DLCTPM_Definition": f"{function.definition.name}: {function.definition.words}", **notes}
    write_segments(
        path, file_image(values, function.perfusion), functional_segments(kinds, function.definition), notes
    )
