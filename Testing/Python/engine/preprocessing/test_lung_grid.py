import numpy as np
import pytest
from scipy import ndimage

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.preprocessing.grid import LungGrid, area_weights, linear_weights


def an_ellipsoid(shape=(70, 60, 50)) -> np.ndarray:
    z, y, x = np.ogrid[tuple(slice(-1, 1, n * 1j) for n in shape)]
    return z**2 + y**2 + x**2 < 0.9


def test_area_weights_are_the_shares_of_each_cell():
    # 5 voxels over 2 cells: the middle voxel belongs half to each
    assert np.allclose(area_weights(5, 2), [[0.4, 0.4, 0.2, 0, 0], [0, 0, 0.2, 0.4, 0.4]])


def test_linear_weights_hold_the_end_values():
    ramp = np.array([10.0, 20.0])
    assert np.allclose(linear_weights(2, 4) @ ramp, [10, 12.5, 17.5, 20])


def test_down_is_the_mean_over_the_lung_part_of_each_cell():
    """Against a brute-force mean: every voxel cut into pieces that fall into one cell each."""
    rng = np.random.default_rng(0)
    inside = rng.random((6, 10, 9)) < 0.7
    inside[[0, -1]] = inside[:, [0, -1]] = inside[:, :, [0, -1]] = True
    values = rng.normal(-850, 100, inside.shape)
    shape = (4, 4, 6)
    pieces = tuple(np.lcm(n, m) for n, m in zip(inside.shape, shape, strict=True))

    def fine(array):
        for axis, n in enumerate(pieces):
            array = np.repeat(array, n // array.shape[axis], axis=axis)
        return array

    def cell_sum(array):
        blocks = [v for n, m in zip(pieces, shape, strict=True) for v in (m, n // m)]
        return array.reshape(blocks).sum(axis=(1, 3, 5))

    part = cell_sum(fine(inside.astype(float)))
    expected = cell_sum(fine(values * inside)) / part
    grid = LungGrid.of(inside, shape)
    assert np.allclose(
        grid.lung_part, part / np.prod([n // m for n, m in zip(pieces, shape, strict=True)]), atol=1e-6
    )
    assert np.array_equal(grid.mask, grid.lung_part >= 0.5 - 1e-6)
    assert np.allclose(grid.down(values)[grid.mask], expected[grid.mask], atol=1e-3)
    assert not grid.down(values)[~grid.mask].any()


def test_padding_outside_the_lung_never_enters():
    mask = an_ellipsoid()
    values = np.where(mask, -800.0, np.nan)
    grid = LungGrid.of(mask)
    assert np.allclose(grid.down(values)[grid.mask], -800)


def test_a_thick_slice_axis_is_interpolated():
    mask = np.ones((10, 80, 80), dtype=bool)
    ramp = np.broadcast_to(np.arange(10.0)[:, None, None], mask.shape)
    down = LungGrid.of(mask, (128, 64, 64)).down(ramp)
    expected = np.clip((np.arange(128) + 0.5) * 10 / 128 - 0.5, 0, 9)
    assert np.allclose(down[:, 5, 5], expected, atol=1e-5)


def test_up_is_scipys_trilinear_interpolation_where_no_edge_is_near():
    mask = np.ones((50, 40, 30), dtype=bool)
    cells = np.random.default_rng(1).random((16, 16, 16)).astype(np.float32)
    grid = LungGrid.of(mask, (16, 16, 16))
    at = np.meshgrid(*[(np.arange(n) + 0.5) * 16 / n - 0.5 for n in mask.shape], indexing="ij")
    assert np.allclose(grid.up(cells), ndimage.map_coordinates(cells, at, order=1, mode="nearest"), atol=1e-5)


def test_a_constant_comes_back_constant_in_every_lung_voxel_and_zero_outside():
    mask = an_ellipsoid()
    mask[5, 3, 3] = True  # a speck far from any lung cell
    grid = LungGrid.of(mask, (16, 16, 16))
    up = grid.up(np.full((16, 16, 16), 0.7, dtype=np.float32))
    crop = mask[grid.box]
    assert np.allclose(up[crop], 0.7, atol=1e-6)
    assert not up[~crop].any()


def test_sampling_at_voxel_centres_is_the_way_up():
    mask = an_ellipsoid()
    grid = LungGrid.of(mask, (16, 8, 8))
    cells = np.random.default_rng(2).random((16, 8, 8)).astype(np.float32)
    index = np.argwhere(mask)
    sampled = grid.sample(cells, index)
    start = [part.start for part in grid.box]
    assert np.allclose(sampled, grid.up(cells)[tuple((index - start).T)], atol=1e-4)


def test_an_empty_mask_is_refused():
    with pytest.raises(InputError, match="empty"):
        LungGrid.of(np.zeros((4, 4, 4), dtype=bool))
