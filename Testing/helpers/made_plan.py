"""A made plan for a prediction of a virtual patient, as docs/dose.md uses it: no planning system has calculated it.

python Testing/helpers/made_plan.py RESULT OUT [CT_SERIES]

writes OUT/RS.dcm (GTV, PTV, spinal cord) and OUT/RD.dcm (60 Gy by three fields, on a grid of 3 mm). With the CT's
DICOM series both lie in its frame of reference and name its images; without, in one of their own.
"""

import sys
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from dicom_mask_samples import FRAME, write_structures
from rt_samples import change, circles, dose_grid, drawn_on, filled, write_rt_dose

from DLCTPMLib.lungs.upright import UprightLungs
from DLCTPMLib.volumes.dicom.belonging import Belonging
from DLCTPMLib.volumes.dicom.series import find_series

PRESCRIBED_GY = 60.0
GTV_MM, PTV_MM = 17.0, 27.0
FIELDS = ((0.0, 1.0), (180.0, 1.0), (-50.0, 0.6))
"""Angle from anterior towards the patient's left in degrees, and weight."""

_HALF_FIELD_MM, _PENUMBRA_MM, _ATTENUATION_PER_MM = 33.0, 5.0, 0.0035


def target(lungs: UprightLungs) -> np.ndarray:
    """Where the tumour is put: in the right lung, half way from its middle towards the middle of the chest."""
    places = {}
    for name, (box, mask) in lungs.crops().items():
        index = np.argwhere(mask)[::50] + [part.start for part in box]
        places[name] = lungs.axes.points_mm(index).mean(axis=0)
    right, left = places["right lung"], places["left lung"]
    return right + 0.3 * ((right + left) / 2 - right) * [1, 0, 0]


def dose_at(points: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Gy at LPS points (…, 3): fields with soft edges, fading with depth, the prescribed dose at the centre."""
    away = points - centre
    total = np.zeros(points.shape[:-1])
    for degrees, weight in FIELDS:
        angle = np.radians(degrees)
        along = away @ [-np.sin(angle), np.cos(angle), 0]  # depth, from the field's side
        across = np.stack([away @ [np.cos(angle), np.sin(angle), 0], away[..., 2]])
        edges = 1 / (1 + np.exp((np.abs(across) - _HALF_FIELD_MM) / (_PENUMBRA_MM / 2)))
        total += weight * edges.prod(axis=0) * np.exp(-_ATTENUATION_PER_MM * along)
    scatter = 0.02 * np.exp(-((away**2).sum(axis=-1)) / (2 * 90.0**2))
    return PRESCRIBED_GY * (total / sum(weight for _, weight in FIELDS) + scatter) / 1.02


def write_plan(result: Path, out: Path, ct_series: Path | None = None) -> tuple[Path, Path]:
    """Structure set and dose of the plan for a prediction's folder."""
    labels = sitk.ReadImage(str(result / "lungs.nrrd"))
    centre = target(UprightLungs.of(labels))
    corners = [labels.TransformIndexToPhysicalPoint(c) for c in ((0, 0, 0), tuple(n - 1 for n in labels.GetSize()))]
    low, high = np.min(corners, axis=0), np.max(corners, axis=0)
    heights = np.arange(low[2], high[2] + 0.1, labels.GetSpacing()[2])
    frame, drawn = FRAME, None
    if ct_series is not None:
        series = find_series(ct_series)[0]
        drawn = Belonging.of_series(ct_series, series.uid)
        frame = next(iter(drawn.frames))
    out.mkdir(parents=True, exist_ok=True)
    cord = [[(low[0] + high[0]) / 2, centre[1] + 70, z] for z in heights]
    structures = write_structures(
        out / "RS.dcm",
        {
            "GTV": circles(centre, GTV_MM, heights),
            "PTV": circles(centre, PTV_MM, heights),
            "SpinalCord": [circles(place, 7.0, [place[2]])[0] for place in cord],
        },
        frame,
    )
    size = np.ceil((high - low) / 3.0).astype(int)
    dose = filled(dose_grid(size, (3.0,) * 3, low + 1.0), lambda points: dose_at(points, centre))
    written = write_rt_dose(out / "RD.dcm", dose, frame=frame)
    if drawn is not None:
        drawn_on(structures, next(iter(drawn.series)), sorted(drawn.instances))
        for path in (structures, written):
            change(path, PatientID=drawn.patient_id)
    return structures, written


if __name__ == "__main__":
    write_plan(*map(Path, sys.argv[1:4]))
