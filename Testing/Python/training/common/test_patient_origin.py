"""What is said of virtual patients, of perfusion simulated on real CTs, of measured patients, and of any mixture."""

import json
import re

import numpy as np
import pytest
import SimpleITK as sitk
from matplotlib.figure import Figure
from small_chest import chest_ct, lung_labels, perfusion_spect
from small_study import rows_of_table
from small_training import NETWORK, some_samples

from DLCTPMLib.cli.main import DONE
from DLCTPMLib.networks.bundle import load_bundle
from DLCTPMLib.networks.registry import build_network
from DLCTPMLib.preprocessing.settings import PreprocessingSettings
from DLCTPMTrainingLib.cli.main import main
from DLCTPMTrainingLib.cohorts.table import read_cohort
from DLCTPMTrainingLib.common.drawing import write_figure
from DLCTPMTrainingLib.common.patient_origin import REAL_PEOPLE, RESEARCH_USE, Origin
from DLCTPMTrainingLib.samples.sample_file import PatientFacts, SampleSet
from DLCTPMTrainingLib.training.fitting import FittedModel
from DLCTPMTrainingLib.training.packaging import package
from DLCTPMTrainingLib.training.settings import TrainingSettings
from DLCTPMTrainingLib.training.validation import Validation

VIRTUAL, REAL, MEASURED = ("yes", ""), ("yes", "real"), ("", "")
NOBODY = r"of no person|not persons|virtual patients|patients, images and every number"
"""Words that are false wherever a real person's CT is shown."""


def table(folder, kinds):
    """A cohort of one small chest with noise; ``kinds`` are its columns ``simulated`` and ``anatomy``."""
    rng = np.random.default_rng(1)
    lines = ["patient_id,ct,spect,lungs,diagnosis,simulated,anatomy"]
    for number, (simulated, anatomy) in enumerate(kinds):
        for name, image in (("ct", chest_ct()), ("spect", perfusion_spect())):
            values = sitk.GetArrayFromImage(image).astype(np.float32)
            noisy = sitk.GetImageFromArray(values + rng.normal(0, 0.05 * values.std(), values.shape))
            noisy.CopyInformation(image)
            sitk.WriteImage(sitk.Cast(noisy, sitk.sitkFloat32), str(folder / f"{name}{number}.nrrd"), True)
        lines.append(f"P{number},ct{number}.nrrd,spect{number}.nrrd,lungs.nrrd,healthy,{simulated},{anatomy}")
    sitk.WriteImage(lung_labels(), str(folder / "lungs.nrrd"), True)
    (folder / "cohort.csv").write_text("\n".join(lines) + "\n")
    return folder / "cohort.csv"


def test_a_row_tells_whose_ct_it_is(tmp_path):
    rows = read_cohort(table(tmp_path, [VIRTUAL, REAL, REAL, MEASURED, ("", "real")]))
    assert [row.real_ct for row in rows] == [False, True, True, False, False]
    found = Origin.of(rows)
    assert found == Origin(virtual=1, real_cts=2, measured=2)
    assert (found.count, found.simulated, found.real_people) == (5, 3, 4)


def test_the_check_of_a_cohort_counts_real_cts(tmp_path, capsys):
    assert main(["cohort", "check", str(table(tmp_path, [VIRTUAL, REAL, MEASURED])), "--progress", "json"]) == DONE
    check = json.loads(capsys.readouterr().out.splitlines()[-1])["check"]
    assert (check["patients"], check["simulated"], check["real_cts"]) == (3, 2, 1)


def words_of(origin, folder) -> str:
    """Everything that is said of patients."""
    write_figure(Figure(), folder, "figure", origin)
    svg = (folder / "figure.svg").read_text(encoding="utf-8")
    return " ".join([svg, origin.kind(), origin.tag, origin.intended_use, origin.banner, origin.warning])


def test_virtual_patients_are_nobody(tmp_path):
    origin = Origin(virtual=73)
    words = words_of(origin, tmp_path)
    assert "SIMULATED: virtual patients, not persons" in words
    assert origin.intended_use.startswith("Trained on simulated patients only;")
    assert (origin.kind(), origin.tag, origin.warning) == ("simulated patients", "simulated", "")


@pytest.mark.parametrize("origin", [Origin(0, 4, 0), Origin(3, 4, 0), Origin(3, 4, 5), Origin(0, 4, 5)])
def test_perfusion_on_real_cts_is_simulated_but_of_people(origin, tmp_path):
    words = words_of(origin, tmp_path)
    assert not re.search(NOBODY, words)
    assert "SIMULATED perfusion and SPECT" in words
    assert "real CTs" in origin.kind()
    assert "not for any use on patients" in words
    assert origin.warning == REAL_PEOPLE


def test_only_is_said_of_no_mixture(tmp_path):
    for origin in (Origin(3, 4, 0), Origin(3, 0, 5), Origin(0, 4, 5), Origin(3, 4, 5)):
        assert not re.search(r"\bonly;|\bevery image", words_of(origin, tmp_path)), origin
    origin = Origin(3, 4, 5)
    assert origin.kind() == "patients (3 simulated, 4 real CTs with simulated perfusion, 5 measured)"
    assert f"12 {origin.kind()}" in origin.intended_use
    assert "in 7 of 12 patients, 9 of 12 CTs are real" in origin.stamp


def test_measured_patients_are_not_called_simulated_and_are_people(tmp_path):
    origin = Origin(measured=5)
    words = words_of(origin, tmp_path)
    assert "simulated" not in words.lower()
    assert (origin.intended_use, origin.kind(), origin.warning) == (RESEARCH_USE, "patients", REAL_PEOPLE)


def bundle_of(out, patients):
    preprocessing = PreprocessingSettings(grid_shape=(16, 8, 8))
    ready = SampleSet(some_samples(6), patients, ["P0", "P1"], [], preprocessing, {})
    fitted = FittedModel(build_network(NETWORK), ready, TrainingSettings(), 1, Validation())
    return load_bundle(package(fitted, out / "model", "m", "1"))


def test_the_card_says_what_was_learned_from(tmp_path):
    def cohort(*kinds):
        return [PatientFacts(f"P{number}", "", *kind) for number, kind in enumerate(kinds)]

    virtual, real, measured = (True, False), (True, True), (False, False)
    bundle = bundle_of(tmp_path / "real", cohort(real, real, real))
    assert bundle.intended_use.startswith("Trained on real CTs with simulated perfusion only;")
    assert "2 patients (real CTs, **simulated** perfusion)" in bundle.card
    assert (bundle.metadata["simulated"], bundle.metadata["real_cts"]) == (True, True)
    bundle = bundle_of(tmp_path / "mixed", cohort(virtual, measured, measured))
    assert bundle.intended_use.startswith("Trained on 2 patients (1 simulated, 1 measured);")
    assert "2 patients (1 **simulated**, 1 measured)" in bundle.card
    bundle = bundle_of(tmp_path / "virtual", cohort(virtual, virtual, virtual))
    assert "2 **simulated** patients" in bundle.card
    assert (bundle.metadata["simulated"], bundle.metadata["real_cts"]) == (True, False)


STUDY = ["--folds", "2", "--epochs", "1", "--channels", "2-2-4-4", "--grid", "32x16x16", "--median-size", "4",
         "--uniform-size", "3", "--register", "none", "--device", "cpu", "--progress", "none"]  # fmt: skip


@pytest.mark.parametrize(
    "kinds",
    [
        pytest.param([REAL] * 5, id="real CTs"),
        pytest.param([VIRTUAL] * 2 + [MEASURED] * 3, id="mixed", marks=pytest.mark.long),
    ],
)
def test_a_study_that_shows_people_says_so_and_export_warns(kinds, tmp_path, capsys):
    out, docs = tmp_path / "study", tmp_path / "docs"
    command = ["study", str(table(tmp_path, kinds)), "--out", str(out), "--export-docs", str(docs)]
    assert main([*command, *STUDY]) == DONE
    printed = capsys.readouterr().out
    assert [line for line in printed.splitlines() if line.startswith("warning:")] == [
        f"warning: {docs / 'report.html'}: {REAL_PEOPLE}"
    ]
    real = kinds[0] == REAL
    whom = "5 patients (real CTs, simulated perfusion)" if real else "5 patients (2 simulated, 3 measured)"
    stamp = "perfusion and SPECT on real CTs" if real else "in 2 of 5 patients, 3 of 5 CTs are real"
    for folder in (out / "results", docs):
        html = (folder / "report.html").read_text(encoding="utf-8")
        words = re.sub(r"data:[^\"]*", "", html)
        assert not re.search(NOBODY, words)
        assert REAL_PEOPLE in words
        assert f"{whom} were divided" in words
        assert f"{whom.removeprefix('5 ')}</footer>" in words
    for svg in (out / "results").glob("*.svg"):
        text = svg.read_text(encoding="utf-8")
        assert stamp in text, svg
        assert not re.search(NOBODY, text), svg
    assert whom in (out / "results" / "fig-1-flow-chart.svg").read_text(encoding="utf-8")
    value = "simulated perfusion" if real else "partly simulated"
    assert {row["this study is simulated"] for row in rows_of_table(out / "results" / "table-1.csv")} == {value}
    headline = (out / "results" / "side-by-side.md").read_text(encoding="utf-8").splitlines()[0]
    assert headline.endswith(f"(*{value}*)")
    card = load_bundle(out / "model").card
    assert "simulated patients only" not in card
    assert ("real CTs with simulated perfusion only" in card) is real
