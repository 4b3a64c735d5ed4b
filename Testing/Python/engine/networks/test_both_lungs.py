"""Both lungs on one grid in millimetres: densities mean the same in both, and where the array ends means nothing."""

import numpy as np
import pytest
import SimpleITK as sitk
import small_chest
import torch
from torch import nn

from DLCTPMLib.common.progress import no_progress
from DLCTPMLib.common.stopwatch import Stopwatch
from DLCTPMLib.labels.chest_regions import BOTH, ChestRegion
from DLCTPMLib.mapping.mapping import LungGrids, map_lungs
from DLCTPMLib.networks.inference import Predictor, folded
from DLCTPMLib.networks.parts import StandardConvolution, place_in_lungs
from DLCTPMLib.networks.registry import build_network
from DLCTPMLib.networks.settings import network_settings
from DLCTPMLib.preprocessing.enhancement import network_inputs
from DLCTPMLib.preprocessing.settings import PreprocessingSettings
from DLCTPMLib.volumes.patient_axes import patient_array

CPU = torch.device("cpu")
IN_MM = PreprocessingSettings(cell_mm=12.0, inputs=("aerated", "dense", "lung"))


def network(name: str = "unet", norm: str = "weight"):
    torch.manual_seed(0)
    values = {"architecture": name, "channels": (4, 4, 6, 6), "kernel": 3, "norm": norm, "place": "lungs"}
    made = build_network(network_settings({**values, "input_channels": 3}))
    with torch.no_grad():
        for parameter in made.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    return made.eval()


def images(size=(19, 13, 17)) -> np.ndarray:
    values = np.random.default_rng(0).random((3, *size), dtype=np.float32)
    values[:, :, :, 7:10] = 0
    return values


@pytest.mark.parametrize("norm", ["group", "weight"])
@pytest.mark.parametrize("name", ["unet", "arnn"])
def test_the_norm_does_the_same_while_training_and_in_prediction(name, norm):
    made = network(name, norm)
    x = torch.from_numpy(images())[None]
    for module in made.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    assert torch.allclose(made.train()(x), made.eval()(x), atol=1e-6)
    assert np.allclose(Predictor(made, CPU)(images()), made(x)[0, 0].detach().numpy(), atol=1e-5)


def test_standardised_weights_have_no_mean_and_one_scale_and_fold_into_a_plain_convolution():
    layer = StandardConvolution(5, 4, 3, padding=1, bias=False)
    weight = layer.standard_weight().flatten(1)
    assert torch.allclose(weight.mean(1), torch.zeros(4), atol=1e-6)
    assert torch.allclose(weight.square().sum(1), torch.full((4,), 2.0), rtol=1e-4)  # He et al. 2015: 2 / inputs each
    x = torch.rand(1, 5, 6, 6, 6)
    assert torch.allclose(layer.plain()(x), layer(x), atol=1e-6)
    assert not any(isinstance(module, StandardConvolution) for module in folded(network()).modules())


def test_any_size_is_mapped_and_background_around_the_lungs_hardly_matters():
    made, x = network(), images()
    plain = Predictor(made, CPU)(x)
    assert plain.shape == x.shape[1:]
    wider = np.pad(x, [(0, 0), (0, 8), (0, 8), (0, 8)])
    assert np.allclose(Predictor(made, CPU)(wider)[:19, :13, :17], plain, atol=0.005)


def test_place_is_the_way_from_the_lungs_centre_wherever_they_lie():
    lung = torch.zeros(1, 1, 12, 12, 12)
    lung[..., 2:5, 2:6, 2:8] = 1
    moved = torch.roll(lung, (3, 2, 1), (2, 3, 4))
    place = place_in_lungs(lung)
    assert torch.allclose(place[0, :, 2, 2, 2], -torch.tensor([1.0, 1.5, 2.5]) / 32)
    assert torch.allclose(torch.roll(place, (3, 2, 1), (2, 3, 4)), place_in_lungs(moved), atol=1e-6)
    assert not place[lung.expand_as(place) == 0].any()


def test_one_grid_holds_both_lungs_in_cells_of_so_many_mm_and_its_way_back_is_the_identity_of_smooth_values():
    ct, lungs = small_chest.chest_ct(), small_chest.lung_labels()
    on_grid = LungGrids.of(ct, lungs, IN_MM)
    ((name, grid),) = on_grid.grids.items()
    cells_mm = np.array(on_grid.axes.spacing_mm) * grid.inside.shape / grid.shape
    assert name == BOTH
    assert (cells_mm <= 12 + 1e-6).all()
    assert (cells_mm > 9).all()
    inside = patient_array(lungs) > 0
    back = on_grid.to_view({BOTH: np.full(grid.shape, 0.5, np.float32)})
    assert np.allclose(back[inside], 0.5)
    assert not back[~inside].any()


def test_images_tell_aerated_from_dense_lung_on_one_scale():
    hu = np.array([-1000.0, -650, -300, -100, 100, -650]).reshape(1, 1, 6)
    mask = np.array([1, 1, 1, 1, 1, 0], bool).reshape(1, 1, 6)
    part = np.array([1, 0.75, 1, 1, 1, 0.25]).reshape(1, 1, 6)
    aerated, dense, lung = network_inputs(hu, mask, IN_MM, part)
    assert np.allclose(aerated.ravel(), [0, 0.5, 1, 1, 1, 0])
    assert np.allclose(dense.ravel(), [0, 0, 0, 0.5, 1, 0])
    assert np.allclose(lung.ravel(), [1, 0.75, 1, 1, 1, 0])


def test_less_dense_lung_on_one_side_is_seen_in_its_share():
    """A map of density itself stands for a trained network: the way there and back keeps the sides comparable."""
    ct, lungs = small_chest.chest_ct(), small_chest.lung_labels()
    hu = patient_array(ct).astype(np.float32)
    labels = patient_array(lungs)
    side = labels == ChestRegion.RIGHT_LUNG

    def share(values: np.ndarray) -> float:
        image = sitk.GetImageFromArray(values)
        image.CopyInformation(lungs)
        on_grid = LungGrids.of(image, lungs, IN_MM)
        mapped = on_grid.to_view(map_lungs(on_grid, IN_MM, lambda x: x[0], Stopwatch(), no_progress))
        return mapped[side].sum() / mapped[labels > 0].sum()

    assert share(np.where(side, hu - 60, hu)) < share(hu) - 0.05


def test_the_map_reaches_as_far_as_its_target():
    ct, lungs = small_chest.chest_ct(), small_chest.lung_labels()
    settings = PreprocessingSettings(**{**IN_MM.to_dict(), "top": 1.5, "inputs": IN_MM.inputs})
    on_grid = LungGrids.of(ct, lungs, settings)
    cells = map_lungs(on_grid, settings, lambda x: np.ones(x.shape[1:], np.float32), Stopwatch(), no_progress)
    assert np.allclose(cells[BOTH], 1.5)
