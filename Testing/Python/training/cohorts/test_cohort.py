"""Cohort tables: Table 1, writing, resuming, reading, and every way a table can be wrong."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.parallel.settings import WorkerSettings
from DLCTPMTrainingLib.cli.main import main
from DLCTPMTrainingLib.cohorts import simulate as cohort_simulation
from DLCTPMTrainingLib.cohorts.simulate import plan_cohort, simulate_cohort
from DLCTPMTrainingLib.cohorts.table import TABLE_1, read_cohort, table_1_row


def coarse(settings):
    return replace(settings, ct_spacing_mm=(6.0, 6.0, 6.0), core_spacing_mm=6.0)


# ---------------------------------------------------------------------------------------------- planning


def test_73_patients_are_the_paper_s_table_1():
    plan = plan_cohort(73, 2026)
    assert Counter(table_1_row(s.diagnosis) for s in plan) == {
        "Pulmonary hypertension": 25,
        "Pulmonary embolism": 12,
        "Lung cancer": 12,
        "Chest pain": 2,
        "Chronic obstructive airway disease": 2,
        "Systemic lupus erythematosus": 2,
        "Others": 14,
        "Healthy lung": 4,
    }
    others = [s.diagnosis for s in plan if table_1_row(s.diagnosis) == "Others"]
    assert len(set(others)) == 14
    assert Counter(s.sex for s in plan) == {"F": 49, "M": 24}
    assert np.mean([s.age for s in plan]) == pytest.approx(67, abs=5)
    assert np.std([s.age for s in plan]) == pytest.approx(14, abs=4)
    assert {"acute pulmonary embolism", "chronic pulmonary embolism"} <= {s.diagnosis for s in plan}


@pytest.mark.parametrize("patients", [1, 7, 20, 40, 146])
def test_other_numbers_keep_the_proportions_within_one_patient(patients):
    counts = Counter(table_1_row(s.diagnosis) for s in plan_cohort(patients, 5))
    assert sum(counts.values()) == patients
    for row, (of_73, _) in TABLE_1.items():
        assert abs(counts[row] - patients * of_73 / 73) < 1


def test_ids_count_up_and_seeds_differ_between_patients_and_cohorts():
    one, other = plan_cohort(30, 1), plan_cohort(30, 2)
    assert [s.patient_id for s in one] == [f"SYNTH-{i:04d}" for i in range(1, 31)]
    assert len({s.seed for s in one} | {s.seed for s in other}) == 60
    assert plan_cohort(30, 1) == one
    assert [s.diagnosis for s in one] != [s.diagnosis for s in other]


@pytest.mark.parametrize(("patients", "seed"), [(0, 1), (3, -1)])
def test_a_cohort_of_nobody_is_refused(patients, seed):
    with pytest.raises(InputError):
        plan_cohort(patients, seed)


# ---------------------------------------------------------------------------------------------- making


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("cohort")
    simulate_cohort(2, 3, out, adjust=coarse)
    return out


def test_a_simulated_cohort_reads_back(folder):
    rows = read_cohort(folder / "cohort.csv")
    assert [row.patient_id for row in rows] == ["SYNTH-0001", "SYNTH-0002"]
    for row, settings in zip(rows, plan_cohort(2, 3), strict=True):
        assert row.simulated
        assert (row.diagnosis, row.sex, row.age) == (settings.diagnosis, settings.sex, settings.age)
        assert row.other["seed"] == str(settings.seed)
        for path in (row.ct, row.spect, row.lungs, row.perfusion):
            assert sitk.ReadImage(str(path)).GetMetaData("simulated").startswith("yes")
    assert "SYNTH-0001/ct.nrrd" in (folder / "cohort.csv").read_text()
    assert not list(folder.rglob("*.part*"))


def test_patients_that_are_there_are_left_alone_and_others_are_made_again(folder):
    first, second = folder / "SYNTH-0001" / "ct.nrrd", folder / "SYNTH-0002" / "ct.nrrd"
    content = second.read_bytes()
    before = first.stat().st_mtime_ns
    second.unlink()
    said = []
    simulate_cohort(2, 3, folder, progress=lambda stage, fraction: said.append(fraction), adjust=coarse)
    assert first.stat().st_mtime_ns == before
    assert second.read_bytes() == content
    assert said[-1] == 1.0
    assert said == sorted(said)


def test_another_configuration_is_not_taken_for_the_same(folder, tmp_path):
    settings = coarse(plan_cohort(2, 3)[0])
    made = []

    def stand_in(asked):
        made.append(asked)
        raise KeyboardInterrupt

    cohort_simulation.write_patient(settings, folder)
    import DLCTPMTrainingLib.patients.virtual_patient as virtual_patient

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(virtual_patient, "simulate_patient", stand_in)
        cohort_simulation.write_patient(settings, folder)
        with pytest.raises(KeyboardInterrupt):
            cohort_simulation.write_patient(replace(settings, age=settings.age - 1), folder)
    assert len(made) == 1


@pytest.mark.long
def test_workers_make_the_same_patients(folder, tmp_path):
    simulate_cohort(2, 3, tmp_path, at_once=WorkerSettings(jobs=2), adjust=coarse)
    for name in ("ct", "spect", "lungs", "perfusion"):
        path = f"SYNTH-0002/{name}.nrrd"
        assert (tmp_path / path).read_bytes() == (folder / path).read_bytes()


# ---------------------------------------------------------------------------------------------- reading


@pytest.fixture
def table(tmp_path):
    """Writes a cohort table beside a few image files and gives its path."""
    for name in ("a_ct", "a_spect", "b_ct", "b_spect"):
        (tmp_path / f"{name}.nrrd").write_bytes(b"x")

    def write(text, encoding="utf-8"):
        path = tmp_path / "cohort.csv"
        path.write_bytes(text.encode(encoding))
        return path

    return write


HEADER = "patient_id,ct,spect,lungs,diagnosis,sex,age,centre\n"
ROWS = "A,a_ct.nrrd,a_spect.nrrd,,Fibrose pulmonaire é,F,61.5,Lyon\nB,b_ct.nrrd,b_spect.nrrd,,healthy,M,,Lyon\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_tables_of_any_office_program_are_read(table, encoding, separator, line_end):
    text = (HEADER + ROWS).replace(",", separator).replace("\n", line_end)
    rows = read_cohort(table(text, encoding))
    assert [row.patient_id for row in rows] == ["A", "B"]
    assert rows[0].diagnosis == "Fibrose pulmonaire é"
    assert rows[0].age == 61.5
    assert rows[1].age is None
    assert rows[0].lungs is None
    assert rows[0].ct.is_absolute()
    assert [row.line for row in rows] == [2, 3]
    assert rows[0].other == {"centre": "Lyon"}


def test_a_decimal_comma_and_a_quoted_separator_are_understood(table):
    rows = read_cohort(table(HEADER.replace(",", ";") + 'A;a_ct.nrrd;a_spect.nrrd;;"a; b";F;61,5;Lyon\n'))
    assert rows[0].age == 61.5
    assert rows[0].diagnosis == "a; b"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        (HEADER, "lists no patients"),
        ("patient,ct,spect,lungs\nA,a_ct.nrrd,a_spect.nrrd,\n", r"line 1: no column patient_id"),
        ("patient_id,ct,spect,lungs,ct\nA,a_ct.nrrd,a_spect.nrrd,,\n", r"line 1: column ct is named twice"),
        (HEADER + ROWS + "A,a_ct.nrrd,a_spect.nrrd,,,,,\n", r"line 4: patient A is already on line 2"),
        (HEADER + "A,gone.nrrd,a_spect.nrrd,,,,,\n", r"line 2: ct gone.nrrd of patient A does not exist"),
        (HEADER + "\nA,a_ct.nrrd,,,,,,\n", r"line 3: no spect for patient A"),
        (HEADER + ",a_ct.nrrd,a_spect.nrrd,,,,,\n", r"line 2: no patient_id"),
        (HEADER + "A,a_ct.nrrd,a_spect.nrrd,,,F,old,\n", r"line 2: age 'old' is not a number"),
        (HEADER + "A,a_ct.nrrd,a_spect.nrrd,,,F,61,Lyon,x\n", r"line 2: 9 values for 8 columns"),
        *(
            (HEADER + f"A,a_ct.nrrd,a_spect.nrrd,,,F,{age},\n", f"line 2: age '{age}' is not a number of years")
            for age in ("nan", "inf", "-5", "1e9")
        ),
        (HEADER + "A," + "x" * 5000 + ",a_spect.nrrd,,,,,\n", r"line 2: ct x{64}… of patient A does not exist"),
        (HEADER + "A,a_ct.nrrd,a_spect.nrrd,,,,," + "x" * 200_000 + "\n", r"line 2: cannot be read as a line"),
        ("a\0b", "is not a text file"),
    ],
)
def test_a_wrong_table_is_refused_with_its_line(table, text, said):
    path = table(text)
    with pytest.raises(InputError, match=said) as error:
        read_cohort(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "name",
    [
        "../../../escaped",
        "..",
        "a/b",
        "a\\b",
        "C:x",
        "a\x1b[2Jb",
        "a\u202eb",
        ".hidden",
        "-rf",
        "con",
        "LPT1.x",
        "a.",
        "x" * 65,
    ],
)
def test_a_patient_id_that_can_name_no_file_is_refused_with_its_line(table, name):
    path = table(HEADER + f"{name},a_ct.nrrd,a_spect.nrrd,,,,,\n")
    with pytest.raises(InputError, match=r"line 2: patient_id .* (holds a character|is a name|is longer)") as error:
        read_cohort(path)
    assert len(str(error.value)) < 400


@pytest.mark.parametrize("command", [["train"], ["study"], ["train", "--export", "samples.npz"]])
def test_an_id_that_leads_out_of_the_folder_is_refused_before_anything_is_written(
    table, tmp_path, monkeypatch, capsys, command
):
    path = table(HEADER + "../../../escaped,a_ct.nrrd,a_spect.nrrd,,,,,\nB,a_ct.nrrd,a_spect.nrrd,,,,,\n")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    before = sorted(tmp_path.rglob("*"))
    assert main([command[0], str(path), "--out", "a/b/c", *command[1:]]) == 2
    assert "line 2: patient_id ../../../escaped holds a character" in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


def test_a_missing_table_and_a_folder_are_refused(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_cohort(tmp_path / "none.csv")
    with pytest.raises(InputError, match=r"cannot be read"):
        read_cohort(tmp_path)


def test_an_out_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "out").write_text("x")
    with pytest.raises(InputError, match="not a folder"):
        simulate_cohort(1, 1, tmp_path / "out")
