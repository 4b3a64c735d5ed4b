import numpy as np
import pytest
import torch
from torch import nn

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.networks.arnn import Arnn, RoiAtt
from DLCTPMLib.networks.inference import Predictor, choose_device, folded
from DLCTPMLib.networks.settings import ArnnSettings

SMALL = ArnnSettings(channels=(4, 6, 8, 10), kernel=3)


@pytest.fixture
def a_used_network() -> Arnn:
    """Batch-norm statistics and slopes away from their starting values."""
    torch.manual_seed(0)
    network = Arnn(SMALL).train()
    for _ in range(3):
        network(torch.rand(1, 1, 16, 16, 16))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    return network.eval()


def test_the_papers_network_has_the_papers_size():
    network = Arnn()
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(7.6e6, rel=0.01)
    kernels = {m.kernel_size for m in network.modules() if isinstance(m, nn.Conv3d)}
    assert kernels == {(5, 5, 5), (2, 2, 2), (1, 1, 1)}
    assert sum(isinstance(m, nn.ConvTranspose3d) for m in network.modules()) == 3
    assert max(m.out_channels for m in network.modules() if isinstance(m, nn.Conv3d)) == 128


def test_a_map_has_the_shape_of_its_input_and_lies_between_0_and_1(a_used_network):
    out = a_used_network(torch.rand(2, 1, 16, 24, 8))
    assert out.shape == (2, 1, 16, 24, 8)
    assert 0 < out.min() < out.max() < 1


def test_every_parameter_learns():
    network = Arnn(SMALL).train()
    nn.functional.mse_loss(network(torch.rand(1, 1, 16, 16, 16)), torch.rand(1, 1, 16, 16, 16)).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


@pytest.mark.parametrize(
    ("mode", "expected"), [("literal", [0.7311, 0.5]), ("hard", [1.0, 0.0]), ("soft", [0.8808, 0.1192])]
)
def test_roi_attention_weighs_the_foreground(mode, expected):
    attention = RoiAtt(1, ArnnSettings(roi_attention=mode)).eval()
    attention.convolution = nn.Identity()
    features = torch.tensor([2.0, -2.0]).reshape(1, 1, 2, 1, 1)
    assert np.allclose((attention(features) / features).flatten(), expected, atol=1e-4)


def test_folding_batch_norm_changes_no_map(a_used_network):
    x = torch.rand(1, 1, 16, 16, 16)
    fast = folded(a_used_network)
    assert not any(isinstance(m, nn.BatchNorm3d) for m in fast.modules())
    assert torch.allclose(fast(x), a_used_network(x), atol=1e-5)
    enhanced = x[0, 0].numpy()
    predicted = Predictor(a_used_network, torch.device("cpu"))(enhanced)
    assert np.allclose(predicted, a_used_network(x)[0, 0].detach(), atol=1e-5)


def test_the_same_input_gives_the_same_bytes(a_used_network):
    predictor = Predictor(a_used_network, torch.device("cpu"))
    enhanced = np.random.default_rng(0).random((16, 16, 16), dtype=np.float32)
    assert predictor(enhanced).tobytes() == predictor(enhanced).tobytes()


def test_bfloat16_stays_near(a_used_network):
    enhanced = np.random.default_rng(0).random((16, 16, 16), dtype=np.float32)
    exact, near = (Predictor(a_used_network, torch.device("cpu"), bf16)(enhanced) for bf16 in (False, True))
    assert 0 < np.abs(exact - near).max() < 0.02


@pytest.mark.parametrize("wrong", [{"convolutions": 0}, {"roi_attention": "printed"}])
def test_settings_that_make_no_network_are_refused(wrong):
    with pytest.raises(InputError, match=f"network settings: {next(iter(wrong))} must be"):
        ArnnSettings(**wrong)


def test_a_device_that_is_not_there_is_refused():
    assert choose_device("cpu").type == "cpu"
    with pytest.raises(InputError, match="--device tpu"):
        choose_device("tpu")
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="PyTorch sees none"):
            choose_device("cuda")
