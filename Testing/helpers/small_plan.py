"""A plan for the small chest of the tests: a dose that grows across it, a target and organs."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from dicom_mask_samples import write_structures
from rt_samples import circles, dose_grid
from small_chest import CENTRES, ORIGIN, SIZE, SPACING

from DLCTPMLib.volumes.dicom.belonging import Belonging

GTV_CENTRE, GTV_MM = (-70.0, 20.0, 1052.0), 24.0


@dataclass(frozen=True)
class Planned:
    """A CT, its prediction, and a plan on it.

    Attributes:
        ct: DICOM folder.
        result: folder of the prediction.
        dose, structures: RT dose and structure set in the CT's frame of reference.
        drawn: whose the CT is.
    """

    ct: Path
    result: Path
    dose: Path
    structures: Path
    drawn: Belonging


def across(points):
    """A dose that grows from the patient's right to the left: 40 Gy over the chest."""
    return np.clip(40 * (points[..., 0] - ORIGIN[0]) / (SIZE[0] * SPACING[0]), 0, None)


def planning_grid():
    """A coarser, shifted grid over the chest."""
    return dose_grid((64, 52, 56), (6.0, 6.0, 6.0), (-178.0, -148.0, 872.0))


def planned_structures(path: Path, frame: str) -> Path:
    heights = ORIGIN[2] + SPACING[2] * np.arange(SIZE[2])
    return write_structures(
        path,
        {
            "GTV": circles(GTV_CENTRE, GTV_MM, heights),
            "Heart": circles((20.0, -40.0, 1000.0), 30.0, heights),
            "Lungs-GTV": circles(CENTRES[3], 40.0, heights),
            "ITV_old": [],
        },
        frame,
    )
