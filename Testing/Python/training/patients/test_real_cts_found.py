"""Which CTs of a folder become patients, and which are refused, in one line that names them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from dicom_samples import write_ct_series
from real_cts import SPACING_MM, ask

from DLCTPMLib.cli.main import BAD_INPUT
from DLCTPMLib.common.errors import InputError
from DLCTPMTrainingLib.cohorts.dicom import write_patient_dicom
from DLCTPMTrainingLib.patients.real_cts.folder import RealCt, find_real_cts
from DLCTPMTrainingLib.patients.real_cts.patient import read_chest


def test_more_patients_than_cts_are_refused_in_one_line(cts, tmp_path, capsys):
    assert ask(cts, tmp_path / "out", 3) == BAD_INPUT
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "holds 2 CTs, too few for 3 patients" in said
    assert not (tmp_path / "out").exists()


def test_a_ct_that_cannot_be_used_is_named_before_anything_is_written(cts, chest, tmp_path, capsys):
    folder, out = tmp_path / "cts", tmp_path / "out"
    folder.mkdir()
    sitk.WriteImage(chest.ct, str(folder / "good.nrrd"))
    (folder / "broken.nii").write_bytes(b"no image")
    sitk.WriteImage(chest.ct * 0 - 1000, str(folder / "nothing.nrrd"))
    sitk.WriteImage(chest.lungs, str(folder / "other.nrrd"))
    assert ask(folder, out, 4, "--jobs", "1") == BAD_INPUT
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "3 of the 4 CTs" in said
    assert all(name in said for name in ("broken.nii", "nothing.nrrd: no lungs", "other.nrrd: has no value"))
    assert "--lungs" not in said  # an option of another command
    assert "good" not in said
    assert not out.exists()


def test_one_ct_in_two_files_is_one_patient(cts, chest, tmp_path, capsys):
    write_ct_series(tmp_path / "cts" / "z", np.maximum(sitk.GetArrayFromImage(chest.ct), -1024), (SPACING_MM,) * 3)
    sitk.WriteImage(sitk.Clamp(chest.ct, lowerBound=-1024), str(tmp_path / "cts" / "a.nrrd"))
    assert ask(tmp_path / "cts", tmp_path / "out", 2, "--jobs", "1") == BAD_INPUT
    assert "z is the same CT as a.nrrd" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_virtual_patient_s_ct_is_not_taken_for_a_real_one(chest, tmp_path, capsys):
    ct = sitk.Image(chest.ct)
    ct.SetMetaData("simulated", "yes: virtual patient, not a person; research use only")
    (tmp_path / "cts" / "SYNTH-0001").mkdir(parents=True)
    sitk.WriteImage(ct, str(tmp_path / "cts" / "SYNTH-0001" / "ct.nrrd"))
    assert ask(tmp_path / "cts", tmp_path / "out", 1) == BAD_INPUT
    assert "SYNTH-0001/ct.nrrd: is a virtual patient's CT" in capsys.readouterr().err


def test_a_virtual_patient_s_dicom_is_not_taken_for_a_real_ct(chest, tmp_path):
    patient = tmp_path / "patient"
    patient.mkdir()
    sitk.WriteImage(chest.ct, str(patient / "ct.nrrd"))
    sitk.WriteImage(chest.spect, str(patient / "spect.nrrd"))
    (patient / "patient.json").write_text(json.dumps(chest.info))
    series = write_patient_dicom(patient) / "CT"
    zipped = shutil.make_archive(str(tmp_path / "zipped"), "zip", series)
    for path in (series, Path(zipped)):
        with pytest.raises(InputError, match=f"{path.name}: is a virtual patient's CT"):
            read_chest(RealCt(path.name, path))


def test_a_place_among_the_cts_and_dicom_are_refused(cts, tmp_path):
    assert ask(cts, cts / "out") == BAD_INPUT
    assert ask(cts, tmp_path / "out", 1, "--dicom") == BAD_INPUT
    assert ask(tmp_path / "nowhere", tmp_path / "out") == BAD_INPUT


# ---------------------------------------------------------------------------------------------- finding CTs


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["b.nrrd", "a.nii.gz", "readme.md"], {"a.nii.gz": [], "b.nrrd": []}),
        (["p7.nrrd", "p7_lungs.nrrd", "p8.nrrd"], {"p7.nrrd": ["p7_lungs.nrrd"], "p8.nrrd": []}),
        (["p7.nrrd", "p7.seg.nrrd"], {"p7.nrrd": ["p7.seg.nrrd"]}),
        (["lung_001.nrrd", "lung_001_mask.nrrd"], {"lung_001.nrrd": ["lung_001_mask.nrrd"]}),
        (["x/ct-64.nrrd", "x/lm-64.nrrd", "x/LICENSE.txt"], {"x/ct-64.nrrd": ["lm-64.nrrd"]}),
        (
            ["S1/ct.nrrd", "S1/lungs.nrrd", "S1/spect.nrrd", "S1/patient.json"],
            {"S1/ct.nrrd": ["lungs.nrrd"]},
        ),
        (["x/IM0001", "x/IM0002", "x/lungs.nrrd"], {"x": ["lungs.nrrd"]}),
        (["x/IM0001", "x_lungs.nii"], {"x": ["x_lungs.nii"]}),
        (["x.zip", "x_labels.nrrd", ".hidden.nrrd", "empty/readme.txt"], {"x.zip": ["x_labels.nrrd"]}),
    ],
)
def test_cts_and_their_label_maps_are_found_by_name(tmp_path, files, expected):
    for file in files:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_bytes(b"")
    found = find_real_cts(tmp_path)
    assert {ct.name: [label.name for label in ct.labels] for ct in found} == expected


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ([], "holds no CT"),
        (["x/a.nrrd", "x/b.nrrd"], "one must be the CT"),
        (["x/spect.nrrd", "x/t1.nrrd"], "ct.nrrd"),
    ],
)
def test_a_folder_that_does_not_tell_its_cts_is_refused(tmp_path, files, said):
    for file in files:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_bytes(b"")
    with pytest.raises(InputError, match=said):
        find_real_cts(tmp_path)


def test_loose_dicom_slices_are_refused(tmp_path):
    write_ct_series(tmp_path, np.zeros((8, 6, 6), np.int16))
    with pytest.raises(InputError, match="single DICOM slices"):
        find_real_cts(tmp_path)


def test_of_several_label_maps_the_one_that_tells_most_is_taken(chest, tmp_path):
    whole = sitk.Cast(chest.lungs > 0, sitk.sitkUInt16)
    paths = [tmp_path / name for name in ("ct.nrrd", "lungs.nrrd", "mask.nrrd")]
    for path, image in zip(paths, (chest.ct, whole, chest.lungs), strict=True):
        sitk.WriteImage(image, str(path))
    _, lungs, _ = read_chest(RealCt("ct.nrrd", paths[0], paths[1:]))
    assert lungs.source == "mask.nrrd"
