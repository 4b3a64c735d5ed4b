"""High- and low-functional lung of each side as segments, told apart by codes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from DLCTPMLib.function.codes import CLASS_CODES, CLASS_NAMES, VALUES, colour_of
from DLCTPMLib.function.definitions import HIGH, LOW, MIDDLE, Definition
from DLCTPMLib.function.regions import FunctionalLung
from DLCTPMLib.labels.chest_regions import ANATOMICAL_STRUCTURE, LEFT_SIDE, LUNG_CODE, RIGHT_SIDE, Code, Terminology
from DLCTPMLib.labels.seg_nrrd import Segment, write_segments
from DLCTPMLib.lungs.upright import looked_up
from DLCTPMLib.volumes.patient_axes import file_image

_SIDES = (("right", RIGHT_SIDE), ("left", LEFT_SIDE))


def terminology_of_class(kind: int, side: Code | None) -> Terminology:
    """A class in codes: high- or low-functional lung (private) in the lung (SNOMED CT) of a side, or of both."""
    return Terminology(ANATOMICAL_STRUCTURE, CLASS_CODES[kind], None, LUNG_CODE, side)


def functional_segments(kinds: list[int], definition: Definition) -> list[Segment]:
    """The segments of some classes in both lungs; their names carry the definition."""
    segments = []
    for (kind, side), value in VALUES.items():
        if kind not in kinds:
            continue
        name, code = _SIDES[side]
        function = f"{CLASS_NAMES[kind]}-functional lung"
        segments.append(
            Segment(
                f"{name}-{function.replace(' ', '-')}",
                f"{name.capitalize()} {function} ({definition.name})",
                value,
                colour_of(kind, side),
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
    for (kind, side), value in VALUES.items():
        table[4 * (side + 1) + kind] = value
    lungs = function.lungs
    values = np.zeros(lungs.axes.shape, np.uint8)
    values[lungs.box] = looked_up(table, np.uint8(4) * lungs.sides + function.classes)
    kinds = [HIGH, LOW, *[MIDDLE] * bool((function.classes == MIDDLE).any())]
    notes = {"DLCTPM_Definition": f"{function.definition.name}: {function.definition.words}", **notes}
    write_segments(
        path, file_image(values, function.perfusion), functional_segments(kinds, function.definition), notes
    )
