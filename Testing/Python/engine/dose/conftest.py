"""A prediction from a DICOM CT, and a plan made for it."""

from pathlib import Path

import pytest
from small_chest import write_inputs
from small_plan import Planned, write_plan

from DLCTPMLib.cli.main import DONE, main
from DLCTPMLib.volumes.dicom.belonging import Belonging
from DLCTPMLib.volumes.dicom.series import find_series


@pytest.fixture(scope="session")
def planned(tmp_path_factory) -> Planned:
    folder = tmp_path_factory.mktemp("planned")
    files = write_inputs(folder / "files")
    plan = write_plan(folder)
    ct = Path(plan["dicom"])
    command = ["predict", str(ct), "--lungs", files["lungs"], "--model", files["model"], "--device", "cpu"]
    assert main([*command, "--out", str(folder / "result"), "--progress", "none"]) == DONE
    drawn = Belonging.of_series(ct, find_series(ct)[0].uid)
    return Planned(ct, folder / "result", Path(plan["dose"]), Path(plan["structures"]), drawn)
