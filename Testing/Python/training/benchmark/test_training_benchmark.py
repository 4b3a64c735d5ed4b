"""The training benchmark's figures that are not times: each compared with something else."""

import json
from dataclasses import replace

import pytest
import torch
from torch import nn

from DLCTPMLib.networks.arnn import Arnn
from DLCTPMLib.networks.settings import ArnnSettings, network_dict
from DLCTPMTrainingLib.benchmark.training import (
    STAGE,
    TrainingBench,
    TrainingBenchmarkSettings,
    matrix_peak,
    random_lungs,
    run_training_benchmark,
    training_table,
)
from DLCTPMTrainingLib.cli.main import main
from DLCTPMTrainingLib.training.settings import TrainingSettings

NETWORK = ArnnSettings(channels=(2, 2, 4, 4), kernel=3)
SETTINGS = TrainingBenchmarkSettings(
    network=NETWORK, grid_shape=(24, 24, 24), repeats=1, training=TrainingSettings(precision="fp32"), device="cpu"
)


@pytest.fixture(scope="module", autouse=True)
def short_matrix_products():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("DLCTPMTrainingLib.benchmark.training._MATRIX_S", 0.05)
        patch.setattr("DLCTPMTrainingLib.benchmark.training._MATRIX_SIZES", {"cpu": (128, 256)})
        yield


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    out = tmp_path_factory.mktemp("benchmark")
    run_training_benchmark(SETTINGS, out)
    return json.loads((out / "benchmark-train.json").read_text())


def convolution_flop(network: nn.Module, grid: tuple[int, int, int]) -> int:
    """By hand: 2 × multiplications of every convolution, forwards once and backwards twice, the input's not."""
    counts = []

    def count(module, inputs, output):
        transposed = isinstance(module, nn.ConvTranspose3d)
        places = (inputs[0] if transposed else output)[:, 0].numel()
        counts.append((module, 2 * places * module.weight.numel()))

    handles = [
        m.register_forward_hook(count) for m in network.modules() if isinstance(m, (nn.Conv3d, nn.ConvTranspose3d))
    ]
    with torch.no_grad():
        network.logits(torch.zeros(1, 1, *grid))
    for handle in handles:
        handle.remove()
    of_the_image = {network.encode1.body[0][0], network.encode1.shortcut}  # no gradient flows into the image
    return sum(flop * (2 if module in of_the_image else 3) for module, flop in counts)


def test_the_flop_of_a_step_are_those_of_its_convolutions(report):
    expected = convolution_flop(Arnn(NETWORK), SETTINGS.grid_shape)
    assert report["gflop_per_step"] == pytest.approx(expected / 1e9, abs=1e-6)


def test_both_steps_learn_the_same(report):
    assert report["stages"][STAGE]["max_error"] < 1e-4
    other = TrainingBench(replace(SETTINGS, seed=1))
    other._plain.network.encode1.shortcut.weight.data.mul_(2)  # another network has another gradient
    other.compare()
    assert other._apart > 1e-2


def test_the_report_tells_what_was_measured_on_what(report):
    step = report["stages"][STAGE]
    assert set(step) >= {"reference_s", "ours_s", "ratio", "reference_peak_mb", "ours_peak_mb", "max_error"}
    assert report["settings"]["network"] == json.loads(json.dumps(network_dict(NETWORK)))
    assert report["precision"] == "fp32"
    assert report["parameters"] == sum(p.numel() for p in Arnn(NETWORK).parameters())
    share = report["gflop_per_step"] / step["ours_s"] / report["matrix_peak_gflops"]["fp32"]
    assert report["peak_share"] == pytest.approx(share, rel=0.05)
    assert 0 <= report["loading"]["share"] < 1
    assert report["lungs_per_s"] == pytest.approx(1 / (step["ours_s"] + report["loading"]["fetch_s"]), rel=0.01)
    text = training_table(report)
    assert all(word in text for word in ("lungs/s", "matrix peak, measured", "the device waits", "goal at most 0.42"))


def test_the_matrix_peak_is_positive_and_leaves_the_precision_as_it_was():
    before = torch.get_float32_matmul_precision()
    assert matrix_peak(torch.device("cpu"), "fp32") > 0
    assert torch.get_float32_matmul_precision() == before


def test_lungs_for_timing_fill_an_ellipsoid():
    lungs = random_lungs(2, (32, 16, 16), NETWORK, seed=1)
    assert lungs.mask.mean() == pytest.approx(torch.pi / 6, abs=0.05)
    assert not lungs.enhanced[:, 0][~lungs.mask].any()


def test_the_command_writes_the_report(tmp_path, capsys):
    options = ["--channels", "2-2-4-4", "--grid", "24x24x24", "--precision", "fp32", "--device", "cpu"]
    assert main(["benchmark", "--train", "--out", str(tmp_path), *options]) == 0
    assert "lungs/s" in capsys.readouterr().out
    assert json.loads((tmp_path / "benchmark-train.json").read_text())["settings"]["grid_shape"] == [24, 24, 24]
    assert main(["benchmark", "--out", str(tmp_path), "--channels", "2-2-4-4"]) == 2
    assert "--channels: goes with --train" in capsys.readouterr().err
