"""From a small simulated cohort to a model bundle and its table: the whole chain, coarse and quick."""

import csv
import io
import re
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk

from DLCTPMLib.agreement.scores import BASELINE_NAMES, METRICS
from DLCTPMLib.common.errors import InputError
from DLCTPMLib.networks.bundle import load_bundle
from DLCTPMLib.networks.settings import ArnnSettings, ContextSettings
from DLCTPMLib.preprocessing.enhancement import high_intensity_reference
from DLCTPMLib.preprocessing.settings import PreprocessingSettings
from DLCTPMTrainingLib.cli.main import main
from DLCTPMTrainingLib.cohorts.simulate import simulate_cohort
from DLCTPMTrainingLib.cohorts.table import read_cohort
from DLCTPMTrainingLib.samples.from_images import high_intensity_references, samples_of_pair
from DLCTPMTrainingLib.samples.sample_file import SampleSet
from DLCTPMTrainingLib.training.evaluation import as_csv, as_markdown, evaluate_cohort, mean_of, write_evaluation
from DLCTPMTrainingLib.training.from_cohort import export_samples, split_patients, train_cohort
from DLCTPMTrainingLib.training.from_samples import train_samples
from DLCTPMTrainingLib.training.plan import TrainingPlan
from DLCTPMTrainingLib.training.settings import TrainingSettings

PREPROCESSING = PreprocessingSettings(grid_shape=(32, 16, 16), median_size=4, uniform_size=3)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    def coarse(settings):
        return replace(settings, core_spacing_mm=5.0, ct_spacing_mm=(5.0, 5.0, 5.0))

    return simulate_cohort(4, 3, tmp_path_factory.mktemp("cohort"), adjust=coarse)


def a_plan(cohort, out, **changes) -> TrainingPlan:
    defaults = {
        "network": ArnnSettings(channels=(4, 4, 6, 6), kernel=3),
        "training": TrainingSettings(epochs=2, precision="fp32"),
        "preprocessing": PREPROCESSING,
        "validation_share": 0.25,
        "device": "cpu",
    }
    return TrainingPlan(cohort=cohort, out=out, **{**defaults, **changes})


@pytest.fixture(scope="module")
def bundle(cohort, tmp_path_factory):
    return load_bundle(train_cohort(a_plan(cohort, tmp_path_factory.mktemp("run"))))


def test_a_model_of_simulated_patients_says_so_everywhere(bundle):
    assert bundle.metadata["simulated"] is True
    assert "simulated patients only" in bundle.intended_use
    assert "**simulated** patients" in bundle.card
    assert "not for any use on patients" in bundle.card


def test_the_bundle_tells_what_it_was_made_of(bundle):
    training = bundle.metadata["training"]
    assert (training["patients"], training["lungs"], training["epochs_done"]) == (3, 6, 2)
    assert sum(training["diagnoses"].values()) == 3
    low, high = bundle.metadata["training_ranges"]["lung_mean_hu"]
    assert -950 < low <= high < -600
    assert bundle.preprocessing == PREPROCESSING


def test_a_finished_run_gives_the_same_model_again(cohort, tmp_path):
    first = load_bundle(train_cohort(a_plan(cohort, tmp_path / "run"))).sha256
    assert load_bundle(train_cohort(a_plan(cohort, tmp_path / "run"))).sha256 == first


def test_exported_samples_train_the_model_of_the_cohort(cohort, bundle, tmp_path):
    plan = a_plan(cohort, tmp_path / "here")
    export_samples(plan, tmp_path / "samples.npz")
    there = replace(plan, cohort=None, out=tmp_path / "there")
    assert load_bundle(train_samples(there, SampleSet.load(tmp_path / "samples.npz"))).sha256 == bundle.sha256


def test_a_network_is_trained_by_its_name_and_maps_the_cohort(cohort, tmp_path):
    shape = ["--channels", "2-2-4-4", "--grid", "32x16x16", "--median-size", "4", "--uniform-size", "3"]
    command = ["train", str(cohort), "--out", str(tmp_path), "--epochs", "1", "--progress", "none", "--device", "cpu"]
    assert main([*command, *shape, "--network", "context"]) == 0
    bundle = load_bundle(tmp_path / "model")
    assert bundle.network().settings == ContextSettings(channels=(2, 2, 4, 4))
    assert bundle.preprocessing == replace(PREPROCESSING, inputs=("enhanced", "density"))
    assert bundle.metadata["network_data_format"]["inputs"]["image"]["num_channels"] == 2
    assert "attention residual network with place and density" in bundle.card
    table = evaluate_cohort(read_cohort(cohort)[:1], bundle, device="cpu")
    assert len(table) == 3 * 2 * (1 + len(BASELINE_NAMES)) * len(METRICS)


def test_options_that_the_network_cannot_have_are_refused(cohort, tmp_path, capsys):
    command = ["train", str(cohort), "--out", str(tmp_path), "--network"]
    assert main([*command, "unet", "--roi-attention", "soft"]) == 2
    assert "a plain 3D U-Net has no attention" in capsys.readouterr().err


def test_a_plan_whose_network_takes_other_images_is_refused(cohort, tmp_path):
    with pytest.raises(InputError, match="takes 2 images but the preprocessing makes 1"):
        a_plan(cohort, tmp_path, network=ContextSettings())


def test_the_table_has_every_patient_scope_part_and_prediction(cohort, bundle, tmp_path):
    table = evaluate_cohort(read_cohort(cohort)[:2], bundle, device="cpu")
    rows = list(csv.DictReader(io.StringIO(as_csv(table))))
    assert len(rows) == 2 * 3 * 2 * 7
    assert {row["prediction"] for row in rows} == {"model", *BASELINE_NAMES}
    by_hand = [
        float(r["r_spearman"])
        for r in rows
        if (r["prediction"], r["scope"], r["part"]) == ("model", "lungs", "whole")
    ]
    assert mean_of(table, "r_spearman") == pytest.approx(np.mean(by_hand))
    assert f"{np.mean(by_hand):.3f} ± {np.std(by_hand, ddof=1):.3f}" in as_markdown(table)
    write_evaluation(table, tmp_path)
    assert (tmp_path / "test.csv").read_text() == as_csv(table)


def test_a_test_cohort_fills_the_card_and_must_be_unseen(cohort, tmp_path):
    everybody = cohort.read_text().splitlines()
    learn, unseen = cohort.parent / "learn.csv", cohort.parent / "unseen.csv"
    learn.write_text("\n".join(everybody[:4]) + "\n")
    unseen.write_text("\n".join([everybody[0], everybody[4]]) + "\n")
    plan = a_plan(learn, tmp_path / "run", test=unseen, validation_share=0.0)
    tested = load_bundle(train_cohort(plan))
    assert tested.metadata["test"]["patients"] == 1
    printed = float(re.search(r"\| model \| ([-\d.]+) \|", tested.card).group(1))
    assert printed == pytest.approx(tested.metadata["test"]["whole"]["model"]["r_spearman"], abs=1e-3)
    assert tested.metadata["validation"] is None
    with pytest.raises(InputError, match=r"line 2: the CT of .* is also trained on"):
        train_cohort(a_plan(cohort, tmp_path / "other", test=unseen))


def test_patients_and_never_lungs_are_split():
    patients = [f"P{i}" for i in range(20)]
    training, validation = split_patients(patients, 0.25, seed=1)
    assert len(validation) == 5
    assert sorted(training + validation) == sorted(patients)
    assert split_patients(patients, 0.25, seed=1) == (training, validation)
    assert split_patients(patients, 0.25, seed=2) != (training, validation)


def test_targets_are_the_standardised_spect_of_each_lung(cohort):
    row = read_cohort(cohort)[0]
    ct, lungs, spect = (sitk.ReadImage(str(path)) for path in (row.ct, row.lungs, row.spect))
    samples = samples_of_pair(row.patient_id, ct, lungs, spect, PREPROCESSING)
    assert list(samples.side) == ["right lung", "left lung"]
    # the levels of Eq. 2 and nothing between them
    assert set(np.unique(samples.target[samples.mask])) <= {round(level * 25.5) for level in range(11)}
    # about a quarter of the lung lies above the 75th percentile
    assert 0.15 < (samples.target[samples.mask] == 255).mean() < 0.35
    # twice the counts change nothing
    twice = samples_of_pair(row.patient_id, ct, lungs, spect * 2, PREPROCESSING)
    assert np.array_equal(twice.target, samples.target)


def test_hir_over_the_patient_is_one_number_and_over_each_lung_two(cohort):
    row = read_cohort(cohort)[0]
    lungs, spect = (sitk.ReadImage(str(path)) for path in (row.lungs, row.spect))
    one = high_intensity_references(lungs, spect, PREPROCESSING)
    two = high_intensity_references(lungs, spect, replace(PREPROCESSING, hir_scope="lung"))
    assert len(set(one.values())) == 1
    assert min(two.values()) <= one["left lung"] <= max(two.values())
    assert high_intensity_reference(np.arange(101.0)) == 75


def test_a_validation_share_of_everybody_is_refused(cohort, tmp_path):
    with pytest.raises(InputError, match="validation share"):
        a_plan(cohort, tmp_path, validation_share=1.0)
