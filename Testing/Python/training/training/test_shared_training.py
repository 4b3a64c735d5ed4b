"""Two processes that share each batch train like one. CPUs and gloo; GPUs differ in SyncBatchNorm and NCCL."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from shared_training import CPU, NETWORK, SETTINGS, TRAINING, VALIDATION
from small_training import READY

from DLCTPMLib.networks.registry import build_network
from DLCTPMTrainingLib.cli.main import main
from DLCTPMTrainingLib.training.loop import train

HELPERS = Path(__file__).resolve().parents[3] / "helpers"
pytestmark = pytest.mark.skipif(
    not torch.distributed.is_available() or not torch.distributed.is_gloo_available(),
    reason="this PyTorch has no gloo",
)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Pair:
    """What two processes left."""

    def __init__(self, out: Path):
        self.out = out
        common = {
            **os.environ,
            "WORLD_SIZE": "2",
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(free_port()),
            "OMP_NUM_THREADS": "1",
        }
        processes = [
            subprocess.Popen(
                [sys.executable, HELPERS / "shared_training.py", out],
                env={**common, "RANK": str(rank), "LOCAL_RANK": str(rank)},
                stderr=subprocess.PIPE,
                text=True,
            )
            for rank in range(2)
        ]
        try:
            self.errors = [process.communicate(timeout=550)[1] for process in processes]
        finally:
            for process in processes:
                process.kill()
        self.status = [process.returncode for process in processes]
        paths = [out / f"seen-{rank}.json" for rank in range(2)]
        assert all(path.is_file() for path in paths), self.errors
        self.seen = [json.loads(path.read_text()) for path in paths]

    def weights(self, run: str, rank: int) -> dict[str, torch.Tensor]:
        return torch.load(self.out / f"{run}-{rank}.pt", weights_only=True)


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> Pair:
    return Pair(tmp_path_factory.mktemp("pair"))


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The same training in this one process: its weights and records."""
    records = []
    network = train(TRAINING, VALIDATION, NETWORK, SETTINGS, tmp_path_factory.mktemp("one"), CPU, records.append)
    return network.state_dict(), records


def test_two_processes_end_with_the_weights_of_one(pair, alone):
    one, _ = alone
    torch.manual_seed(SETTINGS.seed)
    start = build_network(NETWORK).state_dict()
    two = pair.weights("whole", 0)
    assert two.keys() == one.keys()
    moved = max((one[name] - start[name]).abs().max().item() for name in one if one[name].is_floating_point())
    apart = max((one[name] - two[name]).abs().max().item() for name in one)
    assert moved > 1e-3
    assert apart < 1e-5


def test_both_processes_end_with_the_same_weights(pair):
    first, second = pair.weights("whole", 0), pair.weights("whole", 1)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_losses_are_those_of_the_whole_batch_and_of_all_validation_lungs(pair, alone):
    expected = [[r.loss, r.validation_excess, r.validation_r] for r in alone[1]]
    for seen in pair.seen:
        for got, wanted in zip(seen["whole"]["records"], expected, strict=True):
            assert got == pytest.approx(wanted, abs=1e-5)


def test_a_killed_run_of_two_goes_on_to_the_same_weights(pair):
    whole, resumed = pair.weights("whole", 0), pair.weights("cut", 1)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_the_files_are_written_once(pair):
    assert sorted(path.name for path in (pair.out / "whole").iterdir()) == ["checkpoint.pt", "history.jsonl"]
    assert [seen["written"] for seen in pair.seen] == [SETTINGS.epochs, 0]


def test_a_share_differs_by_one_at_most(pair):
    assert [seen["own"] for seen in pair.seen] == [["a", "c"], ["b"]]


def test_fewer_lungs_than_processes_in_a_batch_are_refused(pair):
    assert all("give --batch-size 2 or more" in seen["too-small"]["error"] for seen in pair.seen)


def test_what_the_first_process_refuses_stops_both(pair):
    assert [seen["refused"] for seen in pair.seen] == ["the cohort has no patients"] * 2


@pytest.mark.parametrize(("rank", "told"), [("0", True), ("1", False)])
def test_what_all_processes_refuse_is_told_by_the_first(rank, told, monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", rank)
    assert main(["train", "--samples", "nowhere.npz", "--out", "run"]) == 2
    assert bool(capsys.readouterr().err) == told


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"WORLD_SIZE": "x"}, "WORLD_SIZE is 'x'"),
        ({"WORLD_SIZE": "2"}, "RANK is ''"),
        ({"WORLD_SIZE": "2", "RANK": "first"}, "RANK is 'first'"),
    ],
)
def test_an_environment_that_is_not_torchruns_is_one_sentence(environment, words, tmp_path, monkeypatch, capsys):
    for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    READY.save(tmp_path / "samples.npz")
    given = ["--samples", str(tmp_path / "samples.npz"), "--device", "cpu", "--progress", "none"]
    assert main(["train", *given, "--out", str(tmp_path / "run")]) == 2
    assert words in capsys.readouterr().err


def test_no_number_in_one_process_stops_both(pair):
    assert all("not a number any more in epoch 1" in seen["broken"]["error"] for seen in pair.seen)
    assert not (pair.out / "broken" / "checkpoint.pt").exists()


def test_an_interrupted_process_stops_the_other_with_a_sentence(pair):
    assert pair.status == [1, 130]
    assert "another process of this training stopped" in pair.errors[0]


@pytest.mark.long
def test_torchrun_trains_one_model_with_the_same_command(tmp_path):
    from small_training import READY

    READY.save(tmp_path / "samples.npz")
    command = ["train", "--samples", tmp_path / "samples.npz", "--device", "cpu", "--progress", "none", "--out"]

    def torchrun(run: str, *more: str) -> subprocess.CompletedProcess:
        start = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "DLCTPMTrainingLib"]
        return subprocess.run(
            [sys.executable, *start, *command, tmp_path / run, *more], capture_output=True, text=True
        )

    done = torchrun("run")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Model in") == 1
    assert (tmp_path / "run" / "model" / "SHA256SUMS").is_file()
    refused = torchrun("refused", "--batch-size", "1")
    assert refused.stderr.count("give --batch-size 2 or more") == 1
