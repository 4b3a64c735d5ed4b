"""Definitions of high-functional lung: one setting, from its text to the lung that it divides.

| text | high-functional lung is |
|---|---|
| ``p75:0.66`` | above 0.66 of the 75th percentile of a perfusion SPECT (the paper), which a map's 1 stands for |
| ``max:0.2`` | above a fifth of the highest value in the lungs |
| ``percentile:70`` | above the 70th percentile of the lungs |
| ``fixed:0.5`` | above a value of the map, whatever its 1 stands for |
| ``tertiles`` | the upper third of the lungs; low-functional is the lower third, the middle third neither |

On the maps of a model whose scale is calibrated ``p75`` means the value that cuts off as much lung as in SPECTs
(``Definition.on_map``); ``fixed`` takes the map as it stands.

``,specks:0.5`` after any of these removes islands under 0.5 ml in each lung. Percentiles and maxima are those of both
lungs together, so that right and left are cut at one value.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.function.settings import FUNCTIONAL_THRESHOLD

if TYPE_CHECKING:
    import numpy as np

    from DLCTPMLib.networks.scale import LearnedScale

HIGH, LOW, MIDDLE = 1, 2, 3
"""Classes of lung: high-functional, low-functional, and what tertiles leave between the two; 0 is no lung."""

_BELOW = {"p75": 1.0, "max": 1.0, "fixed": 1.0, "percentile": 100.0}
"""The number after a kind's colon lies above 0 and below this."""
TERTILES = "tertiles"
_SPECKS = "specks"
_EXAMPLES = "give p75:0.66, max:0.2, percentile:70, fixed:0.5 or tertiles, each with ,specks:ML or without"


@dataclass(frozen=True)
class Definition:
    """A definition of high-functional lung.

    Attributes:
        kind: p75, max, percentile, fixed or tertiles.
        value: the number after the colon; 0 for tertiles.
        specks_ml: islands smaller than this are removed; 0 keeps all.
        map_value: on a model's map (``on_map``) what ``value`` of p75 means there; None as it stands.
        found_on: patients that is known from, as half a sentence.

    Raises:
        InputError: no such kind, or a number outside its range.
    """

    kind: str = "p75"
    value: float = FUNCTIONAL_THRESHOLD
    specks_ml: float = 0.0
    map_value: float | None = None
    found_on: str = ""

    def __post_init__(self):
        below = _BELOW.get(self.kind)
        fits = self.kind == TERTILES and self.value == 0 if below is None else 0 < self.value < below
        if not fits:
            raise InputError(f"{self.name}: is no definition of high-functional lung; {_EXAMPLES}")
        if not (self.specks_ml >= 0 and math.isfinite(self.specks_ml)):
            raise InputError(f"{self.name}: specks are removed below a volume in ml, 0 or more")

    def on_map(self, scale: LearnedScale | None) -> Definition:
        """The same on the maps of a model whose scale is known: a share of the SPECT's 75th percentile becomes the
        map's value that cuts off the same volume, on the mean over patients on whom the model was not trained.
        """
        if self.kind != "p75" or scale is None:
            return self
        return replace(self, map_value=scale.map_value(self.value), found_on=f"{scale.patients} {scale.whose}")

    @property
    def name(self) -> str:
        """As it is typed; it names structures and rows of tables."""
        number = "" if self.kind == TERTILES else f":{_exact(self.value)}"
        return f"{self.kind}{number}" + (f",{_SPECKS}:{_exact(self.specks_ml)}" if self.specks_ml else "")

    @property
    def words(self) -> str:
        """What counts as high-functional lung, as half a sentence."""
        said = {
            "p75": f"above {self.value:g} of the map's scale, whose 1 stands for the 75th percentile of a SPECT"
            if self.map_value is None
            else f"above {self.map_value:.3g} of the map, which cuts off as much lung as {self.value:g} of the 75th "
            f"percentile of a SPECT on the mean over {self.found_on}",
            "max": f"above {self.value:g} of the highest value in the lungs",
            "percentile": f"above the {self.value:g}th percentile of both lungs",
            "fixed": f"above {self.value:g} of the map",
            TERTILES: "the upper third of both lungs by perfusion, low-functional the lower third",
        }[self.kind]
        return said + (f", without islands under {self.specks_ml:g} ml" if self.specks_ml else "")

    @property
    def of_lungs(self) -> bool:
        """Whether the lungs' own values decide what is high; otherwise one value does, whatever they are."""
        return self.kind not in ("p75", "fixed")

    def high_above(self, values: np.ndarray) -> float:
        """The value above which lung is high-functional.

        Args:
            values: of both lungs, (n,): a map, or a SPECT divided by its 75th percentile. Without any there is
                nothing to divide, and the value is meaningless.
        """
        if not self.of_lungs or not values.size:
            return self.value if self.map_value is None else self.map_value
        if self.kind == "max":
            return self.value * float(values.max())
        return _percentile(values, 200 / 3 if self.kind == TERTILES else self.value)

    def low_up_to(self, values: np.ndarray) -> float:
        """The value up to which lung is low-functional; with tertiles there is lung between this and high."""
        tertiles = self.kind == TERTILES and values.size
        return _percentile(values, 100 / 3) if tertiles else self.high_above(values)

    def classes(self, values: np.ndarray, sides: np.ndarray, voxel_ml: float) -> np.ndarray:
        """HIGH, LOW or MIDDLE in the lungs, 0 elsewhere.

        Args:
            values: a map in a box that holds the lungs, (z, y, x).
            sides: of the same shape: 0 no lung, another number for each lung.
            voxel_ml: volume of a voxel.

        Returns:
            uint8 of the same shape.
        """
        import numpy as np  # heavy, and the command line knows definitions

        inside = sides > 0
        if not inside.any():
            return np.zeros(values.shape, np.uint8)
        lung = values[inside] if self.of_lungs else values[:0]
        high, low = self.high_above(lung), self.low_up_to(lung)
        classes = np.where(values > high, np.uint8(HIGH), np.uint8(LOW))
        if low < high:
            classes[(values > low) & (values <= high)] = MIDDLE
        classes *= inside
        if self.specks_ml:
            between = MIDDLE if self.kind == TERTILES else None
            voxels = math.ceil(self.specks_ml / voxel_ml - 1e-6)
            _absorb(classes, sides, HIGH, between or LOW, voxels)
            _absorb(classes, sides, LOW, between or HIGH, voxels)
        return classes


def _percentile(values: np.ndarray, percent: float) -> float:
    import numpy as np

    return float(np.percentile(values, percent))


def _absorb(classes: np.ndarray, sides: np.ndarray, kind: int, into: int, voxels: int) -> None:
    """Turn islands (joined by faces, in one lung) of a class with less than so many voxels into another class."""
    import numpy as np
    from scipy import ndimage

    for side in np.unique(sides[sides > 0]):
        islands, _ = ndimage.label((classes == kind) & (sides == side))
        small = np.bincount(islands.ravel()) < voxels
        small[0] = False
        classes[small[islands]] = into


def _exact(value: float) -> str:
    """A number as short as it can be read back the same."""
    text = f"{value:g}"
    return text if float(text) == value else repr(float(value))


def parse_definition(text: str) -> Definition:
    """The definition that a text means, the other way round of ``Definition.name``.

    Raises:
        InputError: none of those known.
    """
    main, comma, option = text.strip().partition(",")
    kind, colon, number = main.partition(":")
    try:
        definition = Definition(kind, float(number) if colon else 0.0)
        if not comma:
            return definition
        word, _, volume = option.strip().partition(":")
        if word != _SPECKS:
            raise ValueError
        return replace(definition, specks_ml=float(volume))
    except ValueError:  # an InputError is one, too
        raise InputError(f"{text}: is no definition of high-functional lung; {_EXAMPLES}") from None


DEFAULT = Definition()
"""The paper's: 0.66 of the 75th percentile."""

IN_USE = tuple(
    parse_definition(text)
    for text in (
        DEFAULT.name,
        *(f"max:{share}" for share in (0.15, 0.2, 0.4, 0.6)),
        *(f"percentile:{rank}" for rank in (33, 50, 70, 75, 80)),
        TERTILES,
    )
)
"""Those that publications have used."""
