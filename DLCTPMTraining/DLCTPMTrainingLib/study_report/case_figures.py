"""Pictures of a study's patients: contact sheet, preprocessing (Fig. 2a), colour views (Fig. 3), cases (Fig. 5)."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from DLCTPMLib.function.settings import FUNCTIONAL_THRESHOLD
from DLCTPMLib.lungs.masks import side_masks
from DLCTPMLib.mapping.mapping import LungGrids
from DLCTPMLib.preprocessing.enhancement import (
    enhance_ct,
    equalisation_table,
    hu_bins,
    median_filter,
    standardise_spect,
)
from DLCTPMLib.preprocessing.settings import PreprocessingSettings
from DLCTPMLib.results.figures import COLOUR_MAP, WINDOW_HU
from DLCTPMLib.volumes.boxes import bounding_box
from DLCTPMLib.volumes.patient_axes import PatientAxes, patient_array
from DLCTPMTrainingLib.common.drawing import DPI
from DLCTPMTrainingLib.samples.from_images import high_intensity_references
from DLCTPMTrainingLib.study.evaluation import Mapped
from DLCTPMTrainingLib.study.preparation import PatientImages

RANDOM_COLOURS = 256
_MARGIN_MM = 15.0


def preprocessing_strip(images: PatientImages, settings: PreprocessingSettings) -> Figure:
    """Fig. 2(a): one coronal slice of the right lung through every step of Eq. 1 and Eq. 2."""
    on_grid = LungGrids.of(images.ct, images.lungs, settings)
    side, grid = next(iter(on_grid.grids.items()))
    hu, mask = grid.down(on_grid.hu), grid.mask
    bins = hu_bins(hu, mask, settings)
    table = equalisation_table(bins[mask], settings)
    counts = grid.down_crop(on_grid.crop_of(side, images.spect, images.transform))
    reference = high_intensity_references(images.lungs, images.spect, settings, images.transform)[side]
    whole = PreprocessingSettings.from_dict({**settings.to_dict(), "levels": 0})
    size = "×".join(map(str, mask.shape))
    whole_range, levels = (np.where(mask, standardise_spect(counts, reference, s), 0) for s in (whole, settings))
    steps = [
        (f"CT of the {side}\non {size} cells", np.where(mask, hu, -1000), "gray", WINDOW_HU),
        ("histogram equalised", np.where(mask, table[bins], 0), "gray", (0, 1)),
        (f"median filter {settings.median_size}", table[median_filter(bins, settings.median_size)], "gray", (0, 1)),
        (f"uniform filter {settings.uniform_size}\nEq. 1, edges {settings.edges}",
         enhance_ct(hu, mask, settings), "gray", (0, 1)),
        ("SPECT", np.where(mask, counts, 0), COLOUR_MAP, (0, float(np.percentile(counts[mask], 99)))),
        (f"divided by its P{settings.hir_percentile:g}", whole_range, COLOUR_MAP, (0, 1)),
        (f"{settings.levels} levels\nEq. 2", levels, COLOUR_MAP, (0, 1)),
    ]  # fmt: skip
    figure = Figure(figsize=(11, 3.6), dpi=DPI, layout="constrained")
    axes = figure.subplots(1, len(steps))
    box = np.array(grid.inside.shape) * PatientAxes.of(images.ct).spacing_mm
    aspect = (box[0] / mask.shape[0]) / (box[2] / mask.shape[2])
    for axis, (title, values, colours, (low, high)) in zip(axes, steps, strict=True):
        axis.imshow(values[::-1, values.shape[1] // 2], cmap=colours, vmin=low, vmax=high, aspect=aspect)
        axis.set_title(title, fontsize=7.5)
        axis.set_axis_off()
    figure.get_layout_engine().set(rect=(0, 0.05, 1, 0.86))
    return figure


def colour_views(mapped: Mapped) -> Figure:
    """Fig. 3: the same coronal slice as SPECT with its low-functional contour and as CT in three colourings."""
    view = _CoronalView(mapped)
    index = view.most_low()
    spect, ct, lung = view.cut(view.spect, index), view.cut(view.ct, index), view.cut(view.lung, index)
    noise = np.random.default_rng(4).random((RANDOM_COLOURS, 3))
    shades = np.clip((ct + 1000) / 700, 0, 1)
    panels = [
        ("(a) SPECT, low function outlined", np.where(lung, np.clip(spect, 0, 1.2), 0), "gray", 1.2),
        ("(b) CT, gray", np.clip((ct - WINDOW_HU[0]) / (WINDOW_HU[1] - WINDOW_HU[0]), 0, 1), "gray", 1),
        ("(c) CT, −1000 to −300 HU, rainbow", shades, "nipy_spectral", 1),
        ("(d) CT, 256 random colours", shades, ListedColormap(noise), 1),
    ]
    figure = Figure(figsize=(11, 3.4), dpi=DPI, layout="constrained")
    for axis, (title, values, colours, top) in zip(figure.subplots(1, 4), panels, strict=True):
        axis.imshow(values, cmap=colours, vmin=0, vmax=top, aspect=view.aspect, interpolation="nearest")
        _outline(axis, lung & (spect <= FUNCTIONAL_THRESHOLD), "#4f7cff")
        axis.set_title(title, fontsize=8)
        axis.set_axis_off()
    figure.get_layout_engine().set(rect=(0, 0.05, 1, 0.95))
    return figure


def cases(chosen: list[tuple[str, Mapped]], slices: int = 3) -> Figure:
    """Fig. 5: CT, SPECT, map and difference of some patients, SPECT and map on one scale.

    Args:
        chosen: caption and patient, the worst first.
        slices: coronal slices each.
    """
    rows = ("CT", "SPECT / HIR", "map", "map − SPECT")
    figure = Figure(figsize=(3.7 * len(chosen) + 0.9, 6.3), dpi=DPI, layout="constrained")
    figure.get_layout_engine().set(rect=(0, 0.03, 1, 0.97), w_pad=0.01, h_pad=0.01, wspace=0.01, hspace=0.01)
    axes = figure.subplots(len(rows), slices * len(chosen), squeeze=False)
    colours, difference = colormaps[COLOUR_MAP], colormaps["RdBu_r"]
    shown = {}
    for place, (caption, mapped) in enumerate(chosen):
        view = _CoronalView(mapped)
        for column, index in enumerate(view.indices(slices)):
            ct, spect, perfusion, lung = (view.cut(v, index) for v in (view.ct, view.spect, view.map, view.lung))
            spect = np.clip(spect, 0, 1)
            hidden = {"SPECT / HIR": spect, "map": perfusion, "map − SPECT": perfusion - spect}
            for row, name in enumerate(rows):
                axis = axes[row, slices * place + column]
                if name == "CT":
                    axis.imshow(ct, cmap="gray", vmin=WINDOW_HU[0], vmax=WINDOW_HU[1], aspect=view.aspect)
                else:
                    signed = name == "map − SPECT"
                    shown[name] = axis.imshow(
                        np.ma.masked_array(hidden[name], ~lung), cmap=difference if signed else colours,
                        vmin=-1 if signed else 0, vmax=1, aspect=view.aspect,
                    )  # fmt: skip
                    axis.set_facecolor("#22252a")
                axis.set(xticks=[], yticks=[])
                if place == 0 and column == 0:
                    axis.set_ylabel(name, fontsize=8)
        axes[0, slices * place + slices // 2].set_title(caption, fontsize=8)
    for name, words in (("map", "SPECT / HIR and map, 0…1"), ("map − SPECT", "difference")):
        bar = figure.colorbar(shown[name], ax=axes[1:3] if name == "map" else axes[3:], shrink=0.85, fraction=0.02)
        bar.set_label(words, fontsize=7)
        bar.ax.tick_params(labelsize=6)
    return figure


class _CoronalView:
    """One patient's CT, SPECT and map on the CT's grid, cropped to the lungs, as coronal slices are held."""

    def __init__(self, mapped: Mapped):
        images, comparison = mapped.images, mapped.comparison
        right, left = side_masks(images.lungs)
        axes = PatientAxes.of(images.ct)
        margins = [round(_MARGIN_MM / s) for s in axes.spacing_mm]
        box = tuple(
            slice(max(b.start - m, 0), b.stop + m) for b, m in zip(bounding_box(right | left), margins, strict=True)
        )
        scale = comparison.scales[comparison.settings.hir_scope]
        normalised = np.divide(comparison.spect, scale, out=np.zeros_like(comparison.spect), where=scale > 0)
        # outside the lungs the scale is unknown: the patient's own stands in, for the interpolation at the border
        filled = np.where(scale > 0, normalised, comparison.spect / np.nanmedian(scale)).astype(np.float32)
        reference = comparison.axes.image(filled)
        on_ct = sitk.Resample(reference, images.ct, images.transform or sitk.Transform(3, sitk.sitkIdentity),
                              sitk.sitkLinear, 0.0, sitk.sitkFloat32)  # fmt: skip
        self.lung = (right | left)[box]
        self.ct, self.spect, self.map = (patient_array(i)[box] for i in (images.ct, on_ct, mapped.perfusion))
        self.aspect = axes.spacing_mm[0] / axes.spacing_mm[2]

    @staticmethod
    def cut(view: np.ndarray, index: int) -> np.ndarray:
        """A coronal slice, head at the top."""
        return view[::-1, index]

    def indices(self, count: int) -> list[int]:
        """Slices that part the lungs' volume evenly, from front to back."""
        volume = np.cumsum(self.lung.sum(axis=(0, 2)))
        return [int(np.searchsorted(volume, (k + 0.5) / count * volume[-1])) for k in range(count)]

    def most_low(self) -> int:
        """The slice with most low-functional lung, away from the front and back edges."""
        low = (self.lung & (self.spect <= FUNCTIONAL_THRESHOLD)).sum(axis=(0, 2))
        return int(np.argmax(low))


def _outline(axis: Axes, mask: np.ndarray, colour: str) -> None:
    if mask.any() and not mask.all():
        axis.contour(mask, [0.5], colors=colour, linewidths=0.7)
