import pytest
import torch
from torch import nn

from DLCTPMLib.networks.fast.cpu_convolutions import DirectConvolution, NarrowConvolution, rewritten


def both_ways(
    convolution: nn.Conv3d, shape: tuple[int, ...], images: int = 2
) -> tuple[type, torch.Tensor, torch.Tensor]:
    """The class a convolution was replaced by, what it gives, and what the convolution itself gives."""
    torch.manual_seed(3)
    x = torch.rand(images, convolution.in_channels, *shape).contiguous(memory_format=torch.channels_last_3d)
    expected = convolution(x)
    network = rewritten(nn.Sequential(convolution)).to(memory_format=torch.channels_last_3d)
    return type(network[0]), network(x), expected


@pytest.mark.parametrize("outputs", [2, 4, 8])
@pytest.mark.parametrize("bias", [True, False])
def test_few_channels_come_out_as_of_the_convolution(outputs, bias):
    kind, got, expected = both_ways(nn.Conv3d(3, outputs, 5, padding=2, bias=bias), (6, 5, 16))
    assert kind is NarrowConvolution
    assert torch.allclose(got, expected, atol=1e-6)
    assert got.is_contiguous(memory_format=torch.channels_last_3d)


def test_a_row_that_does_not_divide_is_convolved_plainly():
    kind, got, expected = both_ways(nn.Conv3d(3, 4, 3, padding=1), (4, 5, 7))
    assert kind is NarrowConvolution
    assert torch.allclose(got, expected, atol=1e-6)


@pytest.mark.parametrize("images", [1, 2])
@pytest.mark.parametrize("bias", [True, False])
def test_small_kernels_ask_onednn_themselves_and_come_out_as_of_the_convolution(images, bias):
    """Seen in PyTorch's own profile, one image and one thread: no other kernel of its runs."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        kind, got, expected = both_ways(nn.Conv3d(3, 16, 3, padding=1, bias=bias), (6, 5, 7), images)
        network = rewritten(nn.Sequential(nn.Conv3d(3, 16, 3, padding=1))).requires_grad_(False)
        with torch.profiler.profile() as profile:
            network(torch.rand(1, 3, 6, 5, 7))
    finally:
        torch.set_num_threads(threads)
    assert kind is DirectConvolution
    assert torch.allclose(got, expected, atol=1e-6)
    names = {event.key for event in profile.key_averages()}
    assert "aten::mkldnn_convolution" in names
    assert "aten::slow_conv3d_forward" not in names


def test_small_kernels_stay_with_autocast_in_bfloat16():
    network = rewritten(nn.Sequential(nn.Conv3d(3, 16, 3, padding=1)))
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert network(torch.rand(1, 3, 4, 4, 4)).dtype == torch.bfloat16


@pytest.mark.parametrize(
    "convolution",
    [
        nn.Conv3d(4, 4, 2, stride=2),
        nn.Conv3d(4, 4, 3, padding=2, dilation=2),
        nn.Conv3d(4, 4, 3, padding="same"),
        nn.Conv3d(4, 4, 3),
        nn.Conv3d(4, 4, 3, padding=1, groups=2),
        nn.Conv3d(4, 16, 5, padding=2),
        nn.Conv3d(8, 4, 1),
    ],
)
def test_other_convolutions_are_left_alone(convolution):
    kind, got, expected = both_ways(convolution, (8, 8, 8))
    assert kind is nn.Conv3d
    assert torch.equal(got, expected)
