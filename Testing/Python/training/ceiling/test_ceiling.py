"""The ceiling: redrawn SPECTs of one CT, each against the mean of the others; compared with figures by hand."""

import json

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.stats import spearmanr

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.preprocessing.settings import PreprocessingSettings
from DLCTPMTrainingLib.ceiling.estimate import (
    CEILING,
    ERROR,
    HALF,
    RIGHT_SHARE_ERROR,
    Ceiling,
    agreement_of_draws,
    ceiling_of_patients,
    reached,
    settings_of,
)
from DLCTPMTrainingLib.cohorts.simulate import write_patient
from DLCTPMTrainingLib.cohorts.table import CohortRow
from DLCTPMTrainingLib.patients.virtual_patient import VirtualPatientSettings
from DLCTPMTrainingLib.statistics.numbers import HEADLINE
from DLCTPMTrainingLib.statistics.table import CORE, WHOLE, TidyTable
from DLCTPMTrainingLib.statistics.tests import StatisticsSettings
from DLCTPMTrainingLib.study.preparation import Patient
from DLCTPMTrainingLib.study_report.numbers import ceiling_numbers
from DLCTPMTrainingLib.study_report.tables import ceiling as ceiling_table

SETTINGS = VirtualPatientSettings("SYNTH-0001", 3, "acute pulmonary embolism", "F", 60, (6.0,) * 3, 6.0)


@pytest.fixture(scope="module")
def patient(tmp_path_factory):
    folder = write_patient(SETTINGS, tmp_path_factory.mktemp("cohort"))
    files = {name: folder / f"{name}.nrrd" for name in ("ct", "spect", "lungs")}
    row = CohortRow("SYNTH-0001", files["ct"], files["spect"], files["lungs"], SETTINGS.diagnosis)
    return Patient(row, files, None, folder / "none.npz")


@pytest.fixture(scope="module")
def ceiling(patient, tmp_path_factory):
    return ceiling_of_patients([patient], PreprocessingSettings(), tmp_path_factory.mktemp("ceiling"))


def a_chest(noise, count=9):
    """Two boxes of lung, and SPECTs on them that share a pattern and differ by noise of a given spread."""
    rng = np.random.default_rng(0)
    labels = np.zeros((16, 16, 24), np.uint16)
    labels[2:14, 2:14, 2:11], labels[2:14, 2:14, 13:22] = 2, 3  # CIP: right lung, left lung
    pattern = rng.uniform(0.5, 1.5, labels.shape)
    spects = [pattern + noise * rng.standard_normal(labels.shape) for _ in range(count)]
    images = [sitk.GetImageFromArray(np.where(labels > 0, np.clip(s, 0, None), 0).astype(np.float32)) for s in spects]
    lungs = sitk.GetImageFromArray(labels)
    for image in (lungs, *images):
        image.SetSpacing([4.42] * 3)
    return labels, spects, lungs, images


def test_without_anything_unseen_the_ceiling_is_perfect():
    _, _, lungs, images = a_chest(0.0)
    found = agreement_of_draws(lungs, images, None, PreprocessingSettings())["lungs"][WHOLE]
    assert found["r_spearman"] == pytest.approx([1.0] * 9)
    assert found["ssim"] == pytest.approx([1.0] * 9)
    assert all(curve == pytest.approx([1.0] * 8) for curve in found["dsc_high"])


def test_r_is_that_of_the_mean_of_the_others_by_hand():
    labels, spects, lungs, images = a_chest(0.3)
    found = agreement_of_draws(lungs, images, None, PreprocessingSettings())["lungs"][WHOLE]
    lung = labels > 0
    scaled = [np.clip(s, 0, None)[lung] / np.percentile(np.clip(s, 0, None)[lung], 75) for s in spects]
    by_hand = spearmanr(np.mean(scaled[1:], axis=0), scaled[0])[0]
    assert found["r_spearman"][0] == pytest.approx(by_hand, abs=1e-4)
    assert np.mean(found[HALF + "r_spearman"]) < np.mean(found["r_spearman"])


def test_the_best_cut_is_that_of_the_highest_mean_and_the_error_that_of_the_spects():
    figures = {
        "patient_id": "a", "diagnosis": "", "draws": 2,
        "values": {
            side: {WHOLE: {"r_spearman": [0.5, 0.6, 0.7], **{
                name: [[0.1, 0.4], [0.3, 0.6], [0.2, 0.5]] for name in ("dsc_high", "dsc_low", "kappa")
            }}}
            for side in ("right lung", "left lung")
        },
    }  # fmt: skip
    found = Ceiling.of([figures])
    assert found.cuts == dict.fromkeys(("dsc_high", "dsc_low", "kappa"), 0.75)
    right = found.table.select(scope="right lung")
    assert right.select(metric="dsc_high").value.tolist() == pytest.approx([0.5])
    assert right.select(metric="r_spearman").value.tolist() == pytest.approx([0.6])
    assert right.select(metric=ERROR + "r_spearman").value.tolist() == pytest.approx([0.1 / np.sqrt(3)])


def test_a_virtual_patients_ceiling_lies_below_1_and_above_nothing(ceiling):
    for part in (WHOLE, CORE):
        of = ceiling.table.select(scope="lungs", part=part, prediction=CEILING)
        assert 0.2 < of.select(metric="r_spearman").value[0] < 0.98
        assert 0 < of.select(metric=ERROR + "r_spearman").value[0] < 0.1
    assert ceiling.draws == 8


def test_figures_are_kept_and_read_back(patient, ceiling, tmp_path):
    (tmp_path / "SYNTH-0001.json").write_text(
        json.dumps(
            {
                "patient_id": "SYNTH-0001",
                "diagnosis": "",
                "draws": 8,
                "values": {
                    side: {WHOLE: {name: [[0.5] * 8] for name in ("dsc_high", "dsc_low", "kappa")}}
                    for side in ("right lung", "left lung")
                },
            }
        )
    )
    found = ceiling_of_patients([patient], PreprocessingSettings(), tmp_path)
    assert set(found.table.select(metric="dsc_low").value) == {0.5}


def test_what_cannot_be_redrawn_is_refused_with_a_sentence(patient, tmp_path):
    with pytest.raises(InputError, match="3 draws are too few"):
        ceiling_of_patients([patient], PreprocessingSettings(), tmp_path, 3)
    note = patient.row.ct.parent / "patient.json"
    told = json.loads(note.read_text())
    assert settings_of(patient.row) == SETTINGS
    note.write_text(json.dumps(told | {"configuration_sha256": "0"}))
    try:
        with pytest.raises(InputError, match="another version of the simulator"):
            settings_of(patient.row)
    finally:
        note.write_text(json.dumps(told))


def test_how_far_a_network_gets():
    assert reached(0.8, 0.7, 0.9) == pytest.approx(0.5)
    assert reached(0.8, 0.7, 0.7) is None


def test_the_table_says_how_far_each_network_gets_from_the_best_baseline():
    """Baselines 0.5 and 0.6, network 0.7, ceiling 0.8: half way from the better baseline."""
    curves = {name: [[0.8] * 8] * 9 for name in ("dsc_high", "dsc_low", "kappa")}
    parts = {part: {"r_spearman": [0.8] * 9, HALF + "r_spearman": [0.7] * 9, "ssim": [0.8] * 9, **curves}
             for part in (WHOLE, CORE)}  # fmt: skip
    lungs = {WHOLE: parts[WHOLE] | {RIGHT_SHARE_ERROR: [2.0] * 9}, CORE: parts[CORE]}
    of = Ceiling.of([{"patient_id": "a", "diagnosis": "", "draws": 8,
                      "values": {"lungs": lungs, "right lung": parts, "left lung": parts}}])  # fmt: skip
    tested = TidyTable.of(
        ("a", "", scope, part, name, metric, value)
        for scope in ("right lung", "left lung")
        for part in (WHOLE, CORE)
        for name, value in (("model", 0.7), ("geometry", 0.5), ("blurred_density", 0.6))
        for metric in HEADLINE
    )
    numbers = ceiling_numbers(of, tested, {"3D U-Net": tested}, StatisticsSettings(resamples=100))
    table = ceiling_table({"ceiling": numbers})
    assert len(table.rows) == 2 * len(HEADLINE)
    assert table.rows[0] == ["Spearman R", "2", "blurred density", "0.600", "0.800", "± 0.000", "0.700 (50 %)"]
    assert "simulated" in table.title
    assert "8 times" in table.note
