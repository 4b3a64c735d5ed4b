"""How much more one lung is perfused than the other: what a network that sees one lung at a time cannot tell.

Eq. 1 equalises every lung by itself, so a network gets the pattern of a lung and not its level beside the other's.
The level follows from what the CT shows of both: a lung with less blood in it is less dense where it is aerated, and
a lung that shrank lost more flow than volume. The logarithm of the ratio of the lungs' mean perfusion, right over
left, is taken as a linear function of the differences between the two lungs, fitted on patients with a SPECT. An
offset of all HU changes no difference; one lung that is 60 HU less dense gets less.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log

from DLCTPMLib.common.settings import StageSettings


@dataclass(frozen=True)
class LungLevel:
    """What the balance sees of one lung.

    Attributes:
        volume_ml: of the lung.
        aerated_hu: mean density where it is aerated (up to −300 HU), in HU.
        mean: of the network's map.
    """

    volume_ml: float
    aerated_hu: float
    mean: float


@dataclass(frozen=True)
class LungBalance(StageSettings):
    """What is kept of it in a bundle. "Difference" is right less left; of volumes and map, of their logarithms.

    Attributes:
        patients: it was fitted on.
        whose: who they are, as half a sentence.
        equal: log ratio of the mean perfusion where the lungs do not differ.
        per_log_volume, per_hu, per_log_map: what a difference of 1 adds to it.
        log_volume, density_hu, log_map: lowest and highest difference among those patients; a larger one counts as
            the largest.
    """

    WHAT = "balance"

    patients: int
    whose: str
    equal: float
    per_log_volume: float
    per_hu: float
    per_log_map: float
    log_volume: tuple[float, float]
    density_hu: tuple[float, float]
    log_map: tuple[float, float]

    def __post_init__(self):
        ranges = (self.log_volume, self.density_hu, self.log_map)
        self.require(
            {
                "patients must be at least 1": self.patients >= 1,
                "ranges must be the lowest and then the highest value": all(low <= high for low, high in ranges),
            }
        )

    def log_ratio(self, right: LungLevel, left: LungLevel) -> float:
        """Logarithm of the ratio of the lungs' mean perfusion, right over left."""
        found = zip(
            (self.per_log_volume, self.per_hu, self.per_log_map),
            differences(right, left),
            (self.log_volume, self.density_hu, self.log_map),
            strict=True,
        )
        return self.equal + sum(slope * min(max(value, low), high) for slope, value, (low, high) in found)

    def factors(self, right: LungLevel, left: LungLevel) -> tuple[float, float]:
        """What each lung's map is multiplied by: the mean over both lungs stays, their ratio becomes that one."""
        wanted = exp(self.log_ratio(right, left))
        total = right.volume_ml * right.mean + left.volume_ml * left.mean
        of_left = total / (right.volume_ml * wanted + left.volume_ml)
        return wanted * of_left / right.mean, of_left / left.mean


def differences(right: LungLevel, left: LungLevel) -> tuple[float, float, float]:
    """Right less left: of log volume, of aerated density in HU, of the log of the map's mean."""
    return (
        log(right.volume_ml / left.volume_ml),
        right.aerated_hu - left.aerated_hu,
        log(right.mean / left.mean),
    )
