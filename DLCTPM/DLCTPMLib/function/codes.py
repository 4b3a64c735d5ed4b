"""Names, codes and colours of the classes of function, in the engine and in Slicer; nothing heavy is imported."""

from __future__ import annotations

from DLCTPMLib.function.definitions import HIGH, LOW, MIDDLE
from DLCTPMLib.labels.chest_regions import Code

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

RIGHT_LUNG, LEFT_LUNG = 0, 1
VALUES = {
    (HIGH, RIGHT_LUNG): 1,
    (LOW, RIGHT_LUNG): 2,
    (HIGH, LEFT_LUNG): 3,
    (LOW, LEFT_LUNG): 4,
    (MIDDLE, RIGHT_LUNG): 5,
    (MIDDLE, LEFT_LUNG): 6,
}
"""Label value of every class of each lung."""


def colour_of(kind: int, lung: int) -> tuple[float, float, float]:
    """Red, green and blue (0…1) of a class in the right or left lung."""
    shade = _LEFT_SHADE if lung == LEFT_LUNG else 1.0
    return tuple(shade * part for part in COLOURS[kind])
