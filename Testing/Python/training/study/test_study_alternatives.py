"""Other networks beside the main one: same folds and budget, side by side, one job or several."""

import csv
import json
import pickle
import shutil
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import small_study
import torch
from dask_by_hand import dask_by_hand
from PIL import Image
from small_chest import chest_ct, lung_labels, perfusion_spect
from small_study import NETWORK, rows_of_table

from DLCTPMLib.agreement.scores import BASELINE_NAMES
from DLCTPMLib.cli.main import BAD_INPUT
from DLCTPMLib.common.errors import InputError
from DLCTPMLib.common.progress import no_progress
from DLCTPMLib.networks.arnn import Arnn
from DLCTPMLib.networks.bundle import load_bundle
from DLCTPMLib.networks.inference import Ensemble
from DLCTPMLib.networks.settings import ArnnSettings, ContextSettings
from DLCTPMLib.parallel.settings import WorkerSettings
from DLCTPMLib.preprocessing.settings import PreprocessingSettings
from DLCTPMTrainingLib.cli.main import main
from DLCTPMTrainingLib.statistics.numbers import values_of
from DLCTPMTrainingLib.statistics.table import TidyTable
from DLCTPMTrainingLib.study import workbench as study_workbench
from DLCTPMTrainingLib.study.evaluation import map_patient
from DLCTPMTrainingLib.study.fits import Fit
from DLCTPMTrainingLib.study.jobs import Stage
from DLCTPMTrainingLib.study.plan import Candidate
from DLCTPMTrainingLib.study.settings import SplitSettings
from DLCTPMTrainingLib.study.study import _Study, run_study
from DLCTPMTrainingLib.study_report.export import export_docs, small_png
from DLCTPMTrainingLib.study_report.numbers import numbers_of
from DLCTPMTrainingLib.study_report.report import write_results
from DLCTPMTrainingLib.study_report.side_by_side import side_by_side_table
from DLCTPMTrainingLib.training.loop import DivergenceError
from DLCTPMTrainingLib.training.settings import TrainingSettings

a_plan = partial(small_study.a_plan, split=SplitSettings(folds=2), threads=1)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> Path:
    """Six simulated chests that differ by noise; the first has acute embolism."""
    folder = tmp_path_factory.mktemp("cohort")
    rng = np.random.default_rng(1)
    lines = ["patient_id,ct,spect,lungs,diagnosis,simulated"]

    def noisy(image, change):
        values = change(sitk.GetArrayFromImage(image).astype(np.float32))
        made = sitk.GetImageFromArray(values.astype(np.float32))
        made.CopyInformation(image)
        return made

    for number in range(6):
        ct = noisy(chest_ct(), lambda hu: hu + rng.normal(0, 20, hu.shape))
        spect = noisy(perfusion_spect(), lambda counts: counts * rng.uniform(0.6, 1.4, counts.shape))
        sitk.WriteImage(sitk.Cast(ct, sitk.sitkInt16), str(folder / f"ct{number}.nrrd"), True)
        sitk.WriteImage(spect, str(folder / f"spect{number}.nrrd"), True)
        diagnosis = "healthy" if number else "acute pulmonary embolism"
        lines.append(f"P{number},ct{number}.nrrd,spect{number}.nrrd,lungs.nrrd,{diagnosis},yes")
    sitk.WriteImage(lung_labels(), str(folder / "lungs.nrrd"), True)
    (folder / "cohort.csv").write_text("\n".join(lines) + "\n")
    return folder / "cohort.csv"


@pytest.fixture(scope="module")
def results(cohort, tmp_path_factory):
    """A study with one alternative, one fit after the other."""
    found = run_study(a_plan(cohort, tmp_path_factory.mktemp("study"), alternatives=("context",)))
    write_results(found)
    return found


@pytest.fixture(scope="module")
def rows(numbers) -> dict:
    return numbers["side_by_side"]["rows"]


@pytest.mark.long
@pytest.mark.parametrize("kind", ["two processes", "a Dask cluster"])
def test_several_workers_give_the_numbers_of_one_process(cohort, results, tmp_path, kind):
    with ExitStack() as stack:
        at_once = WorkerSettings(jobs=2)
        if kind == "a Dask cluster":
            pytest.importorskip("distributed")
            address, _ = stack.enter_context(dask_by_hand(tmp_path, workers=2))
            at_once = WorkerSettings(scheduler=address)
        both = run_study(a_plan(cohort, tmp_path / "study", alternatives=("context",), at_once=at_once))
    for name in ("trials", "split", "validation", "validation_curves", "test", "test_curve", "ensemble"):
        assert getattr(both, name) == getattr(results, name), name
    assert both.alternatives["context"].test == results.alternatives["context"].test
    assert both.alternatives["context"].validation == results.alternatives["context"].validation


def test_a_stage_reaches_a_worker_as_what_it_is(results):
    stage = Stage(study_workbench.Workbench.fold, (1, results.chosen, ""), 2.0)
    assert pickle.loads(pickle.dumps(stage)) == stage


def test_an_alternative_is_added_to_a_finished_study_and_nothing_is_trained_again(results, monkeypatch):
    trained = []
    fitted = Fit.fitted
    monkeypatch.setattr(Fit, "fitted", lambda self, *more: trained.append(self.run) or fitted(self, *more))
    more = run_study(replace(results.plan, alternatives=("unet",)))
    assert trained
    assert all("alternatives/unet" in run.as_posix() for run in trained)
    assert list(more.alternatives) == ["context", "unet"]  # what has been tested stays and is reported
    assert more.test == results.test
    assert more.ensemble == results.ensemble
    assert load_bundle(more.alternatives["unet"].model).metadata["test"]["patients"] == len(more.split.test)


def test_an_alternative_has_the_chosen_settings_and_the_images_it_is_meant_for(results):
    choice = results.alternatives["context"].choice
    assert choice.network == ContextSettings(channels=(4, 4, 6, 6), kernel=3)
    assert choice.training == results.chosen.training
    assert choice.preprocessing == replace(results.chosen.preprocessing, inputs=("enhanced", "density"))
    for name in ("folds/1", "folds/2", "final"):
        learned = {
            json.loads(torch.load(run / name / "checkpoint.pt", weights_only=True)["setup"])["lungs_sha256"]
            for run in (results.plan.out, results.plan.out / "alternatives" / "context")
        }
        assert len(learned) == 1  # the same lungs in the same order


def test_the_ensemble_is_the_mean_of_the_folds_maps(results):
    """By hand: the two folds' networks one by one, then the mean on the SPECT's grid."""
    patient = results.patients[results.split.test[0]]
    bench = study_workbench.Workbench(results.plan)
    folds = [bench.fold(number, results.chosen)[0] for number in (0, 1)]
    networks = [fold.fitted(bench.samples(results.chosen)).network for fold in folds]
    maps = [
        map_patient(patient, Ensemble([network], bench.device), results.chosen.preprocessing) for network in networks
    ]
    prediction = np.mean([m.comparison.predictions["model"] for m in maps], axis=0)
    comparison = maps[0].comparison
    lung = comparison.masks["right lung"]
    by_hand = np.corrcoef(*(np.argsort(np.argsort(v[lung])) for v in (prediction, comparison.reference())))[0, 1]
    found = values_of(results.ensemble.table, "r_spearman").select(patient=patient.row.patient_id, scope="right lung")
    assert found.value.tolist() == pytest.approx([by_hand], abs=1e-4)


def test_every_network_and_baseline_is_a_row(results, rows, out):
    assert list(rows) == [
        "main", "context", "ensemble", *BASELINE_NAMES,
    ]  # fmt: skip
    assert rows["main"]["parameters"] == sum(p.numel() for p in Arnn(NETWORK).parameters())
    assert rows["ensemble"]["parameters"] == 2 * rows["main"]["parameters"]
    assert rows["ensemble"]["validation"]["mean"] is None
    test = values_of(results.alternatives["context"].test.table, "r_spearman", part="core")
    assert rows["context"]["core"]["mean"] == pytest.approx(test.value.mean())
    table = list(csv.reader((out / "side-by-side.csv").read_text(encoding="utf-8").splitlines()))
    assert len(table) == 1 + len(rows) + 1  # the paper's
    assert table[-1][4:8] == ["0.673 ± 0.173", "0.764 ± 0.070", "0.650 ± 0.106", "0.818 ± 0.075"]


def test_the_best_is_chosen_by_validation_and_named(results, rows, out):
    validation = {"main": results.validation, "context": results.alternatives["context"].validation}
    r = {
        name: values_of(TidyTable.joined(fold.table for fold in folds), "r_spearman").value.mean()
        for name, folds in validation.items()
    }
    best = rows[max(r, key=r.get)]["title"]
    html = (out / "report.html").read_text(encoding="utf-8")
    assert f"the {best} is the best on the validation folds" in html
    assert "it cannot be chosen by cross-validation" in html
    assert "A choice between networks is made on the validation folds alone, never on the test set." in html
    assert "every map must fail there" in " ".join(html.split())
    text = (out / "side-by-side.md").read_text(encoding="utf-8")
    assert f"| {best} (best on validation) |" in text
    assert "*simulated*" in text


def test_paired_differences_are_those_of_the_patients(results, out):
    """By hand, from the evaluations' files."""
    table = rows_of_table(out / "paired-test.csv")
    assert len(table) == 4 * (3 + 3)  # two networks and the ensemble: each pair, each against a baseline
    by_patient = {}
    for name, study in (("main", results.plan.out), ("context", results.plan.out / "alternatives" / "context")):
        for patient in results.split.test:
            kept = json.loads((study / "test" / f"{patient}.json").read_text())
            r = [row["r_spearman"] for row in kept["rows"]
                 if (row["prediction"], row["part"]) == ("model", "whole") and row["scope"] != "lungs"]  # fmt: skip
            by_patient.setdefault(patient, {})[name] = np.mean(r)
    differences = [each["main"] - each["context"] for each in by_patient.values()]
    assert table[0]["patients"] == str(len(differences))
    found = float(table[0]["mean [95 % interval]"].split()[0].replace("−", "-"))
    assert found == pytest.approx(np.mean(differences), abs=5.1e-4)


def test_acute_embolism_has_a_column_of_its_own(results, rows, out):
    where, column = ("test", "acute") if "P0" in results.split.test else ("validation", "acute_validation")
    table = results.test.table if where == "test" else results.all_validation
    found = values_of(table, "r_spearman").select(patient="P0")
    assert rows["main"][column]["mean"] == pytest.approx(found.value.mean())
    assert "R, acute embolism" in (out / "side-by-side.md").read_text(encoding="utf-8")


def test_an_alternative_that_was_not_tested_may_be_left_out_again(results, cohort, tmp_path):
    for tested in (False, True):
        out = tmp_path / str(tested)
        shutil.copytree(results.plan.out, out)
        shutil.rmtree(out / "alternatives" / "unet", ignore_errors=True)
        if not tested:
            (out / "alternatives" / "context" / "test.json").unlink()
        study = _Study(a_plan(cohort, out), no_progress)
        study._begin()
        assert study.plan.alternatives == (("context",) if tested else ())


def test_a_refused_study_leaves_the_options_of_its_run(cohort, results, tmp_path, capsys):
    """Other settings with another alternative: neither may stand in the file that continues the study."""
    shutil.copytree(results.plan.out, tmp_path / "study", ignore=shutil.ignore_patterns("folds", "final"))
    kept = '{"command": "study", "cohort": "x", "about": {}, "options": {}}'
    (tmp_path / "study" / "run.json").write_text(kept)
    options = ["--folds", "2", "--epochs", "9", "--alternatives", "unet", "--register", "none", "--progress", "none"]
    assert main(["study", str(cohort), "--out", str(tmp_path / "study"), *options]) == BAD_INPUT
    assert "begun with other settings" in capsys.readouterr().err
    assert (tmp_path / "study" / "run.json").read_text() == kept


def test_an_alternative_that_diverges_is_reported_and_stops_nothing(results, tmp_path, monkeypatch):
    shutil.copytree(results.plan.out, tmp_path / "study", ignore=shutil.ignore_patterns("results", "unet"))
    fitted = Fit.fitted

    def diverges(self, *more):
        if "unet" in self.run.as_posix():
            raise DivergenceError(f"{self.run}: the loss is not a number any more in epoch 1")
        return fitted(self, *more)

    monkeypatch.setattr(Fit, "fitted", diverges)
    found = run_study(replace(results.plan, out=tmp_path / "study", alternatives=("context", "unet")))
    assert found.test == results.test
    assert found.alternatives["context"].test == results.alternatives["context"].test
    assert "not a number" in found.failed["unet"]
    table = side_by_side_table(numbers_of(found), found.seconds)
    assert "unet (diverged)" in [row[0] for row in table.rows]


def test_unknown_and_repeated_alternatives_are_refused(cohort, tmp_path):
    for names in (("resnet",), ("unet", "unet"), ("arnn",)):
        with pytest.raises(InputError, match="alternatives are chosen from unet, context, each once"):
            a_plan(cohort, tmp_path, alternatives=names)


def test_jobs_without_threads_are_refused(cohort, tmp_path):
    with pytest.raises(InputError, match="give --threads too"):
        a_plan(cohort, tmp_path, at_once=WorkerSettings(jobs=2), threads=0)


def test_a_candidate_keeps_its_settings_in_another_architecture():
    plain = Candidate(
        ArnnSettings(channels=(4, 8, 16, 32), kernel=3, dropout=0.2), TrainingSettings(), PreprocessingSettings()
    )
    unet = plain.with_network("unet")
    assert (unet.network.channels, unet.network.kernel, unet.network.dropout) == ((4, 8, 16, 32), 3, 0.2)
    assert unet.with_network("arnn").network == plain.network


def test_the_export_fits_its_budget_and_keeps_every_picture(out, tmp_path):
    whole = (out / "report.html").read_text(encoding="utf-8")
    for budget in (5_000_000, 900_000):
        small = export_docs(out, tmp_path / str(budget), budget)
        text = small.read_text(encoding="utf-8")
        assert sum(path.stat().st_size for path in small.parent.iterdir()) <= budget
        assert text.count("data:image/png") == whole.count("data:image/png")
        assert (small.parent / "side-by-side.md").read_text() == (out / "side-by-side.md").read_text()
    with pytest.raises(InputError, match="cannot be brought below"):
        export_docs(out, tmp_path / "tiny", 10_000)
    with pytest.raises(InputError, match="no report to export yet"):
        export_docs(tmp_path, tmp_path / "none")


def test_a_small_picture_still_shows_what_it_did(out):
    png = (out / "contact-sheet.png").read_bytes()
    path = out.parent / "small.png"
    path.write_bytes(small_png(png, 700))
    small, whole = Image.open(path), Image.open(out / "contact-sheet.png").convert("RGB")
    assert small.width == min(700, whole.width)
    difference = np.asarray(small.convert("RGB"), float) - np.asarray(whole.resize(small.size, 1), float)
    assert np.abs(difference).mean() < 6
