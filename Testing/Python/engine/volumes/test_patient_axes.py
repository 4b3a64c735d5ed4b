import itertools

import numpy as np
import pytest
import SimpleITK as sitk

from DLCTPMLib.volumes.patient_axes import PatientAxes, file_image, patient_array, same_grid, upright_grid

SPACING, ORIGIN = (0.7, 1.1, 2.3), (-10.0, 20.0, -30.0)
ORIENTATIONS = [
    "".join(letters) for axes in itertools.permutations(("LR", "PA", "SI")) for letters in itertools.product(*axes)
]


def a_marked_image() -> sitk.Image:
    """Every voxel holds a value of its own."""
    image = sitk.GetImageFromArray(np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6))
    image.SetSpacing(SPACING)
    image.SetOrigin(ORIGIN)
    return image


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_the_view_is_the_same_in_all_48_orientations(orientation):
    upright = a_marked_image()
    turned = sitk.DICOMOrient(upright, orientation)
    axes = PatientAxes.of(turned)
    assert np.array_equal(patient_array(turned), sitk.GetArrayViewFromImage(upright))
    assert axes.spacing_mm == pytest.approx(SPACING[::-1])
    assert axes.origin_mm == pytest.approx(ORIGIN)
    assert np.allclose(axes.directions, np.eye(3))
    assert not axes.is_oblique
    assert np.shares_memory(axes.view(array := np.zeros(turned.GetSize()[::-1])), array)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_an_array_goes_back_to_the_voxels_it_came_from(orientation):
    turned = sitk.DICOMOrient(a_marked_image(), orientation)
    back = file_image(patient_array(turned), turned)
    assert np.array_equal(sitk.GetArrayViewFromImage(back), sitk.GetArrayViewFromImage(turned))
    assert same_grid(back, turned)


def test_points_agree_with_simpleitk_on_a_tilted_image():
    image = a_marked_image()
    rotation = sitk.Euler3DTransform((0, 0, 0), 0.2, -0.1, 0.3)
    image.SetDirection(rotation.GetMatrix())
    image = image[::-1, :, ::-1]
    axes = PatientAxes.of(image)
    assert axes.is_oblique
    view = patient_array(image)
    for index in [(0, 0, 0), (3, 4, 5), (1, 2, 3)]:
        point = axes.points_mm(np.array([index]))[0]
        assert image.GetPixel(image.TransformPhysicalPointToIndex(point.tolist())) == view[index]
        assert np.allclose(axes.continuous_index(point[None]), [index])


def test_the_upright_grid_covers_a_tilted_image():
    image = a_marked_image()
    image.SetDirection(sitk.Euler3DTransform((0, 0, 0), 0.2, -0.1, 0.3).GetMatrix())
    grid = upright_grid(image)
    assert not PatientAxes.of(grid).is_oblique
    for corner in itertools.product(*[(-0.5, n - 0.5) for n in image.GetSize()]):
        index = grid.TransformPhysicalPointToContinuousIndex(image.TransformContinuousIndexToPhysicalPoint(corner))
        assert all(-0.5 - 1e-6 <= i <= n - 0.5 + 1e-6 for i, n in zip(index, grid.GetSize(), strict=True))


def test_same_grid_sees_a_shift_of_a_tenth_of_a_millimetre():
    image, shifted = a_marked_image(), a_marked_image()
    shifted.SetOrigin((-10.1, 20.0, -30.0))
    assert same_grid(image, a_marked_image())
    assert not same_grid(image, shifted)


def test_a_view_outlives_the_name_of_its_image():
    view = patient_array(sitk.GetImageFromArray(np.ones((200, 200, 200), np.float32)) * 7)
    others = [sitk.GetImageFromArray(np.zeros((200, 200, 200), np.float32)) + n for n in range(3)]
    assert (view == 7).all()
    assert not view.flags.writeable
    assert len(others) == 3
