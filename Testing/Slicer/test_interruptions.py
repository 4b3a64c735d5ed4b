"""Whatever interrupts a prediction, the panel recovers and the scene holds no node or observer too many."""

import itertools
import json
import sys
import weakref

import pytest
import SimpleITK as sitk
from panel_steps import FAILS, click, process_of, temporary_folders, until, until_idle

SLEEPS = 'import time; print(\'{"stage": "Network", "fraction": 0.4}\', flush=True); time.sleep(60)'
WRITES_NOTHING = "pass"
REFUSES = """
import json, sys
print(json.dumps({"stage": "Lungs", "fraction": 0.2, "failed_checks": ["The slices are stored upside down."]}))
print("error: ct.nrrd: The slices are stored upside down.", file=sys.stderr)
sys.exit(2)
"""


@pytest.fixture
def ready(panel, chest_ct):
    """The panel with a CT chosen, ready for a click."""
    panel.ui.ctSelector.setCurrentNode(chest_ct)
    return panel


def start(panel):
    panel.ui.predictButton.click()
    until(lambda: panel.ui.statusLabel.text.startswith("Network"), 30, "the first progress report")
    assert panel.ui.cancelButton.enabled
    assert not panel.ui.predictButton.enabled


def test_cancel_leaves_the_scene_as_before(ready, engine):
    from stand_in.probes import nothing_left_behind

    engine(SLEEPS)
    with nothing_left_behind():
        start(ready)
        ready.ui.cancelButton.click()
        assert ready.ui.statusLabel.text == "Stopping…"
        until_idle(ready)
    assert ready.ui.statusLabel.text == "Cancelled; the scene is as before."
    assert ready.ui.predictButton.enabled
    assert temporary_folders() == []


def test_the_engines_sentence_is_shown_and_nothing_stays(ready, engine, caplog):
    from stand_in.probes import nothing_left_behind

    engine(FAILS)
    with nothing_left_behind():
        ready.ui.predictButton.click()
        until_idle(ready)
    assert ready.ui.statusLabel.text == "ct.nrrd: this is not a CT; give a CT."
    assert "this is not a CT" in caplog.text
    assert ready.ui.predictButton.enabled


def test_a_failed_check_is_a_sentence_and_the_map_can_be_forced(ready, engine, caplog):
    from stand_in.probes import nothing_left_behind

    asked, ui = engine(REFUSES), ready.ui
    assert not ui.predictAnywayButton.visible
    with nothing_left_behind():
        ui.predictButton.click()
        until_idle(ready)
    assert ui.statusLabel.text == "The slices are stored upside down. Nothing was mapped."
    assert "upside down" not in caplog.text  # no dialog beside the sentence
    assert not ui.predictAnywayButton.isHidden()
    ui.predictAnywayButton.click()
    until_idle(ready)
    assert ["--force" in arguments for arguments in asked] == [False, True]
    ui.ctSelector.setCurrentNode(None)
    assert ui.predictAnywayButton.isHidden()


def test_a_forced_map_says_so_in_its_name_until_it_is_made_anew(panel, chest_files, tmp_path):
    """By the real engine, on lungs nearly as dense as water; then the sound CT replaces that map."""
    import slicer

    aerated = sitk.Cast(sitk.ReadImage(chest_files["lungs"]) > 0, sitk.sitkInt16)
    dense = sitk.ReadImage(chest_files["ct"]) + 700 * aerated
    sitk.WriteImage(dense, str(tmp_path / "dense.nrrd"))
    ui = panel.ui
    lungs = slicer.util.loadVolume(chest_files["lungs"], {"labelmap": True, "name": "lungs"})
    ui.lungSourceComboBox.currentIndex = ui.lungSourceComboBox.count - 1
    ui.lungSelector.setCurrentNode(lungs)
    ui.ctSelector.setCurrentNode(slicer.util.loadVolume(str(tmp_path / "dense.nrrd"), {"name": "dense"}))
    click(panel, ui.predictButton)
    assert "not aerated lung" in ui.statusLabel.text
    assert panel._parameterNode.perfusionVolume is None
    click(panel, ui.predictAnywayButton)
    made = panel._parameterNode.perfusionVolume
    assert made.GetName() == "dense perfusion (forced: an input check failed)"
    assert any("not aerated lung" in said for said in json.loads(made.GetAttribute("DLCTPM.Result"))["forced"])
    assert ui.statusLabel.text.startswith("Forced: an input check failed, this map cannot be right.")

    ui.ctSelector.setCurrentNode(slicer.util.loadVolume(chest_files["ct"], {"name": "sound"}))
    ui.outputSelector.setCurrentNode(made)
    click(panel, ui.predictButton)
    assert panel._parameterNode.perfusionVolume is made
    assert made.GetName() == "dense perfusion"
    assert not json.loads(made.GetAttribute("DLCTPM.Result"))["forced"]


def test_missing_results_are_a_failure(ready, engine):
    from stand_in.probes import nothing_left_behind

    engine(WRITES_NOTHING)
    with nothing_left_behind():
        ready.ui.predictButton.click()
        until_idle(ready)
    assert ready.ui.statusLabel.text.startswith("The results could not be read")


@pytest.mark.parametrize("stage", ["Finding the lungs", "Mapping the", "Writing images", "Drawing the report"])
def test_cancel_at_each_stage_of_the_real_engine(ready, stage):
    """The engine itself is told to stop as soon as it reports the stage."""
    from stand_in.probes import nothing_left_behind, settle

    seen, button = [], ready.ui.cancelButton
    shown = ready.panel.activity.progress

    def watch(progress):
        shown(progress)
        seen.append(progress.stage)
        if progress.stage.startswith(stage) and button.enabled:
            button.click()

    ready.panel.activity.progress = watch
    with nothing_left_behind():
        ready.ui.predictButton.click()
        until_idle(ready)
        settle()
    assert any(name.startswith(stage) for name in seen), seen
    assert ready.ui.statusLabel.text == "Cancelled; the scene is as before."
    assert temporary_folders() == []
    assert ready.ui.predictButton.enabled


def test_a_killed_child_is_told_and_leaves_nothing(ready, engine):
    import os
    import signal

    from stand_in.probes import nothing_left_behind

    engine(SLEEPS)
    with nothing_left_behind():
        start(ready)
        os.kill(process_of(ready).pid, signal.SIGKILL)
        until_idle(ready)
    assert "ended unexpectedly" in ready.ui.statusLabel.text
    assert temporary_folders() == []


def test_two_predictions_in_a_row_give_two_maps_that_keep_their_own(ready):
    """The second is named apart, has its own lungs, table and report, and is the one that is shown."""
    import numpy as np
    import slicer
    from stand_in.probes import scene_census

    maps, censuses = [], [scene_census()]
    for _ in range(2):
        ready.ui.predictButton.click()
        until_idle(ready)
        maps.append(ready._parameterNode.perfusionVolume)
        censuses.append(scene_census())
    first, second = maps
    assert first.GetName() != second.GetName()
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(first), slicer.util.arrayFromVolume(second))
    for role in ("DLCTPM.lungs", "DLCTPM.regions", "DLCTPM.report"):
        assert first.GetNodeReferenceID(role) != second.GetNodeReferenceID(role)
    composites = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    assert {node.GetForegroundVolumeID() for node in composites} <= {second.GetID()}
    added = [{k: b[k] - a.get(k, 0) for k in b if b[k] != a.get(k, 0)} for a, b in itertools.pairwise(censuses)]
    assert added[1] == {k: n for k, n in added[0].items() if k in added[1]}
    assert added[1]["vtkMRMLScalarVolumeNode"] == 1
    assert "observers of the scene" not in added[1]


@pytest.mark.parametrize("doomed", ["map", "SPECT"])
def test_map_or_spect_removed_during_an_evaluation(ready, engine, chest_files, logic, doomed):
    import slicer
    from stand_in.probes import settle

    ready.ui.predictButton.click()
    until_idle(ready)
    spect = slicer.util.loadVolume(chest_files["spect"], {"name": "SPECT", "show": False})
    ready.ui.spectSelector.setCurrentNode(spect)
    ready.ui.registrationComboBox.currentIndex = 0
    engine("import time; time.sleep(0.5)")
    ready.ui.evaluateButton.click()
    slicer.mrmlScene.RemoveNode({"map": ready._parameterNode.perfusionVolume, "SPECT": spect}[doomed])
    settle()
    until_idle(ready)
    assert "removed while they were compared" in ready.ui.statusLabel.text


def test_scene_closed_during_a_prediction(ready, engine):
    import slicer
    from stand_in.probes import settle

    engine(SLEEPS)
    start(ready)
    slicer.mrmlScene.Clear(0)
    settle()
    assert not ready.panel.activity.busy
    assert ready.ui.ctSelector.currentNode() is None
    assert not ready.ui.predictButton.enabled
    assert temporary_folders() == []


def test_ct_removed_during_a_prediction(ready, engine, chest_files, tmp_path):
    """The engine goes on to its end; its results have no place any more."""
    import slicer

    engine("import time; time.sleep(0.5)")
    ct = ready._parameterNode.ctVolume
    ready.ui.predictButton.click()
    slicer.mrmlScene.RemoveNode(ct)
    until_idle(ready)
    assert ready.ui.statusLabel.text.startswith("The CT was removed")
    assert ready._parameterNode.perfusionVolume is None


def test_panel_closed_during_a_prediction(module_path, chest_ct, engine, no_device_search):
    import slicer
    from stand_in.modules import ScriptedModule
    from stand_in.probes import is_released, nothing_left_behind

    engine(SLEEPS)
    module = ScriptedModule.load(module_path)
    module.widgetRepresentation().enter()
    module.unload()
    with nothing_left_behind():
        module = ScriptedModule.load(module_path)
        module.widgetRepresentation().enter()
        panel = module.widgetRepresentation().self()
        start(panel)
        process = process_of(panel)
        reference = weakref.ref(panel)
        del panel
        module.unload()
    until(lambda: process.poll() is not None, 20, "the end of the engine")
    assert is_released(reference)
    assert not hasattr(slicer.modules, "dlctpm")


def test_reload_during_a_prediction(ready, engine):
    import slicer
    from stand_in.probes import nothing_left_behind

    engine(SLEEPS)
    with nothing_left_behind():
        start(ready)
        process = process_of(ready)
        ready.onReload()
    until(lambda: process.poll() is not None, 20, "the end of the engine")
    reloaded = slicer.modules.DLCTPMWidget
    assert reloaded is not ready
    reloaded.enter()
    assert reloaded.ui.predictButton.enabled
    assert reloaded._parameterNode.ctVolume is not None


def test_the_user_may_look_at_another_module_meanwhile(ready, engine, module):
    engine(SLEEPS)
    start(ready)
    module.widgetRepresentation().exit()
    module.widgetRepresentation().enter()
    assert ready.panel.activity.busy
    assert ready.ui.cancelButton.enabled
    ready.ui.cancelButton.click()
    until_idle(ready)


def test_declined_installation_is_told(ready, monkeypatch):
    from DLCTPMSlicerLib.engine import setup as engine_setup

    monkeypatch.setattr(engine_setup, "torchInstalled", lambda: False)
    ready.ui.predictButton.click()
    assert "PyTorch extension is missing" in ready.ui.statusLabel.text
    assert ready.ui.predictButton.enabled


@pytest.mark.parametrize(
    ("reason", "next_step"),
    [
        ("[Errno 28] No space left on device", "free some space"),
        ("ProxyError: Cannot connect to proxy", "HTTP_PROXY"),
        ("please restart the application", "must be restarted"),
        ("something else", "something else"),
    ],
)
def test_every_failed_installation_names_the_next_step(slicer_app, monkeypatch, reason, next_step):
    from DLCTPMSlicerLib.engine import setup as engine_setup

    def fail():
        raise RuntimeError(reason)

    monkeypatch.setattr(engine_setup, "torchInstalled", lambda: False)
    monkeypatch.setattr(engine_setup, "_installTorch", fail)
    with pytest.raises(engine_setup.SetupError, match=next_step):
        engine_setup.ensureEngine()


@pytest.mark.parametrize(
    ("answer", "device", "words"),
    [
        ('{"device": "cuda", "name": "RTX", "problem": ""}', "cuda", "graphics card RTX"),
        ('{"device": "cpu", "name": "New GPU", "problem": "unsupported"}', "cpu", "does not support the New GPU"),
        ('{"device": "cpu", "name": "libfoo missing", "problem": "broken"}', "cpu", "Reinstall"),
        ('{"device": "cpu", "name": "", "problem": ""}', "cpu", "no graphics card"),
        ('{"device": "mps", "name": "", "problem": ""}', "mps", "Mac"),
    ],
)
def test_the_device_is_told_in_words(slicer_app, answer, device, words):
    from DLCTPMSlicerLib.engine.process import EngineResult, Outcome
    from DLCTPMSlicerLib.engine.setup import deviceSentence

    found, sentence = deviceSentence(EngineResult(Outcome.DONE, details=f"noise\nDEVICE {answer}"))
    assert (found, words in sentence) == (device, True)


def test_missing_programs_stand_in_one_line_with_the_reason(panel):
    combo, line = panel.ui.lungSourceComboBox, panel.ui.programsLabel
    offered = [combo.itemText(index) for index in range(combo.count)]
    assert offered == ["Automatic", "Existing segmentation or label map"]
    missing = ("Chest Imaging Platform", "TotalSegmentator", "MONAIAuto3DSeg", "BRAINSFit", "SlicerElastix")
    assert all(name in line.text for name in missing)
    assert "Chest Imaging Platform extension is not installed" in line.toolTip
    assert "SlicerElastix: Install the SlicerElastix extension" in line.toolTip


def test_module_file_imports_nothing_heavy(module_path):
    import subprocess

    stand_in = module_path.parents[1] / "Testing" / "SlicerStandIn"
    code = f"""
import sys; sys.path.insert(0, {str(stand_in)!r})
from stand_in.start import start
start(views=False)
before = set(sys.modules)
from stand_in.modules import ScriptedModule
ScriptedModule.load({str(module_path)!r})
import json
print(json.dumps(sorted({{name.split(".")[0] for name in set(sys.modules) - before}})))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(json.loads(done.stdout.splitlines()[-1])) & {"torch", "SimpleITK", "scipy", "pandas", "skimage"}
