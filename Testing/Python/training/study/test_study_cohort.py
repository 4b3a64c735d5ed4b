"""What stops a study before anything is trained, and how patients are divided."""

import json
import shutil

import numpy as np
import pytest
import SimpleITK as sitk
from dicom_samples import write_ct_series
from small_chest import ORIGIN, SPACING, chest_ct, lung_labels, perfusion_spect

from DLCTPMLib.cli.main import BAD_INPUT
from DLCTPMLib.common.errors import InputError
from DLCTPMTrainingLib.cli.main import main
from DLCTPMTrainingLib.cohorts.check import check_cohort
from DLCTPMTrainingLib.cohorts.table import CohortRow, read_cohort
from DLCTPMTrainingLib.study import preparation as study_preparation
from DLCTPMTrainingLib.study.plan import curve_epochs
from DLCTPMTrainingLib.study.preparation import prepare_patient, thumbnails
from DLCTPMTrainingLib.study.settings import SplitSettings
from DLCTPMTrainingLib.study.split import draw_split, fewest_patients, kept_split, split_of, too_few

SPLIT = SplitSettings(folds=2)
HEADER = "patient_id,ct,spect,lungs,diagnosis"


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    spect = perfusion_spect()
    for number in range(1, 5):
        ct = chest_ct()
        ct[0, 0, 0] = -1000 + number  # four patients, not one four times
        sitk.WriteImage(ct, str(folder / f"ct{number}.nrrd"), True)
        sitk.WriteImage(spect + number, str(folder / f"spect{number}.nrrd"), True)
    sitk.WriteImage(lung_labels(), str(folder / "lungs.nrrd"), True)
    return folder


@pytest.fixture
def table(images, tmp_path):
    """Writes a table of the four patients beside their images, some lines replaced, and checks it."""

    def check(lines=None, separator=",", encoding="utf-8", **images_too):
        folder = tmp_path / "cohort"
        if not folder.exists():
            shutil.copytree(images, folder)
        for name, image in images_too.items():
            sitk.WriteImage(image, str(folder / f"{name}.nrrd"), True)
        rows = {n: f"P{n},ct{n}.nrrd,spect{n}.nrrd,lungs.nrrd,gesund" for n in range(1, 5)} | (lines or {})
        text = "\n".join([HEADER, *(row for row in rows.values() if row)]).replace(",", separator)
        (folder / "cohort.csv").write_bytes(text.encode(encoding))
        rows = read_cohort(folder / "cohort.csv")
        return check_cohort(rows, too_few(rows, SPLIT))

    return check


def moved(image, *shift_mm):
    image = sitk.Image(image)
    image.SetOrigin(tuple(np.add(image.GetOrigin(), shift_mm)))
    return image


def only(check):
    assert len(check.problems) == 1, check.problems
    return check.problems[0]


def test_a_good_cohort_has_no_problems(table):
    check = table()
    assert check.problems == []
    assert check.spacing_mm["P1"] == {"CT": [5, 5, 6], "SPECT": [8, 8, 8]}


@pytest.mark.parametrize("separator", [";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "latin-1", "utf-16"])
def test_tables_of_a_german_spreadsheet_are_read(table, separator, encoding, tmp_path):
    lines = {2: "P2,ct2.nrrd,spect2.nrrd,lungs.nrrd,Lungenembolie links für Kontrolle"}
    assert table(lines, separator, encoding).problems == []
    assert read_cohort(tmp_path / "cohort" / "cohort.csv")[1].diagnosis == "Lungenembolie links für Kontrolle"


def test_a_fault_has_its_line_in_another_encoding_and_separator_too(table):
    with pytest.raises(InputError, match=r"line 3: ct nowhere.nrrd of patient P2 does not exist"):
        table({2: "P2,nowhere.nrrd,spect2.nrrd,lungs.nrrd,für"}, "\t", "utf-16")


def test_a_table_that_is_no_text_is_named(table, tmp_path):
    table()
    (tmp_path / "cohort" / "cohort.csv").write_bytes(b"PK\x03\x04\0\0 a spreadsheet's own format")
    with pytest.raises(InputError, match=r"cohort.csv is not a text file; save the table as CSV"):
        read_cohort(tmp_path / "cohort" / "cohort.csv")


@pytest.mark.parametrize("name", ["ct", "spect", "lungs"])
def test_an_empty_or_broken_file_is_named_with_its_line(table, tmp_path, name):
    table()
    broken = {"ct": "broken.nrrd,spect2.nrrd,lungs.nrrd", "spect": "ct2.nrrd,broken.nrrd,lungs.nrrd",
              "lungs": "ct2.nrrd,spect2.nrrd,broken.nrrd"}[name]  # fmt: skip
    for content in (b"", b"NRRD0005\ntype: short\n"):
        (tmp_path / "cohort" / "broken.nrrd").write_bytes(content)
        found = only(table({2: f"P2,{broken},x"}))
        assert found.startswith("line 3: patient P2:")
        assert "broken.nrrd" in found


def test_a_wrong_path_is_named_with_its_line(table):
    with pytest.raises(InputError, match=r"line 3: ct nowhere.nrrd of patient P2 does not exist"):
        table({2: "P2,nowhere.nrrd,spect2.nrrd,lungs.nrrd,x"})


def test_a_patient_on_two_lines_is_named_with_both(table):
    with pytest.raises(InputError, match=r"line 5: patient P1 is already on line 2"):
        table({4: "P1,ct4.nrrd,spect4.nrrd,lungs.nrrd,x"})


def test_one_patient_under_two_ids_could_come_into_two_sets(table):
    found = only(table({4: "P4,ct1.nrrd,spect4.nrrd,lungs.nrrd,x"}))
    assert found.startswith("line 5: the CT of patient P4 is that of patient P1 on line 2")


def test_a_spect_with_another_name_and_the_same_content_is_found(table):
    assert "line 5: the SPECT of patient P4 is that of patient P1" in only(table(spect4=perfusion_spect() + 1))


def test_lungs_that_miss_the_ct_are_named(table):
    lines = {3: "P3,ct3.nrrd,spect3.nrrd,far.nrrd,x"}
    assert only(table(lines, far=moved(lung_labels(), 0, 0, 500))).startswith("line 4: patient P3:")


@pytest.mark.parametrize("slices", [1, 5])
def test_a_planar_spect_is_named(table, slices):
    planar = sitk.Extract(perfusion_spect(), (40, 30, slices), (0, 0, 10))
    found = only(table(spect2=planar))
    assert found.startswith("line 3: patient P2:")
    assert f"has only {slices} slices" in found


def test_a_spect_without_overlap_is_named(table):
    found = only(table(spect2=moved(perfusion_spect(), 0, 900, 0)))
    assert found == "line 3: patient P2: the SPECT does not overlap the lungs; check that both are of one session"


def test_a_spect_that_cuts_the_lungs_is_a_warning(table):
    check = table(spect2=moved(perfusion_spect(), 0, 0, 60))
    assert check.problems == []
    assert any(w.startswith("line 3: patient P2: the SPECT covers") for w in check.warnings)


def test_a_spect_without_activity_in_the_lungs_is_named(table):
    empty = perfusion_spect() * 0
    empty[0, 0, 0] = 5.0
    assert "line 3: patient P2: the SPECT has no activity in the lungs" in only(table(spect2=empty))


def test_one_patient_is_no_study(table):
    found = only(table({2: "", 3: "", 4: ""}))
    assert "1 patient" in found
    assert f"at least {fewest_patients(SPLIT)}" in found


def test_mixed_spacing_is_told_with_its_line(table):
    fine = sitk.Expand(chest_ct(), [1, 1, 2])
    check = table(ct3=fine)
    assert check.problems == []
    assert any(
        w.startswith("line 4: CT spacing differs from the cohort's usual 5 × 5 × 6 mm") for w in check.warnings
    )


def test_every_problem_is_told_at_once(table):
    check = table(
        {3: "P3,ct3.nrrd,spect3.nrrd,far.nrrd,x"},
        far=moved(lung_labels(), 0, 0, 500),
        spect2=moved(perfusion_spect(), 0, 900, 0),
    )
    with pytest.raises(InputError, match=r"has 2 problems, nothing was trained: line 3: .*; line 4: "):
        check.refuse("cohort.csv")


def test_73_patients_are_split_as_in_the_paper():
    split = draw_split([f"P{n:02d}" for n in range(73)], SplitSettings())
    assert (len(split.training), len(split.test)) == (42, 31)
    assert sorted(len(fold) for fold in split.folds) == [10, 10, 11, 11]
    assert sorted([*split.training, *split.test]) == [f"P{n:02d}" for n in range(73)]


def test_the_split_depends_on_the_seed_and_not_on_the_tables_order():
    patients = [f"P{n}" for n in range(20)]
    assert draw_split(patients, SPLIT) == draw_split(patients[::-1], SPLIT)
    assert draw_split(patients, SPLIT) != draw_split(patients, SplitSettings(folds=2, seed=1))


def test_around_a_fold_are_all_other_training_patients():
    split = draw_split([f"P{n}" for n in range(20)], SplitSettings())
    for number, fold in enumerate(split.folds):
        assert sorted([*split.around(number), *fold]) == sorted(split.training)


def test_the_fewest_patients_can_be_split_and_one_less_cannot():
    for folds in (2, 4, 7):
        settings = SplitSettings(folds=folds)
        number = fewest_patients(settings)
        assert all(draw_split([f"P{n}" for n in range(number)], settings).folds)
        with pytest.raises(InputError, match="at least"):
            draw_split([f"P{n}" for n in range(number - 1)], settings)


def rows(count=8, **split):
    return [
        CohortRow(f"P{n}", None, None, None, line=n + 2, other={"split": split.get(f"P{n}", "")})
        for n in range(count)
    ]


def test_the_table_may_give_the_split(tmp_path):
    given = {"P0": "test", "P1": "1", "P2": "2", **{f"P{n}": "train" for n in range(3, 8)}}
    split = split_of(rows(**given), SPLIT, tmp_path)
    assert split.test == ("P0",)
    assert "P1" in split.folds[0]
    assert "P2" in split.folds[1]
    assert abs(len(split.folds[0]) - len(split.folds[1])) <= 1


@pytest.mark.parametrize(("value", "words"), [("", "no split"), ("tset", "split 'tset'"), ("3", "split '3'")])
def test_a_split_that_is_none_is_named_with_its_line(value, words, tmp_path):
    given = {f"P{n}": "train" for n in range(8)} | {"P0": "test", "P5": value}
    with pytest.raises(InputError, match=f"line 7: {words}"):
        split_of(rows(**given), SPLIT, tmp_path)


def test_a_kept_split_is_honoured_whatever_the_seed(tmp_path):
    first = kept_split(tmp_path / "split.json", rows(), SPLIT, tmp_path)
    again = kept_split(tmp_path / "split.json", rows(), SplitSettings(folds=2, seed=9), tmp_path)
    assert again == first


def test_a_patient_in_two_sets_of_a_kept_split_is_named(tmp_path):
    path = tmp_path / "split.json"
    kept_split(path, rows(), SPLIT, tmp_path)
    values = json.loads(path.read_text())
    twice = values["test"][0]
    values["folds"][0].append(twice)
    path.write_text(json.dumps(values))
    with pytest.raises(InputError, match=rf"patient {twice} \(.*line {int(twice[1:]) + 2}\) is in 2 sets"):
        kept_split(path, rows(), SPLIT, tmp_path)


def test_another_cohort_does_not_fit_a_kept_split(tmp_path):
    path = tmp_path / "split.json"
    kept_split(path, rows(), SPLIT, tmp_path)
    with pytest.raises(InputError, match="line 10: patient P8 is in no set"):
        kept_split(path, rows(9), SPLIT, tmp_path)
    with pytest.raises(InputError, match="patient P7 is not in"):
        kept_split(path, rows(7), SPLIT, tmp_path)


def test_the_first_and_the_last_epoch_are_kept():
    assert curve_epochs(3, 12) == [1, 2, 3]
    assert curve_epochs(100, 12)[0] == 1
    assert curve_epochs(100, 12)[-1] == 100
    assert len(curve_epochs(100, 12)) == 12


def test_a_dicom_folder_without_a_lung_mask_is_made_ready_once(images, tmp_path, monkeypatch):
    hu = np.maximum(sitk.GetArrayFromImage(chest_ct()), -1024)
    write_ct_series(tmp_path / "dicom", hu, SPACING, ORIGIN)
    row = CohortRow("P1", tmp_path / "dicom", images / "spect1.nrrd", None, line=2)
    patient = prepare_patient(row, "none", tmp_path / "ready")
    loaded = patient.load()
    assert np.array_equal(sitk.GetArrayFromImage(loaded.ct), hu)
    assert loaded.ct.GetOrigin() == pytest.approx(ORIGIN)
    found, true = (sitk.GetArrayFromImage(labels) > 0 for labels in (loaded.lungs, lung_labels()))
    assert 2 * (found & true).sum() / (found.sum() + true.sum()) > 0.9

    def never(*arguments):
        raise AssertionError("made again")

    monkeypatch.setattr(study_preparation, "_prepare", never)
    assert prepare_patient(row, "none", tmp_path / "ready").files == patient.files


def test_a_thumbnail_is_held_as_radiologists_do(images, tmp_path):
    """Head at the top, the patient's right, which has twice the counts, on the left."""
    thumbnail = thumbnails(chest_ct(), lung_labels(), perfusion_spect(), None)
    spect, lung = thumbnail["spect"].astype(float), thumbnail["lung"]
    middle = lung.shape[1] // 2
    right, left = spect[:, :middle][lung[:, :middle]], spect[:, middle:][lung[:, middle:]]
    assert 1.6 < right.mean() / left.mean() < 2.4
    moved_down = thumbnails(chest_ct(), lung_labels(), moved(perfusion_spect(), 0, 0, -60), None)
    rows = np.arange(len(spect))[:, None]
    assert (moved_down["spect"] * rows).sum() / moved_down["spect"].sum() > (spect * rows).sum() / spect.sum() + 10


@pytest.mark.parametrize("more", [(), ("--check",)])
def test_a_study_under_torchrun_is_refused_in_one_sentence(tmp_path, monkeypatch, capsys, more):
    """Each process would run the whole study over the same folder. The first one tells it for all."""
    options = ["study", str(tmp_path / "cohort.csv"), "--out", str(tmp_path / "study"), "--progress", "none"]
    monkeypatch.setenv("WORLD_SIZE", "2")
    told = []
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        assert main([*options, *more]) == BAD_INPUT
        told.append(capsys.readouterr().err)
    assert told[0].count("\n") == 1
    for words in ("torchrun started 2 processes", "--jobs", "dlctpm train"):
        assert words in told[0]
    assert told[1] == ""
    assert not (tmp_path / "study").exists()
