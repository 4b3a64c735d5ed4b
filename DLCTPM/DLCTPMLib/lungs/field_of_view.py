"""Where a CT holds no measurement: outside the scanner's round field of view, or filled with values below any air.

Scanners and programs fill what lies outside with whatever they like: −3024, −2000, −1024, even 0. The value alone
tells padding from air only where it is far below air, and then noise may lie there too; what tells it always is that
padding is *flat*: the same value in every slice, and what remains is a disc.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BELOW_AIR_HU = -1500.0
"""No air reaches down to it but in noise."""

DISC = 0.97
"""The remainder is the scanner's field of view where it and the circle fitted to it share at least this part."""

LEAST_OUTSIDE = 0.005
"""A smaller part of the slice outside the circle is left unnoticed."""


@dataclass(frozen=True)
class Padding:
    """What of a CT is padding.

    Attributes:
        columns: boolean (y, x): outside the round field of view, in every slice; None where there is no circle.
        fill_hu: the value of those columns.
        below_hu: values below are padding too; None where all low values are noise, or there are none.
    """

    columns: np.ndarray | None
    fill_hu: float
    below_hu: float | None

    @classmethod
    def of(cls, view: np.ndarray, below_hu: float = BELOW_AIR_HU) -> Padding:
        """Look for padding in a CT (HU; z, y, x along the patient's axes); ``below_hu`` lies below any air."""
        columns, fill = _outside_the_circle(view)
        return cls(columns, fill, below_hu if _flat(view, below_hu) else None)

    def __bool__(self) -> bool:
        """Whether there is any."""
        return self.columns is not None or self.below_hu is not None

    def within(self, view: np.ndarray, box: tuple[slice, slice, slice]) -> np.ndarray:
        """The padding in a box of the view, boolean."""
        part = view[box]
        padding = np.zeros(part.shape, bool) if self.below_hu is None else part < self.below_hu
        if self.columns is not None:
            padding |= self.columns[box[1:]]
        return padding


def _flat(view: np.ndarray, below_hu: float) -> bool:
    """Whether there are values below a limit, and most of them equal their neighbour: noise does not."""
    z, y, x = (max(1, n // 64) for n in view.shape)
    first, second = view[::z, ::y, : view.shape[2] - 1 : x], view[::z, ::y, 1::x]
    low = first < below_hu
    count = np.count_nonzero(low)
    return count > 0 and np.count_nonzero(low & (first == second)) >= 0.5 * count


def _outside_the_circle(view: np.ndarray) -> tuple[np.ndarray | None, float]:
    """The columns outside the circle, and their value: those that are constant and leave a disc."""
    corners, counts = np.unique(view[0][[0, 0, -1, -1], [0, -1, 0, -1]], return_counts=True)
    fill = corners[counts.argmax()]
    constant = np.ones(view.shape[1:], bool)
    for z in (0, len(view) // 2, *range(1, len(view))):
        constant &= view[z] == fill
        if np.count_nonzero(constant) < LEAST_OUTSIDE * constant.size:
            return None, 0.0
    span = np.logical_or.accumulate(~constant, axis=1)
    span &= np.logical_or.accumulate(~constant[:, ::-1], axis=1)[:, ::-1]
    disc = _fitted_disc(span)
    if disc is None or np.count_nonzero(span & disc) < DISC * np.count_nonzero(span | disc):
        return None, 0.0
    return ~span, float(fill)


def _fitted_disc(span: np.ndarray) -> np.ndarray | None:
    """The disc of the circle through the ends of the rows' spans (least squares), cut where the slice ends."""
    rows = np.flatnonzero(span.any(axis=1))
    first, last = span[rows].argmax(axis=1), span.shape[1] - 1 - span[rows][:, ::-1].argmax(axis=1)
    left, right = first > 0, last < span.shape[1] - 1
    y = np.concatenate([rows[left], rows[right]]).astype(float)
    x = np.concatenate([first[left] - 0.5, last[right] + 0.5])
    if len(y) < 8:
        return None
    (a, b, c), *_ = np.linalg.lstsq(np.stack([2 * y, 2 * x, np.ones_like(y)], axis=1), y**2 + x**2, rcond=None)
    grid_y, grid_x = np.ogrid[: span.shape[0], : span.shape[1]]
    return (grid_y - a) ** 2 + (grid_x - b) ** 2 <= c + a**2 + b**2
