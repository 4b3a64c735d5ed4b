"""The benchmark's results, never its times: both sides of every stage must agree."""

import json
import time

import numpy as np
import pytest

from DLCTPMLib.networks.bundle import load_bundle
from DLCTPMTrainingLib.benchmark.mapping import STAGES, BenchmarkSettings, run_benchmark, table
from DLCTPMTrainingLib.benchmark.stage_results import PeakMemory

KEYS = {"reference_s", "ours_s", "ratio", "reference_peak_mb", "ours_peak_mb", "max_error"}


pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    out = tmp_path_factory.mktemp("benchmark")
    small = BenchmarkSettings(
        spacing_mm=(4.0, 4.0, 4.0),
        matrix=None,
        slices=None,
        repeats=1,
        turns=1,
        compared_slices=(40, 80),
        slicer=False,
    )
    run_benchmark(small, out)
    return json.loads((out / "benchmark.json").read_text())


def test_every_stage_is_measured_on_both_sides(report):
    assert tuple(report["stages"]) == STAGES
    assert all(set(stage) >= KEYS for stage in report["stages"].values())
    assert report["simulated"] is True
    assert all(stage in table(report) for stage in STAGES)


def test_the_ratio_to_the_network_is_that_of_its_two_times(report):
    beside = report["total_beside_network"]
    assert beside["ratio"] == pytest.approx(beside["total_s"] / beside["network_s"], abs=0.01)
    assert f"{beside['ratio']:.2f} ({beside['total_s']:.2f} s over" in table(report)


def test_the_default_models_cost_is_measured_beside_the_papers_network(report):
    default = report["default_beside_network"]
    assert default["ratio"] == pytest.approx(default["default_s"] / default["network_s"], abs=0.01)
    assert default["members"] == len(load_bundle().members)
    assert f"{default['ratio']:.2f} ({default['default_s']:.2f} s over" in table(report)


@pytest.mark.parametrize(
    ("stage", "largest"),
    [
        ("downsample", 1e-2),
        ("median", 0),
        ("network", 1e-4),
        ("small kernels", 1e-4),
        ("upsample", 1e-5),
        ("total", 1e-3),
        ("ssim", 1e-5),
    ],
)
def test_the_engine_equals_the_plain_reference(report, stage, largest):
    assert report["stages"][stage]["max_error"] <= largest


def test_the_lungs_are_those_of_the_same_rules_at_full_resolution(report):
    assert report["stages"]["lungs"]["max_error"] <= 0.02  # 4 mm voxels here; 0.005 is asked for at full size


def test_the_registration_finds_the_way_back(report):
    assert report["stages"]["registration"]["max_error"] <= 4.42 / 2 + 0.6


def test_peak_memory_sees_an_array_come_and_go():
    with PeakMemory() as memory:
        array = np.ones(40_000_000, dtype=np.uint8)
        time.sleep(0.2)  # on a loaded machine the watching thread may come late
        del array
    if memory.megabytes is None:
        pytest.skip("this system does not tell a process's memory")
    assert 35 < memory.megabytes < 80
