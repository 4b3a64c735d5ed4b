"""Whatever interrupts a training, the panel recovers, the run can be resumed and the scene holds nothing too many."""

import itertools
import os
import signal
import sys
import weakref

import pytest
from panel_steps import FAILS, process_of, until, until_idle
from slicer_process import foster_parent, killed_at
from training_steps import EPOCH, EPOCHS, QUICK, TRAINING_MODULE, chart, history, plotted, set_up, weights

from DLCTPMLib.common.ending.interruption import INTERRUPTED

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
tell_engine(job._process)
job.wait()
"""


@pytest.fixture
def ready(training_panel, cohort_folder, tmp_path):
    """The open panel, ready for a click on Train."""
    set_up(training_panel, cohort_folder / "cohort.csv", tmp_path / "run")
    return training_panel


def start(panel):
    panel.ui.trainButton.click()
    until(lambda: panel.ui.resultsTable.rowCount == 1, 900, "the first epoch")


def test_the_engines_sentence_is_shown_and_nothing_stays(ready, engine, caplog):
    from stand_in.probes import nothing_left_behind

    engine(FAILS)
    with nothing_left_behind():
        ready.ui.trainButton.click()
        until_idle(ready)
    assert ready.ui.statusLabel.text == "ct.nrrd: this is not a CT; give a CT."
    assert "this is not a CT" in caplog.text
    assert ready.ui.trainButton.enabled


def test_a_missing_pytorch_is_told_and_nothing_begins(ready, engine, monkeypatch):
    import slicer

    from DLCTPMSlicerLib.engine import setup as engine_setup

    asked = engine(GOES_ON)
    monkeypatch.setattr(engine_setup, "torchInstalled", lambda: False)
    for button in (ready.ui.checkButton, ready.ui.trainButton):
        button.click()
        assert "PyTorch extension is missing" in ready.ui.statusLabel.text
    assert asked == []
    slicer.mrmlScene.Clear(0)
    assert ready.ui.outPathLineEdit.currentPath == ""  # no run goes on that the new scene would have to know of


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
    assert len(plotted("loss")["Training"]) == len(plotted("scores")["SSIM"]) > 1
    ready.ui.cancelButton.click()
    until_idle(ready)


def test_a_killed_engine_is_told(ready, engine):
    engine(GOES_ON)
    start(ready)
    os.kill(process_of(ready).pid, signal.SIGKILL)
    until_idle(ready)
    assert "ended unexpectedly" in ready.ui.statusLabel.text


@pytest.mark.skipif(sys.platform != "linux", reason="sees the end of an orphaned process on Linux only")
def test_a_training_of_a_killed_slicer_stops_and_resumes_to_the_same_weights(
    training, module_path, cohort_folder, uninterrupted, tmp_path
):
    import DLCTPMTraining

    out = tmp_path / "run"
    modules = [str(module_path), str(TRAINING_MODULE)]
    program = TRAINS.format(modules=modules, cohort=str(cohort_folder / "cohort.csv"), out=str(out), options=QUICK)
    with foster_parent():
        assert killed_at("Epoch 3", program, tmp_path) == INTERRUPTED
    assert [path.name for path in out.rglob(".*")] == []
    assert 3 <= len(history(out)) < EPOCHS
    DLCTPMTraining.DLCTPMTrainingLogic().resume(out, device="cpu", install=False)
    assert weights(out / "model") == weights(uninterrupted / "model")


def test_reload_ends_the_training_and_leaves_no_observer(ready, engine):
    import slicer
    from stand_in.probes import scene_observer_count, settle

    engine(GOES_ON)
    observers = scene_observer_count()
    start(ready)
    process = process_of(ready)
    ready.onReload()
    settle()
    until(lambda: process.poll() is not None, 20, "the end of the engine")
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
    until(lambda: process.poll() is not None, 20, "the end of the engine")
    assert is_released(reference)


def test_time_left_counts_from_the_first_step_of_this_process(slicer_app):
    """A resumed run begins at half the bar; that half took no time now."""
    from DLCTPMSlicerLib.engine.process import EngineProgress
    from DLCTPMTrainingSlicerLib.training_job import TrainingClock

    moments = itertools.count(0, 10)
    clock = TrainingClock(lambda: next(moments))
    reports = (("Preparing", 0.1), ("Training, step 51", 0.5), ("Training", 0.6), ("Training", 0.7))
    left = [clock.secondsLeft(EngineProgress(stage, fraction, None)) for stage, fraction in reports]
    assert left[:2] == [None, None]
    assert left[2:] == pytest.approx([40, 30])
