"""From CT to map on the CT's own grid, with an untrained network: where things lie, not what they are."""

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.lungs.upright import UprightLungs
from DLCTPMLib.mapping.baselines import enhanced_ct
from DLCTPMLib.mapping.mapping import LungGrids, map_perfusion
from DLCTPMLib.networks.arnn import Arnn
from DLCTPMLib.networks.bundle import load_bundle, save_bundle
from DLCTPMLib.networks.settings import ArnnSettings
from DLCTPMLib.preprocessing.settings import PreprocessingSettings
from DLCTPMLib.volumes.patient_axes import PatientAxes, patient_array

RIGHT, LEFT = 2, 3
SETTINGS = PreprocessingSettings(grid_shape=(32, 16, 16), median_size=4, uniform_size=3)


def a_chest(spacing=2.5) -> tuple[sitk.Image, sitk.Image]:
    """Two ellipsoid lungs of different size with smooth density that differs everywhere; 2.5 mm."""
    shape = tuple(round(n / spacing) for n in (250, 200, 320))
    z, y, x = (np.linspace(-n / 2, n / 2, m) * spacing for n, m in zip(shape, shape, strict=True))
    z, y, x = z[:, None, None], y[None, :, None], x[None, None, :]
    right = ((x + 75) / 60) ** 2 + (y / 80) ** 2 + (z / 110) ** 2 < 1
    left = ((x - 75) / 52) ** 2 + (y / 75) ** 2 + ((z - 8) / 100) ** 2 < 1
    hu = np.where(right | left, -860 + 0.8 * y + 0.25 * z + 0.15 * x + 40 * np.sin(x / 17) * np.cos(z / 23), 40)
    labels = np.where(right, RIGHT, np.where(left, LEFT, 0)).astype(np.uint16)
    images = []
    for array in (hu.astype(np.float32), labels):
        image = sitk.GetImageFromArray(array)
        image.SetSpacing([spacing] * 3)
        image.SetOrigin([-160.0, -100.0, 500.0])
        images.append(image)
    return tuple(images)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """An untrained network whose map depends on position and on density."""
    torch.manual_seed(4)
    network = Arnn(ArnnSettings(channels=(4, 4, 8, 8), kernel=3)).train()
    for _ in range(10):
        network(torch.rand(1, 1, 32, 16, 16))
    with torch.no_grad():
        network.project_decoder.weight *= 3
    metadata = {"name": "untrained", "version": "0", "intended_use": "tests", "preprocessing": SETTINGS.to_dict()}
    return load_bundle(save_bundle(tmp_path_factory.mktemp("m") / "m", network.eval(), metadata, "", ""))


def turned(image: sitk.Image, orientation: str) -> sitk.Image:
    return sitk.DICOMOrient(image, orientation)


def test_the_map_lies_in_the_lungs_and_nowhere_else(bundle):
    ct, lungs = a_chest()
    result = map_perfusion(ct, lungs, bundle, device="cpu")
    array, inside = sitk.GetArrayViewFromImage(result.perfusion), sitk.GetArrayViewFromImage(lungs) > 0
    assert result.perfusion.GetPixelID() == sitk.sitkFloat32
    assert array[inside].min() > 0
    assert not array[~inside].any()
    assert array[inside].std() > 0.01
    assert set(result.timings_s) == {"model", "downsample", "enhancement", "network", "upsample"}


@pytest.mark.parametrize("orientation", ["RAS", "LPI", "SPL", "AIR", "PSL"])
def test_flipped_and_permuted_axes_move_no_voxel(bundle, orientation):
    ct, lungs = a_chest()
    expected = map_perfusion(ct, lungs, bundle, device="cpu").perfusion
    got = map_perfusion(turned(ct, orientation), turned(lungs, orientation), bundle, device="cpu").perfusion
    assert got.GetDirection() == turned(ct, orientation).GetDirection()
    assert np.array_equal(patient_array(got), patient_array(expected))


def test_each_lung_is_mapped_by_itself(bundle):
    ct, lungs = a_chest()
    both = patient_array(map_perfusion(ct, lungs, bundle, device="cpu").perfusion)
    only_right = sitk.Cast(lungs == RIGHT, sitk.sitkUInt16) * RIGHT
    alone = map_perfusion(ct, only_right, bundle, device="cpu")
    inside = patient_array(only_right) > 0
    assert np.array_equal(patient_array(alone.perfusion)[inside], both[inside])
    assert alone.warnings == ["the mask has no left lung: it is not mapped"]


def test_a_ct_tilted_by_17_degrees_gives_the_same_volumes_and_shares(bundle):
    ct, lungs = a_chest()
    turn = sitk.Euler3DTransform(ct.TransformContinuousIndexToPhysicalPoint([64, 40, 50]), 0.1, 0.2, np.radians(17))
    tilted_grid = sitk.Image([200, 200, 200], sitk.sitkUInt8)
    tilted_grid.SetSpacing([2.0] * 3)
    tilted_grid.SetDirection(turn.GetMatrix())
    middle = np.array(ct.TransformContinuousIndexToPhysicalPoint([63.5, 39.5, 49.5]))
    tilted_grid.SetOrigin((middle - np.reshape(turn.GetMatrix(), (3, 3)) @ np.full(3, 199.0)).tolist())
    identity = sitk.Transform(3, sitk.sitkIdentity)
    tilted_ct = sitk.Resample(ct, tilted_grid, identity, sitk.sitkLinear, 40.0)
    tilted_lungs = sitk.Resample(lungs, tilted_grid, identity, sitk.sitkNearestNeighbor)
    assert PatientAxes.of(tilted_ct).is_oblique

    def shares(ct, lungs):
        perfusion = patient_array(map_perfusion(ct, lungs, bundle, device="cpu").perfusion)
        labels, ml = patient_array(lungs), PatientAxes.of(ct).voxel_ml
        volumes = np.array([np.count_nonzero(labels == side) * ml for side in (RIGHT, LEFT)])
        flow = np.array([perfusion[labels == side].sum(dtype=float) * ml for side in (RIGHT, LEFT)])
        return volumes, 100 * flow / flow.sum(), flow

    volumes, percent, flow = shares(ct, lungs)
    tilted_volumes, tilted_percent, tilted_flow = shares(tilted_ct, tilted_lungs)
    assert np.allclose(tilted_volumes, volumes, rtol=0.01)
    assert np.allclose(tilted_percent, percent, atol=1.0)
    assert np.allclose(tilted_flow, flow, rtol=0.02)


def test_on_a_tilted_ct_the_map_lies_in_the_lungs_and_nowhere_else(bundle):
    ct, lungs = a_chest(spacing=4.0)
    for image in (ct, lungs):
        image.SetDirection(sitk.Euler3DTransform((0, 0, 0), 0.1, 0.0, 0.2).GetMatrix())
    array = sitk.GetArrayFromImage(map_perfusion(ct, lungs, bundle, device="cpu").perfusion)
    inside = sitk.GetArrayViewFromImage(lungs) > 0
    assert array[inside].min() > 0
    assert not array[~inside].any()


def test_enhanced_ct_comes_back_to_the_ct_between_0_and_1():
    ct, lungs = a_chest()
    on_grid = LungGrids(ct, lungs, SETTINGS.grid_shape)
    enhanced = on_grid.to_view(enhanced_ct(on_grid, SETTINGS))
    inside = patient_array(lungs) > 0
    assert enhanced[inside].min() >= 0
    assert enhanced.max() <= 1
    # denser lung is higher: equalisation keeps the order of densities
    middle = patient_array(ct)[50, 20:60, 34], enhanced[50, 20:60, 34]
    assert np.corrcoef(*middle)[0, 1] > 0.9


@pytest.mark.parametrize("tilt", [0.0, 0.3])
def test_lungs_as_they_were_found_give_the_map_of_their_label_image(bundle, tilt):
    ct, lungs = a_chest(spacing=4.0)
    turned = (np.cos(tilt), -np.sin(tilt), 0.0, np.sin(tilt), np.cos(tilt), 0.0, 0.0, 0.0, 1.0)
    for image in (ct, lungs):
        image.SetDirection(turned)
    from_labels, from_found = (
        map_perfusion(ct, source, bundle, device="cpu") for source in (lungs, UprightLungs.of(lungs))
    )
    view = sitk.GetArrayFromImage(from_labels.perfusion)
    assert view.any()
    assert np.array_equal(view, sitk.GetArrayFromImage(from_found.perfusion))


def test_an_image_is_read_at_the_voxels_of_the_crop():
    ct, lungs = a_chest()
    on_grid = LungGrids(ct, lungs, (32, 16, 16))
    box = on_grid.grids["left lung"].box
    assert np.allclose(on_grid.crop_of("left lung", ct), on_grid.hu[box], atol=1e-2)
    shift = sitk.TranslationTransform(3, (0.0, 0.0, 2.5))
    up = (slice(box[0].start + 1, box[0].stop + 1), *box[1:])
    assert np.allclose(on_grid.crop_of("left lung", ct, shift), on_grid.hu[up], atol=1e-2)


def test_an_empty_mask_and_an_unknown_precision_are_refused(bundle):
    ct, lungs = a_chest(spacing=8.0)
    with pytest.raises(InputError, match="empty"):
        map_perfusion(ct, lungs * 0, bundle, device="cpu")
    with pytest.raises(InputError, match="--precision"):
        map_perfusion(ct, lungs, bundle, device="cpu", precision="fp8")
