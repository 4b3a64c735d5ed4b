"""The module's sample data: registered with Slicer's Sample Data module, made by the engine on this computer."""

import types
from pathlib import Path

import pytest
from event_loop import gaps
from panel_steps import FAILS, temporary_folders

ENDLESS = 'print(\'{"stage": "Simulating", "fraction": 0.25}\', flush=True); import time; time.sleep(60)'
NOT_FROZEN_S = 2.0
"""Only the order of magnitude: 0.2 s is promised on an idle machine, 22 to 69 s was the fault."""


@pytest.fixture
def sample_data(slicer_app, monkeypatch):
    """A stand-in of the Sample Data module that keeps what is registered, by the parameters of Slicer's own."""
    import sys

    registered = {"categories": [], "sources": []}

    class SampleDataLogic:
        @staticmethod
        def registerCustomSampleDataCategory(category, title="", displayOrder=100, collapsed=False, **_more):
            registered["categories"].append((category, title))

        @staticmethod
        def registerCustomSampleDataSource(
            category="Custom",
            sampleName=None,
            uris=None,
            fileNames=None,
            nodeNames=None,
            customDownloader=None,
            thumbnailFileName=None,
            loadFileTypes=None,
            loadFiles=None,
            loadFileProperties=None,
            checksums=None,
            sampleDescription=None,
        ):
            registered["sources"].append((sampleName, customDownloader, thumbnailFileName, sampleDescription))

    module = types.ModuleType("SampleData")
    module.SampleDataLogic = SampleDataLogic
    monkeypatch.setitem(sys.modules, "SampleData", module)
    return registered


def test_the_virtual_patient_is_offered_when_slicer_has_started(module, slicer_app, sample_data):
    slicer_app.startupCompleted.emit()
    (name, downloader, thumbnail, description) = sample_data["sources"][-1]
    assert name == "VirtualPatient"
    assert "imulated" in description
    assert Path(thumbnail).is_file()
    assert callable(downloader)
    assert sample_data["categories"][-1] == ("DLCTPM", "CT Perfusion Mapping")


def test_the_virtual_patient_is_a_ct_and_a_spect_that_say_simulated(module, slicer_app, sample_data):
    import slicer

    slicer_app.startupCompleted.emit()
    ct, spect = sample_data["sources"][-1][1](None)
    for volume, part in ((ct, "CT"), (spect, "SPECT")):
        assert volume.GetName().endswith(f"{part} (simulated)")
        assert volume.GetImageData() is not None
    low, high = ct.GetImageData().GetScalarRange()
    assert low < -900
    assert high > 300
    assert slicer.util.arrayFromVolume(spect).min() >= 0


@pytest.fixture
def windows(slicer_app, monkeypatch):
    """The progress windows that were opened."""
    import slicer

    opened, create = [], slicer.util.createProgressDialog

    def kept(**options):
        opened.append(create(**options))
        return opened[-1]

    monkeypatch.setattr(slicer.util, "createProgressDialog", kept)
    return opened


def test_slicer_stays_alive_and_cancel_leaves_nothing(module, sample_data, engine, windows):
    import qt
    import slicer
    from stand_in.probes import nothing_left_behind

    engine(ENDLESS)
    shown = []

    def look():
        if windows and windows[0].value == 250:
            shown.append((windows[0].labelText, windows[0].visible))
            timer.stop()
            windows[0].findChild(qt.QPushButton).click()

    timer = qt.QTimer()
    timer.setInterval(20)
    timer.timeout.connect(look)
    slicer.app.startupCompleted.emit()
    make = sample_data["sources"][-1][1]
    with nothing_left_behind(), gaps() as seen:
        timer.start()
        assert make(None) == ()
    print(f"longest gap {seen.longest_s * 1000:.0f} ms")
    assert shown == [("Simulating…", True)]
    assert seen.longest_s < NOT_FROZEN_S
    assert slicer.app.activeModalWidget() is None
    assert not temporary_folders()


def test_a_failure_is_one_sentence(module, sample_data, engine, windows, monkeypatch):
    import slicer

    engine(FAILS)
    said = []
    monkeypatch.setattr(slicer.util, "errorDisplay", lambda text, **_more: said.append(text))
    slicer.app.startupCompleted.emit()
    assert sample_data["sources"][-1][1](None) == ()
    assert said == ["ct.nrrd: this is not a CT; give a CT."]
    assert slicer.app.activeModalWidget() is None
