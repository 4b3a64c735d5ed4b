"""Samples in one file: what it carries, and that a model is trained from it where nothing can read an image."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import small_chest
import torch
from small_training import NETWORK, READY, TRAINING

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.networks.bundle import load_bundle
from DLCTPMLib.networks.registry import build_network
from DLCTPMTrainingLib.cli.main import main
from DLCTPMTrainingLib.samples.from_images import samples_of_pair
from DLCTPMTrainingLib.samples.lung_samples import Samples
from DLCTPMTrainingLib.samples.sample_file import SampleSet
from DLCTPMTrainingLib.training import packaging
from DLCTPMTrainingLib.training.checkpoint import CHECKPOINT, EpochRecord
from DLCTPMTrainingLib.training.from_samples import train_samples
from DLCTPMTrainingLib.training.plan import TrainingPlan
from DLCTPMTrainingLib.training.tensorboard_log import TAGS, TensorBoardLog


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "samples.npz"
    READY.save(path)
    return path


def run(file, out, *more) -> int:
    arguments = ["--samples", file, "--out", out, "--device", "cpu", "--progress", "none", *more]
    return main(["train", *map(str, arguments)])


def test_the_file_brings_everything_back(file):
    back = SampleSet.load(file)
    for name, values in READY.samples.arrays().items():
        assert np.array_equal(back.samples.arrays()[name], values)
    assert replace(back, samples=READY.samples) == READY


def test_the_file_brings_samples_on_a_grid_in_millimetres_back(tmp_path):
    chest = small_chest.chest_ct(), small_chest.lung_labels(), small_chest.perfusion_spect()
    in_mm = replace(READY.preprocessing, cell_mm=12.0, inputs=("aerated", "dense", "lung"))
    samples = samples_of_pair("P0", *chest, in_mm, variants=1)
    ready = SampleSet(samples, READY.patients[:1], ["P0"], [], in_mm, {})
    ready.save(tmp_path / "samples.npz")
    back = SampleSet.load(tmp_path / "samples.npz")
    assert np.array_equal(back.samples.enhanced, samples.enhanced)
    another = replace(in_mm, inputs=("aerated", "dense", "enhanced", "lung"))
    assert "its lungs are not of 4×" in replace(ready, preprocessing=another).fault()


@pytest.mark.parametrize("there", [True, False])
def test_what_bfloat16_changes_is_measured_where_the_processor_has_it(monkeypatch, there):
    monkeypatch.setattr(packaging, "has_bfloat16", lambda place: there)
    error = packaging.bfloat16_error(build_network(NETWORK), READY.samples)
    assert 0 < error < 0.1 if there else error is None


ON_A_BARE_MACHINE = """
import sys

class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("SimpleITK", "skimage", "scipy", "pydicom", "matplotlib", "jinja2", "vtk"):
            raise ImportError(f"{name} is not installed here")

sys.meta_path.insert(0, NotInstalled())
from DLCTPMTrainingLib.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def test_a_model_is_trained_where_nothing_reads_an_image(file, tmp_path):
    arguments = ["train", "--samples", file, "--out", tmp_path / "bare", "--device", "cpu"]
    command = [sys.executable, "-c", ON_A_BARE_MACHINE, *arguments]
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}  # as here; their number changes the rounding
    done = subprocess.run(command, capture_output=True, text=True, env=one_thread)
    assert (done.returncode, done.stderr) == (0, "")
    bundle = load_bundle(tmp_path / "bare" / "model")
    plan = TrainingPlan(None, tmp_path / "here", "carried", "7", NETWORK, TRAINING, READY.preprocessing, device="cpu")
    assert bundle.sha256 == load_bundle(train_samples(plan, READY)).sha256
    assert (bundle.name, bundle.version) == ("carried", "7")
    assert bundle.metadata["simulated"] is True
    assert bundle.metadata["training"]["diagnoses"] == {"fever": 1, "healthy": 1}
    split = json.loads((tmp_path / "bare" / "split.json").read_text())
    assert split == {"training": ["P0", "P2"], "validation": ["P1"]}


def test_without_safetensors_the_training_is_kept_and_packed_later(file, tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as bare:
        bare.setattr(packaging.importlib.util, "find_spec", lambda name: None)
        assert run(file, tmp_path, "--epochs", 1) == 2
    assert "the training is done and kept" in capsys.readouterr().err
    trained = (tmp_path / "checkpoint.pt").read_bytes()
    assert run(file, tmp_path, "--epochs", 1, "--name", "packed") == 0
    assert (tmp_path / "checkpoint.pt").read_bytes() == trained
    bundle = load_bundle(tmp_path / "model")
    assert (bundle.name, bundle.metadata["training"]["epochs_done"]) == ("packed", 1)
    assert bundle.scale.patients == 1  # P1, who validates
    assert "1 validation patients whom the network had not learned from" in bundle.card


def test_the_fold_that_was_left_out_is_kept(file, tmp_path):
    assert run(file, tmp_path, "--epochs", 1, "--fold", "2/3") == 0
    bundle = load_bundle(tmp_path / "model")
    assert bundle.members_about[0]["fold"] == [2, 3]
    assert bundle.members_about[0]["patients"] == 2
    assert "part 2 of 3 of the cohort left out" in bundle.card


def test_a_death_between_checkpoint_and_history_loses_no_epoch_of_the_bundle(tmp_path):
    plan = TrainingPlan(None, tmp_path, "cut", "1", NETWORK, TRAINING, READY.preprocessing, device="cpu")
    whole = load_bundle(train_samples(plan, READY)).metadata
    history = tmp_path / "history.jsonl"
    history.write_text(history.read_text().splitlines()[0] + "\n")
    again = load_bundle(train_samples(plan, READY)).metadata
    assert again["training"]["epochs_done"] == TRAINING.epochs
    assert again == whole


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--grid", "32x16x16"], "--grid: goes with COHORT.csv"),
        (["--test", "t.csv"], "--test: goes with COHORT.csv"),
        (["--export", "other.npz"], "--export goes with COHORT.csv"),
        (["--network", "unet", "--roi-attention", "soft"], "has no attention"),
        (["cohort.csv"], "either COHORT.csv or --samples"),
    ],
)
def test_what_the_file_has_settled_is_refused(file, tmp_path, capsys, more, words):
    assert run(file, tmp_path / "run", *more) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_file_that_is_no_export_is_refused(file, tmp_path):
    READY.samples.save(tmp_path / "cache.npz")
    (tmp_path / "cut.npz").write_bytes(file.read_bytes()[:-2000])
    (tmp_path / "text.npz").write_text("samples")
    for name, words in (("cache", "is not a file of samples"), ("cut", "is damaged"), ("text", "is damaged")):
        with pytest.raises(InputError, match=f"{name}.npz: {words}"):
            SampleSet.load(tmp_path / f"{name}.npz")
    with pytest.raises(InputError, match="there is no such file"):
        SampleSet.load(tmp_path / "none.npz")


def test_tensorboard_that_is_not_installed_is_told_in_a_sentence(file, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    assert run(file, tmp_path, "--tensorboard") == 2
    assert "no package tensorboard, install it" in capsys.readouterr().err
    assert not (tmp_path / "checkpoint.pt").exists()


def test_tensorboard_reads_every_epoch_once_after_a_resumed_run(tmp_path):
    pytest.importorskip("tensorboard", reason="the package tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    records = [EpochRecord(epoch, 1 / epoch, 0.5 / epoch, float("nan"), 0.1 * epoch, 2.0) for epoch in (1, 2, 3)]
    with TensorBoardLog(tmp_path) as log:
        log(records[0])
        log(records[1])
    kept = json.dumps({"epoch": 1, "loss": 1.0, "excess": 0.5, "validation_excess": None, "validation_r": 0.1})
    (tmp_path / "history.jsonl").write_text(kept + "\n")  # cut off before the second epoch was kept
    with TensorBoardLog(tmp_path) as log:
        log(records[1])
        log(records[2])
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    losses = [(event.step, event.value) for event in events.Scalars(TAGS["loss"])]
    assert losses == [(1, 1.0), (2, 0.5), (3, pytest.approx(1 / 3))]
    assert [event.value for event in events.Scalars(TAGS["validation_r"])] == pytest.approx([0.1, 0.2, 0.3])
    assert TAGS["validation_excess"] not in events.Tags()["scalars"]


def _with(array: str, value) -> dict:
    return {**READY.samples.arrays(), array: value}


@pytest.mark.parametrize(
    ("array", "value"),
    [
        ("enhanced", READY.samples.enhanced.astype(float)),
        ("enhanced", READY.samples.enhanced[:-1]),
        ("target", READY.samples.target[:, :-1]),
        ("mask", READY.samples.mask.astype(np.uint8)),
        ("mask", READY.samples.mask[:, :0]),
        ("patient", np.arange(6)),
        ("side", np.array(["up"] * 6)),
        ("volume_ml", np.full(6, np.nan)),
        ("mean_hu", np.full(5, -800.0)),
    ],
)
def test_an_array_that_is_none_of_samples_is_named(tmp_path, array, value):
    np.savez(tmp_path / "a.npz", **_with(array, value))
    with pytest.raises(InputError, match=f"a.npz: its array {array} is none of samples"):
        Samples.load(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("patients", [{"patient_id": 7}], "of another kind than text"),
        ("patients", 7, "is not a file of samples"),
        ("patients", [{"name": "x"}], "is not a file of samples"),
        ("learning", ["nobody"], "not among its own"),
        ("learning", [["P0"]], "not among its own"),
        ("learning", [], "no lungs to train on"),
        ("preprocessing", {"grid_shape": [32, 16, 16]}, "are not of 1×32×16×16 values"),
        ("preprocessing", None, "must be names with their values"),
        ("settings", {"network": "arnn"}, "no usable network"),
        ("settings", {"name": 3}, "no usable name"),
    ],
)
def test_what_a_file_of_samples_tells_must_fit(file, tmp_path, key, value, words):
    with np.load(file) as arrays:
        values = dict(arrays)
    about = json.loads(str(values.pop("about"))) | {key: value}
    np.savez(tmp_path / "a.npz", about=np.array(json.dumps(about)), **values)
    with pytest.raises(InputError, match=rf"a\.npz: .*{words}"):
        SampleSet.load(tmp_path / "a.npz")


def _damaged(run: Path, change) -> None:
    state = torch.load(run / CHECKPOINT, weights_only=True)
    change(state)
    torch.save(state, run / CHECKPOINT)


def _wider(state: dict) -> None:
    for kept in state["optimizer"]["state"].values():
        kept["exp_avg"] = torch.cat([kept["exp_avg"], kept["exp_avg"]])


def test_a_damaged_checkpoint_is_one_sentence_that_names_it(file, tmp_path, capsys):
    begun = tmp_path / "begun"
    assert run(file, begun) == 0
    damages = {
        "cut": lambda path: (path / CHECKPOINT).write_bytes((path / CHECKPOINT).read_bytes()[:-3000]),
        "text": lambda path: (path / CHECKPOINT).write_text("weights"),
        "no weights": lambda path: _damaged(path, lambda state: state.pop("network")),
        "another optimiser": lambda path: _damaged(path, _wider),
        "no history": lambda path: _damaged(path, lambda state: state.update(history="[{}]")),
        "wrong history": lambda path: _damaged(
            path, lambda state: state.update(history=state["history"].replace('"epoch": 1', '"epoch": "1"'))
        ),
    }
    for name, damage in damages.items():
        path = shutil.copytree(begun, tmp_path / name)
        damage(path)
        capsys.readouterr()
        assert run(file, path) == 2, name
        said = capsys.readouterr().err
        assert f"{path / CHECKPOINT}: this checkpoint is damaged" in said, name
        assert said.count("\n") == 1
