"""A training with a wall-clock budget ends with the last epoch that fits in, its learning rate having come down."""

import pytest

from DLCTPMLib.common.errors import InputError
from DLCTPMTrainingLib.training.checkpoint import EpochRecord
from DLCTPMTrainingLib.training.loop import Budget, learning_rate
from DLCTPMTrainingLib.training.plan import split_patients
from DLCTPMTrainingLib.training.settings import TrainingSettings

TWO_MINUTES = TrainingSettings(epochs=500, minutes=2.0)


def after(epochs: int, seconds: float = 50.0) -> Budget:
    return Budget.of(TWO_MINUTES, [EpochRecord(n + 1, 0.6, 0.2, 0.2, 0.5, seconds) for n in range(epochs)])


def test_two_epochs_of_fifty_seconds_fit_into_two_minutes():
    assert [after(n).allows_another for n in range(4)] == [True, True, False, False]


def test_an_epoch_longer_than_the_budget_is_done_once():
    assert after(0).allows_another
    assert not after(1, seconds=300).allows_another


def test_the_rate_has_come_down_at_the_end_of_the_last_epoch_that_fits_in():
    assert after(1).share_at(1.0) == pytest.approx(1)
    rate = learning_rate(TWO_MINUTES, 100, 199, after(1).share_at(0.99))
    assert rate < 0.01 * TWO_MINUTES.learning_rate
    assert learning_rate(TWO_MINUTES, 100, 120, after(1).share_at(0.2)) > rate


def test_without_a_budget_only_the_epochs_count():
    assert Budget.of(TrainingSettings(), [EpochRecord(1, 0.6, 0.2, 0.2, 0.5, 1e9)]) == Budget()


def test_folds_divide_the_patients_whatever_the_seed():
    patients = [f"P{n}" for n in range(11)]
    parts = [split_patients(patients, 0.2, seed, (k, 3))[1] for seed, k in ((1, 1), (2, 2), (3, 3))]
    assert sorted(p for part in parts for p in part) == sorted(patients)
    training, validation = split_patients(patients, 0.2, 7, (1, 3))
    assert validation == parts[0]
    assert not set(training) & set(validation)


def test_a_fold_that_is_none_and_one_that_leaves_nobody_to_train_on_are_refused():
    with pytest.raises(InputError, match="left to train on"):
        split_patients(["P1"], 0.2, 1, (1, 2))
