"""The pictures of dose and function: cumulative histograms, and slices of map, dose and both together."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, ListedColormap, Normalize
from matplotlib.figure import Figure

from DLCTPMLib.dose.analysis import DoseImages
from DLCTPMLib.function.definitions import HIGH, LOW, MIDDLE, Definition
from DLCTPMLib.results.figures import (
    AXIAL,
    COLOUR_MAP,
    CORONAL,
    HIGH_COLOUR,
    LOW_COLOUR,
    Plane,
    png_of,
    position_text,
    slice_strip,
    with_margin,
)
from DLCTPMLib.volumes.boxes import bounding_box
from DLCTPMLib.volumes.patient_axes import PatientAxes, patient_array, upright_grid

BANDS_GY = (0, 5, 10, 20, 30, 40, 60)
"""Edges of the dose's colours."""

_LAST_BAND_GY = 70
"""Where the last colour ends in the colour bar; more has it too."""

MUCH_GY = 20
"""The dose of the picture of function and dose together: that of V20."""

_FINEST_MM = 2.0
_COLUMNS = 6
_OUTSIDE = (0.13, 0.14, 0.16)
_DOSE_COLOURS = ("#e8eef4", "#b9d4e8", "#7fb8d9", "#f3cf6b", "#ef8f45", "#cf3f38", "#7d1128")
_TARGET_COLOUR = (0.55, 0.55, 0.58)
_TARGET = 1 + max(HIGH, LOW, MIDDLE)
_CLASS_COLOURS = ["#b40426"] + [{HIGH: HIGH_COLOUR, LOW: LOW_COLOUR}.get(n, "#c9c9c9") for n in range(1, _TARGET + 1)]
"""High-functional lung with much dose, then the classes of ``function.definitions`` and the targets."""

_DPI = 130


def histogram_figure(curves: dict, region: str, note: str) -> bytes:
    """Cumulative dose–volume and dose–function histograms of one region.

    Args:
        curves: as ``LungDose.curves`` gives them.
        region: one of its regions.
        note: stands small beneath.
    """
    figure = Figure(figsize=(7.4, 4.0), dpi=_DPI)
    axes = figure.add_axes((0.09, 0.13, 0.89, 0.83))
    own = curves[region]
    dose = np.arange(len(own["volume_percent"])) * curves["step_gy"]
    for key, label, style in (
        ("volume_percent", "dose–volume (all lung)", {"color": "#333", "linewidth": 1.8}),
        ("function_percent", "dose–function (weighted with the map)", {"color": "#7b2d6e", "linewidth": 1.8}),
        ("high_percent", "high-functional lung", {"color": HIGH_COLOUR, "linewidth": 1.4, "linestyle": "--"}),
        ("low_percent", "low-functional lung", {"color": LOW_COLOUR, "linewidth": 1.4, "linestyle": "--"}),
    ):
        axes.plot(dose, np.array(own[key], float), label=label, **style)
    axes.set(xlim=(0, dose[-1]), ylim=(0, 100.5))
    axes.set_xlabel("dose (Gy)", fontsize=8)
    axes.set_ylabel("share that gets at least this dose (%)", fontsize=8)
    axes.grid(color="#dde3ea", linewidth=0.6)
    axes.tick_params(labelsize=7)
    axes.legend(fontsize=8, frameon=False)
    figure.text(0.99, 0.015, note, ha="right", fontsize=6, color="#666666")
    return png_of(figure)


class DosePictures:
    """Strips of slices through the lungs: the map, the dose in them, and high-functional lung that gets much of it.

    Args:
        images: of the patient.
        definition: of high- and low-functional lung.
        note: stands small beneath every strip.
    """

    def __init__(self, images: DoseImages, definition: Definition, note: str):
        axes, box, sides = images.lungs.axes, images.lungs.box, images.lungs.sides
        labels = np.zeros(axes.shape, np.uint8)
        labels[box] = definition.classes(patient_array(images.perfusion)[box], sides, axes.voxel_ml)
        for mask in images.excluded.values():
            labels[box][mask & (sides > 0)] = _TARGET
        grid = _picture_grid(images.perfusion)
        lungs = sitk.Resample(axes.image(labels), grid, sitk.Transform(), sitk.sitkNearestNeighbor)
        perfusion = sitk.Resample(images.perfusion, grid, sitk.Transform(), sitk.sitkLinear, 0.0, sitk.sitkFloat32)
        moved = images.transform or sitk.Transform()
        dose = sitk.Resample(images.dose, grid, moved, sitk.sitkLinear, 0.0, sitk.sitkFloat32)
        self._axes = PatientAxes.of(grid)
        self._labels = patient_array(lungs)
        self._perfusion, self._dose = patient_array(perfusion), patient_array(dose)
        self._box = with_margin(bounding_box(self._labels), self._axes)
        self._note = note

    def strip(self, plane: Plane) -> bytes:
        """Slices of one plane in three rows."""
        bands = BoundaryNorm([*BANDS_GY, max(_LAST_BAND_GY, float(self._dose.max()))], len(_DOSE_COLOURS))
        dose_colours = ListedColormap(_DOSE_COLOURS)
        classes = ListedColormap(_CLASS_COLOURS)
        indices = self._slices(plane)

        def colours(name: str, column: int) -> np.ndarray:
            perfusion, dose, labels = (
                plane.cut(view[self._box], indices[column] - self._box[plane.axis].start)
                for view in (self._perfusion, self._dose, self._labels)
            )
            if name == "perfusion map":
                shown = colormaps[COLOUR_MAP](perfusion)
            elif name == "dose":
                shown = dose_colours(bands(dose))
            else:
                shown = classes(np.where((labels == HIGH) & (dose >= MUCH_GY), 0, labels))
            shown = np.where((labels > 0)[..., None], shown[..., :3], _OUTSIDE)
            return np.where((labels == _TARGET)[..., None], _TARGET_COLOUR, shown)

        scales = [
            (ScalarMappable(Normalize(0, 1), colormaps[COLOUR_MAP]), "relative perfusion"),
            (ScalarMappable(BoundaryNorm([*BANDS_GY, _LAST_BAND_GY], len(_DOSE_COLOURS)), dose_colours), "dose (Gy)"),
        ]
        captions = [position_text(self._axes, plane, index) for index in indices]
        rows = ["perfusion map", "dose", "function, dose"]
        return slice_strip(plane, self._axes.spacing_mm, rows, captions, colours, scales, self._note)

    def _slices(self, plane: Plane) -> list[int]:
        """Slices that part the lungs evenly, from head to feet or front to back."""
        across = tuple(axis for axis in range(3) if axis != plane.axis)
        volume = np.cumsum((self._labels > 0).sum(axis=across))
        shares = (np.arange(_COLUMNS) + 0.5) / _COLUMNS
        indices = [int(np.searchsorted(volume, share * volume[-1])) for share in shares]
        return indices[::-1] if plane is AXIAL else indices


def _picture_grid(image: sitk.Image) -> sitk.Image:
    """An upright grid over an image, no finer than pictures show."""
    whole = upright_grid(image)
    spacing = np.array(whole.GetSpacing())
    wanted = np.maximum(spacing, _FINEST_MM)
    size = np.maximum(np.ceil(np.array(whole.GetSize()) * spacing / wanted), 1).astype(int)
    grid = sitk.Image([int(n) for n in size], sitk.sitkUInt8)
    grid.SetSpacing([float(mm) for mm in wanted])
    grid.SetOrigin([float(o) for o in np.array(whole.GetOrigin()) + (wanted - spacing) / 2])
    return grid


PLANES = (CORONAL, AXIAL)
"""Planes of the report's strips."""
