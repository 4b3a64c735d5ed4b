import json
import math

import numpy as np
import pytest
import torch
from scipy.special import expit, xlogy
from small_training import CPU, NETWORK, settings, some_samples

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.networks.arnn import Arnn
from DLCTPMTrainingLib.samples.batches import LungBatch, LungBatches
from DLCTPMTrainingLib.samples.lung_samples import Samples
from DLCTPMTrainingLib.training.checkpoint import EpochRecord
from DLCTPMTrainingLib.training.loop import DIVERGED, DivergenceError, on_plateau, train
from DLCTPMTrainingLib.training.step import TrainingStep, summed_loss
from DLCTPMTrainingLib.training.validation import entropy, predict_samples, renew_batch_norm


def weights(network: Arnn) -> bytes:
    return b"".join(value.numpy().tobytes() for value in network.state_dict().values())


def a_batch(samples) -> LungBatch:
    return LungBatches(samples, CPU)(torch.arange(len(samples)))


def test_the_loss_is_equation_3_over_the_lungs_voxels():
    samples = some_samples()
    torch.manual_seed(0)
    network = Arnn(NETWORK)
    for module in network.modules():
        module.p = 0.0  # dropout
    batch = a_batch(samples)
    with torch.no_grad():
        p = expit(network.logits(batch.enhanced).numpy()[:, 0])[samples.mask]
    y = (samples.target / 255)[samples.mask]
    got = TrainingStep(network, CPU, "fp32")(batch, 1e-3).item()
    assert got == pytest.approx(-np.mean(xlogy(y, p) + xlogy(1 - y, 1 - p)), rel=1e-5)


def test_the_loss_ignores_what_lies_outside_the_lung():
    torch.manual_seed(0)
    logits, target, mask = torch.randn(2, 1, 4, 4, 4), torch.rand(2, 1, 4, 4, 4), torch.rand(2, 1, 4, 4, 4) < 0.6
    wild = torch.where(mask, target, 1 - target)
    assert summed_loss(logits, target, mask) == summed_loss(logits, wild, mask)
    assert summed_loss(logits, target, ~mask) != summed_loss(logits, wild, ~mask)


def test_the_floor_is_the_entropy_of_the_targets():
    samples = some_samples()
    expected = []
    for target, mask in zip(samples.target / 255, samples.mask, strict=True):
        y = target[mask]
        expected.append(-np.mean(xlogy(y, y) + xlogy(1 - y, 1 - y)))
    assert entropy(samples) == pytest.approx(np.mean(expected), abs=1e-9)


def test_a_network_learns(tmp_path):
    records: list[EpochRecord] = []
    samples = some_samples(lungs=8)
    network = train(samples, some_samples(4, 1), NETWORK, settings(epochs=12), tmp_path, CPU, records.append)
    assert [r.epoch for r in records] == list(range(1, 13))
    assert records[-1].excess < 0.6 * records[0].excess
    assert records[-1].validation_r > 0.5
    lines = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert lines[-1]["loss"] == records[-1].loss
    predicted = predict_samples(network, some_samples(2, 2), CPU)
    assert predicted.shape == (2, 16, 8, 8)


class CutOff(Exception):  # noqa: N818 - a death, not an error
    pass


@pytest.mark.parametrize("cut_at", [1, 3, 6, 11])
def test_a_killed_run_goes_on_to_the_same_weights(tmp_path, cut_at):
    samples = some_samples()
    whole = train(samples, None, NETWORK, settings(), tmp_path / "whole", CPU)

    def cut(done, steps):
        if done == cut_at:
            raise CutOff

    with pytest.raises(CutOff):
        train(samples, None, NETWORK, settings(), tmp_path / "cut", CPU, on_step=cut)
    resumed = train(samples, None, NETWORK, settings(), tmp_path / "cut", CPU)
    assert weights(resumed) == weights(whole)
    other = train(samples, None, NETWORK, settings(seed=1), tmp_path / "other", CPU)
    assert weights(other) != weights(whole)


def test_a_run_is_not_continued_with_other_settings_or_patients(tmp_path):
    train(some_samples(), None, NETWORK, settings(epochs=1), tmp_path, CPU)
    with pytest.raises(InputError, match="other settings or other patients"):
        train(some_samples(), None, NETWORK, settings(epochs=2), tmp_path, CPU)
    with pytest.raises(InputError, match="other settings or other patients"):
        train(some_samples(6), None, NETWORK, settings(epochs=1), tmp_path, CPU)


def test_a_loss_that_is_no_number_stops_the_run_with_advice(tmp_path):
    with pytest.raises(DivergenceError, match="lower --learning-rate"):
        train(some_samples(), None, NETWORK, settings(learning_rate=1e18), tmp_path, CPU)


def test_a_diverged_loss_stops_the_run_and_keeps_the_epochs_before(tmp_path, monkeypatch):
    monkeypatch.setattr("DLCTPMTrainingLib.training.loop.DIVERGED", 0.01)  # any loss is above
    with pytest.raises(DivergenceError, match=r"has diverged, it is 0\.\d+ in epoch 2 .* lower --learning-rate"):
        train(some_samples(), None, NETWORK, settings(), tmp_path, CPU)
    assert len((tmp_path / "history.jsonl").read_text().splitlines()) == 1


def test_twice_the_loss_of_knowing_nothing_is_divergence():
    logits, mask = torch.zeros(1, 1, 4, 4, 4), torch.ones(1, 1, 4, 4, 4, dtype=torch.bool)
    knowing_nothing = summed_loss(logits, torch.rand(logits.shape), mask) / mask.sum()
    assert pytest.approx(2 * knowing_nothing.item(), rel=1e-6) == DIVERGED


@pytest.mark.parametrize(("plateau", "epochs"), [(True, 2), (False, 4)])
def test_the_plateau_rule_stops_a_run_where_it_is_asked_for(tmp_path, monkeypatch, plateau, epochs):
    monkeypatch.setattr("DLCTPMTrainingLib.training.loop.PLATEAU_EPOCHS", 1)
    monkeypatch.setattr("DLCTPMTrainingLib.training.loop.PLATEAU_CHANGE", 1e9)  # every change is small
    for _ in range(2):  # and a run that it has stopped is not continued
        train(some_samples(2), None, NETWORK, settings(epochs=4, plateau=plateau), tmp_path, CPU)
        assert len((tmp_path / "history.jsonl").read_text().splitlines()) == epochs


def test_a_death_while_the_checkpoint_is_written_loses_one_epoch_only(tmp_path, monkeypatch):
    samples, save = some_samples(2), torch.save
    whole = train(samples, None, NETWORK, settings(), tmp_path / "whole", CPU)

    def dies_in_epoch_2(state, path):
        save(state, path)
        if len(json.loads(state["history"])) == 2:
            path.write_bytes(path.read_bytes()[:100])
            raise CutOff

    with monkeypatch.context() as death:
        death.setattr(torch, "save", dies_in_epoch_2)
        with pytest.raises(CutOff):
            train(samples, None, NETWORK, settings(), tmp_path / "cut", CPU)
    assert sorted(path.name for path in (tmp_path / "cut").iterdir()) == ["checkpoint.pt", "history.jsonl"]
    kept = torch.load(tmp_path / "cut" / "checkpoint.pt", weights_only=True)
    assert len(json.loads(kept["history"])) == 1
    resumed = train(samples, None, NETWORK, settings(), tmp_path / "cut", CPU)
    assert weights(resumed) == weights(whole)


def test_nothing_to_train_on_is_refused(tmp_path):
    with pytest.raises(InputError, match="no lungs"):
        train(some_samples().of_patients([]), None, NETWORK, settings(), tmp_path, CPU)


def test_renewed_batch_norm_holds_the_mean_over_all_lungs():
    samples = some_samples(6)
    network = Arnn(NETWORK)
    renew_batch_norm(network, samples, CPU, "fp32")
    convolution, norm = network.encode1.body[0][0], network.encode1.body[0][1]
    with torch.no_grad():
        features = [convolution(torch.from_numpy(e[None] / np.float32(255))) for e in samples.enhanced]
    means = torch.stack([f.mean(dim=(0, 2, 3, 4)) for f in features]).mean(0)
    assert torch.allclose(norm.running_mean, means, atol=1e-5)
    assert norm.momentum == 0.1


@pytest.mark.parametrize(
    ("losses", "expected"),
    [([1.0] * 5, False), ([1.0] * 6, True), ([1, 1, 1, 0.99, 0.99, 0.99], False), ([5, 1, 1, 1, 1, 1, 1.0], True)],
)
def test_the_papers_plateau_rule(losses, expected):
    assert on_plateau(losses) is expected


def test_no_validation_is_told_as_not_a_number(tmp_path):
    records = []
    train(some_samples(), None, NETWORK, settings(epochs=1), tmp_path, CPU, records.append)
    assert math.isnan(records[0].validation_r)
    assert json.loads((tmp_path / "history.jsonl").read_text())["validation_r"] is None


def test_samples_come_back_from_their_file(tmp_path):
    samples = some_samples()
    samples.save(tmp_path / "s.npz")
    back = Samples.load(tmp_path / "s.npz")
    assert all(np.array_equal(a, b) for a, b in zip(back.arrays().values(), samples.arrays().values(), strict=True))
    assert list(back.of_patients(["P1"]).side) == ["right lung", "left lung"]
    assert len(Samples.joined([back, back])) == 8
