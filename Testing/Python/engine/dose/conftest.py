"""A prediction from a DICOM CT, and a plan made for it."""

import pytest
import SimpleITK as sitk
from dicom_samples import write_ct_series
from rt_samples import drawn_on, filled, write_rt_dose
from small_chest import ORIGIN, SPACING, chest_ct, write_inputs
from small_plan import Planned, across, planned_structures, planning_grid

from DLCTPMLib.cli.main import DONE, main
from DLCTPMLib.volumes.dicom.belonging import Belonging
from DLCTPMLib.volumes.dicom.series import find_series


@pytest.fixture(scope="session")
def planned(tmp_path_factory) -> Planned:
    folder = tmp_path_factory.mktemp("planned")
    files = write_inputs(folder / "files")
    ct = folder / "ct"
    write_ct_series(ct, sitk.GetArrayFromImage(chest_ct()), spacing=SPACING, origin=ORIGIN)
    command = ["predict", str(ct), "--lungs", files["lungs"], "--model", files["model"], "--device", "cpu"]
    assert main([*command, "--out", str(folder / "result"), "--progress", "none"]) == DONE
    drawn = Belonging.of_series(ct, find_series(ct)[0].uid)
    (frame,) = drawn.frames
    structures = planned_structures(folder / "rs.dcm", frame)
    drawn_on(structures, next(iter(drawn.series)), sorted(drawn.instances))
    dose = write_rt_dose(folder / "rd.dcm", filled(planning_grid(), across), frame=frame)
    return Planned(ct, folder / "result", dose, structures, drawn)
