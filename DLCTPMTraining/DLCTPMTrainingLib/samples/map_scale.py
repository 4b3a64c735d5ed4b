"""The scale of a model's maps (``networks.scale``), taken from patients on whom it was not trained.

Needs NumPy only, so that a model that was trained on samples has it, too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from DLCTPMLib.networks.scale import LearnedScale

STEP, HIGHEST = 0.02, 1.2
"""Of the thresholds, in the SPECT's 75th percentile."""
VALIDATION = "validation patients whom the network had not learned from"
NEVER_SEEN = "patients whom no network had learned from"
MEMBERS = "validation patients, each mapped by the networks that had not learned from them"


def scale_of_patients(
    pairs: Sequence[tuple[np.ndarray, np.ndarray]], whose: str, highest: float = HIGHEST
) -> LearnedScale:
    """The scale of some patients' maps; every patient counts alike.

    Args:
        pairs: each patient's map, and SPECT divided by its 75th percentile, in lung: (n,) and (m,), as they come.
        whose: who the patients are, as half a sentence.
        highest: threshold, where the SPECTs are cut off above it.
    """
    values = np.arange(0, min(highest, HIGHEST) + 1e-9, STEP).round(4)
    of_map, of_spect = (
        np.mean([_percent_above(pair[place], values) for pair in pairs], axis=0).round(4) for place in (0, 1)
    )
    p75 = [float(np.percentile(one, 75)) for one, _ in pairs]
    return LearnedScale(
        patients=len(pairs),
        whose=whose,
        values=tuple(values.tolist()),
        spect_above=tuple(of_spect.tolist()),
        map_above=tuple(of_map.tolist()),
        map_p75=(round(min(p75), 4), round(max(p75), 4)),
    )


def unrounded(values: np.ndarray, levels: int, top: float) -> np.ndarray:
    """Rounded values (Eq. 2) spread evenly over what was rounded to each of them, so that a threshold between two
    levels cuts off its part.
    """
    if not levels:
        return values
    step = top / (levels - 1)
    level = np.rint(values / step).astype(int)
    spread = np.empty(len(values))
    for one in np.unique(level):
        low, high = max((one - 0.5) * step, 0.0), min((one + 0.5) * step, top)
        chosen = np.flatnonzero(level == one)
        spread[chosen] = low + (high - low) * (np.arange(len(chosen)) + 0.5) / len(chosen)
    return spread


def pooled_scale(scales: Sequence[LearnedScale | None]) -> LearnedScale | None:
    """The scale of an ensemble from those of its members, each of patients whom that member had not learned from.

    Returns:
        None where that of a member is not known.
    """
    known = [scale for scale in scales if scale is not None]
    if len(known) < len(scales) or not known:
        return None
    values = min((scale.values for scale in known), key=len)
    weights = [scale.patients for scale in known]

    def mean(name: str) -> tuple[float, ...]:
        columns = [np.interp(values, scale.values, getattr(scale, name)) for scale in known]
        return tuple(np.average(columns, axis=0, weights=weights).round(4).tolist())

    limits = [scale.map_p75 for scale in known]
    return LearnedScale(
        patients=sum(weights),
        whose=MEMBERS,
        values=values,
        spect_above=mean("spect_above"),
        map_above=mean("map_above"),
        map_p75=(min(low for low, _ in limits), max(high for _, high in limits)),
    )


def _percent_above(image: np.ndarray, values: np.ndarray) -> np.ndarray:
    return 100 * (1 - np.searchsorted(np.sort(image), values, side="right") / len(image))
