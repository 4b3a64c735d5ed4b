"""The module's sample data: registered with Slicer's Sample Data module, made by the engine on this computer."""

import types
from pathlib import Path

import pytest


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
