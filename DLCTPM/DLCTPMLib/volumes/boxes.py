"""The box of a volume that holds something; imports nothing but NumPy, so that Slicer can use it at once."""

from __future__ import annotations

import numpy as np


def bounding_box(array: np.ndarray) -> tuple[slice, slice, slice] | None:
    """The smallest box of a (z, y, x) array that holds all that is not 0; None where nothing is."""
    z = np.flatnonzero([plane.any() for plane in array])
    if z.size == 0:
        return None
    plane = np.zeros(array.shape[1:], bool)
    for index in z:
        plane |= array[index] != 0
    y, x = np.flatnonzero(plane.any(axis=1)), np.flatnonzero(plane.any(axis=0))
    return tuple(slice(int(i[0]), int(i[-1]) + 1) for i in (z, y, x))
