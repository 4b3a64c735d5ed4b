"""The contact sheet: every patient of a study on one page, to look at before training."""

from __future__ import annotations

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from DLCTPMLib.results.figures import COLOUR_MAP, WINDOW_HU
from DLCTPMTrainingLib.samples.lung_samples import read_arrays
from DLCTPMTrainingLib.study.preparation import Patient

_PER_ROW = 8


def contact_sheet(patients: dict[str, Patient]) -> Figure:
    """Every patient on one sheet: coronal CT with the SPECT's colours over it and the lung mask's outline."""
    count = len(patients)
    columns = min(_PER_ROW, count)
    rows = -(-count // columns)
    figure = Figure(figsize=(1.5 * columns, 1.75 * rows + 0.2), dpi=110)
    for number, (name, patient) in enumerate(patients.items()):
        row, column = divmod(number, columns)
        axis = figure.add_axes(
            (column / columns, 1 - (row + 1) * 1.75 / (1.75 * rows + 0.2), 0.97 / columns, 1.5 / (1.75 * rows + 0.2))
        )
        pictures = read_arrays(patient.thumbnail)
        axis.imshow(_overlay(pictures["ct"], pictures["spect"].astype(float)), aspect="equal")
        axis.contour(pictures["lung"], [0.5], colors="#56e0ff", linewidths=0.5)
        doubts = bool(patient.registration and patient.registration["warnings"])
        axis.set_title(f"{name}{' (!)' if doubts else ''}\n{patient.row.diagnosis[:28]}", fontsize=5, pad=1.5,
                       color="#b3262e" if doubts else "black")  # fmt: skip
        axis.set_axis_off()
    return figure


def _overlay(ct: np.ndarray, spect: np.ndarray) -> np.ndarray:
    gray = np.clip((ct - WINDOW_HU[0]) / (WINDOW_HU[1] - WINDOW_HU[0]), 0, 1)[..., None]
    weight = np.clip(spect * 1.5, 0, 0.55)[..., None]
    return (1 - weight) * gray + weight * colormaps[COLOUR_MAP](spect)[..., :3]
