"""A virtual patient's CT is known as one in every format that can say it, and so is all that is made of it."""

import json

import pytest
import SimpleITK as sitk
from dicom_samples import hu_volume, write_ct_series
from small_chest import chest_ct, write_inputs

from DLCTPMLib.cli.main import DONE, main
from DLCTPMLib.volumes.reading import read_ct
from DLCTPMLib.volumes.simulated import is_marked, mark


@pytest.fixture(scope="module")
def virtual_ct(tmp_path_factory):
    """NRRD of a CT with the mark."""
    ct = chest_ct()
    mark(ct)
    path = tmp_path_factory.mktemp("virtual") / "ct.nrrd"
    sitk.WriteImage(ct, str(path))
    return path


@pytest.mark.parametrize("name", ["ct.nrrd", "ct.nii", "ct.nii.gz", "ct.mha"])
def test_the_mark_goes_from_file_to_file(virtual_ct, tmp_path, name):
    sitk.WriteImage(sitk.ReadImage(str(virtual_ct)), str(tmp_path / name))
    assert read_ct(tmp_path / name).simulated
    sitk.WriteImage(chest_ct(), str(tmp_path / name))
    assert not read_ct(tmp_path / name).simulated


def test_a_persons_ct_whose_header_says_no_is_not_simulated(tmp_path):
    ct = chest_ct()
    ct.SetMetaData("simulated", "no: the CT of a real person")
    sitk.WriteImage(ct, str(tmp_path / "ct.nrrd"))
    assert not read_ct(tmp_path / "ct.nrrd").simulated


@pytest.mark.parametrize(("said", "expected"), [("YES", True), ("NO", False), (None, False)])
def test_synthetic_data_in_dicom_is_the_mark(tmp_path, said, expected):
    write_ct_series(tmp_path, hu_volume(), **({} if said is None else {"SyntheticData": said}))
    assert read_ct(tmp_path).simulated is expected


def test_a_prediction_of_a_virtual_patient_says_so_in_every_file(virtual_ct, tmp_path):
    files, out = write_inputs(tmp_path / "files"), tmp_path / "out"
    command = ["predict", str(virtual_ct), "--lungs", files["lungs"], "--model", files["model"], "--device", "cpu"]
    assert main([*command, "--out", str(out), "--progress", "none"]) == DONE
    assert json.loads((out / "result.json").read_text())["simulated"] is True
    assert "imulated: every image and number" in (out / "report.html").read_text()
    assert is_marked(sitk.ReadImage(str(out / "perfusion.nrrd")))
    assert sitk.ReadImage(str(out / "function.seg.nrrd")).GetMetaData("DLCTPM_Simulated").startswith("yes")


def test_a_simulated_spect_of_a_persons_ct_is_said(tmp_path):
    files, out = write_inputs(tmp_path / "files"), tmp_path / "out"
    spect = sitk.ReadImage(files["spect"])
    mark(spect, "yes: simulated on a real CT")
    sitk.WriteImage(spect, files["spect"])
    command = ["predict", files["ct"], "--lungs", files["lungs"], "--model", files["model"], "--device", "cpu"]
    more = ["--spect", files["spect"], "--register", "none"]
    assert main([*command, *more, "--out", str(out), "--progress", "none"]) == DONE
    result = json.loads((out / "result.json").read_text())
    assert result["simulated"] is False
    assert any("the SPECT is simulated" in warning for warning in result["warnings"])
    command = ["evaluate", "--prediction", str(out / "perfusion.nrrd"), "--lungs", files["lungs"]]
    assert main([*command, "--spect", files["spect"], "--out", str(tmp_path / "eval"), "--progress", "none"]) == DONE
    assert json.loads((tmp_path / "eval" / "result.json").read_text())["simulated"] is True
