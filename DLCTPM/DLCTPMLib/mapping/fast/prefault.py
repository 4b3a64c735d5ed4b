"""Memory of the next map, got while the network runs: the same zeros as ``numpy.zeros``, the plain way.

A map is as large as the CT, but only the lungs' boxes of it are written. Finding its pages takes about as long as
filling them, so a thread does it beforehand, and for those boxes alone.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable

import numpy as np


def sparse_zeros(shape: tuple[int, ...]) -> np.ndarray:
    """``numpy.zeros(shape, numpy.float32)`` for an array of which only a part will be written.

    ``numpy.zeros`` asks Linux for huge pages, each two slices of a CT, though the lungs touch a fraction of them.
    Mapped memory comes in small pages, when they are written.
    """
    if not (hasattr(mmap, "MAP_PRIVATE") and hasattr(mmap, "MAP_ANONYMOUS")) or not all(shape):
        return np.zeros(shape, np.float32)
    size = int(np.prod(shape)) * np.dtype(np.float32).itemsize
    return np.ndarray(shape, np.float32, buffer=mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))


def prefaulted_zeros(shape: tuple[int, ...], boxes: Iterable[tuple[slice, ...]]) -> np.ndarray:
    """The same with the pages of some boxes in place.

    Args:
        shape: of the array.
        boxes: what will be written, each a slice an axis.
    """
    array = sparse_zeros(shape)
    step = mmap.PAGESIZE // array.itemsize
    for box in boxes:
        part = array[box]
        for row in (part[..., ::step], part[..., -1:]):  # the last value of a row may lie on a page of its own
            row.fill(0)
    return array
