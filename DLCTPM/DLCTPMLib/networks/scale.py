"""How a model's maps lie beside the SPECTs of patients on whom it was not trained.

A map is an expected value, smoother than any SPECT, so less of it lies far from its middle: the same threshold cuts
off another volume. What a threshold on the SPECT's scale means on the map's is found by matching volumes: on the mean
over those patients as much lung lies above the one in their SPECTs as above the other in their maps. Both volumes
fall with the threshold, so the calibration is monotone.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from DLCTPMLib.common.settings import StageSettings


@dataclass(frozen=True)
class LearnedScale(StageSettings):
    """What is kept in a bundle of its maps' scale.

    Attributes:
        patients: whose maps and SPECTs it was taken from; the network, or of an ensemble each member by itself, was
            not trained on them.
        whose: who they are, as half a sentence.
        values: thresholds in the SPECT's 75th percentile (HIR), rising from 0.
        spect_above, map_above: mean over the patients of the percent of lung above each of them, falling.
        map_p75: lowest and highest 75th percentile of one of their maps.
    """

    WHAT = "scale"

    patients: int
    whose: str
    values: tuple[float, ...]
    spect_above: tuple[float, ...]
    map_above: tuple[float, ...]
    map_p75: tuple[float, float]

    def __post_init__(self):
        falling = (self.spect_above, self.map_above)
        self.require(
            {
                "patients must be at least 1": self.patients >= 1,
                "values must rise from 0": len(self.values) > 1
                and self.values[0] == 0
                and all(a < b for a, b in pairwise(self.values)),
                "spect_above and map_above must have a percentage for each of values, falling": all(
                    len(above) == len(self.values)
                    and above[0] <= 100
                    and above[-1] >= 0
                    and all(a >= b for a, b in pairwise(above))
                    for above in falling
                ),
                "map_p75 must be the lowest and then the highest value": 0 <= self.map_p75[0] <= self.map_p75[1],
            }
        )

    def map_value(self, of_spect: float) -> float:
        """The map's value above which as much lung lies as above ``of_spect`` in the SPECTs, on the mean.

        Args:
            of_spect: in the SPECT's 75th percentile. Beyond the highest of ``values`` that one's ratio is kept.
        """
        import numpy as np

        last = self.values[-1]
        if of_spect > last:
            return of_spect / last * self.map_value(last)
        values = np.array(self.values)
        percent = np.interp(of_spect, values, self.spect_above)
        falling = np.array(self.map_above) - 1e-9 * values  # so that every percentage has one value
        return float(np.interp(percent, falling[::-1], values[::-1]))
