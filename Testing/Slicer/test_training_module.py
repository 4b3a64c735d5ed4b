"""The module "CT Perfusion Training", with clicks on the real panel: check, train, stop, resume, use the model."""

import csv
import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from panel_steps import FAILS, until, until_idle
from slicer_process import REPOSITORY
from training_steps import (
    EPOCH,
    EPOCHS,
    TRAINING_MODULE,
    chart,
    history,
    plotted,
    set_up,
    table_texts,
    weights,
)


@pytest.fixture
def panel(training_panel):
    """The open panel of this module."""
    return training_panel


def test_faults_of_a_cohort_are_listed_with_their_lines(panel, cohort_folder):
    ui = panel.ui
    ui.cohortPathLineEdit.currentPath = str(cohort_folder / "bad.csv")
    assert ui.cohortLabel.text == "Not checked yet."
    ui.checkButton.click()
    until_idle(panel)
    listed = [ui.cohortList.item(index).text() for index in range(ui.cohortList.count)]
    assert [text.split(":")[0] for text in listed] == ["✗ line 3", "✗ line 4", "✗ line 5"]
    assert "nowhere.nrrd" in listed[0]
    assert ui.cohortLabel.text.endswith("Faults: 3.")
    ui.cohortPathLineEdit.currentPath = str(cohort_folder / "cohort.csv")
    assert (ui.cohortLabel.text, ui.cohortList.count) == ("Not checked yet.", 0)
    ui.checkButton.click()
    until_idle(panel)
    assert ui.cohortLabel.text == "4 patients, 2 women and 2 men, 1 diagnosis, simulated. No faults."
    assert ui.cohortList.count == 0


@pytest.mark.timeout(1800)
def test_whole_visit(panel, module, cohort_folder, uninterrupted, models, tmp_path):
    """Train, stop, resume to the weights of a run that was never stopped; plots, scene, and the model in the list."""
    import slicer
    from stand_in.probes import scene_census

    ui, out = panel.ui, tmp_path / "run"
    assert not ui.trainButton.enabled
    assert "cohort" in ui.trainButton.toolTip
    set_up(panel, cohort_folder / "cohort.csv", out)
    assert not ui.resumeButton.enabled
    ui.trainButton.click()
    until(lambda: ui.resultsTable.rowCount == 1, 900, "the first epoch")
    assert ui.cancelButton.enabled
    assert not ui.trainButton.enabled
    ui.cancelButton.click()
    until_idle(panel)
    assert ui.statusLabel.text == "Stopped. Resume goes on after the last whole epoch."
    done = len(history(out))
    assert 1 <= done < EPOCHS
    assert f"after epoch {done} of {EPOCHS}" in ui.runLabel.text
    assert (ui.trainButton.enabled, ui.resumeButton.enabled) == (False, True)
    assert not models().exists()
    census = scene_census()

    ui.epochsSpinBox.value = 3  # a run goes on with its own settings, whatever the panel shows
    ui.resumeButton.click()
    until_idle(panel)
    assert ui.statusLabel.text == "Done. Research use only."
    assert weights(out / "model") == weights(uninterrupted / "model")
    assert scene_census() == census  # the same nodes, filled further

    epochs = history(out)
    assert len(epochs) == EPOCHS
    for part, series in (("loss", {"Training": "excess", "Validation": "validation_excess"}),
                         ("scores", {"R": "validation_r", "SSIM": "validation_ssim"})):  # fmt: skip
        assert plotted(part) == {name: [epoch[key] for epoch in epochs] for name, key in series.items()}
    assert chart("loss").GetTitle() == "tiny: loss (simulated)"
    lines = [chart("loss").GetNthPlotSeriesNode(index) for index in range(2)]
    assert len({line.GetMarkerStyle() for line in lines}) == 2  # a legend is too short to show which is dashed
    assert all(math.isfinite(value) and -1 <= value <= 1 for value in plotted("scores")["SSIM"])
    (row,) = table_texts(ui.resultsTable)
    assert row[:2] == ["Training", str(EPOCHS)]
    assert row[5] == f"{epochs[-1]['validation_r']:.3f}"
    assert ui.resultsTable.horizontalHeaderItem(6).text() == "SSIM"

    assert "model list of CT Perfusion Mapping" in ui.modelLabel.text
    other = module.widgetRepresentation()
    other.enter()
    combo = other.self().ui.modelComboBox
    combo.currentIndex = combo.findText("tiny 1")
    assert other.self().ui.modelLabel.text == "ARNN · 3 simulated patients"
    chosen = Path(other.self()._parameterNode.model)
    assert weights(chosen) == weights(out / "model")
    assert chosen.parent == models()

    before = plotted("loss")
    assert slicer.util.saveScene(str(tmp_path / "training.mrb"))
    slicer.mrmlScene.Clear(0)
    assert (ui.outPathLineEdit.currentPath, ui.cohortLabel.text) == ("", "Not checked yet.")
    slicer.util.loadScene(str(tmp_path / "training.mrb"))
    after = plotted("loss")
    assert list(after) == list(before)
    for name, values in before.items():
        assert after[name] == pytest.approx(values, rel=1e-5)  # MRML writes tables with six digits
    assert panel._parameterNode.out == str(out)
    assert ui.modelNameLineEdit.text == "tiny"
    assert table_texts(ui.resultsTable) == [row]
    count = slicer.mrmlScene.GetNumberOfNodes()
    ui.scorePlotButton.click()  # the nodes of the loaded scene are found again
    assert slicer.mrmlScene.GetNumberOfNodes() == count
    assert slicer.app.applicationLogic().GetSelectionNode().GetActivePlotChartID() == chart("scores").GetID()
    ui.reportButton.click()
    assert "simulated" in panel.panel.results._window.toPlainText()
    panel.panel.results._window.close()


def test_the_trained_model_maps_perfusion_in_the_other_module(uninterrupted, models, logic, chest_ct):
    from DLCTPMSlicerLib.engine.models import availableModels, installModel

    key = installModel(uninterrupted / "model").key
    assert [choice.key for choice in availableModels()][-1] == key
    perfusion = logic.predict(chest_ct, model=key, device="cpu").perfusion
    assert perfusion.GetAttribute("DLCTPM.Model") == "tiny"


def test_no_installed_model_is_ever_replaced(uninterrupted, models, tmp_path):
    """The same one is not copied twice; another of the same name stands beside it and is told apart."""
    from DLCTPMSlicerLib.engine.models import availableModels, installModel

    first = installModel(uninterrupted / "model")
    assert installModel(uninterrupted / "model").key == first.key
    other = shutil.copytree(uninterrupted / "model", tmp_path / "other")
    (other / "SHA256SUMS").write_text("another\n")
    second = installModel(other)
    assert second.key != first.key
    labels = [choice.label for choice in availableModels() if choice.key in (first.key, second.key)]
    assert len(set(labels)) == 2
    with pytest.raises(ValueError, match="not a trained model"):
        installModel(tmp_path)


def test_what_is_asked_of_the_engine_is_what_the_panel_shows(panel, engine, cohort_folder, tmp_path):
    from DLCTPMTrainingLib.cli.main import build_parser

    set_up(panel, cohort_folder / "cohort.csv", tmp_path / "run")
    asked = engine(FAILS)
    for task in (0, 1):
        panel.ui.taskComboBox.currentIndex = task
        panel.ui.trainButton.click()
        until_idle(panel)
    train, study = (build_parser().parse_args(arguments) for arguments in asked)
    for options in (train, study):
        assert (options.cohort, options.out) == (str(cohort_folder / "cohort.csv"), str(tmp_path / "run"))
        assert (options.epochs, options.channels, options.grid) == (EPOCHS, "4-8-16-32", "32x16x16")
        assert (options.median_size, options.uniform_size, options.device) == (3, 1, "cpu")
    assert (train.command, train.plateau, train.validation_share) == ("train", False, 0.25)
    assert (study.command, study.no_plateau, study.register) == ("study", True, "rigid")
    assert (panel.ui.registrationComboBox.enabled, panel.ui.validationShareSpinBox.enabled) == (True, False)


def test_a_simulated_cohort_is_made_and_chosen(panel, engine, tmp_path):
    asked = engine('print(\'{"stage": "virtual patient 1 of 5", "fraction": 0.2}\')')
    ui = panel.ui
    assert not ui.simulateButton.enabled
    ui.simulatedPathLineEdit.currentPath = str(tmp_path)
    ui.simulatedPatientsSpinBox.value = 5
    ui.simulateButton.click()
    until_idle(panel)
    assert asked == [["cohort", "simulate", "--patients", "5", "--seed", "1", "--out", str(tmp_path)]]
    assert ui.cohortPathLineEdit.currentPath == str(tmp_path / "cohort.csv")
    assert "says nothing about people" in ui.statusLabel.text


def test_a_studys_folder_shows_its_folds_then_its_headline_and_report(panel, tmp_path, monkeypatch):
    import qt

    out = tmp_path / "study"
    run = {"command": "study", "cohort": "c.csv", "about": {"simulated": 4}, "options": {"name": "s", "epochs": 2}}
    for fit in ("folds/1", "folds/2", "final"):
        (out / fit).mkdir(parents=True)
        lines = [json.dumps({"epoch": n, "seconds": 30.0, **EPOCH}) for n in (1, 2)]
        (out / fit / "history.jsonl").write_text("\n".join(lines))
    (out / "run.json").write_text(json.dumps(run))
    panel.ui.outPathLineEdit.currentPath = str(out)
    assert [row[0] for row in table_texts(panel.ui.resultsTable)] == ["Fold 1", "Fold 2", "Final fit"]
    assert panel.ui.resultsTable.item(0, 7).text() == "1.0"
    assert "cut off" in panel.ui.runLabel.text
    assert panel.ui.resumeButton.enabled
    panel.ui.lossPlotButton.click()
    assert len(plotted("loss")) == 6
    (out / "results").mkdir()
    (out / "results" / "report.html").write_text("<p>simulated</p>")
    with (out / "results" / "headline-per-lung.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["", "Spearman R"], ["model", "0.790 ± 0.097"]])
    panel.panel.look()
    panel.panel.update()
    assert table_texts(panel.ui.resultsTable) == [["model", "0.790 ± 0.097"]]
    assert not panel.ui.resumeButton.enabled
    opened = []
    monkeypatch.setattr(qt.QDesktopServices, "openUrl", lambda url: opened.append(url.toLocalFile()))
    panel.ui.reportButton.click()
    assert opened == [str(out / "results" / "report.html")]


def test_options_that_cannot_be_used_are_told(slicer_app):
    from DLCTPMTrainingSlicerLib.training_options import OptionsError, TrainingOptions

    for changes, words in (({"cohort": Path()}, "table"), ({"out": Path()}, "folder"), ({"name": " "}, "name"),
                           ({"epochs": 0}, "epoch"), ({"grid": "1x1x1"}, "grid")):  # fmt: skip
        with pytest.raises(OptionsError, match=words):
            TrainingOptions(**{"cohort": Path("c.csv"), "out": Path("run"), **changes})


def test_nothing_to_resume_is_told(training, tmp_path):
    import DLCTPMTraining
    from DLCTPMTrainingSlicerLib.training_options import OptionsError

    with pytest.raises(OptionsError, match="Nothing to resume"):
        DLCTPMTraining.DLCTPMTrainingLogic().resume(tmp_path)


def test_module_file_imports_nothing_heavy(tmp_path):
    """Module files of both modules; the engine's packages are for the child process."""
    code = f"""
import sys, time; sys.path.insert(0, {str(REPOSITORY / "Testing" / "SlicerStandIn")!r})
from stand_in.start import start
start(views=False)
from stand_in.modules import ScriptedModule
ScriptedModule.load({str(REPOSITORY / "DLCTPM" / "DLCTPM.py")!r})
before, begin = set(sys.modules), time.process_time()
ScriptedModule.load({str(TRAINING_MODULE)!r})
import json
print(json.dumps([time.process_time() - begin, sorted({{n.split(".")[0] for n in set(sys.modules) - before}})]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds, names = json.loads(done.stdout.splitlines()[-1])
    print(f"importing the module file takes {seconds:.3f} s of processor time")
    assert not set(names) & {"torch", "SimpleITK", "scipy", "pandas", "skimage", "matplotlib", "DLCTPMTrainingLib"}


def test_ui_names_of_the_design_and_a_tooltip_for_every_control(panel):
    import ctk
    import qt

    for name in ("cohortPathLineEdit", "trainButton", "cancelButton", "progressBar", "resultsTable"):
        assert hasattr(panel.ui, name)
    fields = (qt.QComboBox, qt.QSpinBox, qt.QDoubleSpinBox, qt.QLineEdit, ctk.ctkPathLineEdit)
    kinds = (*fields, qt.QPushButton, qt.QCheckBox, qt.QTableWidget, qt.QListWidget)
    ours = {name: widget for name, widget in vars(panel.ui).items() if not name.startswith("qt_")}
    silent = [name for name, widget in ours.items() if isinstance(widget, kinds) and not widget.toolTip]
    assert silent == []


def test_an_ensemble_is_told_by_its_networks_and_their_patients(tmp_path):
    from DLCTPMSlicerLib.engine.models import _choice

    for name, text in (
        ("configs/metadata.json", json.dumps({
            "name": "both", "version": "2", "simulated": True, "network": {"architecture": "unet"},
            "members": [{"architecture": "unet"}, {"architecture": "arnn"}, {"architecture": "unet"}],
            "training": {"patients": 150},
            "members_training": [{"patients": 150}, {"patients": 149}, {"patients": 150}],
        })),
        ("docs/README.md", "# both"),
    ):  # fmt: skip
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(text)
    about = _choice(tmp_path, "both").about
    assert about == "mean of 3 networks (2 U-Net, 1 ARNN) · 149 to 150 simulated patients each"
