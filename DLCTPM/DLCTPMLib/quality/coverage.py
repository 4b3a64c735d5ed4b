"""Whether a CT shows the whole chest: lungs that are cut where the CT ends, far from their own end, are parts."""

from __future__ import annotations

import numpy as np

MOST_CUT_CM2 = 200.0
"""More lung than this on the first or last slice: the scan begins or ends in the middle of the chest."""

CUT_OF_LARGEST = 2 / 3
"""Nor is an end of the lungs there where the cut is more than this part of their largest cross-section …"""

LEAST_CUT_CM2 = 20.0
"""… and at least this large: the tips of the recesses are often cut, and little is lost."""

_ENDS = (("bottom", "diaphragm"), ("top", "apex of the lungs"))


def whole_chest(hu: np.ndarray, lung: np.ndarray, first: int, pixel_mm2: float) -> tuple[str, str, float | None, str]:
    """Whether the lungs' lower and upper ends are on the CT.

    Args:
        hu: the CT, (z, y, x) along the patient's axes.
        lung: both lungs, boolean, in the box that holds them.
        first: the slice of the CT at which that box begins.
        pixel_mm2: area of a pixel of a slice.

    Returns:
        The check: its value is the larger of the two cuts in cm².
    """
    name = "whole chest"
    area = np.count_nonzero(lung, axis=(1, 2)) * pixel_mm2 / 100
    if not area.any():
        return name, "FAIL", None, "There is no lung in the mask."
    scanned = np.flatnonzero(_measured(hu))
    ends = first <= scanned[0], first + len(area) - 1 >= scanned[-1]
    cut = [float(area[index]) if reached else 0.0 for index, reached in zip((0, -1), ends, strict=True)]
    limit = min(MOST_CUT_CM2, max(CUT_OF_LARGEST * float(area.max()), LEAST_CUT_CM2))
    worst = max(cut)
    missing = [end for end, area_cm2 in zip(_ENDS, cut, strict=True) if area_cm2 > limit]
    if not missing:
        return name, "PASS", worst, "The lungs reach from their apices to the diaphragm."
    where = " and ".join(f"{face} of the CT (no {part})" for face, part in missing)
    return (
        name,
        "FAIL",
        worst,
        f"The lungs are cut through over up to {worst:.0f} cm² at the {where}: a part of the chest, or another part "
        "of the body; take a CT from above the apices to below the diaphragm.",
    )


def _measured(hu: np.ndarray) -> np.ndarray:
    """Which slices are no filling before or after the scan (one value of at most 0); all where every one is."""
    sample = hu[:, ::4, ::4].reshape(len(hu), -1)
    highest = sample.max(axis=1)
    measured = (highest > sample.min(axis=1)) | (highest > 0)
    return measured if measured.any() else ~measured
