"""Training's commands: who brings them, and what their options become."""

import json
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from small_chest import untrained_model

from DLCTPMLib.cli.main import BAD_INPUT, DONE
from DLCTPMLib.common.errors import InputError
from DLCTPMLib.networks.settings import ArnnSettings
from DLCTPMLib.preprocessing.settings import PreprocessingSettings
from DLCTPMLib.results.prediction import RESULT_FILES
from DLCTPMTrainingLib.cli.main import COMMANDS, build_parser, main
from DLCTPMTrainingLib.cli.study import plan_of
from DLCTPMTrainingLib.training.settings import TrainingSettings

REPOSITORY = Path(__file__).resolve().parents[4]


def test_the_distribution_brings_the_commands_that_the_library_has():
    tomllib = pytest.importorskip("tomllib", reason="reading pyproject.toml needs Python 3.11")
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = project["entry-points"]["dlctpm.commands"]
    brought = {name: EntryPoint(name, value, "dlctpm.commands").load() for name, value in named.items()}
    assert {name.replace("-", " ") for name in brought} == {command.name for command in brought.values()}
    assert list(brought.values()) == list(COMMANDS)


def test_train_options_become_the_plan_and_the_others_keep_their_defaults(tmp_path, monkeypatch, capsys):
    plans = []

    def train_cohort(plan, progress, emit):
        plans.append(plan)
        return plan.out / "model"

    monkeypatch.setattr("DLCTPMTrainingLib.training.from_cohort.train_cohort", train_cohort)
    options = ["--channels", "8-16-32-64", "--grid", "64x32x32", "--epochs", "7", "--edges", "masked", "--plateau"]
    assert main(["train", "cohort.csv", "--out", str(tmp_path / "run"), *options]) == DONE
    plan = plans[0]
    assert plan.network == ArnnSettings(channels=(8, 16, 32, 64))
    assert plan.preprocessing == PreprocessingSettings(grid_shape=(64, 32, 32), edges="masked")
    assert plan.training == TrainingSettings(epochs=7, plateau=True)
    assert main(["train", "cohort.csv", "--out", str(tmp_path / "run"), "--channels", "many"]) == BAD_INPUT
    assert "--channels many" in capsys.readouterr().err


@pytest.mark.long
def test_the_demonstration_shows_the_whole_chain_and_says_simulated(tmp_path):
    model = untrained_model(tmp_path / "model")
    assert main(["demo", "--model", str(model), "--out", str(tmp_path / "demo")]) == DONE
    names = {path.name for path in (tmp_path / "demo").iterdir()}
    assert names == {*RESULT_FILES, "ct.nrrd", "spect.nrrd"} - {"perfusion_spread.nrrd"}  # of an ensemble
    result = json.loads((tmp_path / "demo" / "result.json").read_text(encoding="utf-8"))
    assert result["simulated"] is True
    assert "right middle lobe" in result["regions"]
    assert "Simulated: every image" in (tmp_path / "demo" / "report.html").read_text(encoding="utf-8")


def test_an_option_with_commas_is_searched_and_its_first_value_stands_in_the_plan():
    given = ["--learning-rate", "0.001,0.003", "--channels", "4-4-8-8,8-8-8-8"]
    given += ["--edges", "masked", "--grid", "32x16x16"]
    plan = plan_of(build_parser().parse_args(["study", "cohort.csv", "--out", "study", *given]))
    assert plan.search.learning_rates == (0.001, 0.003)
    assert plan.search.channels == ((4, 4, 8, 8), (8, 8, 8, 8))
    assert plan.network == ArnnSettings(channels=(4, 4, 8, 8))
    assert plan.training == TrainingSettings(epochs=100, plateau=True)
    assert plan.preprocessing == PreprocessingSettings(grid_shape=(32, 16, 16), edges="masked")
    with pytest.raises(InputError, match="--learning-rate fast"):
        plan_of(build_parser().parse_args(["study", "cohort.csv", "--out", "study", "--learning-rate", "fast"]))


def test_help_shows_the_settings_own_defaults(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    training, preprocessing = TrainingSettings(), PreprocessingSettings()
    assert f"passes over all lungs (default {training.epochs})" in shown
    assert f"cells of the median of Eq. 1 (default {preprocessing.median_size})" in shown
    assert f"cells of the network's grid (default {'x'.join(map(str, preprocessing.grid_shape))})" in shown


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--learning-rate=inf", "learning_rate must be an ordinary number, not inf"),
        ("--learning-rate=nan", "the learning rate must be positive"),
        ("--movement=nan", "movement must be an ordinary number, not nan"),
        ("--seed=-1", "the seed must lie between 0 and"),
        (f"--epochs={10**30}", "epochs must be an ordinary number, not so large a number"),
    ],
)
def test_a_number_that_is_none_is_refused_before_the_cohort_is_read(tmp_path, capsys, option, words):
    assert main(["train", str(tmp_path / "none.csv"), "--out", str(tmp_path / "run"), option]) == 2
    assert words in capsys.readouterr().err
