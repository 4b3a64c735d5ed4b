"""The stand-in Slicer for these tests: one application a process, an empty scene a test."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from slicer_process import FOLDERS, REPOSITORY
from training_steps import BAD, EPOCHS, GOOD, HEADER, MAKE_COHORT, QUICK, TRAINING_MODULE

sys.path[:0] = FOLDERS

pytest.importorskip("slicer", reason="the Slicer tests need the Python package slicer-core")
pytest.importorskip("PySide6", reason="the Slicer tests need the Python package PySide6-Essentials")


@pytest.fixture(scope="session")
def slicer_session():
    """The running stand-in, with views where the machine can draw."""
    from stand_in.start import start

    return start()


@pytest.fixture(autouse=True)
def libraries_as_before():
    """A reload reads our libraries anew; other tests of this process go on with the ones that they imported."""
    ours = re.compile(r"DLCTPM\w*Lib(\.|$)")
    before = {name: module for name, module in sys.modules.items() if ours.match(name)}
    yield
    if any(sys.modules.get(name) is not module for name, module in before.items()):
        for name in [name for name in sys.modules if ours.match(name)]:
            del sys.modules[name]
        sys.modules.update(before)


@pytest.fixture
def slicer_app(slicer_session):
    """An empty scene; what is raised in a slot or observer during the test fails it."""
    import slicer
    from stand_in.probes import SlotErrors, settle

    slicer.mrmlScene.Clear(0)
    with SlotErrors() as errors:
        yield slicer_session.app
        settle()
    assert not errors.tracebacks, "raised in a slot:\n" + "\n".join(errors.tracebacks)


@pytest.fixture
def views(slicer_session, slicer_app):
    """The layout manager, or a skip that names the packages that drawing needs."""
    from stand_in.views import rendering_problem

    if rendering_problem():
        pytest.skip(rendering_problem())
    return slicer_session.layout


@pytest.fixture(scope="session")
def chest_files(tmp_path_factory) -> dict[str, str]:
    """CT, lungs, SPECT and an untrained model as files, made in a process of its own: no torch in this one."""
    folder = tmp_path_factory.mktemp("chest")
    code = "import json, sys, small_chest; print(json.dumps(small_chest.write_inputs(small_chest.Path(sys.argv[1]))))"
    return json.loads(_with_small_chest(code, folder).splitlines()[-1])


def _with_small_chest(code: str, folder: Path) -> str:
    """What a program prints that may import ``small_chest`` and gets the folder."""
    paths = [REPOSITORY / "Testing" / "helpers", REPOSITORY / "DLCTPM"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}
    command = [sys.executable, "-c", code, str(folder)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def chest_ct(slicer_app, chest_files):
    """The CT of a small chest, loaded as a user loads it."""
    import slicer

    return slicer.util.loadVolume(chest_files["ct"], {"name": "chest"})


@pytest.fixture(scope="session")
def module_path() -> Path:
    """The file of the module "CT Perfusion Mapping"."""
    return REPOSITORY / "DLCTPM" / "DLCTPM.py"


@pytest.fixture
def module(slicer_app, module_path):
    """The module "CT Perfusion Mapping", loaded; its panel is not open yet."""
    from stand_in.modules import ScriptedModule

    loaded = ScriptedModule.load(module_path)
    yield loaded
    loaded.unload()


@pytest.fixture
def logic(module):
    """The module's logic, without a widget."""
    import DLCTPM

    return DLCTPM.DLCTPMLogic()


@pytest.fixture
def no_device_search(monkeypatch):
    """Panels do not start a process that looks for a graphics card."""
    from DLCTPMSlicerLib.engine import setup as engine_setup

    class NoProcess:
        def kill(self):
            pass

    monkeypatch.setattr(engine_setup, "findDevice", lambda found: NoProcess())


@pytest.fixture
def panel(module, chest_files, no_device_search):
    """The open panel with the untrained model chosen."""
    module.widgetRepresentation().enter()
    widget = module.widgetRepresentation().self()
    widget.ui.modelFolderPathLineEdit.currentPath = str(Path(chest_files["model"]).parent)
    keys = [model.key for model in widget.panel.inputs._models]
    widget.ui.modelComboBox.currentIndex = keys.index(chest_files["model"])
    return widget


@pytest.fixture(scope="session")
def mapped_scene(slicer_session, module_path, chest_files, tmp_path_factory):
    """A saved scene with a CT and its perfusion map, made by the logic alone."""
    import slicer
    from stand_in.modules import ScriptedModule

    slicer.mrmlScene.Clear(0)
    module = ScriptedModule.load(module_path)
    import DLCTPM

    ct = slicer.util.loadVolume(chest_files["ct"], {"name": "chest"})
    logic = DLCTPM.DLCTPMLogic()
    parameters = logic.getParameterNode()
    parameters.ctVolume = ct
    parameters.perfusionVolume = logic.predict(ct, model=chest_files["model"]).perfusion
    path = tmp_path_factory.mktemp("scene") / "mapped.mrb"
    assert slicer.util.saveScene(str(path))
    module.unload()
    slicer.mrmlScene.Clear(0)
    return path


@pytest.fixture
def mapped(mapped_scene, panel):
    """The open panel after that scene was loaded."""
    import slicer

    slicer.util.loadScene(str(mapped_scene))
    return panel


@pytest.fixture
def engine(monkeypatch):
    """Put a small program in the engine's place; gives the list of the arguments that it was asked with."""
    from DLCTPMSlicerLib.engine import job as engine_job

    asked = []

    def become(program):
        def command(arguments, _program):
            asked.append(arguments)
            return [sys.executable, "-c", program]

        monkeypatch.setattr(engine_job, "engineCommand", command)
        return asked

    return become


@pytest.fixture(scope="session")
def cohort_folder(tmp_path_factory) -> Path:
    """Four small chests with SPECT, a good table and a bad one, made in a process of its own."""
    folder = tmp_path_factory.mktemp("training-cohort")
    _with_small_chest(MAKE_COHORT, folder)
    for name, lines in (("cohort.csv", GOOD), ("bad.csv", BAD)):
        (folder / name).write_text("\n".join([HEADER, *lines]) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def models(slicer_app):
    """An empty folder of models that were trained here."""
    from DLCTPMSlicerLib.engine.models import installedFolder

    shutil.rmtree(installedFolder(), ignore_errors=True)
    yield installedFolder
    shutil.rmtree(installedFolder(), ignore_errors=True)


@pytest.fixture
def training(module, no_device_search):
    """The module "CT Perfusion Training", loaded beside the other one; its panel is not open yet."""
    from stand_in.modules import ScriptedModule

    loaded = ScriptedModule.load(TRAINING_MODULE)
    yield loaded
    if "DLCTPMTraining" in sys.modules:
        loaded.unload()


@pytest.fixture
def training_panel(training, models):
    """The open panel of that module."""
    training.widgetRepresentation().enter()
    return training.widgetRepresentation().self()


@pytest.fixture(scope="session")
def uninterrupted(slicer_session, cohort_folder, tmp_path_factory):
    """A small training by the logic alone, never cut off, its model not put into the list."""
    from stand_in.modules import ScriptedModule

    from DLCTPMSlicerLib.engine.models import installedFolder

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
