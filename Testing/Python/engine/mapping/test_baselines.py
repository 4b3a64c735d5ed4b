"""The baselines are what METHOD.md §5 says, on shapes whose answer is known."""

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from DLCTPMLib.mapping.baselines import (
    all_high,
    baseline_maps,
    blurred_density,
    blurred_mask,
    density_median,
    enhanced_ct,
    geometry,
)
from DLCTPMLib.mapping.mapping import LungGrids
from DLCTPMLib.preprocessing.enhancement import network_inputs
from DLCTPMLib.preprocessing.settings import PreprocessingSettings
from DLCTPMLib.volumes.patient_axes import PatientAxes, patient_array

SETTINGS = PreprocessingSettings(grid_shape=(48, 32, 32), median_size=5, uniform_size=3)
SPACING = (2.0, 2.0, 2.5)


@pytest.fixture(scope="module")
def chest_images():
    """A CT of two ellipsoid lungs, denser towards the back, and its labels."""
    size = (70, 70, 110)
    z, y, x = np.meshgrid(*[np.arange(n) for n in size], indexing="ij")
    labels = np.zeros(size, np.uint16)
    for value, centre in ((2, 28), (3, 82)):
        labels[((z - 35) / 32) ** 2 + ((y - 35) / 30) ** 2 + ((x - centre) / 24) ** 2 < 1] = value
    rng = np.random.default_rng(0)
    hu = np.where(labels > 0, -850 + 2 * y, 50) + rng.normal(0, 15, size)
    images = [sitk.GetImageFromArray(hu.astype(np.float32)), sitk.GetImageFromArray(labels)]
    for image in images:
        image.SetSpacing(SPACING)
        image.SetOrigin((-100, -80, 0))
    return images


@pytest.fixture(scope="module")
def chest(chest_images):
    return LungGrids(*chest_images, SETTINGS.grid_shape)


def test_all_high_is_one_in_the_lungs_and_zero_outside(chest, chest_images):
    view = chest.to_view(all_high(chest))
    assert np.array_equal(view, (patient_array(chest_images[1]) > 0).astype(np.float32))


def test_geometry_follows_its_formula(chest, chest_images):
    lungs = patient_array(chest_images[1])
    view = chest.to_view(geometry(chest))
    y_cm = np.arange(lungs.shape[1])[None, :, None] * SPACING[1] / 10
    ventral_cm = np.flatnonzero((lungs > 0).any(axis=(0, 2)))[0] * SPACING[1] / 10
    for value in (2, 3):
        lung = lungs == value
        depth = ndimage.distance_transform_edt(lung, sampling=SPACING[::-1]) - 1
        expected = (1 + 0.04 * (y_cm - ventral_cm)) * (1 - np.exp(-depth / 15))
        inner = lung & (depth > 6)
        assert inner.sum() > 10_000
        assert np.abs(view - expected)[inner].max() < 0.1
        assert np.abs(view - expected)[inner].mean() < 0.02
        assert np.corrcoef(view[lung], expected[lung])[0, 1] > 0.99


def test_geometry_does_not_look_at_hu(chest, chest_images):
    without_ct = LungGrids(chest_images[1], chest_images[1], SETTINGS.grid_shape)
    for side, cells in geometry(without_ct).items():
        assert np.array_equal(cells, geometry(chest)[side])


def test_geometry_rises_towards_the_back_of_the_patient_in_a_prone_array(chest_images):
    labels = sitk.Flip(chest_images[1], (False, True, False))  # the file's rows run towards the front
    chest = LungGrids(labels, labels, SETTINGS.grid_shape)
    view = chest.to_view(geometry(chest))
    middle = view[view.shape[0] // 2, :, 28]
    assert middle[45] > middle[25] > 0


def test_density_median_is_the_masked_median_of_density(chest):
    cells = density_median(chest, SETTINGS)
    for side, grid in chest.grids.items():
        density = np.where(grid.mask, (np.rint(grid.down(chest.hu)) + 1000) / 1000, np.nan)
        for cell in np.argwhere(grid.mask)[::997]:
            window = density[tuple(slice(max(c - 2, 0), c + 3) for c in cell)]
            inside = np.sort(window[np.isfinite(window)])
            assert cells[side][tuple(cell)] == pytest.approx(inside[len(inside) // 2], abs=1e-6)


def test_the_blurred_mask_is_half_at_a_flat_edge_and_rises_by_e_to_004_per_cm(chest):
    """Half of a Gaussian lies on each side of an edge; deep inside only gravity is left."""
    view = chest.to_view(blurred_mask(chest))
    spacing = chest.axes.spacing_mm
    z, x = view.shape[0] // 2, int(np.argmax((view > 0).any(axis=0).sum(axis=0)))
    column = view[z, :, x]
    inside = np.flatnonzero(column > 0)
    deep = inside[np.abs(inside - np.median(inside)) * spacing[1] < 20]
    rise = np.polyfit(deep * spacing[1] / 10, np.log(column[deep]), 1)[0]
    assert rise == pytest.approx(0.04, abs=0.012)
    edge = column[inside[0]] / column[deep[0]]
    assert 0.1 < edge < 0.65  # an edge of two or three faces is less than half


def test_blurred_density_takes_dense_lung_for_no_denser_than_its_cap(chest, chest_images):
    ct, lungs = chest_images
    solid = sitk.Cast(ct * 0 + 40, sitk.sitkInt16)
    capped = sitk.Cast(ct * 0 - 700, sitk.sitkInt16)
    maps = [blurred_density(LungGrids(image, lungs, SETTINGS.grid_shape)) for image in (solid, capped)]
    for side in maps[0]:
        assert maps[0][side] == pytest.approx(maps[1][side], rel=1e-5)
    shallow = blurred_density(LungGrids(sitk.Cast(ct * 0 - 850, sitk.sitkInt16), lungs, SETTINGS.grid_shape))
    assert all(shallow[side].max() == pytest.approx(0.5 * maps[0][side].max(), rel=1e-3) for side in shallow)


def test_enhanced_ct_is_the_networks_input(chest):
    cells = enhanced_ct(chest, SETTINGS)
    for side, grid in chest.grids.items():
        inputs = network_inputs(grid.down(chest.hu), grid.mask, SETTINGS)
        assert np.array_equal(cells[side], inputs.reshape(grid.shape))
    assert chest.to_view(cells).max() <= 1


def test_every_map_lies_in_the_lungs_only(chest_images):
    ct, lungs = chest_images
    outside = patient_array(lungs) == 0
    names = []
    for name, view in baseline_maps(lungs, ct, SETTINGS):
        names.append(name)
        assert view.shape == PatientAxes.of(ct).shape
        assert np.isfinite(view).all()
        assert not view[outside].any()
    assert names == ["all_high", "geometry", "blurred_mask", "density_median", "enhanced_ct", "blurred_density"]
