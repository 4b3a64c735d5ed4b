"""Slicer without the engine's packages, or too old to install them: one sentence, from panel and from scripts."""

import sys

import pytest

NAMES = ("torch", "jinja2", "matplotlib", "safetensors", "skimage")


@pytest.fixture
def without_packages(monkeypatch):
    """Slicer's Python as it is installed: what the engine needs beyond it is not there."""
    from DLCTPMSlicerLib.engine import setup as engine_setup

    for name in NAMES:
        for loaded in [loaded for loaded in sys.modules if loaded.split(".")[0] == name]:
            monkeypatch.delitem(sys.modules, loaded)
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(engine_setup, "_isMet", lambda requirement: False)


@pytest.fixture
def old_slicer(monkeypatch):
    """Slicer 5.10, which has no ``slicer.packaging``."""
    import slicer

    monkeypatch.delattr(slicer, "packaging", raising=False)
    monkeypatch.setitem(sys.modules, "slicer.packaging", None)
    monkeypatch.setattr(type(slicer.app), "minorVersion", 10)


@pytest.mark.parametrize("torch_is_there", [False, True])
def test_a_script_gets_one_sentence(logic, chest_ct, without_packages, monkeypatch, torch_is_there):
    import slicer
    from stand_in.probes import nothing_left_behind

    from DLCTPMSlicerLib.engine import setup as engine_setup
    from DLCTPMSlicerLib.engine.job import JobError

    monkeypatch.setattr(engine_setup, "torchInstalled", lambda: torch_is_there)
    words = "jinja2.*were not installed" if torch_is_there else "PyTorch extension is missing"
    with nothing_left_behind():
        for call in (
            lambda: logic.predict(chest_ct),
            lambda: logic.segmentLungs(chest_ct),
            lambda: logic.registerSpect(chest_ct, chest_ct),
        ):
            with pytest.raises(JobError, match=words):
                call()
    assert slicer.mrmlScene.GetNodeByID(chest_ct.GetID()) is not None


def test_packages_that_are_installed_on_the_way_are_used(logic, chest_ct, engine, monkeypatch):
    from DLCTPMSlicerLib.engine import setup as engine_setup
    from DLCTPMSlicerLib.engine.job import JobError

    installed = []
    monkeypatch.setattr(engine_setup, "_isMet", lambda requirement: bool(installed))
    monkeypatch.setattr(engine_setup, "_installPackages", lambda: installed.append(1))
    asked = engine("import sys; print('error: as asked.', file=sys.stderr); sys.exit(2)")
    with pytest.raises(JobError, match="as asked"):
        logic.segmentLungs(chest_ct)
    assert installed == [1]
    assert asked[0][0] == "segment"


def test_steps_within_slicer_need_no_package(mapped, without_packages, tmp_path):
    logic = mapped.logic
    parameters = mapped._parameterNode
    assert logic.updateRegions(parameters.perfusionVolume, 0.5).GetNumberOfRows() > 0
    assert logic.createFunctionalSegmentation(parameters.perfusionVolume, 0.5) is not None
    assert logic.exportReport(parameters.perfusionVolume, str(tmp_path))


def test_a_slicer_that_is_too_old_says_so(panel, chest_ct, old_slicer, no_device_search):
    from DLCTPMSlicerLib.engine.job import JobError

    sentence = "CT Perfusion Mapping needs Slicer 5.12 or newer; this is Slicer 5.10."
    panel.panel.activity.rest()
    assert panel.ui.statusLabel.text == sentence
    panel.ui.ctSelector.setCurrentNode(chest_ct)
    panel.ui.predictButton.click()
    assert panel.ui.statusLabel.text == sentence
    assert not panel.panel.activity.busy
    with pytest.raises(JobError, match="needs Slicer"):
        panel.logic.predict(chest_ct)
