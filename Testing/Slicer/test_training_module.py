"""The module "CT Perfusion Training", with clicks on the real panel: check, train, cut off, resume, use the model."""

import csv
import itertools
import json
import math
import os
import subprocess
import sys
import weakref
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
TRAINING_MODULE = REPOSITORY / "DLCTPMTraining" / "DLCTPMTraining.py"
sys.path.insert(0, str(TRAINING_MODULE.parent))

EPOCHS = 12
QUICK = {"epochs": EPOCHS, "channels": "4-8-16-32", "grid": "32x16x16", "plateau": False, "validationShare": 0.25}
"""Of a training of seconds; the widgets are set to the same in ``set_up``."""

MAKE_COHORT = """
import sys
from pathlib import Path
import numpy as np
import SimpleITK as sitk
from small_chest import chest_ct, lung_labels, perfusion_spect
folder = Path(sys.argv[1])
sitk.WriteImage(lung_labels(), str(folder / "lungs.nrrd"), True)
for number in range(1, 5):
    rng = np.random.default_rng(number)
    for name, image, spread in (("ct", chest_ct(), 10), ("spect", perfusion_spect(), 40)):
        voxels = sitk.GetArrayFromImage(image)
        changed = sitk.GetImageFromArray((voxels + rng.normal(0, spread, voxels.shape)).clip(
            voxels.min(), None).astype(voxels.dtype))
        changed.CopyInformation(image)
        sitk.WriteImage(changed, str(folder / f"{name}{number}.nrrd"), True)
"""
HEADER = "patient_id,ct,spect,lungs,diagnosis,sex,age,simulated"
GOOD = [f"P{n},ct{n}.nrrd,spect{n}.nrrd,lungs.nrrd,fever,{'FM'[n % 2]},50,yes" for n in range(1, 5)]
BAD = [GOOD[0], "P2,ct2.nrrd,nowhere.nrrd,lungs.nrrd,fever,M,50,yes", GOOD[2].replace("50", "old"), GOOD[0]]


@pytest.fixture(scope="session")
def cohort_folder(tmp_path_factory) -> Path:
    """Four small chests with SPECT, a good table and a bad one, made in a process of its own."""
    folder = tmp_path_factory.mktemp("training-cohort")
    paths = [REPOSITORY / "Testing" / "Python", REPOSITORY / "DLCTPM"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}
    subprocess.run([sys.executable, "-c", MAKE_COHORT, str(folder)], env=environment, check=True)
    for name, lines in (("cohort.csv", GOOD), ("bad.csv", BAD)):
        (folder / name).write_text("\n".join([HEADER, *lines]) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def models(slicer_app):
    """An empty folder of models that were trained here."""
    import shutil

    from DLCTPMSlicerLib.models import installedFolder

    shutil.rmtree(installedFolder(), ignore_errors=True)
    yield installedFolder
    shutil.rmtree(installedFolder(), ignore_errors=True)


@pytest.fixture
def training(module, no_device_search):
    """The module, loaded beside the other one; its panel is not open yet."""
    from stand_in.modules import ScriptedModule

    loaded = ScriptedModule.load(TRAINING_MODULE)
    yield loaded
    if "DLCTPMTraining" in sys.modules:
        loaded.unload()


@pytest.fixture
def panel(training, models):
    """The open panel."""
    training.widgetRepresentation().enter()
    return training.widgetRepresentation().self()


@pytest.fixture
def engine(monkeypatch):
    """Put a small program in the engine's place; gives the list of the arguments that it was asked with."""
    from DLCTPMSlicerLib import engine_job

    asked = []

    def become(program):
        def command(arguments):
            asked.append(arguments)
            return [sys.executable, "-c", program]

        monkeypatch.setattr(engine_job, "engineCommand", command)
        return asked

    return become


def set_up(panel, cohort: Path, out: Path):
    ui = panel.ui
    ui.cohortPathLineEdit.currentPath = str(cohort)
    ui.outPathLineEdit.currentPath = str(out)
    ui.modelNameLineEdit.text = "tiny"
    ui.epochsSpinBox.value = EPOCHS
    ui.widthComboBox.currentIndex = 0
    ui.gridComboBox.currentIndex = 2
    ui.plateauCheckBox.checked = False
    ui.validationShareSpinBox.value = 0.25
    ui.deviceComboBox.currentIndex = 1  # the processor


def until(condition, seconds, what):
    from stand_in.probes import wait_until

    wait_until(condition, seconds, what)


def until_idle(panel, seconds=900):
    until(lambda: not panel.panel.activity.busy, seconds, panel.ui.statusLabel.text)


def table_texts(widget) -> list[list[str]]:
    return [[widget.item(r, c).text() for c in range(widget.columnCount)] for r in range(widget.rowCount)]


def history(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]


def weights(bundle: Path) -> str:
    lines = (bundle / "SHA256SUMS").read_text().splitlines()
    return next(line.split()[0] for line in lines if line.endswith("model.safetensors"))


def chart(part: str):
    import slicer

    charts = slicer.util.getNodesByClass("vtkMRMLPlotChartNode")
    return next(node for node in charts if node.GetAttribute("DLCTPM.TrainingPart") == part)


def plotted(part: str) -> dict[str, list[float]]:
    """Series name → its values, as a plot view would draw them."""
    import slicer

    found = {}
    for index in range(chart(part).GetNumberOfPlotSeriesNodes()):
        series = chart(part).GetNthPlotSeriesNode(index)
        assert series.GetXColumnName() == "Epoch"
        values = slicer.util.arrayFromTableColumn(series.GetTableNode(), series.GetYColumnName())
        found[series.GetName()] = values.tolist()
    return found


@pytest.fixture(scope="session")
def uninterrupted(slicer_session, cohort_folder, tmp_path_factory):
    """The same training by the logic alone, never cut off, its model not put into the list."""
    from stand_in.modules import ScriptedModule

    from DLCTPMSlicerLib.models import installedFolder

    module = ScriptedModule.load(TRAINING_MODULE)
    import DLCTPMTraining

    out = tmp_path_factory.mktemp("uninterrupted") / "run"
    table = cohort_folder / "cohort.csv"
    result = DLCTPMTraining.DLCTPMTrainingLogic().train(table, out, install=False, name="tiny", device="cpu", **QUICK)
    assert result.model is None
    assert not installedFolder().exists()
    assert len(result.run.record.fits[""]) == EPOCHS
    module.unload()
    return out


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
    assert ui.cohortLabel.text == "4 patients, 2 women and 2 men, 1 diagnoses, simulated. No faults."
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
    assert all(math.isfinite(value) and -1 <= value <= 1 for value in plotted("scores")["SSIM"])
    (row,) = table_texts(ui.resultsTable)
    assert row[:2] == ["Training", str(EPOCHS)]
    assert row[5] == f"{epochs[-1]['validation_r']:.3f}"
    assert ui.resultsTable.horizontalHeaderItem(6).text() == "SSIM"

    assert "model list of CT Perfusion Mapping" in ui.modelLabel.text
    other = module.widgetRepresentation()
    other.enter()
    combo = other.self().ui.modelComboBox
    assert "tiny 1" in [combo.itemText(index) for index in range(combo.count)]
    combo.currentIndex = combo.findText("tiny 1")
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


TRAINS = """
from pathlib import Path
from stand_in.modules import ScriptedModule
for path in {modules!r}:
    ScriptedModule.load(path)
from DLCTPMTraining import DLCTPMTrainingLogic
from DLCTPMTrainingSlicerLib.training_options import TrainingOptions
options = TrainingOptions(Path({cohort!r}), Path({out!r}), name="tiny", device="cpu", **{options!r})
def tell_epoch(record):
    print("Epoch", len(record.fits[""]), flush=True)
job = DLCTPMTrainingLogic().startTraining(options, onEpoch=tell_epoch)
tell_engine(job._process._process)
job.wait()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="sees the end of an orphaned process on Linux only")
def test_a_training_of_a_killed_slicer_stops_and_resumes_to_the_same_weights(
    training, cohort_folder, uninterrupted, tmp_path
):
    from slicer_process import foster_parent, killed_at

    import DLCTPMTraining
    from DLCTPMLib.caller import INTERRUPTED

    out = tmp_path / "run"
    modules = [str(REPOSITORY / "DLCTPM" / "DLCTPM.py"), str(TRAINING_MODULE)]
    program = TRAINS.format(modules=modules, cohort=str(cohort_folder / "cohort.csv"), out=str(out), options=QUICK)
    with foster_parent():
        assert killed_at("Epoch 3", program, tmp_path) == INTERRUPTED
    assert [path.name for path in out.rglob(".*")] == []
    assert 3 <= len(history(out)) < EPOCHS
    DLCTPMTraining.DLCTPMTrainingLogic().resume(out, device="cpu", install=False)
    assert weights(out / "model") == weights(uninterrupted / "model")


def test_the_trained_model_maps_perfusion_in_the_other_module(uninterrupted, models, logic, chest_ct):
    from DLCTPMSlicerLib.models import availableModels, installModel

    key = installModel(uninterrupted / "model").key
    assert [choice.key for choice in availableModels()][-1] == key
    perfusion = logic.predict(chest_ct, model=key, device="cpu").perfusion
    assert perfusion.GetAttribute("DLCTPM.Model") == "tiny"


def test_no_installed_model_is_ever_replaced(uninterrupted, models, tmp_path):
    """The same one is not copied twice; another of the same name stands beside it and is told apart."""
    import shutil

    from DLCTPMSlicerLib.models import availableModels, installModel

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


EPOCH = {"loss": 0.6, "excess": 0.2, "validation_excess": 0.3, "validation_r": 0.5, "validation_ssim": 0.6}
TELLS = f"""
import json, sys, time
def line(fraction, **more):
    print(json.dumps({{"stage": "Training, step 1 of 9", "fraction": fraction, **more}}), flush=True)
line(0.1, cohort={{"patients": 4, "simulated": 4}})
for epoch in (1, 2):
    line(0.2 * epoch, epoch={{"epoch": epoch, "seconds": 1.0, **{EPOCH!r}}})
"""
GOES_ON = f"""{TELLS}
for epoch in range(3, 600):
    time.sleep(0.1)
    line(0.4, epoch={{"epoch": epoch, "seconds": 1.0, **{EPOCH!r}}})
"""
FAILS = "import sys; print('error: cohort.csv: this is no cohort; give a cohort.', file=sys.stderr); sys.exit(2)"


@pytest.fixture
def ready(panel, cohort_folder, tmp_path):
    set_up(panel, cohort_folder / "cohort.csv", tmp_path / "run")
    return panel


def start(panel):
    panel.ui.trainButton.click()
    until(lambda: panel.ui.resultsTable.rowCount == 1, 900, "the first epoch")


def process_of(panel):
    return panel.panel.runner.job._process._process


def test_the_engines_sentence_is_shown_and_nothing_stays(ready, engine, caplog):
    from stand_in.probes import nothing_left_behind

    engine(FAILS)
    with nothing_left_behind():
        ready.ui.trainButton.click()
        until_idle(ready)
    assert ready.ui.statusLabel.text == "cohort.csv: this is no cohort; give a cohort."
    assert "this is no cohort" in caplog.text
    assert ready.ui.trainButton.enabled


def test_a_missing_pytorch_is_told_and_nothing_begins(ready, engine, monkeypatch):
    import slicer

    from DLCTPMSlicerLib import engine_setup

    asked = engine(GOES_ON)
    monkeypatch.setattr(engine_setup, "torchInstalled", lambda: False)
    for button in (ready.ui.checkButton, ready.ui.trainButton):
        button.click()
        assert "PyTorch extension is missing" in ready.ui.statusLabel.text
    assert asked == []
    slicer.mrmlScene.Clear(0)
    assert ready.ui.outPathLineEdit.currentPath == ""  # no run goes on that the new scene would have to know of


def test_what_is_asked_of_the_engine_is_what_the_panel_shows(ready, engine, cohort_folder, tmp_path):
    from DLCTPMLib.commands import build_parser

    asked = engine(FAILS)
    for task in (0, 1):
        ready.ui.taskComboBox.currentIndex = task
        ready.ui.trainButton.click()
        until_idle(ready)
    train, study = (build_parser().parse_args(arguments) for arguments in asked)
    for options in (train, study):
        assert (options.cohort, options.out) == (str(cohort_folder / "cohort.csv"), str(tmp_path / "run"))
        assert (options.epochs, options.channels, options.grid) == (EPOCHS, "4-8-16-32", "32x16x16")
        assert (options.median_size, options.uniform_size, options.device) == (3, 1, "cpu")
    assert (train.command, train.plateau, train.validation_share) == ("train", False, 0.25)
    assert (study.command, study.no_plateau, study.register) == ("study", True, "rigid")
    assert (ready.ui.registrationComboBox.enabled, ready.ui.validationShareSpinBox.enabled) == (True, False)


def test_scene_closed_during_a_training(ready, engine, tmp_path):
    """The training goes on, its plots come into the new scene, and the panel still knows what it is training."""
    import slicer

    engine(GOES_ON)
    start(ready)
    slicer.mrmlScene.Clear(0)
    assert ready.panel.activity.busy
    assert ready.ui.outPathLineEdit.currentPath == str(tmp_path / "run")
    seen = len(plotted("loss")["Training"])
    until(lambda: len(plotted("loss")["Training"]) > seen, 300, "the next epoch")
    ready.ui.cancelButton.click()
    until_idle(ready)


def test_a_scene_loaded_in_another_module_gets_no_plots_until_the_user_is_back(ready, engine, training):
    import slicer

    engine(GOES_ON)
    start(ready)
    training.widgetRepresentation().exit()
    slicer.mrmlScene.Clear(0)
    rows = ready.ui.resultsTable.item(0, 1).text()
    until(lambda: ready.ui.resultsTable.item(0, 1).text() != rows, 300, "the next epoch")
    assert slicer.util.getNodesByClass("vtkMRMLPlotChartNode") == []
    training.widgetRepresentation().enter()
    assert ready.ui.cancelButton.enabled
    assert len(plotted("loss")["Training"]) >= 2
    ready.ui.cancelButton.click()
    until_idle(ready)


def test_a_removed_table_is_made_again(ready, engine):
    """The user may tidy the scene while the network trains."""
    import slicer

    engine(GOES_ON)
    start(ready)
    slicer.mrmlScene.RemoveNode(chart("loss").GetNthPlotSeriesNode(0).GetTableNode())
    slicer.mrmlScene.RemoveNode(chart("scores"))
    until(lambda: len(slicer.util.getNodesByClass("vtkMRMLPlotChartNode")) == 2, 300, "the next epoch")
    assert len(plotted("loss")["Training"]) == len(plotted("scores")["SSIM"]) > 2
    ready.ui.cancelButton.click()
    until_idle(ready)


def test_a_killed_engine_is_told(ready, engine):
    import signal

    engine(GOES_ON)
    start(ready)
    os.kill(process_of(ready).pid, signal.SIGKILL)
    until_idle(ready)
    assert "ended unexpectedly" in ready.ui.statusLabel.text


def test_reload_ends_the_training_and_leaves_no_observer(ready, engine):
    import slicer
    from stand_in.probes import scene_observer_count, settle

    engine(GOES_ON)
    observers = scene_observer_count()
    start(ready)
    process = process_of(ready)
    ready.onReload()
    settle()
    assert process.poll() is not None
    assert scene_observer_count() == observers
    reloaded = slicer.modules.DLCTPMTrainingWidget
    assert reloaded is not ready
    reloaded.enter()
    assert reloaded.ui.modelNameLineEdit.text == "tiny"
    assert reloaded.ui.trainButton.enabled


def test_the_other_modules_reload_does_not_touch_the_training(ready, engine, module):
    import slicer

    engine(GOES_ON)
    module.widgetRepresentation().enter()
    start(ready)
    slicer.modules.DLCTPMWidget.onReload()
    seen = len(plotted("loss")["Training"])
    until(lambda: len(plotted("loss")["Training"]) > seen, 300, "the next epoch")
    ready.ui.cancelButton.click()
    until_idle(ready)
    assert ready.ui.statusLabel.text.startswith("Stopped.")


def test_unloading_ends_the_process_and_leaves_nothing(training, models, engine, cohort_folder, tmp_path):
    from stand_in.modules import ScriptedModule
    from stand_in.probes import is_released, nothing_left_behind

    engine(FAILS)
    training.widgetRepresentation().enter()
    training.unload()
    from DLCTPMTrainingSlicerLib import training_plots

    with nothing_left_behind():
        loaded = ScriptedModule.load(TRAINING_MODULE)
        loaded.widgetRepresentation().enter()
        panel = loaded.widgetRepresentation().self()
        set_up(panel, cohort_folder / "cohort.csv", tmp_path / "run")
        engine(GOES_ON)
        start(panel)
        process, reference = process_of(panel), weakref.ref(panel)
        training_plots.removeTraining(panel.panel.results._record)
        del panel
        loaded.unload()
    assert process.poll() is not None
    assert is_released(reference)


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


def test_time_left_counts_from_the_first_step_of_this_process(slicer_app):
    """A resumed run begins at half the bar; that half took no time now."""
    from DLCTPMSlicerLib.engine_process import EngineProgress
    from DLCTPMTrainingSlicerLib.training_job import TrainingClock

    moments = itertools.count(0, 10)
    clock = TrainingClock(lambda: next(moments))
    reports = (("Preparing", 0.1), ("Training, step 51", 0.5), ("Training", 0.6), ("Training", 0.7))
    left = [clock.secondsLeft(EngineProgress(stage, fraction, None)) for stage, fraction in reports]
    assert left[:2] == [None, None]
    assert left[2:] == pytest.approx([40, 30])


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
