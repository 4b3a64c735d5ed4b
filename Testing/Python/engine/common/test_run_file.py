"""What a training run tells a program that reads along, and what it leaves so that it can be continued."""

import errno
import io
import json
import math

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity
from small_training import CPU, NETWORK, settings, some_samples

from DLCTPMLib.common.ending.interruption import interruptible
from DLCTPMLib.common.errors import InputError
from DLCTPMLib.common.progress import JsonLines, event_sink, no_progress
from DLCTPMLib.common.run_file import arguments_of, keeping, read_run
from DLCTPMTrainingLib.cli.main import build_parser
from DLCTPMTrainingLib.cli.study import LATER
from DLCTPMTrainingLib.training.loop import train
from DLCTPMTrainingLib.training.validation import predict_samples


def lines_of(stream: io.StringIO) -> list[dict]:
    return [json.loads(line, parse_constant=pytest.fail) for line in stream.getvalue().splitlines()]


def test_every_line_has_stage_and_fraction_and_is_plain_json():
    stream = io.StringIO()
    progress = JsonLines(stream)
    progress("Training", 0.25)
    event_sink(progress)(epoch={"epoch": 1, "validation_r": math.nan})
    first, second = lines_of(stream)
    assert first == {"stage": "Training", "fraction": 0.25}
    assert second == {**first, "epoch": {"epoch": 1, "validation_r": None}}


def test_a_person_is_not_told_what_only_a_program_reads(capsys):
    event_sink(no_progress)(epoch={"epoch": 1})
    assert capsys.readouterr() == ("", "")


def test_ssim_of_an_epoch_is_that_of_the_network_it_left(tmp_path):
    """Against scikit-image, from the weights of the checkpoint."""
    samples, watched, records = some_samples(), some_samples(2, seed=4), []
    train(samples, watched, NETWORK, settings(epochs=2), tmp_path, CPU, records.append)
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    network = train(samples, watched, NETWORK, settings(epochs=2), tmp_path, CPU)
    network.load_state_dict(state["network"])
    expected = []
    for perfusion, target, mask in zip(
        predict_samples(network, watched, CPU), watched.target / np.float32(255), watched.mask, strict=True
    ):
        options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1}
        padded = [np.pad(image * mask, 8, mode="symmetric") for image in (perfusion, target)]  # 11³ needs room
        full = structural_similarity(*padded, full=True, **options)[1][8:-8, 8:-8, 8:-8]
        expected.append(full[mask].mean())
    assert records[-1].validation_ssim == pytest.approx(np.mean(expected), abs=1e-6)
    kept = json.loads((tmp_path / "history.jsonl").read_text().splitlines()[-1])
    assert kept["validation_ssim"] == records[-1].validation_ssim


def parse(*arguments):
    return build_parser().parse_args(list(map(str, arguments)))


def test_the_kept_options_are_the_command_that_continues_the_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = ("train", "cohort.csv", "--out", tmp_path / "run", "--epochs", 3, "--plateau", "--grid", "32x16x16",
             "--learning-rate", 0.01, "--test", "test.csv", "--device", "cpu", "--progress", "json")  # fmt: skip
    options, told = parse(*given), []
    keep = keeping(options, "checkpoint.pt", lambda **values: told.append(values))
    keep(epoch={"epoch": 1})
    assert not (tmp_path / "run").exists()  # nothing is kept before the cohort is accepted
    keep(cohort={"patients": 2})
    assert told == [{"epoch": {"epoch": 1}}, {"cohort": {"patients": 2}}]
    again = vars(parse(*arguments_of(read_run(tmp_path / "run"), tmp_path / "run")))
    expected = {**vars(options), "cohort": str(tmp_path / "cohort.csv"), "test": str(tmp_path / "test.csv")}
    assert again == {**expected, "out": str(tmp_path / "run"), "device": None, "progress": "bar"}


def test_options_of_a_run_that_was_begun_stay(tmp_path):
    (tmp_path / "checkpoint.pt").touch()
    options = parse("train", "cohort.csv", "--out", tmp_path)
    keeping(options, "checkpoint.pt", lambda **values: None)(cohort={})
    assert not (tmp_path / "run.json").exists()


def a_study(folder, *more):
    return parse("study", "cohort.csv", "--out", folder, "--epochs", 3, *more)


def keep(options):
    """What the command does once cohort and settings are accepted."""
    keeping(options, "study.json", lambda **values: None, LATER)(cohort={"patients": 6})


def test_alternatives_that_are_added_to_a_begun_study_are_kept(tmp_path):
    keep(a_study(tmp_path))
    assert read_run(tmp_path)["options"]["epochs"] == 3
    (tmp_path / "study.json").touch()
    keep(a_study(tmp_path, "--alternatives", "unet", "--jobs", 2, "--threads", 1))
    first = read_run(tmp_path)["options"]
    assert first["alternatives"] == "unet"
    assert "jobs" not in first  # the others stay as the study was begun
    keep(a_study(tmp_path, "--alternatives", "unet,context", "--learning-curve"))
    again = parse(*arguments_of(read_run(tmp_path), tmp_path))
    assert (again.alternatives, again.learning_curve, again.epochs) == ("unet,context", True, 3)
    keep(a_study(tmp_path))  # and left out again: the study itself says whether it may be
    assert "alternatives" not in read_run(tmp_path)["options"]


@pytest.mark.parametrize("content", [None, "{"])
def test_a_begun_study_without_a_whole_run_file_gets_one(tmp_path, content):
    """As after ``--check``, which begins the study and trains nothing."""
    (tmp_path / "study.json").touch()
    if content:
        (tmp_path / "run.json").write_text(content)
    keep(a_study(tmp_path, "--alternatives", "unet"))
    assert read_run(tmp_path)["options"]["epochs"] == 3


@pytest.mark.parametrize(("content", "words"), [(None, "there is no run"), ("{", "cannot be read"), ("[]", "cannot")])
def test_no_run_or_a_damaged_one_is_told(tmp_path, content, words):
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(InputError, match=words):
        read_run(tmp_path)


class Refusing(io.StringIO):
    """A stream that cannot be written to, for a reason."""

    def __init__(self, reason: int):
        super().__init__()
        self.reason = reason

    def write(self, text: str) -> int:
        raise OSError(self.reason, "refused")


@pytest.mark.parametrize("reason", [errno.EPIPE, errno.EINVAL], ids=["POSIX", "Windows"])
def test_a_pipe_that_nobody_reads_ends_the_run_and_a_full_disk_is_told(reason):
    with pytest.raises(KeyboardInterrupt), interruptible():
        JsonLines(Refusing(reason))("stage", 0.5)
    with pytest.raises(InputError, match=r"standard output cannot be written .refused"):
        JsonLines(Refusing(errno.ENOSPC))("stage", 0.5)
