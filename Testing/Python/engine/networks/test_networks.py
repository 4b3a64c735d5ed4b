"""Networks other than the paper's: same size, same doors, and the extra images they may get."""

import json
from dataclasses import replace

import numpy as np
import pytest
import small_chest
import torch
from torch import nn

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.mapping.mapping import LungGrids, map_perfusion
from DLCTPMLib.networks.arnn import Arnn
from DLCTPMLib.networks.bundle import load_bundle, save_bundle
from DLCTPMLib.networks.context import ContextNetwork, with_place
from DLCTPMLib.networks.inference import Predictor, folded
from DLCTPMLib.networks.registry import build_network
from DLCTPMLib.networks.settings import (
    ARCHITECTURES,
    ArnnSettings,
    ContextSettings,
    UnetSettings,
    check_inputs,
    network_dict,
    network_settings,
)
from DLCTPMLib.networks.unet import Unet
from DLCTPMLib.preprocessing.enhancement import enhance_ct, network_inputs
from DLCTPMLib.preprocessing.settings import PreprocessingSettings
from DLCTPMLib.volumes.patient_axes import patient_array
from DLCTPMTrainingLib.cli.main import main
from DLCTPMTrainingLib.samples.from_images import samples_of_pair
from DLCTPMTrainingLib.samples.lung_samples import Samples
from DLCTPMTrainingLib.study_report.method_figures import network_blocks, network_drawing
from DLCTPMTrainingLib.training.loop import train
from DLCTPMTrainingLib.training.settings import TrainingSettings
from DLCTPMTrainingLib.training.step import trainable_precision

CPU = torch.device("cpu")
WITH_DENSITY = PreprocessingSettings(grid_shape=(32, 16, 16), inputs=("enhanced", "density"))


def small(name: str, channels: int | None = None):
    """Settings of a tiny network that takes so many images, by default those it is meant for."""
    kind = ARCHITECTURES[name]
    return kind.settings(channels=(4, 4, 6, 6), kernel=3, input_channels=channels or len(kind.inputs))


def used(name: str, channels: int | None = None):
    """Such a network with batch-norm statistics and weights away from their starting values."""
    torch.manual_seed(0)
    settings = small(name, channels)
    network = build_network(settings).train()
    for _ in range(3):
        network(torch.rand(1, settings.input_channels, 16, 16, 16))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    return network.eval()


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def multiplications(network: nn.Module, *shape: int) -> int:
    """Of the convolutions, for one lung of that shape: (channels, z, y, x)."""
    count = 0

    def add(module, inputs, output):
        nonlocal count
        strided_up = isinstance(module, nn.ConvTranspose3d)
        cells = inputs[0][0, 0].numel() if strided_up else output[0, 0].numel()
        count += cells * module.weight.numel()

    for module in network.modules():
        if isinstance(module, nn.Conv3d | nn.ConvTranspose3d):
            module.register_forward_hook(add)
    with torch.no_grad():
        network.logits(torch.empty(1, *shape, device=next(network.parameters()).device))
    return count


@pytest.mark.parametrize("channels", [(16, 32, 64, 128), (8, 16, 32, 64)])
def test_the_u_net_is_as_large_as_the_papers_network(channels):
    with torch.device("meta"):
        paper, plain = Arnn(ArnnSettings(channels=channels)).eval(), Unet(UnetSettings(channels=channels)).eval()
    assert parameters(plain) == pytest.approx(parameters(paper), rel=0.05)
    assert multiplications(plain, 1, 16, 16, 16) == pytest.approx(multiplications(paper, 1, 16, 16, 16), rel=0.2)


def test_the_u_net_is_plain():
    kinds = {type(m) for m in Unet(UnetSettings(channels=(2, 2, 2, 2))).modules()} - {Unet, nn.Sequential}
    kinds = {kind for kind in kinds if kind.__module__.startswith("torch")}
    assert kinds == {nn.Conv3d, nn.ConvTranspose3d, nn.BatchNorm3d, nn.ReLU, nn.Dropout}


def test_place_and_density_cost_next_to_nothing():
    with torch.device("meta"):
        assert parameters(ContextNetwork()) == pytest.approx(parameters(Arnn()), rel=0.005)


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("channels", [1, 2])
def test_every_network_maps_any_number_of_images_to_perfusion(name, channels):
    out = used(name, channels)(torch.rand(2, channels, 16, 24, 8))
    assert out.shape == (2, 1, 16, 24, 8)
    assert 0 < out.min() < out.max() < 1


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_parameter_learns(name):
    torch.manual_seed(2)
    network = build_network(small(name)).train()
    x = torch.rand(1, len(ARCHITECTURES[name].inputs), 16, 16, 16)
    nn.functional.mse_loss(network(x), torch.rand(1, 1, 16, 16, 16)).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_prediction_maps_as_the_network_in_evaluation_mode(name):
    network = used(name)
    images = np.random.default_rng(0).random((len(ARCHITECTURES[name].inputs), 16, 16, 16), dtype=np.float32)
    images[:, :4] = 0
    expected = network(torch.from_numpy(images)[None])[0, 0].detach().numpy()
    assert not any(isinstance(m, nn.BatchNorm3d) for m in folded(network).modules())
    assert np.allclose(Predictor(network, CPU)(images), expected, atol=1e-5)
    near = Predictor(network, CPU, bfloat16=True)(images)
    assert 0 < np.abs(near - expected).max() < 0.03


def test_place_is_the_cells_centre_in_the_lungs_box_and_nothing_outside_the_lung():
    images = torch.rand(1, 2, 4, 2, 8) + 0.1
    images[0, 1, 0] = 0  # the density says where lung is
    _, _, mask, z, y, x = with_place(images)[0]
    assert torch.equal(mask, (images[0, 1] > 0).float())
    assert torch.allclose(z[1:, 0, 0], torch.tensor([-0.25, 0.25, 0.75]))
    assert torch.allclose(y[1, :, 0], torch.tensor([-0.5, 0.5]))
    assert torch.allclose(x[1, 0], torch.linspace(-7 / 8, 7 / 8, 8))
    assert not torch.stack([z[0], y[0], x[0]]).any()


def test_a_mirrored_lung_gets_the_place_of_the_lung_it_looks_like():
    images = torch.rand(1, 2, 4, 4, 4)
    mirrored = with_place(images.flip(-1))[0]
    assert torch.equal(mirrored[:3].flip(-1), with_place(images)[0, :3])
    assert torch.equal(mirrored[5], with_place(images)[0, 5])  # x grows leftward in every lung


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_network_can_be_drawn_block_by_block(name):
    network = build_network(small(name))
    blocks = {block["name"]: block for block in network_blocks(small(name), (32, 16, 16))}
    assert set(blocks) == {part for part, _ in network.named_children() if not part.startswith("project")}
    assert {part for skip in network.SKIPS for part in skip} <= set(blocks)
    network_drawing(small(name), (32, 16, 16))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_network_comes_back_from_its_bundle(tmp_path, name):
    network = used(name)
    settings = PreprocessingSettings(inputs=ARCHITECTURES[name].inputs)
    metadata = {"name": "m", "version": "0", "intended_use": "tests", "preprocessing": settings.to_dict()}
    bundle = load_bundle(save_bundle(tmp_path / "m", network, metadata, "", "", half_precision=False))
    assert bundle.metadata["network"]["architecture"] == name
    assert bundle.preprocessing == settings
    x = torch.rand(1, len(settings.inputs), 8, 8, 8)
    assert torch.equal(bundle.network()(x), network(x))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_settings_come_back_from_json(name):
    assert network_settings(json.loads(json.dumps(network_dict(small(name))))) == small(name)


def test_settings_that_name_no_network_are_the_papers():
    old = {"channels": [4, 4, 6, 6], "kernel": 3, "convolutions": 2, "dropout": 0.1, "prelu": 0.2}
    assert network_settings(old) == ArnnSettings(channels=(4, 4, 6, 6), kernel=3)
    assert PreprocessingSettings.from_dict({"edges": "masked"}).inputs == ("enhanced",)


def test_the_command_line_offers_every_network(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    assert f"--network {'|'.join(ARCHITECTURES)}" in capsys.readouterr().out


def test_a_network_nobody_knows_is_refused():
    with pytest.raises(InputError, match="unknown architecture 'transformer', known are arnn, unet, context"):
        network_settings({"architecture": "transformer"})
    with pytest.raises(InputError, match="unknown name 'roi_attention'"):
        network_settings({"architecture": "unet", "roi_attention": "soft"})


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize(
    "wrong",
    [
        {"channels": (1, 2, 3)},
        {"channels": (1, 2, 3, 0)},
        {"kernel": 4},
        {"kernel": -1},
        {"dropout": 1.0},
        {"input_channels": 0},
    ],
)
def test_settings_that_make_no_network_are_refused_for_every_architecture(name, wrong):
    with pytest.raises(InputError, match=f"network settings: {next(iter(wrong))} must"):
        network_settings({"architecture": name, **wrong})


def test_a_network_that_takes_other_images_than_are_made_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"takes 2 images but the preprocessing makes 1 \(enhanced\)"):
        check_inputs(ContextSettings(), PreprocessingSettings())
    metadata = {"name": "m", "version": "0", "intended_use": "tests", "preprocessing": WITH_DENSITY.to_dict()}
    folder = save_bundle(tmp_path / "m", used("unet"), metadata, "", "")
    with pytest.raises(InputError, match=r"metadata.json: the network takes 1 image but the preprocessing makes 2"):
        load_bundle(folder)


@pytest.mark.parametrize("inputs", [(), ("density",), ("density", "enhanced"), ("enhanced", "vessels")])
def test_images_nobody_knows_are_refused(inputs):
    with pytest.raises(InputError, match="inputs must be"):
        PreprocessingSettings(inputs=inputs)


def test_density_is_hu_itself_and_tells_lung_from_background():
    hu = np.array([-1000.0, -900, -500, 0, 300, -900]).reshape(1, 1, 6)
    mask = np.array([1, 1, 1, 1, 1, 0], bool).reshape(1, 1, 6)
    enhanced, density = network_inputs(hu, mask, WITH_DENSITY)
    assert np.allclose(density.ravel(), [1 / 255, 0.1, 0.5, 1, 1, 0])
    assert np.array_equal(enhanced, enhance_ct(hu, mask, WITH_DENSITY))


def test_samples_hold_the_images_in_8_bits():
    ct, lungs, spect = small_chest.chest_ct(), small_chest.lung_labels(), small_chest.perfusion_spect()
    samples = samples_of_pair("P1", ct, lungs, spect, WITH_DENSITY)
    assert samples.enhanced.shape == (2, 2, 32, 16, 16)
    assert samples.enhanced.dtype == np.uint8
    plain = samples_of_pair("P1", ct, lungs, spect, PreprocessingSettings(grid_shape=(32, 16, 16)))
    assert np.array_equal(samples.enhanced[:, :1], plain.enhanced)
    assert np.array_equal(samples.enhanced[:, 1] > 0, samples.mask)
    means = [
        density[mask].mean() / 255 * 1000 - 1000
        for density, mask in zip(samples.enhanced[:, 1], samples.mask, strict=True)
    ]
    assert np.allclose(means, samples.mean_hu, atol=2)


def density_lungs(lungs=4) -> Samples:
    """Lungs whose target can be told from the second image alone."""
    rng = np.random.default_rng(0)
    images = rng.integers(1, 256, (lungs, 2, 16, 8, 8)).astype(np.uint8)
    mask = rng.random((lungs, 16, 8, 8)) < 0.6
    images[:, 1][~mask] = 0
    target = np.where(mask, images[:, 1], 0).astype(np.uint8)
    patient = np.array([f"P{i // 2}" for i in range(lungs)])
    side = np.array(["right lung", "left lung"] * (lungs // 2))
    return Samples(patient, side, images, target, mask, np.full(lungs, 2000.0), np.full(lungs, -850.0))


QUICK = TrainingSettings(epochs=3, learning_rate=1e-2, precision="fp32")


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_training_lowers_the_loss(tmp_path, name):
    records = []
    train(density_lungs(), None, small(name, 2), QUICK, tmp_path, CPU, records.append)
    assert records[-1].excess < 0.9 * records[0].excess


class CutOff(Exception):  # noqa: N818 - a death, not an error
    pass


def test_a_killed_run_of_another_network_goes_on_to_the_same_weights(tmp_path):
    def cut(done, steps):
        if done == 6:
            raise CutOff

    def weights(network):
        return b"".join(value.numpy().tobytes() for value in network.state_dict().values())

    samples, network = density_lungs(), small("context")
    whole = train(samples, None, network, QUICK, tmp_path / "whole", CPU)
    with pytest.raises(CutOff):
        train(samples, None, network, QUICK, tmp_path / "cut", CPU, on_step=cut)
    assert weights(train(samples, None, network, QUICK, tmp_path / "cut", CPU)) == weights(whole)
    with pytest.raises(InputError, match="other settings"):
        train(samples, None, small("arnn", 2), QUICK, tmp_path / "cut", CPU)


def test_a_grid_too_small_for_bfloat16_gradients_is_trained_in_single_precision(tmp_path):
    near, exact = (
        train(density_lungs(), None, small("arnn", 2), replace(QUICK, precision=p), tmp_path / p, CPU).state_dict()
        for p in ("bf16", "fp32")
    )
    weights = [name for name in near if "running" not in name]  # those are renewed in the precision asked for
    assert all(torch.equal(near[name], exact[name]) for name in weights)
    assert trainable_precision(torch.empty(1, 1, 64, 32, 32), "bf16") == "bf16"


def test_density_reaches_the_network_from_a_ct(tmp_path):
    """The whole way through map_perfusion against the same steps by hand."""
    network = used("context")
    metadata = {"name": "m", "version": "0", "intended_use": "tests", "preprocessing": WITH_DENSITY.to_dict()}
    bundle = load_bundle(save_bundle(tmp_path / "m", network, metadata, "", "", half_precision=False))
    ct, lungs = small_chest.chest_ct(), small_chest.lung_labels()
    mapped = patient_array(map_perfusion(ct, lungs, bundle, device="cpu").perfusion)
    on_grid, cells = LungGrids(ct, lungs, WITH_DENSITY.grid_shape), {}
    for side, grid in on_grid.grids.items():
        hu = grid.down(on_grid.hu)
        density = np.where(grid.mask, np.clip((hu + 1000) / 1000, 1 / 255, 1), 0)
        images = torch.from_numpy(np.stack([enhance_ct(hu, grid.mask, WITH_DENSITY), density]).astype(np.float32))
        cells[side] = network(images[None])[0, 0].detach().numpy()
    by_hand = patient_array(on_grid.to_ct(cells))
    assert mapped.max() > 0.1
    assert np.allclose(mapped, by_hand, atol=1e-4)
