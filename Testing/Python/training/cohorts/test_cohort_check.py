"""``dlctpm cohort check``: every fault of a table with its line, at once."""

import json

import pytest
import SimpleITK as sitk
from small_chest import chest_ct, lung_labels, perfusion_spect

from DLCTPMLib.cli.main import BAD_INPUT, DONE
from DLCTPMTrainingLib.cli.main import main


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort")
    for number in (1, 2):
        ct = chest_ct()
        ct[0, 0, 0] = -1000 + number
        sitk.WriteImage(ct, str(folder / f"ct{number}.nrrd"), True)
        sitk.WriteImage(perfusion_spect() + number, str(folder / f"spect{number}.nrrd"), True)
    away = perfusion_spect()
    away.SetOrigin((2000.0, 0.0, 0.0))
    sitk.WriteImage(away, str(folder / "away.nrrd"), True)
    sitk.WriteImage(lung_labels(), str(folder / "lungs.nrrd"), True)
    return folder


def checked(folder, capsys, *lines, arguments=()):
    table = folder / "cohort.csv"
    table.write_text("\n".join(["patient_id,ct,spect,lungs,diagnosis,sex,age", *lines]) + "\n")
    status = main(["cohort", "check", str(table), "--progress", "json", *arguments])
    out, err = capsys.readouterr()
    return status, json.loads(out.splitlines()[-1])["check"], err


GOOD = ("P1,ct1.nrrd,spect1.nrrd,lungs.nrrd,fever,F,50", "P2,ct2.nrrd,spect2.nrrd,lungs.nrrd,fever,M,60")


def test_every_faulty_line_is_named_at_once_and_in_order(folder, capsys):
    status, check, err = checked(
        folder,
        capsys,
        "P0,ct1.nrrd,away.nrrd,lungs.nrrd,fever,F,50",
        *GOOD[1:],
        "P3,nowhere.nrrd,spect1.nrrd,lungs.nrrd,fever,F,50",
        "P2,ct2.nrrd,spect2.nrrd,lungs.nrrd,fever,M,60",
        "P5,ct1.nrrd,spect1.nrrd,lungs.nrrd,fever,F,old",
    )
    assert status == BAD_INPUT
    assert [problem.split(":")[0] for problem in check["problems"]] == ["line 2", "line 4", "line 5", "line 6"]
    words = ("does not overlap the lungs", "nowhere.nrrd", "already on line 3", "is not a number")
    assert all(word in problem for word, problem in zip(words, check["problems"], strict=True)), check["problems"]
    assert err.startswith("error: ")
    assert "4 faults" in err


def test_a_good_cohort_is_described(folder, capsys):
    status, check, err = checked(folder, capsys, *GOOD)
    assert (status, err, check["problems"]) == (DONE, "", [])
    assert (check["patients"], check["women"], check["men"], check["simulated"]) == (2, 1, 1, 0)
    assert check["diagnoses"] == {"fever": 2}


def test_too_few_patients_are_a_fault_of_a_study_only(folder, capsys):
    status, check, _ = checked(folder, capsys, *GOOD, arguments=["--study"])
    assert status == BAD_INPUT
    assert "needs at least" in check["problems"][0]


def test_a_table_with_nothing_but_faults_is_told_too(folder, capsys):
    status, check, _ = checked(folder, capsys, "P1,gone.nrrd,gone.nrrd,,,,", arguments=["--study"])
    assert (status, check["patients"], len(check["problems"])) == (BAD_INPUT, 0, 1)
