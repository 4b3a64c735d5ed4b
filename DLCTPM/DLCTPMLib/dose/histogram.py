"""Dose–volume and dose–function histograms of a set of voxels, by NumPy alone.

Every figure is a weighted share of voxels: with equal weights it is a share of volume (V20), with the perfusion map
as weights a share of function (fV20 by weight), with the voxels of high-functional lung alone a share of that lung
(fV20 by threshold).
"""

from __future__ import annotations

import numpy as np

STEP_GY = 0.25
"""Distance of the doses of a curve: a power of two, so that whole doses fall on steps without rounding."""

LAST_GY = 200.0
"""Where curves end; means and maxima count what lies above as it is."""

LEVELS_GY = (5, 10, 15, 20, 25, 30, 40, 50, 60)
"""Doses of V5 … V60: V5 to V30 are usual for the lungs, fV5 to fV60 have been looked at for function."""


class DoseHistogram:
    """The cumulative histogram of doses: the share of voxels, or of their weights, that get at least a dose.

    Args:
        dose_gy: dose of every voxel, Gy, none negative.
        steps: what ``dose_steps`` gives for them, where it is at hand.

    Example:
        >>> half = DoseHistogram(np.array([0.0, 40.0]))
        >>> half.mean_gy(), half.at_least_percent(20)
        (20.0, 50.0)
    """

    def __init__(self, dose_gy: np.ndarray, weights: np.ndarray | None = None, steps: np.ndarray | None = None):
        steps = dose_steps(dose_gy) if steps is None else steps
        counts = np.bincount(steps, weights=weights)
        self._at_least = np.cumsum(counts[::-1], dtype=float)[::-1]
        self._total = float(self._at_least[0]) if counts.size else 0.0
        dosed = dose_gy.sum(dtype=float) if weights is None else np.einsum("i,i->", dose_gy, weights, dtype=float)
        self._summed_gy = float(dosed)
        self.maximum_gy = float(dose_gy.max()) if dose_gy.size else float("nan")

    def mean_gy(self) -> float:
        """Mean dose, Σ w·d / Σ w; not a number where nothing is."""
        return self._summed_gy / self._total if self._total > 0 else float("nan")

    def at_least_percent(self, dose_gy: float) -> float:
        """Share that gets at least a dose, a multiple of ``STEP_GY``, in percent; not a number where nothing is."""
        if not self._total > 0:
            return float("nan")
        step = round(dose_gy / STEP_GY)
        return 100 * float(self._at_least[step]) / self._total if step < self._at_least.size else 0.0

    def levels(self) -> dict[str, float]:
        """V5 … V60 in percent, by the dose in Gy."""
        return {str(level): self.at_least_percent(level) for level in LEVELS_GY}

    def curve_percent(self, steps: int) -> np.ndarray:
        """The share that gets at least 0, ``STEP_GY``, 2 ``STEP_GY`` … Gy in percent, ``steps`` values."""
        curve = np.zeros(steps)
        known = self._at_least[:steps]
        curve[: known.size] = 100 * known / self._total if self._total > 0 else np.nan
        return curve

    def figures(self) -> dict:
        """Mean and levels, as results hold them."""
        return {"mean_gy": self.mean_gy(), "at_least_percent": self.levels()}


def dose_steps(dose_gy: np.ndarray) -> np.ndarray:
    """The step of the curve that each dose has reached, as whole numbers from 0; ``LAST_GY`` and more is the last."""
    return np.minimum(dose_gy * np.float32(1 / STEP_GY), np.float32(LAST_GY / STEP_GY)).astype(np.int32)
