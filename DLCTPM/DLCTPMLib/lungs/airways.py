"""The trachea and the large bronchi in a CT: found between the lungs, followed slice by slice.

In an axial slice the lumen is a small dark disc with a wall; lungs are large. So the trachea is a chain of
such discs near the middle of the body, and its branches are followed downwards for as long as each stays a
small part of its slice; where a branch opens into the lung its area explodes and it ends.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from DLCTPMLib.lungs.cells import CellGrid
from DLCTPMLib.volumes.patient_axes import PatientAxes

SEARCH_MM = (20.0, 60.0)
"""How far around a patch its continuation is sought: the second where a piece leaves the first."""


@dataclass(frozen=True)
class AirwaySettings:
    """How the large airways are recognised (HU, mm, mm² of an axial slice)."""

    lumen_hu: tuple[float, ...] = (-700.0, -800.0, -850.0, -900.0)
    """Upper limits of a lumen; the later ones are tried where a branch would open into the lung."""
    trachea_mm2: tuple[float, float] = (60.0, 800.0)
    branch_mm2: tuple[float, float] = (25.0, 900.0)
    from_midline_mm: float = 80.0
    min_length_mm: float = 20.0
    wall_mm: float = 2.5


@dataclass
class Airways:
    """The lumen of trachea and large bronchi, as patches of axial slices.

    Attributes:
        patches: (z, y start, x start, boolean lumen patch) in voxels of the patient-axes view.
        volume_ml: volume of the lumen.
    """

    patches: list[tuple[int, int, int, np.ndarray]]
    volume_ml: float

    def box(self, margin: tuple[int, int, int], shape: tuple[int, int, int]) -> tuple[slice, slice, slice]:
        """The box of voxels that holds all patches and a margin."""
        low = np.min([(z, y, x) for z, y, x, _ in self.patches], axis=0)
        high = np.max([(z + 1, y + p.shape[0], x + p.shape[1]) for z, y, x, p in self.patches], axis=0)
        return tuple(
            slice(max(int(a) - m, 0), min(int(b) + m, n)) for a, b, m, n in zip(low, high, margin, shape, strict=True)
        )

    def mask(self, box: tuple[slice, slice, slice]) -> np.ndarray:
        """The lumen inside a box of voxels that holds every patch, boolean."""
        out = np.zeros([s.stop - s.start for s in box], bool)
        for z, y, x, patch in self.patches:
            y, x = y - box[1].start, x - box[2].start
            out[z - box[0].start, y : y + patch.shape[0], x : x + patch.shape[1]] |= patch
        return out


def find_airways(
    view: np.ndarray,
    axes: PatientAxes,
    inside: np.ndarray,
    air: np.ndarray,
    grid: CellGrid,
    settings: AirwaySettings,
    floor_hu: float,
) -> Airways:
    """Find the trachea and follow it and the large bronchi.

    Args:
        view: CT in HU, (z, y, x) along the patient's axes.
        inside: cells with tissue of the body on all four sides in their slice, boolean.
        air: those of them that are air, boolean.
        grid: how voxels are grouped in those cells.
        floor_hu: values below are padding, not air.
    """
    start = _trachea_slice(view, axes, inside, air, grid, settings, floor_hu)
    patches: list[tuple[int, int, int, np.ndarray]] = []
    if start is not None:
        patches.append(start)
        for step in (-1, 1):
            patches += _follow(view, axes, start, step, settings, floor_hu)
    voxels = sum(int(patch.sum()) for *_, patch in patches)
    return Airways(patches, voxels * axes.voxel_ml)


def _trachea_slice(view, axes, inside, air, grid, settings, floor_hu):
    """The patch of the trachea in the middle of its longest run of slices, or None.

    A run counts by its area where lung lies beside it, most where lung lies on both sides and in the upper half of
    all air: gas in stomach and bowel makes long runs too, but lower and with less lung beside it.
    """
    dz, dy, dx = axes.spacing_mm
    fz, fy, fx = grid.factors
    middle = _middle_columns(inside)
    if middle is None:
        return None
    lung_mm2 = air.sum(axis=1) * (grid.cell_mm[1] * grid.cell_mm[2])  # (layers, columns)
    heights = lung_mm2.sum(axis=1)
    centre = (np.arange(len(heights)) * heights).sum() / max(heights.sum(), 1)
    apart = max(1, round(15 / grid.cell_mm[2]))
    reach = int(settings.from_midline_mm / dx)
    thin = max(1, round(1.5 / dx))
    step = max(1, round(4 / dz))
    runs: list[list[tuple[int, float, float, float]]] = []  # discs: z, y mm, x mm, weight
    for z in range(0, view.shape[0], step):
        layer = z // fz
        first = min(max(int((middle[layer] + 0.5) * fx) - reach, 0), view.shape[2] - 1)
        plane = view[z, ::thin, first : first + 2 * reach : thin]
        lumen = (plane < settings.lumen_hu[0]) & (plane >= floor_hu)
        for y, x, area in _discs(lumen, dy * thin, dx * thin, settings.trachea_mm2):
            x += first * dx
            column = int(x / dx) // fx
            if not inside[layer, int(y / dy) // fy, column]:
                continue
            beside = lung_mm2[layer, : max(column - apart, 0)].sum(), lung_mm2[layer, column + apart :].sum()
            high = 1.0 if layer >= centre else 0.2
            between = 0.3 + 1.4 * min(beside) / max(sum(beside), 1)  # 1 between equal lungs, less beside one
            disc = (z, y, x, area * high * between * min(1.0, sum(beside) / 2000))
            near = [run for run in runs if 0 < z - run[-1][0] <= 2 * step and _close(run[-1], y, x, step * dz)]
            if near:
                max(near, key=_weight).append(disc)
            else:
                runs.append([disc])
    runs = [run for run in runs if (run[-1][0] - run[0][0] + 1) * dz >= settings.min_length_mm and _weight(run) > 0]
    if not runs:
        return None
    best = max(runs, key=_weight)
    z, y, x, _ = best[len(best) // 2]
    return _branch_at(view, axes, z, round(y / dy), round(x / dx), settings, floor_hu)


def _weight(run):
    return sum(disc[3] for disc in run)


def _middle_columns(inside):
    """The column of the body's middle in every layer: a straight line, tilted where the body is; or None."""
    weights = inside.sum(axis=(1, 2))
    layers = np.flatnonzero(weights)
    if len(layers) == 0:
        return None
    columns = np.arange(inside.shape[2])
    centres = (inside.sum(axis=1)[layers] @ columns) / weights[layers]
    degree = 1 if len(layers) > 1 else 0
    line = np.polyfit(layers, centres, degree, w=np.sqrt(weights[layers]))
    return np.polyval(line, np.arange(inside.shape[0]))


def _discs(lumen, dy, dx, limits_mm2):
    """Centres (mm) and areas of the round pieces of a plane that do not touch its lateral ends."""
    labels, count = ndimage.label(lumen)
    if not count:
        return
    areas = np.bincount(labels.ravel())[1:] * (dy * dx)
    for index, box in enumerate(ndimage.find_objects(labels)):
        height, width = (box[0].stop - box[0].start) * dy, (box[1].stop - box[1].start) * dx
        inside = box[1].start > 0 and box[1].stop < lumen.shape[1]
        round_enough = areas[index] > 0.55 * height * width and max(height, width) < 2.5 * min(height, width)
        if inside and limits_mm2[0] <= areas[index] <= limits_mm2[1] and round_enough:
            centre = ndimage.center_of_mass(labels[box] == index + 1)
            yield (centre[0] + box[0].start) * dy, (centre[1] + box[1].start) * dx, areas[index]


def _close(disc, y, x, gap_mm):
    return np.hypot(disc[1] - y, disc[2] - x) <= 6 + gap_mm


def _branch_at(view, axes, z, row, column, settings, floor_hu):
    """The lumen patch around one voxel of a slice, or None."""
    seed = np.ones((3, 3), bool)
    pieces = _pieces(view, axes, z, row - 1, column - 1, seed, settings, floor_hu, may_grow=np.inf)
    return max(pieces, key=lambda p: p[3].sum()) if pieces else None


def _follow(view, axes, start, step, settings, floor_hu):
    """The patches reached from one slice to the next in one direction (+1 up, −1 down)."""
    patches, front = [], [start]
    z = start[0] + step
    while front and 0 <= z < view.shape[0]:
        found: list[tuple[int, int, int, np.ndarray]] = []
        for _, y, x, patch in front:
            for piece in _pieces(view, axes, z, y, x, patch, settings, floor_hu):
                if not any(_same(piece, other) for other in found):
                    found.append(piece)
        patches += found
        front = found
        z += step
    return patches


def _walled(piece, window, settings):
    """Whether at least half of the rim of a piece is brighter than any lumen, as a bronchus's wall is."""
    rim = ndimage.binary_dilation(piece, iterations=2) & ~piece
    return (window[rim] > settings.lumen_hu[0]).mean() >= 0.5


def _leaves(piece, open_ends):
    """Whether a piece reaches an end of its search window beyond which the slice goes on, so is cut by it."""
    for axis, ends in enumerate(open_ends):
        along = piece.any(axis=1 - axis)
        if (ends[0] and along[0]) or (ends[1] and along[-1]):
            return True
    return False


def _same(a, b):
    return a[1:3] == b[1:3] and a[3].shape == b[3].shape


def _pieces(view, axes, z, y0, x0, parent, settings, floor_hu, may_grow=2.5):
    """Small pieces of lumen in slice z that overlap a patch of the slice before.

    A main bronchus runs far sideways within a thick slice: what leaves the window is sought in a wider one.
    """
    for window_mm in SEARCH_MM:
        found, left = _pieces_within(window_mm, view, axes, z, y0, x0, parent, settings, floor_hu, may_grow)
        if not left:
            break
    return found


def _pieces_within(window_mm, view, axes, z, y0, x0, parent, settings, floor_hu, may_grow):
    """Those of one search window, and whether any piece leaves it (which is then not among them)."""
    _, dy, dx = axes.spacing_mm
    low, high = (limit / (dy * dx) for limit in settings.branch_mm2)
    parent_area = parent.sum()
    margin_y, margin_x = int(np.ceil(window_mm / dy)), int(np.ceil(window_mm / dx))
    top, left = max(y0 - margin_y, 0), max(x0 - margin_x, 0)
    window = view[z, top : y0 + parent.shape[0] + margin_y, left : x0 + parent.shape[1] + margin_x]
    bottom, right = top + window.shape[0], left + window.shape[1]
    open_ends = ((top > 0, bottom < view.shape[1]), (left > 0, right < view.shape[2]))
    reach = np.zeros(window.shape, bool)
    y, x = y0 - top, x0 - left
    inside = reach[max(y, 0) : y + parent.shape[0], max(x, 0) : x + parent.shape[1]]
    inside[:] = parent[max(-y, 0) :, max(-x, 0) :][: inside.shape[0], : inside.shape[1]]
    found, left_window = [], False
    for limit in settings.lumen_hu:
        labels, _ = ndimage.label((window < limit) & (window >= floor_hu))
        touched = np.unique(labels[reach])
        exploded = False
        for label in touched[touched > 0]:
            piece = labels == label
            area = piece.sum()
            too_large = area > min(high, may_grow * max(parent_area, low) + high / 8)
            leaves = not too_large and _leaves(piece, open_ends)
            left_window |= leaves
            if too_large or leaves:
                exploded = True
                continue
            if area < low or (limit < settings.lumen_hu[0] and not _walled(piece, window, settings)):
                continue
            rows, columns = np.flatnonzero(piece.any(axis=1)), np.flatnonzero(piece.any(axis=0))
            patch = piece[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            reach &= ~piece
            found.append((z, top + int(rows[0]), left + int(columns[0]), patch))
        if not exploded:
            break
    return found, left_window
