"""How unevenly a region is perfused: coefficient of variation, interquartile range, share of defects."""

from __future__ import annotations

import numpy as np

DEFECT_BELOW = 0.6
"""A voxel below this share of the mean over both lungs counts as a defect: the rule of the ventilation defect
percentage with a threshold at 60 % of the whole lung's mean, as it is used for gas MRI (Thomen et al., Radiology
2015;274:250-259), applied to perfusion."""

FIGURES = ("cv", "heterogeneity", "defect_percent")


def heterogeneity(values: np.ndarray, mean_of_lungs: float) -> dict[str, float | None]:
    """Figures of one region of a map.

    Args:
        values: relative perfusion of the region's voxels, 0 or more, any shape.
        mean_of_lungs: over both lungs; the scale of what counts as a defect.

    Returns:
        ``cv``, standard deviation over mean; ``heterogeneity``, interquartile range over mean; ``defect_percent``,
        the voxels below ``DEFECT_BELOW`` of the lungs' mean in percent of the region. None where the mean is 0 or
        the region is empty.
    """
    mean = values.mean(dtype=np.float64) if values.size else 0.0
    if not mean > 0:
        return dict.fromkeys(FIGURES)
    lower, upper = np.percentile(values, (25, 75))
    defects = np.count_nonzero(values < DEFECT_BELOW * mean_of_lungs)
    return {
        "cv": float(values.std(dtype=np.float64) / mean),
        "heterogeneity": float((upper - lower) / mean),
        "defect_percent": 100 * defects / values.size,
    }
