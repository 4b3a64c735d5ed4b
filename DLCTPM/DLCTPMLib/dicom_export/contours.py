"""Masks as closed planar contours at sub-pixel, and holes as planning systems read them.

Contours run midway between pixel centres in and out of the mask (marching squares, exact in area to half a pixel
a curve); through centres they would lose half a pixel all round. A hole is joined to the curve around it by a keyhole
(a cut of no width, run through twice), or stays a contour of its own that is combined by exclusive or.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage
from skimage.measure import approximate_polygon, find_contours

SMALLEST_ML = 0.1
"""Islands below this are dropped: planning systems choke on specks."""

SIMPLIFIED_BY = 0.1
"""Douglas–Peucker moves no point further than this, in pixels."""

HOLES = ("keyhole", "xor")
"""How holes are written."""


def without_islands(mask: np.ndarray, voxel_ml: float, smallest_ml: float = SMALLEST_ML) -> np.ndarray:
    """A mask without its connected parts (faces, edges or corners) below a volume."""
    islands, _ = ndimage.label(mask, np.ones((3, 3, 3), bool))
    large = np.bincount(islands.ravel()) >= math.ceil(smallest_ml / voxel_ml - 1e-6)
    large[0] = False
    return large[islands]


def planar_contours(mask: np.ndarray, holes: str = "keyhole") -> list[np.ndarray]:
    """The closed contours of one slice.

    Args:
        mask: boolean (rows, columns).
        holes: one of ``HOLES``.

    Returns:
        (n, 2) row and column each, in pixels from the centre of the first one, the first point not repeated. By the
        even-odd rule they hold exactly the centres of the mask's pixels.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return []
    corner = np.array([rows[0], columns[0]])
    part = np.pad(mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], 1).astype(np.uint8)
    curves = [_simplified(curve[:-1]) + corner - 1 for curve in find_contours(part, 0.5)]
    if holes == "xor":
        return curves
    outer = [curve for curve in curves if _signed_area(curve) > 0]
    inner = [curve for curve in curves if _signed_area(curve) <= 0]
    if not inner:
        return outer
    return _with_keyholes(outer, inner)


def _simplified(curve: np.ndarray) -> np.ndarray:
    """A closed curve with fewer points, none of which moves further than ``SIMPLIFIED_BY``."""
    far = len(curve) // 2  # cut in two halves: the algorithm keeps the ends of an open line
    halves = (curve[: far + 1], np.concatenate([curve[far:], curve[:1]]))
    kept = np.concatenate([approximate_polygon(half, SIMPLIFIED_BY)[:-1] for half in halves])
    return kept if len(kept) >= 3 else curve


def _signed_area(curve: np.ndarray) -> float:
    """Positive for the outer curves of ``find_contours``, negative for holes, which it runs round the other way."""
    y, x = curve[:, 0], curve[:, 1]
    return 0.5 * float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))


def _with_keyholes(outer: list[np.ndarray], inner: list[np.ndarray]) -> list[np.ndarray]:
    """Every hole joined to the curve that lies around it."""
    held: list[list[np.ndarray]] = [[] for _ in outer]
    sizes = [abs(_signed_area(curve)) for curve in outer]
    for hole in inner:
        around = [number for number, curve in enumerate(outer) if _holds(curve, hole[0])]
        held[min(around, key=sizes.__getitem__)].append(hole)
    joined = []
    for curve, holes in zip(outer, held, strict=True):
        for hole in sorted(holes, key=lambda one: -one[:, 1].max()):  # each sees the outside or one that is joined
            curve = _joined(curve, hole)
        joined.append(curve)
    return joined


def _holds(curve: np.ndarray, point: np.ndarray) -> bool:
    """Whether a point lies in a curve, by a ray along its row."""
    row, end = curve, np.roll(curve, -1, axis=0)
    crosses = (row[:, 0] > point[0]) != (end[:, 0] > point[0])
    row, end = row[crosses], end[crosses]
    at = row[:, 1] + (point[0] - row[:, 0]) * (end[:, 1] - row[:, 1]) / (end[:, 0] - row[:, 0])
    return bool(np.count_nonzero(at > point[1]) % 2)


def _joined(curve: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """A curve that runs along its row to the hole's rightmost point, round the hole, and back the same way."""
    start = int(hole[:, 1].argmax())
    row, column = hole[start]
    first, last = curve, np.roll(curve, -1, axis=0)
    crosses = (first[:, 0] > row) != (last[:, 0] > row)
    edges = np.flatnonzero(crosses)
    rise = last[edges, 0] - first[edges, 0]
    at = first[edges, 1] + (row - first[edges, 0]) * (last[edges, 1] - first[edges, 1]) / rise
    right = at > column - 1e-9
    nearest = int(at[right].argmin())
    edge, meeting = int(edges[right][nearest]), np.array([[row, at[right][nearest]]])
    around = np.concatenate([np.roll(hole, -start, axis=0), hole[start : start + 1]])
    whole = np.concatenate([curve[: edge + 1], meeting, around, meeting, curve[edge + 1 :]])
    return whole[(whole != np.roll(whole, 1, axis=0)).any(axis=1)]  # a cut that ends at a corner would repeat it
