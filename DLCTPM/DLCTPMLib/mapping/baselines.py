"""What needs no learning: the six maps that a model has to beat (METHOD.md §5 and §7.6).

Each gives cell values on the network's grid, one array a lung, as the network does; ``LungGrids.to_ct`` brings them
to the CT by the same way back. Agreement divides all but ``all_high`` by their own percentile.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from DLCTPMLib.lungs.upright import UprightLungs
from DLCTPMLib.mapping.mapping import LungGrids
from DLCTPMLib.preprocessing.enhancement import enhance_ct, masked_median
from DLCTPMLib.preprocessing.settings import PreprocessingSettings

DORSAL_GAIN_PER_CM = 0.04
"""How much ``geometry`` grows per cm towards the back, from 1 at the lungs' most ventral point."""
PLEURA_LENGTH_MM = 15.0
"""Depth below the pleura at which ``geometry`` reaches 1 − 1/e of its inner value."""

SPECT_FWHM_MM = 14.0
"""Resolution of a SPECT to which ``blurred_mask`` and ``blurred_density`` are blurred (Gaussian)."""
MASK_GAIN_PER_CM, DENSITY_GAIN_PER_CM = 0.04, 0.025
"""How steeply the two grow towards the back: e to so much per cm."""
DENSITY_CAP = 0.3
"""Density (HU + 1000) / 1000 from which ``blurred_density`` takes lung as equally dense: vessels, consolidation."""

SELF_SCALED = ("geometry", "density_median", "enhanced_ct", "blurred_mask", "blurred_density")
"""Baselines in arbitrary units: agreement divides them by their own percentile, as the SPECT is by its HIR."""


def all_high(lungs: LungGrids) -> dict[str, np.ndarray]:
    """1 everywhere: calls the whole lung high-functional."""
    return {side: grid.mask.astype(np.float32) for side, grid in lungs.grids.items()}


def geometry(lungs: LungGrids) -> dict[str, np.ndarray]:
    """(1 + 0.04 per cm dorsal) × (1 − e^(−depth to pleura / 15 mm)): gravity and edge blur, without any HU.

    Dorsal is measured from the most ventral point of both lungs. Depth is the distance to the nearest cell
    outside that lung, minus half a cell. The constants are fixed beforehand and were fitted to nothing.
    """
    ventral = min(_cell_centres_mm(lungs, side, 1)[0] for side in lungs.grids)
    cells = {}
    for side, grid in lungs.grids.items():
        sizes = _cell_sizes_mm(lungs, side)
        distance = ndimage.distance_transform_edt(np.pad(grid.mask, 1), sampling=sizes)[1:-1, 1:-1, 1:-1]
        depth = np.clip(distance - np.mean(sizes) / 2, 0, None)
        dorsal_cm = (_cell_centres_mm(lungs, side, 1) - ventral)[:, None] / 10
        values = (1 + DORSAL_GAIN_PER_CM * dorsal_cm) * (1 - np.exp(-depth / PLEURA_LENGTH_MM))
        cells[side] = values.astype(np.float32)
    return cells


def density_median(lungs: LungGrids, settings: PreprocessingSettings) -> dict[str, np.ndarray]:
    """Lung density (HU + 1000) / 1000 under the median filter of Eq. 1, which never looks outside the lung."""
    cells = {}
    for side, grid in lungs.grids.items():
        density = np.clip(np.rint(grid.down(lungs.hu)) + 1000, 0, 2000).astype(np.uint16)
        median = masked_median(np.where(grid.mask, density, np.uint16(0)), grid.mask, settings.median_size)
        cells[side] = (median / 1000).astype(np.float32)
    return cells


def enhanced_ct(lungs: LungGrids, settings: PreprocessingSettings) -> dict[str, np.ndarray]:
    """The network's input (Eq. 1) taken for its output."""
    return {side: enhance_ct(grid.down(lungs.hu), grid.mask, settings) for side, grid in lungs.grids.items()}


def blurred_mask(lungs: LungGrids) -> dict[str, np.ndarray]:
    """The lung mask as a SPECT would blur it, times e^(0.04 per cm dorsal): edges and gravity, no HU."""
    ones = {side: grid.mask.astype(np.float32) for side, grid in lungs.grids.items()}
    return _blurred(lungs, ones, MASK_GAIN_PER_CM)


def blurred_density(lungs: LungGrids) -> dict[str, np.ndarray]:
    """Density of the lung, at most 0.3, as a SPECT would blur it, times e^(0.025 per cm dorsal)."""
    density = {}
    for side, grid in lungs.grids.items():
        capped = np.clip((grid.down(lungs.hu) + 1000) / 1000, 0, DENSITY_CAP)
        density[side] = np.where(grid.mask, capped, 0).astype(np.float32)
    return _blurred(lungs, density, DENSITY_GAIN_PER_CM)


def _blurred(lungs: LungGrids, cells: dict[str, np.ndarray], gain_per_cm: float) -> dict[str, np.ndarray]:
    """Cells blurred to a SPECT's resolution, nothing around their lung, steeper towards the back; 0 outside it."""
    result = {}
    for side, values in cells.items():
        sigma = SPECT_FWHM_MM / np.sqrt(8 * np.log(2)) / _cell_sizes_mm(lungs, side)
        dorsal_cm = _cell_centres_mm(lungs, side, 1)[:, None] / 10  # where it starts is a scale, which goes
        image = ndimage.gaussian_filter(values, sigma, mode="constant") * np.exp(gain_per_cm * dorsal_cm)
        result[side] = np.where(lungs.grids[side].mask, image, 0).astype(np.float32)
    return result


def baseline_maps(
    lungs: sitk.Image | UprightLungs, ct: sitk.Image | None, settings: PreprocessingSettings
) -> Iterator[tuple[str, np.ndarray]]:
    """Name and map of one baseline after the other, so that no two of them are in memory together.

    Args:
        lungs: upright, or as a label image of CIP values on the CT's grid.
        ct: HU; without it the three baselines that look at HU are left out.
        settings: grid and filters of the model that they stand beside.

    Yields:
        name and float32 (z, y, x) array along the CT's axes, 0 outside the lungs, not scaled.
    """
    lungs = UprightLungs.of(lungs)
    empty = lungs.axes.image_of_box(tuple(slice(0, n) for n in lungs.axes.shape)) if ct is None else ct
    on_grid = LungGrids(empty, lungs, settings.grid_shape)
    yield "all_high", on_grid.to_view(all_high(on_grid))
    yield "geometry", on_grid.to_view(geometry(on_grid))
    yield "blurred_mask", on_grid.to_view(blurred_mask(on_grid))
    if ct is not None:
        yield "density_median", on_grid.to_view(density_median(on_grid, settings))
        yield "enhanced_ct", on_grid.to_view(enhanced_ct(on_grid, settings))
        yield "blurred_density", on_grid.to_view(blurred_density(on_grid))


def _cell_sizes_mm(lungs: LungGrids, side: str) -> np.ndarray:
    """Cell edges (z, y, x) of one lung's grid in mm."""
    grid = lungs.grids[side]
    return np.array(lungs.axes.spacing_mm) * grid.inside.shape / grid.shape


def _cell_centres_mm(lungs: LungGrids, side: str, axis: int) -> np.ndarray:
    """Positions of one lung's cells along one view axis in mm, from the first voxel's face of the CT."""
    grid = lungs.grids[side]
    start = grid.box[axis].start * lungs.axes.spacing_mm[axis]
    return start + (np.arange(grid.shape[axis]) + 0.5) * _cell_sizes_mm(lungs, side)[axis]
