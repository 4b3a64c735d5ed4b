"""The pictures of a report: slices in three planes as a radiologist holds them, and the comparison with a SPECT.

Every function returns one PNG. Patient right is on the picture's left (radiological convention); anterior and
head are at the top, and in sagittal slices anterior is on the left. Pixels have the proportions they have in mm.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, ListedColormap, LogNorm, Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from DLCTPMLib.agreement.comparison import MODEL, SpectComparison
from DLCTPMLib.common.templates import figure_text
from DLCTPMLib.function.definitions import HIGH, LOW, MIDDLE
from DLCTPMLib.function.regions import FunctionalLung
from DLCTPMLib.lungs.masks import side_masks
from DLCTPMLib.volumes.boxes import bounding_box
from DLCTPMLib.volumes.patient_axes import PatientAxes, patient_array, same_grid, upright_grid

COLOUR_MAP = "inferno"
"""Perceptually even and readable without colour vision; any Matplotlib name does."""

WINDOW_HU = (-1100.0, 400.0)
"""Window of the CT: level −350, width 1500 HU, in which the overlay stands out and soft tissue keeps shades."""

HIGH_COLOUR, LOW_COLOUR, MIDDLE_COLOUR = "#e69f00", "#0072b2", "#999999"
"""High- and low-functional lung, told apart by readers with any colour vision (Okabe and Ito); between them grey."""

NOTE = "research use only"
"""What stands beneath a picture unless more must be said (*simulated*)."""

FORCED_NOTE = "FORCED: an input check FAILED, this map cannot be right"
"""What stands before it in every picture of a map that a check of the input speaks against."""

SCALE_BAR_MM = 50
"""Length of the bar in the first row's last slice."""

_SOFT = "#666666"
_MARGIN_MM = 20.0
_OVERLAY = 0.6
_OUTSIDE = (0.13, 0.14, 0.16)
_COLUMNS = 6
_WIDTH_INCH, _DPI = 10.0, 130


@dataclass(frozen=True)
class Plane:
    """How slices across one patient axis are held.

    Attributes:
        name: axial, coronal or sagittal.
        axis: the axis of a (z, y, x) array that the slices cut across.
        letters: what lies at the left, right, top and bottom edge.
        coordinate: LPS name of the position along the axis.
    """

    name: str
    axis: int
    letters: tuple[str, str, str, str]
    coordinate: str

    def cut(self, view: np.ndarray, index: int) -> np.ndarray:
        """One slice as it is shown, first row at the top."""
        image = np.take(view, index, axis=self.axis)
        return image if self.axis == 0 else image[::-1]  # z runs upward


AXIAL = Plane("axial", 0, ("R", "L", "A", "P"), "z")
CORONAL = Plane("coronal", 1, ("R", "L", "H", "F"), "y")
SAGITTAL = Plane("sagittal", 2, ("A", "P", "H", "F"), "x")
PLANES = (AXIAL, CORONAL, SAGITTAL)


class ChestPictures:
    """Strips of slices through one mapped chest.

    Args:
        ct: HU.
        lungs: CIP labels on the CT's grid.
        perfusion: relative perfusion on the CT's grid.
        colour_map: Matplotlib's name of it.
        note: stands small beneath every strip.
        scale: what stands at the map's colour bar.
    """

    def __init__(
        self,
        ct: sitk.Image,
        lungs: sitk.Image,
        perfusion: sitk.Image,
        colour_map: str = COLOUR_MAP,
        note: str = NOTE,
        scale: str = "relative perfusion",
    ):
        if PatientAxes.of(ct).is_oblique:
            grid = upright_grid(ct)
            air = float(sitk.GetArrayViewFromImage(ct).min())
            ct = sitk.Resample(ct, grid, sitk.Transform(), sitk.sitkLinear, air)
            lungs = sitk.Resample(lungs, grid, sitk.Transform(), sitk.sitkNearestNeighbor)
            perfusion = sitk.Resample(perfusion, grid, sitk.Transform(), sitk.sitkLinear)
        self._kept = (ct, lungs, perfusion)  # the views below look into their memory
        self._axes = PatientAxes.of(ct)
        self._right, self._left = side_masks(lungs)
        self._lung = self._right | self._left
        self._hu, self._perfusion = patient_array(ct), patient_array(perfusion)
        self._box = with_margin(bounding_box(self._lung), self._axes)
        self._colours = colormaps[colour_map]
        self._note, self._scale = note, scale

    def strip(self, plane: Plane, shown: Sequence[str] = ("CT", "map on CT", "perfusion map")) -> bytes:
        """Slices of one plane: the CT, the map laid over it inside the lungs, and the map alone, or some of these."""
        rows = {"CT": self._ct_rgb, "map on CT": self._overlay_rgb, "perfusion map": self._map_rgb}
        rows = {name: rows[name] for name in shown}
        scale = ScalarMappable(Normalize(0, 1), self._colours)
        return self._strip(plane, rows, scale, self._scale)

    def functional(self, function: FunctionalLung, plane: Plane = CORONAL) -> bytes:
        """Slices of one plane with high- and low-functional lung in two colours on the CT (and grey between them)."""
        labels = function.labels()
        if not same_grid(labels, self._kept[0]):  # a tilted CT is shown upright
            labels = sitk.Resample(labels, self._kept[0], sitk.Transform(), sitk.sitkNearestNeighbor)
        classes, colours = patient_array(labels), {LOW: LOW_COLOUR, MIDDLE: MIDDLE_COLOUR, HIGH: HIGH_COLOUR}
        table = np.array([to_rgb(colours.get(value, LOW_COLOUR)) for value in range(4)])

        def coloured(plane: Plane, index: int) -> np.ndarray:
            return self._blend(plane, index, table[plane.cut(classes, index)], 0.5)

        edges = sorted(
            {0.0, 1.0, *(float(np.clip(e, 0.01, 0.99)) for e in (function.low_up_to, function.high_above))}
        )
        shown = [LOW_COLOUR, *[MIDDLE_COLOUR] * (len(edges) - 3), HIGH_COLOUR]
        bar = ScalarMappable(BoundaryNorm(edges, len(shown)), ListedColormap(shown))
        label = f"low-functional (≤ {function.low_up_to:.3g}) and high-functional (> {function.high_above:.3g}) lung"
        return self._strip(plane, {"function": coloured}, bar, f"{label}, {function.definition.name}")

    def _strip(self, plane: Plane, rows: dict[str, Callable], scale: ScalarMappable, label: str) -> bytes:
        indices = self._slices(plane)
        captions = [position_text(self._axes, plane, index) for index in indices]

        def picture(name: str, column: int) -> np.ndarray:
            return self._crop(plane, rows[name](plane, indices[column]))

        return slice_strip(plane, self._axes.spacing_mm, list(rows), captions, picture, [(scale, label)], self._note)

    def _slices(self, plane: Plane) -> list[int]:
        """Slices that part the lung volume evenly; in the sagittal plane each lung by itself."""
        masks = [m for m in (self._right, self._left) if m.any()] if plane is SAGITTAL else [self._lung]
        across = tuple(axis for axis in range(3) if axis != plane.axis)
        indices = []
        for mask in masks:
            volume = np.cumsum(mask.sum(axis=across))
            number = _COLUMNS // len(masks)
            shares = (np.arange(number) + 0.5) / number
            indices += [int(np.searchsorted(volume, share * volume[-1])) for share in shares]
        return indices[::-1] if plane is AXIAL else indices  # from head to feet, front to back, right to left

    def _crop(self, plane: Plane, picture: np.ndarray) -> np.ndarray:
        rows, columns = (self._box[axis] for axis in range(3) if axis != plane.axis)
        if plane.axis != 0:
            height = picture.shape[0]
            rows = slice(height - rows.stop, height - rows.start)
        return picture[rows, columns]

    def _ct_rgb(self, plane: Plane, index: int) -> np.ndarray:
        low, high = WINDOW_HU
        gray = np.clip((plane.cut(self._hu, index).astype(np.float32) - low) / (high - low), 0, 1)
        return np.repeat(gray[..., None], 3, axis=-1)

    def _overlay_rgb(self, plane: Plane, index: int) -> np.ndarray:
        return self._blend(plane, index, self._colours(plane.cut(self._perfusion, index))[..., :3], _OVERLAY)

    def _blend(self, plane: Plane, index: int, colours: np.ndarray, opacity: float) -> np.ndarray:
        """Colours over the CT, inside the lungs only."""
        ct = self._ct_rgb(plane, index)
        inside = plane.cut(self._lung, index)[..., None]
        return np.where(inside, (1 - opacity) * ct + opacity * colours, ct)

    def _map_rgb(self, plane: Plane, index: int) -> np.ndarray:
        inside = plane.cut(self._lung, index)[..., None]
        return np.where(inside, self._colours(plane.cut(self._perfusion, index))[..., :3], _OUTSIDE)


def spect_strip(comparison: SpectComparison, plane: Plane, colour_map: str = COLOUR_MAP, note: str = NOTE) -> bytes:
    """Slices on the SPECT's grid: SPECT and map on one scale, and their difference."""
    lung, colours, difference = comparison.masks["lungs"], colormaps[colour_map], colormaps["RdBu_r"]
    reference, prediction = (
        np.clip(image, 0, 1) for image in (comparison.reference(), comparison.predictions[MODEL])
    )
    box = with_margin(bounding_box(lung), comparison.axes)
    across = tuple(axis for axis in range(3) if axis != plane.axis)
    volume = np.cumsum(lung.sum(axis=across))
    shares = (np.arange(_COLUMNS) + 0.5) / _COLUMNS
    indices = [int(np.searchsorted(volume, share * volume[-1])) for share in shares]
    if plane is AXIAL:
        indices.reverse()  # from head to feet
    rows = {
        "SPECT": colours(reference),
        "map": colours(prediction),
        "map − SPECT": difference((prediction - reference + 1) / 2),
    }
    shown = {name: np.where(lung[..., None], rgba[..., :3], _OUTSIDE)[box] for name, rgba in rows.items()}
    start = box[plane.axis].start
    axes = comparison.axes
    captions = [position_text(axes, plane, index) for index in indices]
    scales = [
        (ScalarMappable(Normalize(0, 1), colours), "SPECT / HIR and map, both clipped to 0…1"),
        (ScalarMappable(Normalize(-1, 1), difference), "their difference"),
    ]

    def picture(name: str, column: int) -> np.ndarray:
        return plane.cut(shown[name], indices[column] - start)

    return slice_strip(plane, axes.spacing_mm, list(rows), captions, picture, scales, note)


def joint_histogram(comparison: SpectComparison, note: str = NOTE) -> bytes:
    """How often each pair of SPECT and map values occurs in the lungs, with the line of equality."""
    counts, edges = comparison.joint_histogram()
    figure = Figure(figsize=(4.6, 4.0), dpi=_DPI)
    axes = figure.add_axes((0.14, 0.14, 0.66, 0.78))
    top = float(edges[-1])
    shown = np.ma.masked_equal(counts, 0)
    image = axes.imshow(
        shown,
        origin="lower",
        extent=(0, top, 0, top),
        cmap="viridis",
        norm=LogNorm(1, max(counts.max(), 2)),
        aspect="equal",
    )
    axes.plot([0, top], [0, top], color="#444", linewidth=0.8)
    of_spect = comparison.limits(comparison.reference())[0]
    of_map = comparison.limits(comparison.predictions[MODEL], of_map=True)[0]
    axes.axvline(of_spect, color="#999", linewidth=0.7, linestyle=":")
    axes.axhline(of_map, color="#999", linewidth=0.7, linestyle=":")
    axes.set_xlabel("SPECT / HIR", fontsize=8)
    axes.set_ylabel("perfusion map", fontsize=8)
    axes.tick_params(labelsize=7)
    axes.set_title(f"dotted: high-functional by {comparison.settings.function}", fontsize=7, color="#555")
    bar = figure.colorbar(image, cax=figure.add_axes((0.83, 0.14, 0.03, 0.78)))
    bar.set_label("voxels of the SPECT", fontsize=7)
    bar.ax.tick_params(labelsize=7)
    figure.text(0.99, 0.02, note, ha="right", fontsize=6, color=_SOFT)
    return png_of(figure)


def position_text(axes: PatientAxes, plane: Plane, index: int) -> str:
    """Where a slice lies: its LPS coordinate at the middle of the volume, as "y = −120 mm"."""
    middle = [n // 2 for n in axes.shape]
    middle[plane.axis] = index
    steps = np.array(middle[::-1]) * axes.spacing_mm[::-1]
    position = float((axes.origin_mm + axes.directions @ steps)[2 - plane.axis])
    return f"{plane.coordinate} = {figure_text(position, 0)} mm"


def with_margin(box: tuple[slice, slice, slice] | None, axes: PatientAxes) -> tuple[slice, slice, slice]:
    """A box of a view with some room around it; all of the view where there is no box."""
    if box is None:
        return (slice(None), slice(None), slice(None))
    margins = [round(_MARGIN_MM / spacing) for spacing in axes.spacing_mm]
    return tuple(
        slice(max(b.start - m, 0), min(b.stop + m, n)) for b, m, n in zip(box, margins, axes.shape, strict=True)
    )


def slice_strip(
    plane: Plane,
    spacing_mm: tuple[float, float, float],
    rows: list[str],
    captions: list[str],
    picture: Callable[[str, int], np.ndarray],
    scales: list[tuple[ScalarMappable, str]],
    note: str,
) -> bytes:
    """Rows and columns of slices with captions, edge letters and colour bars.

    Args:
        plane: that the slices lie in.
        spacing_mm: of the voxels along z, y, x.
        rows: what stands at each row.
        captions: what stands over each column.
        picture: the RGB slice of a row's name and a column's number, first row at the top.
        scales: a colour bar and its text, from left to right.
        note: stands small beneath.
    """
    row_mm, column_mm = (spacing_mm[axis] for axis in range(3) if axis != plane.axis)
    height, width = picture(rows[0], 0).shape[:2]
    label, bar, gap, head = 0.35, 0.62, 0.03, 0.16
    cell_width = (_WIDTH_INCH - label) / len(captions) - gap
    cell_height = cell_width * height * row_mm / (width * column_mm)
    total = head + len(rows) * (cell_height + gap) + bar
    figure = Figure(figsize=(_WIDTH_INCH, total), dpi=_DPI)
    canvas = figure.add_axes((0, 0, 1, 1))  # all pictures in one frame, in inches: an axes each costs far more
    canvas.set(xlim=(0, _WIDTH_INCH), ylim=(0, total), autoscale_on=False)
    canvas.set_axis_off()
    for r, name in enumerate(rows):
        bottom = total - head - (r + 1) * (cell_height + gap) + gap
        canvas.text(0.4 * label, bottom + cell_height / 2, name, rotation=90, ha="center", va="center", fontsize=9)
        for c, caption in enumerate(captions):
            left = label + c * (cell_width + gap)
            extent = (left, left + cell_width, bottom, bottom + cell_height)
            canvas.imshow(picture(name, c), extent=extent, aspect="auto")
            _put_letters(canvas, plane, extent)
            if r == 0 and c == len(captions) - 1:
                _scale_bar(canvas, extent, cell_width / (width * column_mm))
            if r == 0:
                middle = left + cell_width / 2
                canvas.text(middle, total - 0.04, caption, ha="center", va="top", fontsize=7, color="#444")
    for number, (scale, text) in enumerate(scales):
        left = (label + 0.4 + number * 4.9) / _WIDTH_INCH
        _colour_bar(figure, scale, text, (left, 0.36 / total, 3.9 / _WIDTH_INCH, 0.12 / total))
    canvas.text(_WIDTH_INCH - 0.03, 0.03, note, ha="right", va="bottom", fontsize=6, color=_SOFT)
    return png_of(figure)


def _scale_bar(canvas: Axes, extent: tuple[float, float, float, float], inch_per_mm: float) -> None:
    """A line of ``SCALE_BAR_MM`` in the lower right corner of a slice."""
    right, bottom, length = extent[1] - 0.12, extent[2] + 0.12, SCALE_BAR_MM * inch_per_mm
    canvas.add_patch(Rectangle((right - length - 0.06, bottom - 0.06), length + 0.12, 0.3, color="black", alpha=0.6))
    canvas.plot([right - length, right], [bottom, bottom], color="white", linewidth=1.6)
    text = f"{SCALE_BAR_MM // 10} cm"
    canvas.text(right - length / 2, bottom + 0.05, text, color="white", fontsize=8, ha="center", va="bottom")


def _put_letters(canvas: Axes, plane: Plane, extent: tuple[float, float, float, float]) -> None:
    left, right, bottom, top = extent
    across, up, inset = (left + right) / 2, (bottom + top) / 2, 0.03
    places = ((left + inset, up, "left", "center"), (right - inset, up, "right", "center"))
    places += ((across, top - inset, "center", "top"), (across, bottom + inset, "center", "bottom"))
    outline = [withStroke(linewidth=1.6, foreground="black")]
    for letter, (x, y, horizontal, vertical) in zip(plane.letters, places, strict=True):
        text = canvas.text(x, y, letter, color="white", fontsize=7, ha=horizontal, va=vertical)
        text.set_path_effects(outline)


def _colour_bar(figure: Figure, scale: ScalarMappable, text: str, place: tuple[float, ...]) -> None:
    bar = figure.colorbar(scale, cax=figure.add_axes(place), orientation="horizontal")
    bar.set_label(text, fontsize=8, labelpad=2)
    bar.ax.tick_params(labelsize=7, length=2, pad=1)
    bar.outline.set_linewidth(0.4)


def png_of(figure: Figure) -> bytes:
    """A figure as a PNG file."""
    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None}, pil_kwargs={"compress_level": 4})
    return buffer.getvalue()
