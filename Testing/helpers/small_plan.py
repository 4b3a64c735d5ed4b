"""A plan for the small chest of the tests: a dose that grows across it, a target and organs."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from dicom_mask_samples import write_structures
from dicom_samples import write_ct_series
from rt_samples import circles, dose_grid, drawn_on, filled, write_rt_dose
from small_chest import CENTRES, ORIGIN, SIZE, SPACING, chest_ct

from DLCTPMLib.volumes.dicom.belonging import Belonging
from DLCTPMLib.volumes.dicom.series import find_series

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


def write_plan(folder: Path) -> dict[str, str]:
    """The chest's CT as a DICOM series, and in its frame of reference a structure set and a dose; paths by name."""
    ct = folder / "ct"
    write_ct_series(ct, sitk.GetArrayFromImage(chest_ct()), spacing=SPACING, origin=ORIGIN, intercept=-2048.0)
    drawn = Belonging.of_series(ct, find_series(ct)[0].uid)
    (frame,) = drawn.frames
    structures = planned_structures(folder / "rs.dcm", frame)
    drawn_on(structures, next(iter(drawn.series)), sorted(drawn.instances))
    dose = write_rt_dose(folder / "rd.dcm", filled(planning_grid(), across), frame=frame)
    return {"dicom": str(ct), "structures": str(structures), "dose": str(dose)}
