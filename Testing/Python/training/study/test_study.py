"""A whole study of twelve virtual patients, coarse and quick, from the table to the report."""

import hashlib
import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_study import a_plan, rows_of_table

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.labels.chest_regions import SIDES
from DLCTPMLib.lungs.masks import side_masks
from DLCTPMLib.networks.arnn import Arnn
from DLCTPMLib.networks.bundle import WEIGHTS, load_bundle
from DLCTPMLib.networks.settings import ArnnSettings
from DLCTPMLib.volumes.patient_axes import PatientAxes, patient_array
from DLCTPMTrainingLib.cohorts.simulate import plan_cohort
from DLCTPMTrainingLib.cohorts.table import TABLE_1, CohortRow, read_cohort
from DLCTPMTrainingLib.statistics.numbers import SHARE, at_threshold, values_of
from DLCTPMTrainingLib.study.fits import Fit
from DLCTPMTrainingLib.study.settings import SearchSettings
from DLCTPMTrainingLib.study.study import run_study
from DLCTPMTrainingLib.study.workbench import Workbench
from DLCTPMTrainingLib.study_report.method_figures import network_blocks
from DLCTPMTrainingLib.study_report.numbers import characteristics
from DLCTPMTrainingLib.study_report.report import write_results
from DLCTPMTrainingLib.study_report.words import verdicts


@pytest.fixture(scope="module")
def results(cohort, tmp_path_factory):
    """A finished study; its report lies in ``results.plan.out / "results"``."""
    found = run_study(a_plan(cohort, tmp_path_factory.mktemp("study"), without="pulmonary hypertension"))
    write_results(found)
    return found


def test_every_figure_and_table_of_the_paper_is_there(out):
    figures = ("fig-1-flow-chart", "fig-2a-preprocessing", "fig-2b-network", "fig-3-colour-views", "fig-4ab-curves",
               "fig-4cd-boxes", "fig-5-cases", "fig-6-dsc", "contact-sheet", "joint-histogram", "bland-altman",
               "calibration", "dsc-threshold", "diagnoses", "loss", "paired-differences")  # fmt: skip
    tables = ("table-1", "headline-per-lung", "headline-per-patient", "paper", "advantage", "tests", "folds",
              "outliers", "diagnoses", "percentages", "search", "without", "paired-validation",
              "paired-test")  # fmt: skip
    assert all((out / f"{name}.png").stat().st_size > 3000 for name in figures)
    assert all((out / f"{name}.csv").is_file() for name in tables)
    assert sum(path.stat().st_size for path in out.glob("*.png")) < 5e6


def test_every_output_says_that_it_is_simulated(out, results):
    html = (out / "report.html").read_text(encoding="utf-8")
    assert html.count("(simulated)") >= 11  # every table
    assert "say nothing about how well perfusion of real patients is mapped" in " ".join(html.split())
    for svg in out.glob("*.svg"):
        assert "SIMULATED: virtual patients, not persons" in svg.read_text(encoding="utf-8"), svg
    for table in out.glob("*.csv"):
        assert all(row["this study is simulated"] == "yes" for row in rows_of_table(table)), table
    assert load_bundle(results.model).metadata["simulated"] is True


def test_the_report_fetches_nothing(out):
    html = (out / "report.html").read_text(encoding="utf-8")
    assert not re.findall(r'(?:src|href)="(?!data:)', html)
    assert "http" not in re.sub(r'"data:[^"]*"', "", html)


def test_no_test_patient_was_trained_on(results):
    split, samples = results.split, Workbench(results.plan).samples(results.chosen)
    assert set(samples.patient) == set(split.training)
    assert not set(split.training) & set(split.test)
    left_out = {row.patient_id for row in read_cohort(results.plan.cohort) if row.diagnosis == results.plan.without}
    around = [split.around(fold) for fold in range(len(split.folds))]
    known = {_sha256(samples.of_patients(some)) for some in [split.training, *around]}
    known |= {_sha256(samples.of_patients(set(some) - left_out)) for some in [split.training, *around]}
    checkpoints = list(results.plan.out.rglob("checkpoint.pt"))
    assert len(checkpoints) > len(split.folds)
    for checkpoint in checkpoints:
        learned = json.loads(torch.load(checkpoint, weights_only=True)["setup"])["lungs_sha256"]
        assert learned in known, checkpoint
        if checkpoint.parent.parent == results.plan.out / "folds":
            assert learned == _sha256(samples.of_patients(around[int(checkpoint.parent.name) - 1]))


def _sha256(samples) -> str:
    """What a checkpoint keeps of the lungs that were learned from, in their order; it names no patient."""
    lungs = [[str(patient), str(side)] for patient, side in zip(samples.patient, samples.side, strict=True)]
    return hashlib.sha256(json.dumps(lungs).encode()).hexdigest()


def test_without_a_diagnosis_nobody_with_it_is_trained_or_tested_on(results, numbers):
    excluded = {row.patient_id for row in results.rows if row.diagnosis == "pulmonary hypertension"}
    assert excluded & set(results.split.training)
    tested = set(results.without.table.names("patient"))
    assert tested == set(results.split.test) - excluded
    subgroup = numbers["without"]["same patients"]["r_spearman"]
    model = values_of(results.test.table, "r_spearman")
    by_hand = model.value[[patient in tested for patient in model.patient]]
    assert subgroup["mean"] == pytest.approx(by_hand.mean())


def test_the_numbers_are_those_of_the_rows(out, numbers):
    """From the CSV alone, with nothing of the library."""
    rows = rows_of_table(out / "test-rows.csv")
    for prediction in ("model", "geometry", "enhanced_ct"):
        for part in ("whole", "core"):
            r = [float(row["r_spearman"]) for row in rows
                 if (row["prediction"], row["part"]) == (prediction, part) and row["scope"] != "lungs"]  # fmt: skip
            found = numbers["test"]["lung"][prediction][part]["r_spearman"]
            assert (found["mean"], found["sd"]) == pytest.approx((np.mean(r), np.std(r, ddof=1)))
            assert found["n"] == len(r) == 10
            assert found["above"]["0.5"] == pytest.approx(100 * np.mean(np.array(r) > 0.5))


def test_the_search_kept_the_setting_with_the_highest_validation_r(results):
    means = [trial["mean"] for trial in results.trials]
    assert len(means) == 2
    chosen = results.trials[int(np.argmax(means))]
    assert results.chosen.to_dict() == chosen["settings"]
    assert results.chosen.training.epochs == 2


def test_the_last_point_of_every_curve_is_the_final_evaluation(results):
    sets = [*zip(results.validation_curves, results.validation, strict=True), (results.test_curve, results.test)]
    for curve, found in sets:
        last = max(row["epoch"] for row in curve)
        assert last == 2
        for metric in ("r_spearman", "ssim"):
            model = values_of(found.table, metric)
            expected = dict(zip(zip(model.patient, model.scope, strict=True), model.value, strict=True))
            for row in curve:
                if row["epoch"] == last:
                    # the bundle of the final fit holds half-precision weights
                    assert row[metric] == pytest.approx(expected[row["patient_id"], row["scope"]], abs=2e-3)


def test_shares_and_thresholds_are_those_of_the_images(results):
    """The right lung's share of the counts and DSC at 0.66, by nearest voxels, without the library's grids."""
    table = results.test.table.select(patient=results.split.test[0], part="whole")
    patient = results.patients[results.split.test[0]]
    images = patient.load()
    right, left = side_masks(images.lungs)
    spect, axes = PatientAxes.of(images.spect), PatientAxes.of(images.lungs)
    counts = patient_array(images.spect)
    sums = []
    for mask in (right, left):
        index = np.rint(spect.continuous_index(axes.points_mm(np.argwhere(mask)))).astype(int)
        sums.append(counts[tuple(index.T)].sum())
    by_hand = 100 * sums[0] / sum(sums)
    shares = table.select(metric=SHARE)
    assert shares.select(scope="right lung", prediction="spect").value == pytest.approx(by_hand, abs=1.0)
    for kind in ("spect", "model"):
        of_kind = shares.select(prediction=kind)
        assert of_kind.select(scope=SIDES).value.sum() == pytest.approx(100)
        lobes = of_kind.select(scope=[name for name in of_kind.names("scope") if "lobe" in name])
        assert len(lobes) == 5
        assert lobes.value.sum() == pytest.approx(100)
    both = table.select(scope="lungs", prediction="model")
    for name in ("high", "low"):
        at_066, headline = (both.select(metric=m).value for m in (at_threshold(name, 0.66), f"dsc_{name}"))
        assert len(at_066) == 1
        assert at_066 == pytest.approx(headline)


def test_the_calibration_adds_up(results, numbers):
    found = numbers["calibration"]
    assert sum(found["voxels"]) == np.sum(results.test.joint)
    for number, value in enumerate(found["map"]):
        if value is not None:
            assert number / 20 - 1e-6 <= value <= (number + 1) / 20 + 1e-6


def test_acute_embolism_and_the_core_stand_in_the_headline_table(out, numbers, results):
    rows = rows_of_table(out / "headline-per-lung.csv")
    acute = next(row for row in rows if "acute embolism only, test set" in row["mean ± SD [95 % interval]"])
    assert acute["lungs"] == "2"
    found = numbers["acute_embolism"]["test"]["lung"]["model"]
    for column, part in (("R", "whole"), ("R, core", "core")):
        assert acute[column].startswith(f"{found[part]['r_spearman']['mean']:.3f}".replace("-", "−"))
    sentences = " ".join(verdicts(numbers, results.origin))
    assert "Acute embolism (1 patient, test set)" in sentences
    assert "where they are the map fails" in sentences
    assert any(row["mean ± SD [95 % interval]"] == "paper, test set" and row["R"] == "0.673 ± 0.173" for row in rows)


def test_the_other_hir_scope_stands_beside(out, numbers):
    """Dividing a lung by another constant keeps its ranks: R must stay, DSC may not."""
    row = next(
        r for r in rows_of_table(out / "headline-per-lung.csv") if "each lung's own HIR" in next(iter(r.values()))
    )
    assert row["lungs"] == "10"
    model = numbers["test"]["lung"]["model"]["whole"]
    assert numbers["other_hir"]["r_spearman"]["mean"] == pytest.approx(model["r_spearman"]["mean"])
    assert numbers["other_hir"]["dsc_low"]["mean"] != model["dsc_low"]["mean"]


def test_a_small_study_is_called_reduced(out):
    html = (out / "report.html").read_text(encoding="utf-8")
    assert "Reduced study." in html
    assert "channels 4-4-6-6 instead of 16-32-64-128" in html


def test_the_card_of_the_model_has_the_test(results):
    bundle = load_bundle(results.model)
    assert bundle.metadata["test"]["patients"] == len(results.split.test)
    assert bundle.metadata["training"]["patients"] == len(results.split.training)
    r = [results.histories[f"fold {k}"][-1]["validation_r"] for k in range(1, 5)]
    assert bundle.metadata["validation"]["r"] == pytest.approx(np.mean(r), abs=1e-4)


def test_a_finished_study_trains_nothing_and_ends_with_the_same_numbers(results, numbers, monkeypatch, tmp_path):
    def never(*arguments, **more):
        raise AssertionError("trained again")

    monkeypatch.setattr(Fit, "fitted", never)
    again = run_study(results.plan)
    assert again.test == results.test
    assert again.validation == results.validation
    assert again.test_curve == results.test_curve


def test_a_study_is_not_continued_with_other_settings(results):
    other = replace(results.plan, training=replace(results.plan.training, epochs=3))
    with pytest.raises(InputError, match="begun with other settings"):
        run_study(other)


def test_the_test_set_is_looked_at_with_one_model_only(results, tmp_path):
    note = results.plan.out / "test.json"
    kept = note.read_text()
    try:
        note.write_text(json.dumps({"weights_sha256": "0" * 64, "patients": []}))
        with pytest.raises(InputError, match="looked at with another model"):
            run_study(results.plan)
    finally:
        note.write_text(kept)
    assert len(load_bundle(results.model).sha256) == 64
    assert (results.model / WEIGHTS).is_file()


def test_table_1_of_a_virtual_cohort_of_73_is_the_papers(tmp_path):
    rows = [
        CohortRow(s.patient_id, tmp_path, tmp_path, None, s.diagnosis, s.sex, s.age, simulated=True)
        for s in plan_cohort(73, 1)
    ]
    found = characteristics(rows)
    assert (found["men"], found["women"]) == (24, 49)
    assert found["diagnoses"] == {name: count for name, (count, _) in TABLE_1.items()}


def test_the_network_is_drawn_from_the_live_module():
    blocks = {b["name"]: b for b in network_blocks(ArnnSettings(), (128, 64, 64))}
    assert (blocks["encode1"]["channels"], blocks["encode1"]["shape"]) == (16, (128, 64, 64))
    assert (blocks["encode4"]["channels"], blocks["encode4"]["shape"]) == (128, (16, 8, 8))
    assert (blocks["roi"]["channels"], blocks["roi"]["shape"]) == (4, (128, 64, 64))
    drawn = {name for name, _ in Arnn(ArnnSettings()).named_children() if not name.startswith("project")}
    assert set(blocks) == drawn


def test_the_search_divides_its_budget(cohort, tmp_path):
    search = SearchSettings(learning_rates=(1e-3, 3e-4), edges=("zero", "masked"), folds=2, budget=80)
    plan = a_plan(cohort, tmp_path, search=search)
    assert len(plan.candidates()) == 4
    assert plan.search_epochs() == 10
    assert len({candidate.label for candidate in plan.candidates()}) == 4


def test_sensitivity_changes_one_choice_at_a_time(cohort, tmp_path):
    plan = a_plan(cohort, tmp_path)
    chosen = plan.candidates()[0]
    variants = plan.sensitivity_variants(chosen)
    assert len(variants) == 9
    for name, variant in variants.items():
        base, other = chosen.preprocessing.to_dict(), variant.preprocessing.to_dict()
        assert sum(base[key] != other[key] for key in base) == (name != "as chosen")
        assert (variant.network, variant.training) == (chosen.network, chosen.training)
