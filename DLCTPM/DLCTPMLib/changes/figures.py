"""The pictures of a comparison over time: both maps on one scale of colours and of mm."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from DLCTPMLib.changes.pair import Pair
from DLCTPMLib.results.figures import AXIAL, COLOUR_MAP, CORONAL, Plane, slice_strip
from DLCTPMLib.results.finished import FinishedResult
from DLCTPMLib.volumes.patient_axes import patient_array

PLANES = (CORONAL, AXIAL)
"""Planes of the strips."""

_SPACING_MM = 2.0
_MARGIN_MM = 12.0
_COLUMNS = 6
_OUTSIDE = (0.13, 0.14, 0.16)


class PairPictures:
    """Strips of slices: the map before above the map after.

    Both are shown on boxes of one size around their lungs, so that a millimetre is as long in both. The slices of a
    column lie at the same share of each one's lung volume; they are not registered to each other.

    Args:
        pair: the two predictions.
        note: stands small beneath every strip.
    """

    def __init__(self, pair: Pair, note: str):
        boxes = [one.lungs.limits_mm() for one in (pair.before, pair.after)]
        size_mm = np.max([high - low for low, high in boxes], axis=0) + 2 * _MARGIN_MM
        middles = [(low + high) / 2 for low, high in boxes]
        pairs = zip(("before", "after"), (pair.before, pair.after), middles, strict=True)
        self._shown = {name: _on_box(one, middle, size_mm) for name, one, middle in pairs}
        self._note = note

    def strip(self, plane: Plane) -> bytes:
        """Slices of one plane, before above after."""
        colours = colormaps[COLOUR_MAP]
        shares = (np.arange(_COLUMNS) + 0.5) / _COLUMNS
        indices = {name: _slices(lung, plane, shares) for name, (_, lung) in self._shown.items()}
        where = "above" if plane is AXIAL else "in front"

        def picture(name: str, column: int) -> np.ndarray:
            perfusion, lung = (plane.cut(view, indices[name][column]) for view in self._shown[name])
            return np.where(lung[..., None], colours(perfusion)[..., :3], _OUTSIDE)

        captions = [f"{100 * share:.0f} % of the lungs {where}" for share in shares]
        scale = (ScalarMappable(Normalize(0, 1), colours), "relative perfusion, before and after on one scale")
        return slice_strip(plane, (_SPACING_MM,) * 3, list(self._shown), captions, picture, [scale], self._note)


def _on_box(one: FinishedResult, middle: np.ndarray, size_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Map and lungs (z, y, x) in an upright box of so many mm (x, y, z) around a point."""
    grid = sitk.Image([int(n) for n in np.ceil(size_mm / _SPACING_MM)], sitk.sitkUInt8)
    grid.SetSpacing([_SPACING_MM] * 3)
    grid.SetOrigin([float(mm) for mm in middle - (np.array(grid.GetSize()) - 1) / 2 * _SPACING_MM])
    inside = sitk.Cast(one.lungs.labels(one.perfusion) > 0, sitk.sitkFloat32)
    perfusion, share = (
        patient_array(sitk.Resample(image, grid, sitk.Transform(), sitk.sitkLinear, 0.0, sitk.sitkFloat32))
        for image in (one.perfusion, inside)
    )
    lung = share >= 0.5
    return np.divide(
        perfusion, share, out=np.zeros_like(perfusion), where=lung
    ), lung  # no dark rim of what is no lung


def _slices(lung: np.ndarray, plane: Plane, shares: np.ndarray) -> list[int]:
    """Slices before which so much of the lungs lies, counted from the head or from the front."""
    volume = lung.sum(axis=tuple(axis for axis in range(3) if axis != plane.axis))
    from_head = plane is AXIAL
    before = np.cumsum(volume[::-1] if from_head else volume)
    found = [int(np.searchsorted(before, share * before[-1])) for share in shares]
    return [len(volume) - 1 - index for index in found] if from_head else found
