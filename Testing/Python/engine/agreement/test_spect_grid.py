"""The lungs on the SPECT's grid equal analytic volumes and dense brute-force sampling, on any pair of grids."""

import itertools

import numpy as np
import pytest
import SimpleITK as sitk

from DLCTPMLib.agreement.spect_grid import SpectGrid, voxel_samples
from DLCTPMLib.common.errors import InputError
from DLCTPMLib.volumes.patient_axes import PatientAxes, file_image

RIGHT, LEFT = 2, 3


def a_grid(size, spacing, origin, direction=None, pixel=sitk.sitkUInt16):
    image = sitk.Image([int(n) for n in size], pixel)
    image.SetSpacing([float(s) for s in spacing])
    image.SetOrigin([float(o) for o in origin])
    if direction is not None:
        image.SetDirection(np.asarray(direction, float).ravel().tolist())
    return image


def points_of(image):
    """LPS coordinates (x, y, z), each of the file's array shape."""
    index = np.stack(np.meshgrid(*[np.arange(n) for n in image.GetSize()[::-1]], indexing="ij")[::-1])
    matrix = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    return np.tensordot(matrix, index, axes=1) + np.array(image.GetOrigin()).reshape(3, 1, 1, 1)


def two_balls(ct, right=(-30, 0, 0), left=(32, 3, -2), radius=24.0):
    """A right and a left ball on a CT grid, as CIP labels."""
    points = points_of(ct)
    labels = np.zeros(ct.GetSize()[::-1], np.uint16)
    for value, centre in ((RIGHT, right), (LEFT, left)):
        labels[((points - np.reshape(centre, (3, 1, 1, 1))) ** 2).sum(axis=0) < radius**2] = value
    image = sitk.GetImageFromArray(labels)
    image.CopyInformation(ct)
    return image


def brute_force_fraction(labels, spect, transform, value, per_axis=12):
    """Nearest labels at a dense regular grid of points in every SPECT voxel, by SimpleITK."""
    spacing = np.array(spect.GetSpacing())
    fine = a_grid(
        np.array(spect.GetSize()) * per_axis,
        spacing / per_axis,
        spect.TransformContinuousIndexToPhysicalPoint([-0.5 + 0.5 / per_axis] * 3),
        spect.GetDirection(),
    )
    inverse = transform.GetInverse() if transform is not None else sitk.Transform(3, sitk.sitkIdentity)
    hit = sitk.GetArrayFromImage(sitk.Resample(labels, fine, inverse, sitk.sitkNearestNeighbor)) == value
    z, y, x = spect.GetSize()[::-1]
    return hit.reshape(z, per_axis, y, per_axis, x, per_axis).mean(axis=(1, 3, 5))


TURN = sitk.Euler3DTransform((0, 0, 0), 0.21, -0.13, 0.17, (4, -3, 6))
AFFINE = sitk.AffineTransform([1.08, 0.05, 0, -0.04, 0.94, 0.06, 0.02, 0, 1.03], [3.0, 2.0, -4.0], [0.0, 0.0, 0.0])


def lung_parts(labels: sitk.Image, spect: sitk.Image, transform=None) -> tuple[np.ndarray, np.ndarray]:
    """Right and left lung part of every SPECT voxel."""
    grid = SpectGrid.of(labels, spect, transform)
    return grid.right, grid.left


def test_sample_points_spread_evenly_on_every_axis():
    points = voxel_samples()
    assert np.allclose(np.sort(points, axis=0), (np.arange(128)[:, None] + 0.5) / 128 - 0.5)


@pytest.mark.parametrize("transform", [None, TURN, AFFINE], ids=["identity", "rigid", "affine"])
@pytest.mark.parametrize(
    "ct_spacing", [(0.9, 0.9, 1.25), (1.5, 1.5, 8.0), (6.0, 6.0, 6.0)], ids=["fine", "thick", "coarse"]
)
def test_lung_fraction_equals_brute_force(ct_spacing, transform):
    size = np.ceil(np.array([130, 64, 64]) / ct_spacing)
    labels = two_balls(a_grid(size, ct_spacing, (-64, -30, -31)))
    spect = a_grid((34, 20, 20), (4.42, 4.42, 4.42), (-72, -40, -41))
    right, left = lung_parts(labels, spect, transform)
    for ours, value in ((right, RIGHT), (left, LEFT)):
        error = ours - brute_force_fraction(labels, spect, transform, value)
        assert np.abs(error).max() < 0.09
        assert np.sqrt(np.mean(error[np.abs(error) > 0] ** 2)) < 0.03
        assert abs(error.sum()) < 5e-3 * ours.sum()  # the regular grid of points is itself this coarse


def test_a_balls_volume_and_centre_come_out():
    labels = two_balls(a_grid((180, 90, 90), (0.7, 0.7, 0.7), (-62, -31, -31)))
    spect = a_grid((30, 16, 16), (4.42, 4.42, 4.42), (-65, -34, -32))
    right, left = lung_parts(labels, spect)
    points = points_of(spect)
    for fraction, centre in ((right, (-30, 0, 0)), (left, (32, 3, -2))):
        assert fraction.sum() * 4.42**3 == pytest.approx(4 / 3 * np.pi * 24**3, rel=2e-3)
        mean = [(axis * fraction).sum() / fraction.sum() for axis in points]
        assert mean == pytest.approx(centre, abs=0.05)


def test_a_box_off_the_grid_is_cut_to_a_hundredth_of_a_voxel():
    ct = a_grid((60, 60, 60), (1, 1, 1), (0, 0, 0))
    array = np.zeros((60, 60, 60), np.uint16)
    array[10:43, 7:41, 15:52] = RIGHT  # faces at 9.5…42.5 (z), 6.5…40.5 (y), 14.5…51.5 (x)
    labels = sitk.GetImageFromArray(array)
    labels.CopyInformation(ct)
    spect = a_grid((14, 14, 14), (4.42, 4.42, 4.42), (0.3, 0.9, 1.7))
    right = SpectGrid.of(labels, spect).right

    def cover(low, high, first):
        centre = first + 4.42 * np.arange(14)
        return np.clip(np.minimum(high, centre + 2.21) - np.maximum(low, centre - 2.21), 0, None) / 4.42

    exact = np.einsum("z,y,x->zyx", cover(9.5, 42.5, 1.7), cover(6.5, 40.5, 0.9), cover(14.5, 51.5, 0.3))
    cut = (exact > 0) & (exact < 1)
    assert np.abs(right - exact)[cut].max() < 0.05
    assert np.sqrt(np.mean((right - exact)[cut] ** 2)) < 0.01
    assert right.sum() == pytest.approx(exact.sum(), rel=2e-3)


@pytest.mark.parametrize("transform", [None, TURN], ids=["identity", "rigid"])
def test_mean_over_lung_of_a_ramp_is_the_ramp_at_the_lung_parts_centre(transform):
    ct = a_grid((160, 80, 80), (0.8, 0.8, 0.8), (-64, -32, -32))
    labels = two_balls(ct)
    points = points_of(ct)
    ramp = sitk.GetImageFromArray((3 + 0.02 * points[0] - 0.01 * points[2]).astype(np.float32))
    ramp.CopyInformation(ct)
    spect = a_grid((40, 24, 24), (4.42, 4.42, 4.42), (-86, -50, -52))
    grid = SpectGrid.of(labels, spect, transform)
    mean = grid.mean_over_lung(ramp)
    inside = grid.lung == 1
    inverse = (transform or sitk.Euler3DTransform()).GetInverse()
    at = np.array([inverse.TransformPoint(p) for p in points_of(spect)[:, inside].T])
    assert inside.sum() > 300
    assert np.abs(mean[inside] - (3 + 0.02 * at[:, 0] - 0.01 * at[:, 2])).max() < 0.005
    assert (mean[grid.lung == 0] == 0).all()


def test_mean_over_lung_never_sees_outside_the_lung():
    ct = a_grid((130, 64, 64), (1, 1, 1), (-64, -32, -32))
    labels = two_balls(ct)
    values = np.where(sitk.GetArrayViewFromImage(labels) > 0, 0.5, np.nan).astype(np.float32)
    image = sitk.GetImageFromArray(values)
    image.CopyInformation(ct)
    mean = SpectGrid.of(labels, a_grid((34, 20, 20), (4.42,) * 3, (-72, -40, -41))).mean_over_lung(image)
    assert set(np.unique(mean)) == {0.0, 0.5}


@pytest.mark.parametrize("flips", list(itertools.product([False, True], repeat=3))[1:])
def test_axes_of_either_file_change_nothing(flips):
    labels = two_balls(a_grid((130, 64, 64), (1, 1, 1), (-64, -32, -32)))
    spect = a_grid((34, 20, 20), (4.42, 4.42, 4.42), (-72, -40, -41))
    right, left = lung_parts(labels, spect, TURN)
    turned = sitk.PermuteAxes(sitk.Flip(labels, flips), [2, 0, 1])
    turned_spect = sitk.PermuteAxes(sitk.Flip(spect, flips), [1, 2, 0])
    again = lung_parts(turned, turned_spect, TURN)
    assert np.abs(again[0] - right).max() <= 2 / 128  # a sample on a CT voxel's face may fall either way
    assert np.abs(again[1] - left).max() <= 2 / 128


def test_a_ct_resampled_onto_a_tilted_grid_gives_the_same_lungs():
    angle = np.deg2rad(17)
    tilt = [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    upright = two_balls(a_grid((150, 80, 80), (0.9, 0.9, 0.9), (-66, -36, -36)))
    tilted = two_balls(a_grid((190, 150, 80), (0.9, 0.9, 0.9), (-66, -100, -36), tilt))
    spect = a_grid((34, 20, 20), (4.42, 4.42, 4.42), (-72, -40, -41))
    for one, other in zip(lung_parts(upright, spect), lung_parts(tilted, spect), strict=True):
        assert one.sum() == pytest.approx(other.sum(), rel=3e-3)
        assert np.abs(one - other).max() < 0.15


def test_lung_cut_by_the_cts_border_ends_there():
    labels = np.full((20, 20, 20), RIGHT, np.uint16)
    image = sitk.GetImageFromArray(labels)  # fills −0.5…19.5 mm on every axis
    spect = a_grid((12, 12, 12), (4, 4, 4), (-12, -12, -12))
    right = SpectGrid.of(image, spect).right
    assert right.sum() * 64 == pytest.approx(20**3, rel=1e-3)
    assert right[0].max() == right[-1].max() == 0


def test_lungs_outside_the_spect_give_nothing():
    labels = two_balls(a_grid((130, 64, 64), (1, 1, 1), (-64, -32, -32)))
    far = a_grid((10, 10, 10), (4.42, 4.42, 4.42), (500, 500, 500))
    grid = SpectGrid.of(labels, far)
    assert grid.lung.max() == 0
    assert grid.mean_over_lung(sitk.Cast(labels, sitk.sitkFloat32)).max() == 0


def test_an_empty_mask_gives_nothing():
    empty = a_grid((20, 20, 20), (1, 1, 1), (0, 0, 0))
    assert SpectGrid.of(empty, a_grid((5, 5, 5), (4, 4, 4), (0, 0, 0))).lung.max() == 0


def test_a_deformation_is_refused():
    labels = two_balls(a_grid((65, 32, 32), (2, 2, 2), (-64, -32, -32)))
    field = sitk.DisplacementFieldTransform(sitk.Image([4, 4, 4], sitk.sitkVectorFloat64))
    with pytest.raises(InputError, match="not a rigid or affine transform"):
        SpectGrid.of(labels, a_grid((10, 10, 10), (4, 4, 4), (0, 0, 0)), field)


def test_a_map_on_another_grid_is_refused():
    labels = two_balls(a_grid((65, 32, 32), (2, 2, 2), (-64, -32, -32)))
    grid = SpectGrid.of(labels, a_grid((10, 10, 10), (4, 4, 4), (0, 0, 0)))
    with pytest.raises(InputError, match="CT's grid"):
        grid.mean_over_lung(sitk.Image([64, 32, 32], sitk.sitkFloat32))


def test_the_view_and_the_image_of_a_map_give_the_same_mean():
    labels = two_balls(a_grid((65, 32, 32), (2, 2, 2), (-64, -32, -32)))
    view = np.random.default_rng(1).random(PatientAxes.of(labels).shape).astype(np.float32)
    grid = SpectGrid.of(labels, a_grid((34, 20, 20), (4.42,) * 3, (-72, -40, -41)))
    assert np.array_equal(grid.mean_over_lung(view), grid.mean_over_lung(file_image(view, labels)))
