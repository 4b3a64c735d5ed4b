"""Lungs from the CT alone, where no mask is given: the segmentation of last resort.

The rules, on cells of a few millimetres (``lung_cells``), the border then at full resolution (``lung_border``):

1. *Air* is what lies below ``air_hu`` and is not padding.
2. *Inside the body*: tissue of the body on at least three sides in the axial slice. The body is the largest
   piece of tissue once thin things (the table's shell, clothes) are eroded away, so air under the arms, in
   the table and around the patient is out.
3. *Trachea and large bronchi* are followed slice by slice and removed with their walls (``airways``).
4. *Lungs* are the largest pieces of air that is left, and smaller ones (behind a consolidation) that have
   lung below them or no gas at all inside. Gas in stomach and bowel is apart from them and as dark as the air
   around the patient; where thick slices join it to a lung it is dark, walled in, with no lung below.
5. *Right and left* are split where they touch (``lung_sides``).
6. *Closing*: each lung is closed by a ball and its holes are filled, so vessels and small lesions inside it
   belong to it, as in the Chest Imaging Platform's whole-lung masks.

Limits: consolidation, tumour and effusion that lie against the chest wall and are wider than about twice
``closing_mm`` are left out (correct the mask, or give another); a large bulla that sits on the diaphragm and
touches little lung can be taken for gas; where the field of view cuts the lung and the cut is filled with the
value of air, the part outside three sides of tissue is lost.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from DLCTPMLib.airways import Airways, AirwaySettings, find_airways
from DLCTPMLib.chest_regions import ChestRegion
from DLCTPMLib.errors import InputError
from DLCTPMLib.lung_border import draw_lungs
from DLCTPMLib.lung_cells import FACES, CellGrid, ball, closed, dilated, eroded, spread
from DLCTPMLib.lung_sides import lateral_mm, split_cells
from DLCTPMLib.lungs import Lungs
from DLCTPMLib.patient_axes import PatientAxes
from DLCTPMLib.progress import Progress, silent

NO_LUNGS = "no lungs were found in the CT; give a lung mask with --lungs, or a CT of the chest."


@dataclass(frozen=True)
class LungSegmentationSettings:
    """What the segmentation goes by.

    Attributes:
        air_hu: below it a voxel is air (gas or aerated lung).
        padding_hu: below it a voxel is padding outside the field of view.
        cell_mm: size of the cells in which lungs are sought.
        closing_mm: radius of the ball that closes each lung.
        min_lungs_ml: smaller finds are no lungs.
        gas_above_air_hu: gas outside the lungs lies less than this above the air around the patient.
        airways: how trachea and large bronchi are recognised.
    """

    air_hu: float = -400.0
    padding_hu: float = -1500.0
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
    progress: Progress = silent,
) -> Lungs:
    """Segment right and left lung in a chest CT (HU); see the module for the rules and their limits.

    Returns:
        Labels 2 (right lung) and 3 (left lung) on the CT's grid; a warning where only one lung or no windpipe
        was found.

    Raises:
        InputError: the CT shows no lungs.
    """
    settings = settings or LungSegmentationSettings()
    progress("lungs", 0.0)
    axes = PatientAxes.of(ct)
    view = axes.view(sitk.GetArrayViewFromImage(ct))
    grid = CellGrid.of(axes, settings.cell_mm)
    warnings: list[str] = []

    centres = view[tuple(slice(f // 2, None, f) for f in grid.factors)]
    padded = bool((centres < settings.padding_hu).any())
    is_air = _between(settings.padding_hu if padded else None, settings.air_hu)
    air = grid.share(view, is_air)
    dense = 1 - air
    if padded:
        dense -= grid.share(view, _between(None, settings.padding_hu))
    progress("lungs", 0.3)

    body = _body(dense > 0.5, grid)
    sides_with_body = _sides_with(body)
    inside = sides_with_body == 4
    airways = find_airways(view, axes, inside, grid, settings.airways, settings.padding_hu)
    wall = _airway_wall(airways, view.shape, axes, settings)
    if wall is None:
        warnings.append("the windpipe was not found in the CT; check that it is not part of the lungs.")
    else:
        _take_out(air, wall, view, grid, is_air)
    progress("lungs", 0.5)

    level = _air_level(view, grid, sides_with_body, settings)
    is_dark = _between(settings.padding_hu if padded else None, level + settings.gas_above_air_hu)
    dark = grid.share(view, is_dark, step=grid.factors[0])
    candidates = (air > 0) & (sides_with_body >= 3)
    lung, gas = _choose(candidates & (air >= 0.75), air, dark, inside, grid, settings)
    midline = lateral_mm(axes, body, grid.factors)
    box = _box_around(lung, settings.closing_mm * 2, grid)
    sides = _grow(lung, gas, candidates, box, grid, axes, midline)
    if not ((sides == 1).any() and (sides == 2).any()):
        found, other = ("right", "left") if (sides == 1).any() else ("left", "right")
        warnings.append(f"only one lung was found, the {found} one; the {other} lung is missing.")
    filled = _close(sides, air[box], gas[box], settings.closing_mm, grid)
    progress("lungs", 0.7)

    labels = np.zeros(ct.GetSize()[::-1], np.uint16)
    shares = np.zeros((2, *air.shape), np.float32)
    closed_cells = np.zeros(shares.shape, bool)
    for side in (0, 1):
        shares[side][box] = air[box] * (sides == side + 1)
        closed_cells[side][box] = filled == side + 1
    if wall is not None:
        # cells with airway in them are drawn voxel by voxel
        cells = tuple(slice(b.start // f, -(-b.stop // f)) for b, f in zip(wall[0], grid.factors, strict=True))
        holds_airway = np.zeros(air.shape, bool)
        holds_airway[cells] = _any_in_cells(wall, cells, grid)
        closed_cells &= ~holds_airway

    def air_voxels(z: slice, y: slice, x: slice) -> np.ndarray:
        part = view[z, y, x]
        found = np.empty(part.shape, bool)
        is_air(part, found)
        return found

    out = axes.view(labels)
    draw_lungs(out, (ChestRegion.RIGHT_LUNG, ChestRegion.LEFT_LUNG), grid, shares, closed_cells, air_voxels)
    if wall is not None:
        out[wall[0]][wall[1]] = 0
    image = sitk.GetImageFromArray(labels)
    image.CopyInformation(ct)
    progress("lungs", 1.0)
    return Lungs(image, warnings, "segmented from the CT")


def _between(low: float | None, high: float):
    """The condition low ≤ HU < high, as ``CellGrid.share`` takes it; ``None`` leaves the lower end open."""

    def condition(part: np.ndarray, out: np.ndarray) -> None:
        np.less(part, high, out=out)
        if low is not None:
            out &= part >= low

    return condition


def _body(tissue: np.ndarray, grid: CellGrid) -> np.ndarray:
    """The largest piece of tissue that is more than thin: the patient without table, tubes and arms."""
    core = eroded(tissue, ball(4.0, grid.cell_mm, flat=True))
    labels, count = ndimage.label(core)
    if not count:
        raise InputError(NO_LUNGS)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return dilated(labels == sizes.argmax(), ball(8.0, grid.cell_mm, flat=True)) & tissue


def _sides_with(body: np.ndarray) -> np.ndarray:
    """On how many of four sides (left, right, front, back) a cell has the body in its slice, 0…4."""
    count = np.zeros(body.shape, np.uint8)
    for axis in (1, 2):
        count += np.maximum.accumulate(body, axis=axis)
        count += np.flip(np.maximum.accumulate(np.flip(body, axis), axis=axis), axis)
    return count


def _airway_wall(airways: Airways, shape, axes, settings) -> tuple[tuple[slice, slice, slice], np.ndarray] | None:
    """Lumen and wall of the airways: the box of voxels they fill, and where in it they are."""
    if not airways.patches:
        return None
    wall = settings.airways.wall_mm
    margin = tuple(int(np.ceil(wall / spacing)) for spacing in axes.spacing_mm)
    box = airways.box(margin, shape)
    return box, dilated(airways.mask(box), ball(wall, axes.spacing_mm))


def _take_out(air, wall, view, grid, is_air) -> None:
    """Correct the share of air of the cells that hold airway, in place."""
    box, airway = wall
    cells = tuple(slice(b.start // f, -(-b.stop // f)) for b, f in zip(box, grid.factors, strict=True))
    voxels = grid.voxel_box(cells)
    part = CellGrid(tuple(v.stop - v.start for v in voxels), grid.factors, grid.spacing_mm)
    left = np.empty(part.voxels, bool)
    is_air(view[voxels], left)
    left[_within(box, voxels)] &= ~airway
    air[cells] = part.share(left, lambda slab, out: np.copyto(out, slab))


def _any_in_cells(wall, cells, grid) -> np.ndarray:
    box, airway = wall
    voxels = grid.voxel_box(cells)
    part = CellGrid(tuple(v.stop - v.start for v in voxels), grid.factors, grid.spacing_mm)
    full = np.zeros(part.voxels, bool)
    full[_within(box, voxels)] = airway
    return part.share(full, lambda slab, out: np.copyto(out, slab)) > 0


def _within(box, outer) -> tuple[slice, slice, slice]:
    return tuple(slice(b.start - o.start, b.stop - o.start) for b, o in zip(box, outer, strict=True))


def _air_level(view, grid, sides_with_body, settings) -> float:
    """HU of the air around the patient (its lower quartile), −1000 where none is seen.

    The lowest value of the scan is left out: it is often the filling outside a round field of view.
    """
    centres = view[tuple(slice(f // 2, None, f) for f in grid.factors)]
    around = sides_with_body[tuple(slice(n) for n in centres.shape)] < 3
    outside = centres[around & (centres >= settings.padding_hu) & (centres < -800)]
    outside = outside[outside > outside.min()] if outside.size else outside
    return float(np.clip(np.percentile(outside, 25), -1024, -960)) if outside.size > 1000 else -1000.0


def _choose(core, air, dark, inside, grid, settings) -> tuple[np.ndarray, np.ndarray]:
    """Which cells of air are lung, and which are gas of stomach and bowel."""
    labels, count = ndimage.label(core)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0
    enclosed = np.bincount(labels.ravel(), inside.ravel(), minlength=count + 1) >= 0.5 * sizes
    interior = eroded(core, FACES)
    deep = np.bincount(labels[interior], minlength=count + 1)
    darkness = np.bincount(labels[interior], dark[interior], minlength=count + 1)
    is_gas = (deep > 0) & (darkness >= 0.7 * deep)
    possible = np.where(enclosed & ~is_gas, sizes, 0)
    if possible.max(initial=0) * grid.cell_ml < settings.min_lungs_ml / 2:
        raise InputError(NO_LUNGS)
    is_lung = possible >= 0.05 * possible.max()
    is_lung[0] = False
    lung = is_lung[labels]
    below = np.logical_or.accumulate(lung, axis=0)  # some lung at this height or lower in the same column
    over_lung = np.bincount(labels.ravel(), below.ravel(), minlength=count + 1) >= 0.3 * sizes
    is_lung |= (possible * grid.cell_ml >= 1.0) & over_lung
    as_light_as_lung = (deep * grid.cell_ml >= 1.5) & (darkness < 0.05 * deep)
    is_lung |= (possible * grid.cell_ml >= 5.0) & as_light_as_lung
    is_lung[0] = False
    lung = is_lung[labels]
    pockets = _gas_pockets(lung, dark, air, grid)
    return lung & ~pockets, (core & ~lung) | pockets


def _gas_pockets(lung, dark, air, grid) -> np.ndarray:
    """Gas of stomach or bowel that thick slices have joined to a lung: dark, tissue around it and below it.

    Lung may lie above (the wall between is thinner than a slice). A bulla has lung beside it or below.
    """
    labels, count = ndimage.label(lung & (dark >= 0.7))
    pockets = np.zeros(lung.shape, bool)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    near = ball(max(grid.cell_mm[1:]), grid.cell_mm, flat=True)
    boxes = ndimage.find_objects(labels)
    for index in np.flatnonzero(sizes * grid.cell_ml >= 5.0):
        if index == 0:
            continue
        box = tuple(slice(max(s.start - 3, 0), s.stop + 3) for s in boxes[index - 1])
        pocket = labels[box] == index
        rim = dilated(dilated(pocket, near), [(1, 0, 0), (-1, 0, 0)])  # also slices half gas, half wall
        level = pocket.any(axis=(1, 2))[:, None, None]
        beside = dilated(rim, near) & ~rim & level
        under = dilated(rim, [(-1, 0, 0)]) & ~rim
        tissue = air[box] < 0.25
        if all(not where.any() or tissue[where].mean() >= 0.75 for where in (beside, under)):
            pockets[box] |= rim
    return pockets


def _box_around(lung, margin_mm, grid) -> tuple[slice, slice, slice]:
    box = ndimage.find_objects(lung.view(np.uint8))[0]
    return tuple(
        slice(max(s.start - m, 0), min(s.stop + m, n))
        for s, m, n in zip(box, (int(np.ceil(margin_mm / c)) for c in grid.cell_mm), lung.shape, strict=True)
    )


def _grow(lung, gas, candidates, box, grid, axes, midline) -> np.ndarray:
    """The sides (1 right, 2 left) of all cells with air that belongs to a lung, in the box."""
    sides = np.zeros(lung.shape, np.uint8)
    sides[lung] = split_cells(lung, grid, axes, midline)[lung]
    sides, gas, candidates = sides[box], gas[box], candidates[box]
    sides[gas] = 3
    sides = spread(sides, candidates, steps=10)
    sides[sides == 3] = 0
    return sides


def _close(sides, air, gas, radius_mm, grid) -> np.ndarray:
    """Each lung closed by a ball and its holes filled; never over the other lung or gas."""
    offsets = ball(radius_mm, grid.cell_mm)
    filled = np.zeros(sides.shape, np.uint8)
    for side in (1, 2):
        own = closed((sides == side) & (air >= 0.5), offsets)
        outside, _ = ndimage.label(np.pad(~own, 1, constant_values=True))
        own = (outside != outside[0, 0, 0])[1:-1, 1:-1, 1:-1]
        filled[own & (filled == 0) & ((sides == 0) | (sides == side)) & ~gas] = side
    return filled
