"""``dlctpm listen`` as a command: what it refuses before it listens, and how it runs the others."""

import threading
from importlib import util

import pydicom
import pytest

pytest.importorskip("pynetdicom", reason="pynetdicom is not installed (pip install 'dlctpm[node]')")

from dicom_peers import HERE, an_archive
from dicom_samples import write_ct_series
from small_chest import ORIGIN, SPACING, chest_ct, untrained_model

from DLCTPMLib.cli.main import BAD_INPUT, main
from DLCTPMLib.cli.parent_process import ENDS_WITH_INPUT
from DLCTPMLib.common.errors import FailedChecksError
from DLCTPMLib.dicom_node.mapping import CommandMapping, StoppedError
from DLCTPMLib.volumes.patient_axes import patient_array

REFUSED = {
    "--bind 0.0.0.0": ["--bind", "0.0.0.0"],
    "--bind pacs": ["--bind", "pacs"],
    "--allow PACS": ["--allow", "PACS"],
    "--allow @10.0.0.1": ["--allow", "@10.0.0.1"],
    "--send-to PACS:104": ["--send-to", "PACS:104"],
    "--send-to A@B:99999": ["--send-to", "A@B:99999"],
    "application entity title": ["--ae-title", "MORE THAN SIXTEEN CHARACTERS"],
    "quiet_s must be more than 0": ["--quiet", "0"],
    "no object 'sge'": ["--objects", "sge"],
    "tertiles": ["--structures", "middle"],
    "nowhere": ["--model", "nowhere"],
}


@pytest.mark.parametrize("names", REFUSED)
def test_what_cannot_be_used_is_refused_before_anything_is_made(names, tmp_path, capsys):
    queue = tmp_path / "queue"
    status = main(["listen", "--queue", str(queue), "--send-to", f"PACS@{HERE}:104", *REFUSED[names]])
    error = capsys.readouterr().err
    assert status == BAD_INPUT, error
    assert names in error
    assert error.count("\n") == 1
    assert not queue.exists()


def test_a_pdf_needs_its_library(tmp_path, capsys, monkeypatch):
    there = util.find_spec
    monkeypatch.setattr(util, "find_spec", lambda name: None if name == "reportlab" else there(name))
    arguments = ["listen", "--queue", str(tmp_path / "queue"), "--send-to", f"PACS@{HERE}:104"]
    assert main(arguments) == BAD_INPUT
    assert "name --objects without pdf" in capsys.readouterr().err
    assert main([*arguments, "--objects", "seg", "--model", "nowhere"]) == BAD_INPUT
    assert "nowhere" in capsys.readouterr().err


def test_a_port_that_is_taken_is_named(tmp_path, capsys):
    with an_archive() as archive:
        arguments = ["listen", "--queue", str(tmp_path / "queue"), "--send-to", f"PACS@{HERE}:104"]
        assert main([*arguments, "--port", str(archive.port)]) == BAD_INPUT
    assert f"{HERE}:{archive.port}: cannot be listened on" in capsys.readouterr().err


@pytest.fixture(scope="module")
def mapping(tmp_path_factory):
    """The commands, with a model that takes no time."""
    scratch = tmp_path_factory.mktemp("scratch")
    predict = ("--model", str(untrained_model(scratch / "model")), "--device", "cpu", "--pdf")
    return CommandMapping(scratch, predict, (), {ENDS_WITH_INPUT: "1"})


def series_of(folder, share=1):
    """A chest's series, or the share of it from the bottom, as a queue holds it."""
    hu = patient_array(chest_ct())
    write_ct_series(folder / "images", hu[: int(len(hu) * share)], SPACING, ORIGIN, PatientPosition="HFS")
    return folder


def test_a_chest_comes_to_its_objects(mapping, tmp_path):
    mapping(series_of(tmp_path), "0123", threading.Event())
    objects = [pydicom.dcmread(path) for path in (tmp_path / "objects").iterdir()]
    image = pydicom.dcmread(next((tmp_path / "images").iterdir()))
    assert {one.Modality for one in objects} == {"OT", "SEG", "RTSTRUCT", "SR", "DOC"}
    assert {one.StudyInstanceUID for one in objects} == {image.StudyInstanceUID}
    assert list(mapping.scratch.iterdir()) == [mapping.scratch / "model"]


def test_a_part_of_a_chest_comes_to_none(mapping, tmp_path):
    with pytest.raises(FailedChecksError) as failed:
        mapping(series_of(tmp_path, 0.5), "0123", threading.Event())
    assert any("cut through" in sentence for sentence in failed.value.sentences)
    assert [path.name for path in tmp_path.iterdir()] == ["images"]


def test_a_command_ends_with_the_node(mapping, tmp_path):
    stop = threading.Event()
    stop.set()
    with pytest.raises(StoppedError):
        mapping(series_of(tmp_path), "0123", stop)
    assert [path.name for path in tmp_path.iterdir()] == ["images"]
