"""The median of a cubic window, bit for bit ``scipy.ndimage.median_filter``'s, by counting.

The median of a window is at most t where more than half of its cells are. So for a level t: mark the cells that
are at most t, count the marks in every window (sums over 10 neighbours come from sums over 2, 4 and 8: four
additions of whole arrays an axis) and compare. Intervals of levels are halved for as long as they hold medians, so
there are about as many counts as different medians. Medians vary slowly, so in one tile of the volume these are
few, and a tile fits in the processor's cache.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from DLCTPMLib.volumes.boxes import bounding_box

TILE = (32, 32, 64)
"""Cells of a tile; its windows' marks are some 100 kB."""


def window_median(values: np.ndarray, size: int) -> np.ndarray:
    """Median of a cubic window of ``size`` cells around every cell, edges reflected: SciPy's conventions.

    An even window of n cells reaches n/2 back and n/2 − 1 on; the median is the element of rank size³ // 2.

    Args:
        values: small unsigned integers, three-dimensional; where most of a window has the lowest of them (the
            background), nothing more is counted.
    """
    padded = np.pad(values, (size // 2, (size - 1) // 2), mode="symmetric")  # window of cell i starts at i
    lowest = values.min()
    out = np.full_like(values, lowest)
    above = _Windows(padded, size).above(lowest)
    for corner in product(*(range(0, n, t) for n, t in zip(values.shape, TILE, strict=True))):
        tile = tuple(slice(c, c + t) for c, t in zip(corner, TILE, strict=True))
        box = bounding_box(above[tile])
        if box is None:
            continue
        cells = tuple(slice(c + b.start, c + b.stop) for c, b in zip(corner, box, strict=True))
        out[cells] = _Windows(padded[tuple(slice(c.start, c.stop + size - 1) for c in cells)], size).medians()
    return out


class _Windows:
    """All windows that lie wholly in an array, each known by its first cell.

    The array is flat, so that a neighbour lies a fixed step away and every sum runs over whole arrays; sums that
    run over the end of a row belong to no window and are left out at the end.
    """

    def __init__(self, array: np.ndarray, size: int):
        self._flat = np.ascontiguousarray(array).ravel()
        self._shape, self._size = array.shape, size
        self._steps = (array.shape[1] * array.shape[2], array.shape[2], 1)
        self._starts = len(self._flat) - (size - 1) * sum(self._steps)
        is_window = np.zeros(array.shape, bool)
        is_window[self._inner] = True
        self._is_window = is_window.ravel()[: self._starts]

    def above(self, level: int) -> np.ndarray:
        """Where the median lies above a level, boolean, one cell a window."""
        return self._windows(self._few(level))

    def medians(self) -> np.ndarray:
        """The median of every window."""
        levels = np.flatnonzero(np.bincount(self._flat)).astype(self._flat.dtype)  # or comparing would widen them
        # how many of the levels that were counted each median lies above; uint8 because that adds fastest
        passed, passed_before = np.zeros(self._starts, np.uint8), np.zeros(self._starts, np.uint16)
        counted = []
        # intervals of levels: above the first, up to the second; windows whose median is above the first, the second
        intervals = [(-1, len(levels) - 1, np.count_nonzero(self._is_window), 0)]
        while intervals:
            low, high, above_low, above_high = intervals.pop()
            if above_low == above_high or high - low == 1:
                continue
            middle = (low + high) // 2
            few = self._few(levels[middle])
            counted.append(middle)
            passed += few.view(np.uint8)
            if len(counted) % 255 == 0:
                passed_before += passed
                passed[:] = 0
            above = np.count_nonzero(few)
            intervals += [(low, middle, above_low, above), (middle, high, above, above_high)]
        ends = levels[[*sorted(counted), len(levels) - 1]]  # a median is the first counted level it does not pass
        return ends[self._windows(passed_before + passed)]

    def _few(self, level: int) -> np.ndarray:
        """Flat: windows of which at most half the cells are at most ``level``, so that the median lies above it."""
        counts = (self._flat <= level).view(np.uint8)
        for axis, step in enumerate(self._steps):
            most = np.min_scalar_type(self._size ** (axis + 1))
            counts = _sums(counts.astype(most, copy=False), step, self._size)
        few = counts <= self._size**3 // 2
        few &= self._is_window
        return few

    @property
    def _inner(self) -> tuple[slice, ...]:
        return tuple(slice(n - self._size + 1) for n in self._shape)

    def _windows(self, flat: np.ndarray) -> np.ndarray:
        whole = np.zeros(self._shape, flat.dtype)
        whole.ravel()[: self._starts] = flat
        return whole[self._inner]


def _sums(values: np.ndarray, step: int, size: int) -> np.ndarray:
    """Sums of ``size`` values that lie ``step`` apart, from every value that has so many after it."""
    total, held = values[:0], 0
    part, width = values, 1  # sums of ``width`` values, by doubling
    while True:
        if size & width:
            n = len(values) - (held + width - 1) * step
            total = part if held == 0 else total[:n] + part[held * step : held * step + n]
            held += width
        if held == size:
            return total
        part = part[: -width * step] + part[width * step :]
        width *= 2
