"""Lungs from the CT alone, where no mask is given: the segmentation of last resort.

The rules, on cells of a few millimetres (``cells``), the border then at full resolution (``border``):

1. *Air* is what lies below ``air_hu`` and is not padding (``field_of_view``).
2. *Inside the body*: tissue of the body on at least three sides in the axial slice. The body is the largest
   piece of tissue once thin things (the table's shell, clothes) are eroded away, so air under the arms, in
   the table and around the patient is out. In a scan with padding, whole pieces of air count that mostly lie
   so: the field of view may cut a lung, for padding is no way out for air.
3. *Trachea and large bronchi* are followed slice by slice and removed with their walls (``airways``).
4. *Lungs* are the largest pieces of air that is left, and smaller ones (behind a consolidation) that have
   lung below them or no gas at all inside. Gas in stomach and bowel is apart from them and as dark as the air
   around the patient; where the wall between is thin it is dark and walled in, and said.
5. *Right and left* are split where they touch (``sides``).
6. *Closing*: each lung is closed by a ball and its holes are filled, so vessels and small lesions inside it
   belong to it, as in the Chest Imaging Platform's whole-lung masks.

Limits: consolidation, tumour and effusion that lie against the chest wall and are wider than about twice
``closing_mm`` are left out (correct the mask, or give another); a large bulla that has tissue nearly all around
can be taken for gas, and is said.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.common.progress import Progress, no_progress
from DLCTPMLib.lungs.airways import AirwaySettings, find_airways
from DLCTPMLib.lungs.border import draw_lungs
from DLCTPMLib.lungs.cells import FACES, CellGrid, ball, closed, dilated, spread
from DLCTPMLib.lungs.field_of_view import BELOW_AIR_HU, Padding
from DLCTPMLib.lungs.masks import Lungs
from DLCTPMLib.lungs.parts import Box, Chosen, air_level, body_of, choose, enclosed, sides_with
from DLCTPMLib.lungs.sides import lateral_mm, split_cells
from DLCTPMLib.lungs.upright import UprightLungs
from DLCTPMLib.volumes.patient_axes import PatientAxes


@dataclass(frozen=True)
class LungSegmentationSettings:
    """What the segmentation goes by.

    Attributes:
        air_hu: below it a voxel is air (gas or aerated lung).
        padding_hu: below it a voxel is padding outside the field of view, where such values are flat (noise is not).
        cell_mm: size of the cells in which lungs are sought.
        closing_mm: radius of the ball that closes each lung.
        min_lungs_ml: smaller finds are no lungs.
        gas_above_air_hu: gas outside the lungs lies less than this above the air around the patient.
        airways: how trachea and large bronchi are recognised.
    """

    air_hu: float = -400.0
    padding_hu: float = BELOW_AIR_HU
    cell_mm: float = 3.5
    closing_mm: float = 8.0
    min_lungs_ml: float = 100.0
    gas_above_air_hu: float = 45.0
    airways: AirwaySettings = field(default_factory=AirwaySettings)

    def __post_init__(self):
        if not self.padding_hu < -1024 < self.air_hu:
            raise InputError("padding_hu must lie below −1024 HU and air_hu above it; correct the settings.")
        if min(self.cell_mm, self.closing_mm, self.min_lungs_ml) <= 0:
            raise InputError("cell_mm, closing_mm and min_lungs_ml must be positive; correct the settings.")


def segment_lungs(
    ct: sitk.Image,
    settings: LungSegmentationSettings | None = None,
    progress: Progress = no_progress,
) -> Lungs:
    """Segment right and left lung in a chest CT (HU); see the module for the rules and their limits.

    Returns:
        Right and left lung; a warning where only one lung or no trachea was found.

    Raises:
        InputError: the CT shows no lungs.
    """
    settings = settings or LungSegmentationSettings()
    progress("lungs", 0.0)
    axes = PatientAxes.of(ct)
    view = axes.view(sitk.GetArrayViewFromImage(ct))
    grid = CellGrid.of(axes, settings.cell_mm)
    warnings: list[str] = []

    padding = Padding.of(view, settings.padding_hu)
    is_air = _AirVoxels(view, padding, settings.air_hu)
    air = grid.share(view, is_air.in_planes)
    padded = _padded(view, padding, grid)
    progress("lungs", 0.25)

    body = body_of(1 - air - padded > 0.5, grid)
    sides_with_body = sides_with(body)
    inside, within = sides_with_body == 4, sides_with_body >= 3
    if padding and (within & ~inside & (air >= 0.75)).any():
        cut = enclosed(air >= 0.75, within)  # lungs that the field of view cuts: padding is no way out for air
        inside, within = inside | cut, within | dilated(cut, FACES)
    wall = _airway_wall(view, axes, inside, inside & (air >= 0.75), grid, settings, padding)
    if wall is None:
        warnings.append("the trachea was not found in the CT; check that it is not part of the lungs.")
    else:
        air[wall.cells] = wall.without(is_air)
    progress("lungs", 0.45)

    means = grid.means(view)
    means[padded > 0] = 0
    gas_hu = air_level(means, sides_with_body) + settings.gas_above_air_hu
    candidates = (air > 0) & within
    chosen = choose(candidates & (air >= 0.75), means, gas_hu, inside, grid, settings.min_lungs_ml)
    warnings += _gas_left_out(chosen)
    lung, gas = chosen.lung, chosen.gas
    progress("lungs", 0.6)

    box = _box_around(lung, settings.closing_mm * 2, grid)
    sides = np.zeros(lung.shape, np.uint8)
    sides[lung] = split_cells(lung, grid, axes, lateral_mm(axes, body, grid.factors))[lung]
    sides = _grow(sides[box], gas[box], candidates[box])
    if not ((sides == 1).any() and (sides == 2).any()):
        found, other = ("right", "left") if (sides == 1).any() else ("left", "right")
        warnings.append(f"only one lung was found, the {found} one; the {other} lung is missing.")
    filled = _close(sides, air[box], gas[box] | (padded[box] > 0), settings.closing_mm, grid)
    progress("lungs", 0.7)

    shares = np.zeros((2, *air.shape), np.float32)
    held = np.zeros(shares.shape, bool)
    for side in (0, 1):
        shares[side][box] = air[box] * (sides == side + 1)
        held[side][box] = filled == side + 1
    if wall is not None:
        held[(slice(None), *wall.cells)] &= ~wall.touched  # drawn voxel by voxel, not as a whole

    whole, sides = draw_lungs(grid, shares, held, is_air)
    if wall is not None:
        _clear(sides, whole, wall)
    progress("lungs", 1.0)
    return Lungs(UprightLungs.of_sides(axes, whole, sides), ct, warnings, "segmented from the CT")


class _AirVoxels:
    """Which voxels are air: below ``air_hu``, and no padding."""

    def __init__(self, view: np.ndarray, padding: Padding, air_hu: float):
        self._view, self._padding = view, padding
        # whole numbers are compared as such: with a float NumPy would first turn every voxel into one
        whole = view.dtype.kind in "iu"
        self._air_hu = int(np.ceil(air_hu)) if whole else air_hu
        low = padding.below_hu
        self._low = low if low is None or not whole else int(np.ceil(low))

    def __call__(self, *voxels: slice) -> np.ndarray:
        """Those of a box of voxels, boolean."""
        part = self._view[voxels]
        found = np.empty(part.shape, bool)
        self._in(part, voxels[1:], found)
        return found

    def in_planes(self, part: np.ndarray, out: np.ndarray) -> None:
        """Those of whole slices, as ``CellGrid.share`` asks."""
        self._in(part, (slice(None), slice(None)), out)

    def _in(self, part: np.ndarray, plane: tuple[slice, slice], out: np.ndarray) -> None:
        np.less(part, self._air_hu, out=out)
        if self._low is not None:
            out &= part >= self._low
        if self._padding.columns is not None and self._padding.fill_hu < self._air_hu:
            out &= ~self._padding.columns[plane]


def _padded(view: np.ndarray, padding: Padding, grid: CellGrid) -> np.ndarray:
    """The share of every cell that is padding."""
    if padding.below_hu is not None:
        return grid.share(view, lambda part, out: np.copyto(out, padding.within(part, (slice(None),) * 3)))
    if padding.columns is None:
        return np.zeros(grid.shape, np.float32)
    layer = CellGrid((1, *grid.voxels[1:]), (1, *grid.factors[1:]), grid.spacing_mm)  # the same in all of them
    share = layer.share(padding.columns[None], lambda part, out: np.copyto(out, part))
    return np.broadcast_to(share, grid.shape)


def _gas_left_out(chosen: Chosen) -> list[str]:
    """What to say of gas that a reader may take for lung."""
    found = []
    if chosen.pocket_ml:
        found.append(
            f"{chosen.pocket_ml:.0f} ml of gas that touches a lung was taken for stomach or bowel and left out; if "
            "it is a bulla or pneumothorax, give a lung mask with --lungs."
        )
    if chosen.free_ml:
        found.append(
            f"{chosen.free_ml:.0f} ml of free gas above lung was left out: a pneumothorax or a large bulla; look, "
            "and give a lung mask with --lungs where it is lung."
        )
    return found


@dataclass
class _Wall:
    """Lumen and wall of the large airways.

    Attributes:
        box: the voxels they lie in; mask: where in it they are.
        cells: the cells that hold the box; grid: that part of the cell grid; touched: which of them hold airway.
    """

    box: Box
    mask: np.ndarray
    cells: Box
    grid: CellGrid
    voxels: Box
    touched: np.ndarray

    @classmethod
    def of(cls, box: Box, mask: np.ndarray, grid: CellGrid) -> _Wall:
        cells = tuple(slice(b.start // f, -(-b.stop // f)) for b, f in zip(box, grid.factors, strict=True))
        voxels = grid.voxel_box(cells)
        part = CellGrid(tuple(v.stop - v.start for v in voxels), grid.factors, grid.spacing_mm)
        wall = cls(box, mask, cells, part, voxels, np.zeros(part.shape, bool))
        whole = np.zeros(part.voxels, bool)
        whole[wall._within()] = mask
        wall.touched = part.share(whole, lambda slab, out: np.copyto(out, slab)) > 0
        return wall

    def without(self, is_air: _AirVoxels) -> np.ndarray:
        """The share of air of the cells once the airway is taken out."""
        left = is_air(*self.voxels)
        left[self._within()] &= ~self.mask
        return self.grid.share(left, lambda slab, out: np.copyto(out, slab))

    def _within(self) -> Box:
        return tuple(slice(b.start - v.start, b.stop - v.start) for b, v in zip(self.box, self.voxels, strict=True))


def _clear(sides: np.ndarray, whole: Box, wall: _Wall) -> None:
    """Take lumen and wall of the large airways out of what was drawn in a box of voxels."""
    starts = [max(w.start, b.start) for w, b in zip(whole, wall.box, strict=True)]
    stops = [min(w.stop, b.stop) for w, b in zip(whole, wall.box, strict=True)]
    if all(start < stop for start, stop in zip(starts, stops, strict=True)):
        drawn, mask = (
            array[tuple(slice(a - p.start, b - p.start) for a, b, p in zip(starts, stops, box, strict=True))]
            for array, box in ((sides, whole), (wall.mask, wall.box))
        )
        drawn[mask] = 0


def _airway_wall(view, axes, inside, inside_air, grid, settings, padding) -> _Wall | None:
    floor = -np.inf if padding.below_hu is None else padding.below_hu
    airways = find_airways(view, axes, inside, inside_air, grid, settings.airways, floor)
    if not airways.patches:
        return None
    wall_mm = settings.airways.wall_mm
    margin = tuple(int(np.ceil(wall_mm / spacing)) for spacing in axes.spacing_mm)
    box = airways.box(margin, view.shape)
    return _Wall.of(box, dilated(airways.mask(box), ball(wall_mm, axes.spacing_mm)), grid)


def _box_around(lung: np.ndarray, margin_mm: float, grid: CellGrid) -> Box:
    box = ndimage.find_objects(lung.view(np.uint8))[0]
    margins = [int(np.ceil(margin_mm / size)) for size in grid.cell_mm]
    return tuple(
        slice(max(s.start - m, 0), min(s.stop + m, n)) for s, m, n in zip(box, margins, lung.shape, strict=True)
    )


def _grow(sides: np.ndarray, gas: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """The sides (1 right, 2 left) of all cells with air that belongs to a lung: grown into the partial cells."""
    sides[gas] = 3
    sides = spread(sides, candidates, steps=10)
    sides[sides == 3] = 0
    return sides


def _close(sides: np.ndarray, air: np.ndarray, barred: np.ndarray, radius_mm: float, grid: CellGrid) -> np.ndarray:
    """Each lung closed by a ball and its holes filled; never over the other lung, nor what is barred."""
    offsets = ball(radius_mm, grid.cell_mm)
    filled = np.zeros(sides.shape, np.uint8)
    for side in (1, 2):
        own = closed((sides == side) & (air >= 0.5), offsets)
        outside, _ = ndimage.label(np.pad(~own, 1, constant_values=True))
        own = (outside != outside[0, 0, 0])[1:-1, 1:-1, 1:-1]
        filled[own & (filled == 0) & ((sides == 0) | (sides == side)) & ~barred] = side
    return filled
