"""Whether the values of a CT are Hounsfield units: air −1000, water 0."""

from __future__ import annotations

import numpy as np

AIR_HU = -300.0
"""A chest CT has voxels below this: air."""

PADDING_HU = -1100.0
"""Below lies what was never measured."""

BRIGHT_HU = 700.0, 1300.0
MOST_BRIGHT = 0.1
"""Dense bone and metal are a smaller share of any chest (virtual patients and real ones: below 0.01)."""

SOFT_HU = -250.0, 300.0
LEAST_SOFT = 0.02
"""Fat, muscle and organs are a larger share of any chest (virtual patients and real ones: 0.2 and more)."""

INVERTED_BONE_HU = 200.0
LEAST_BONE = 0.004
"""Bone denser than that is a larger share of any chest (virtual patients and real ones: 0.018 and more)."""

_SAMPLES = 300_000


def hounsfield_fault(values: np.ndarray) -> str | None:
    """Why values are no Hounsfield units and what to do, as half a sentence; None where they may be.

    Args:
        values: of a whole CT.
    """
    lowest = values.min()
    if lowest > AIR_HU:
        return (
            f"has no value below {AIR_HU:g}, so no air: not a chest CT in Hounsfield units; give the CT itself, with "
            "its rescale applied"
        )
    steps = max(1, round((values.size / _SAMPLES) ** (1 / values.ndim)))
    some = values[(slice(None, None, steps),) * values.ndim]
    measured = some[(some != lowest) & (some >= PADDING_HU)]
    if measured.size < 1000:
        return None

    def share(low: float, high: float) -> float:
        return np.count_nonzero((measured > low) & (measured < high)) / measured.size

    if share(*BRIGHT_HU) >= MOST_BRIGHT:
        percent = f"{100 * share(*BRIGHT_HU):.0f} % of its values lie around +1000 (usual are less than 1 %)"
        if share(PADDING_HU, -INVERTED_BONE_HU) < LEAST_BONE:  # where inverted values have bone
            return f"{percent} and none is air: −1024 is missing in its rescale; give the CT with its rescale applied"
        return f"{percent}, where air is −1000: its values are inverted; give the CT as it was reconstructed"
    if share(*SOFT_HU) < LEAST_SOFT:
        return (
            f"{100 * share(*SOFT_HU):.1f} % of its values are soft tissue (around 0; usual are 20 % and more): not "
            "Hounsfield units, or a rescale applied twice; give the CT with its rescale applied once"
        )
    return None
