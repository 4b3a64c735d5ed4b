"""Every object goes into an archive and comes back the same: Orthanc, on this machine alone, by its REST face."""

import json
import shutil
import socket
import subprocess
import time
import urllib.request
from urllib.error import URLError

import pydicom
import pytest
from finished_samples import write_finished

from DLCTPMLib.cli.main import DONE, main

ORTHANC = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin")


@pytest.fixture
def archive(tmp_path):
    """Address of an Orthanc that keeps its store in a folder of the test."""
    if ORTHANC is None:
        pytest.skip("Orthanc is not installed (Debian: apt-get install orthanc)")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {
        "StorageDirectory": str(tmp_path / "store"),
        "IndexDirectory": str(tmp_path / "store"),
        "HttpPort": port,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomServerEnabled": False,
    }
    (tmp_path / "orthanc.json").write_text(json.dumps(settings))
    server = subprocess.Popen([ORTHANC, str(tmp_path / "orthanc.json")], stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            try:
                asked(f"{address}/system")
                break
            except URLError:
                time.sleep(0.1)
        yield address
    finally:
        server.terminate()
        server.wait()


def asked(address, data=None):
    with urllib.request.urlopen(urllib.request.Request(address, data=data), timeout=60) as answer:
        return answer.read()


def test_objects_are_stored_found_and_retrieved_equal(archive, tmp_path):
    finished = write_finished(tmp_path / "case")
    out = tmp_path / "out"
    arguments = ["export", str(finished.result), "--dicom", str(finished.ct), "--out", str(out), "--progress", "none"]
    assert main([*arguments, "--objects", "map,series,seg,rtstruct,sr"]) == DONE
    files = sorted(out.rglob("*.dcm"))
    for path in [*files, *finished.ct.iterdir()]:
        assert json.loads(asked(f"{archive}/instances", path.read_bytes()))["Status"] == "Success"
    (study,) = json.loads(asked(f"{archive}/studies"))
    described = json.loads(asked(f"{archive}/studies/{study}"))
    assert len(described["Series"]) == 6  # the CT and five objects, all in its study
    for path in files:
        sent = pydicom.dcmread(path)
        (found,) = json.loads(asked(f"{archive}/tools/lookup", str(sent.SOPInstanceUID).encode()))
        back = tmp_path / "back.dcm"
        back.write_bytes(asked(f"{archive}{found['Path']}/file"))
        assert pydicom.dcmread(back) == sent
