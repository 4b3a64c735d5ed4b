"""The balance of right and left lung (``networks.balance``), fitted on patients with a SPECT. Needs NumPy only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from DLCTPMLib.networks.balance import LungBalance, LungLevel, differences

LEAST_PATIENTS = 20
"""Fewer cannot carry four numbers."""
RIDGE = 1.0
"""Penalty on the slopes, in units of one patient at one standard deviation."""

Lungs = tuple[LungLevel, LungLevel]
"""A patient's right and left lung."""


def fit_balance(lungs: Sequence[Lungs], log_ratios: Sequence[float], whose: str) -> LungBalance | None:
    """The balance of some patients by ridge regression (Hoerl & Kennard 1970) on standardised differences.

    Args:
        lungs: of each patient.
        log_ratios: logarithm of the ratio of the mean counts of each patient's SPECT in the right and the left lung.
        whose: who the patients are, as half a sentence.

    Returns:
        None for fewer than ``LEAST_PATIENTS``.
    """
    if len(lungs) < LEAST_PATIENTS:
        return None
    seen = np.array([differences(*both) for both in lungs])
    middle, spread = seen.mean(axis=0), np.maximum(seen.std(axis=0), 1e-9)
    standard, wanted = (seen - middle) / spread, np.asarray(log_ratios, float)
    slopes = np.linalg.solve(
        standard.T @ standard + RIDGE * np.eye(standard.shape[1]), standard.T @ (wanted - wanted.mean())
    )
    slopes /= spread
    ranges = [tuple(limits) for limits in np.stack([seen.min(axis=0), seen.max(axis=0)], axis=1).round(5).tolist()]
    return LungBalance(
        len(lungs), whose, float(wanted.mean() - slopes @ middle), *(float(slope) for slope in slopes), *ranges
    )
