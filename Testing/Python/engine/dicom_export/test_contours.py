"""Contours at sub-pixel hold a mask's pixel centres exactly and its area within 1 %, holes and islands too."""

import numpy as np
import pytest
from matplotlib.path import Path as Polygon
from scipy import ndimage

from DLCTPMLib.dicom_export.contours import planar_contours, without_islands

rows, columns = np.mgrid[:90, :110].astype(float)


def disc(row, column, radius):
    return (rows - row) ** 2 + (columns - column) ** 2 < radius**2


def noise(seed):
    return ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=rows.shape), 3) > 0


masks = {
    "ring with an island": (disc(45, 45, 40) & ~disc(45, 45, 22)) | disc(45, 45, 8) | disc(45, 100, 7),
    "two holes in a row": disc(45, 55, 42) & ~disc(45, 35, 9) & ~disc(45, 75, 9),
    "holes in islands in holes": disc(45, 50, 44) & ~disc(45, 50, 34) | disc(45, 50, 26) & ~disc(45, 50, 12),
    "noise": noise(1),
    "touching corners": np.kron(np.eye(6, dtype=bool), np.ones((15, 18), bool))[:90, :110].copy(),
    "one pixel": (rows == 3) & (columns == 4),
    "to the edge": np.ones(rows.shape, bool),
}


def even_odd(curves, shape):
    points = np.stack(np.mgrid[: shape[0], : shape[1]], -1).reshape(-1, 2)
    inside = np.zeros(len(points), bool)
    for curve in curves:
        inside ^= Polygon(np.concatenate([curve, curve[:1]])).contains_points(points + np.array([1e-7, 3e-7]))
    return inside.reshape(shape)


def area(curve):
    y, x = curve.T
    return 0.5 * (np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))


@pytest.mark.parametrize("holes", ["keyhole", "xor"])
@pytest.mark.parametrize("name", masks)
def test_contours_hold_the_masks_pixels_and_area(name, holes):
    mask = masks[name] if masks[name].shape == rows.shape else np.pad(masks[name], 2)
    curves = planar_contours(mask, holes)
    assert np.array_equal(even_odd(curves, mask.shape), mask)
    assert all((curve != np.roll(curve, 1, axis=0)).any(axis=1).all() for curve in curves)  # no point twice running
    if mask.sum() > 100:
        assert abs(sum(map(area, curves))) == pytest.approx(mask.sum(), rel=0.01)


def test_a_keyhole_leaves_one_contour_and_exclusive_or_two():
    ring = disc(45, 45, 40) & ~disc(45, 45, 22)
    assert len(planar_contours(ring, "keyhole")) == 1
    assert len(planar_contours(ring, "xor")) == 2
    assert planar_contours(np.zeros((4, 4), bool)) == []


def test_keyholes_run_within_the_structure():
    mask = masks["two holes in a row"]
    (curve,) = planar_contours(mask)
    edges = {(*a, *b) for a, b in zip(curve, np.roll(curve, -1, axis=0), strict=True)}
    cuts = [edge for edge in edges if (*edge[2:], *edge[:2]) in edges]
    assert len(cuts) == 4
    for row, start, _, end in cuts:
        along = np.linspace(start, end, 50)[1:-1]
        assert mask[round(row), np.round(along).astype(int)].all()


def test_contours_run_between_pixels_and_have_few_points():
    square = np.zeros((30, 30), bool)
    square[5:15, 8:20] = True
    (curve,) = planar_contours(square)
    assert curve.min(axis=0).tolist() == [4.5, 7.5]
    assert curve.max(axis=0).tolist() == [14.5, 19.5]
    assert len(curve) <= 9


def test_islands_below_a_tenth_of_a_millilitre_are_dropped():
    mask = np.zeros((8, 20, 20), bool)
    mask[2:6, 2:6, 2:6] = True  # 64 voxels
    mask[1, 15, 15] = mask[2, 16, 16] = True  # joined by a corner
    assert without_islands(mask, 0.002).sum() == 64
    assert without_islands(mask, 0.05).sum() == 66
