"""The structures that are exported: lungs, lobes and functional regions, with names for planning systems."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.function.codes import CLASS_NAMES, COLOURS
from DLCTPMLib.function.definitions import HIGH, LOW, MIDDLE, Definition
from DLCTPMLib.function.regions import FunctionalLung
from DLCTPMLib.function.segments import terminology_of_class
from DLCTPMLib.labels.chest_regions import (
    BOTH_SIDES,
    LEFT_SIDE,
    LOBES,
    RIGHT_SIDE,
    ChestRegion,
    Code,
    Terminology,
    display_name,
    terminology,
)
from DLCTPMLib.lungs.upright import LEFT_SIDE as LEFT_VALUE
from DLCTPMLib.lungs.upright import RIGHT_SIDE as RIGHT_VALUE
from DLCTPMLib.lungs.upright import UprightLungs

LONGEST_NAME, UNIQUE_WITHIN = 64, 16
"""ROI Name holds so many characters; older planning systems cut names to the first 16, so they differ there."""

WHOLE = ("lungs", "right", "left")
FUNCTIONAL = tuple(f"{side}{kind}" for kind in ("high", "low", "middle") for side in ("", "right-", "left-"))
LOBAR = "lobes"
KEYS = (*WHOLE, *FUNCTIONAL, LOBAR)
"""What ``--structures`` takes."""
DEFAULT_KEYS = (*WHOLE, *FUNCTIONAL[:6])

_WHOLE_REGIONS = {
    "lungs": (ChestRegion.WHOLE_LUNG, "Lungs", (0.55, 0.75, 0.95)),
    "right": (ChestRegion.RIGHT_LUNG, "Lung_R", (0.45, 0.70, 0.90)),
    "left": (ChestRegion.LEFT_LUNG, "Lung_L", (0.35, 0.60, 0.80)),
}
_LOBE_NAMES = {
    ChestRegion.RIGHT_SUPERIOR_LOBE: "Lobe_RUL",
    ChestRegion.RIGHT_MIDDLE_LOBE: "Lobe_RML",
    ChestRegion.RIGHT_INFERIOR_LOBE: "Lobe_RLL",
    ChestRegion.LEFT_SUPERIOR_LOBE: "Lobe_LUL",
    ChestRegion.LEFT_INFERIOR_LOBE: "Lobe_LLL",
}
_SIDES: dict[str, tuple[str, Code, int | None, float]] = {
    "": ("Lungs", BOTH_SIDES, None, 1.0),
    "right-": ("Lung_R", RIGHT_SIDE, RIGHT_VALUE, 0.9),
    "left-": ("Lung_L", LEFT_SIDE, LEFT_VALUE, 0.75),
}
_KINDS = {CLASS_NAMES[kind]: kind for kind in (HIGH, LOW, MIDDLE)}


@dataclass(frozen=True)
class ExportStructure:
    """One structure.

    Attributes:
        name: for planning systems: letters, digits, ``_ . -``; the definition is part of a functional one's.
        label: for people.
        terminology: what it is in codes.
        colour_rgb: red, green, blue, each 0…1.
        functional: whether the definition of function made it.
        mask: gives it as a boolean array of the shape of the lungs' box, along the patient's axes.
    """

    name: str
    label: str
    terminology: Terminology
    colour_rgb: tuple[float, float, float]
    functional: bool
    mask: Callable[[], np.ndarray]


def parse_structures(text: str | None, definition: Definition) -> tuple[str, ...]:
    """The structures that ``--structures`` names.

    Raises:
        InputError: a name that is none, or a middle third without tertiles.
    """
    if text is None:
        return (*DEFAULT_KEYS, *FUNCTIONAL[6:]) if definition.kind == "tertiles" else DEFAULT_KEYS
    keys = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
    for key in keys:
        if key not in KEYS:
            raise InputError(f"--structures {text}: there is no structure {key!r}; give some of {', '.join(KEYS)}")
        if key in FUNCTIONAL[6:] and definition.kind != "tertiles":
            raise InputError(f"--structures {text}: only tertiles have a middle third, not {definition.name}")
    return keys


def structures_of(function: FunctionalLung, keys: Sequence[str], marks: Sequence[str] = ()) -> list[ExportStructure]:
    """The structures behind some keys, in their order.

    Args:
        function: the lungs as divided.
        keys: of ``KEYS``.
        marks: FORCED, SIMULATED: the first one stands at the beginning of every name.

    Raises:
        InputError: lobes of lungs without any.
    """
    lungs = function.lungs
    found: list[ExportStructure] = []
    for key in keys:
        if key in _WHOLE_REGIONS:
            region, name, colour = _WHOLE_REGIONS[key]
            found.append(_of_region(region, name, colour, lambda region=region: _whole(lungs, region)))
        elif key == LOBAR:
            found += _lobes(lungs)
        else:
            found.append(_functional(function, key))
    prefix = "" if not marks else {"FORCED": "FORCED_", "SIMULATED": "SIM_"}[marks[0]]
    return [
        ExportStructure(
            f"{prefix}{s.name}"[:LONGEST_NAME], s.label, s.terminology, s.colour_rgb, s.functional, s.mask
        )
        for s in found
    ]


def _whole(lungs: UprightLungs, region: ChestRegion) -> np.ndarray:
    if region == ChestRegion.WHOLE_LUNG:
        return lungs.sides > 0
    return lungs.sides == (RIGHT_VALUE if region == ChestRegion.RIGHT_LUNG else LEFT_VALUE)


def _of_region(region: ChestRegion, name: str, colour: tuple, mask: Callable[[], np.ndarray]) -> ExportStructure:
    return ExportStructure(name, display_name(region).capitalize(), terminology(region), colour, False, mask)


def _lobes(lungs: UprightLungs) -> list[ExportStructure]:
    regions = lungs.regions()
    there = [lobe for lobe in sorted(LOBES) if (regions == lobe).any()]
    if not there:
        raise InputError(
            "--structures lobes: the lungs of this prediction have no lobes; predict with a mask of lobes"
        )
    shades = np.linspace(0.4, 0.9, len(there))
    return [
        _of_region(lobe, _LOBE_NAMES[lobe], (shade, 0.7, 1.2 - shade), lambda lobe=lobe: regions == lobe)
        for lobe, shade in zip(there, shades.tolist(), strict=True)
    ]


def _functional(function: FunctionalLung, key: str) -> ExportStructure:
    side, _, _ = key.rpartition("-")
    side = f"{side}-" if side else ""
    word = key.removeprefix(side)
    kind = _KINDS[word]
    name, code, value, shade = _SIDES[side]
    lungs = function.lungs

    def mask() -> np.ndarray:
        own = function.classes == kind
        return own if value is None else own & (lungs.sides == value)

    definition = function.definition.name
    return ExportStructure(
        f"{name}_{word}_{re.sub(r'[:,]', '_', definition)}",
        f"{(side.rstrip('-') or 'both').capitalize()} {word}-functional lung ({definition})".replace(
            "Both", "Lungs:"
        ),
        terminology_of_class(kind, code),
        tuple(shade * part for part in COLOURS[kind]),
        True,
        mask,
    )
