"""Finished models on a cohort: every figure of a table found again from the images by other means."""

import csv
import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import small_chest
import torch
from scipy.stats import spearmanr

from DLCTPMLib.cli.main import BAD_INPUT
from DLCTPMLib.mapping.mapping import map_perfusion
from DLCTPMLib.networks.bundle import load_bundle, save_bundle
from DLCTPMLib.networks.registry import build_network
from DLCTPMLib.networks.scale import LearnedScale
from DLCTPMLib.networks.settings import network_settings
from DLCTPMLib.preprocessing.settings import PreprocessingSettings
from DLCTPMTrainingLib.ceiling.estimate import CEILING, Ceiling
from DLCTPMTrainingLib.cli.main import main
from DLCTPMTrainingLib.model_comparison import comparison as module
from DLCTPMTrainingLib.model_comparison.evaluation import HIGH_BIAS, SHARE_ERROR
from DLCTPMTrainingLib.model_comparison.numbers import numbers_of
from DLCTPMTrainingLib.statistics.table import CORE, WHOLE, TidyTable
from DLCTPMTrainingLib.statistics.tests import StatisticsSettings

SMALL = {"channels": (4, 4, 6, 6), "kernel": 3, "norm": "weight", "place": "lungs", "input_channels": 3}
SCALE = LearnedScale(
    9, "made up", (0.0, 0.513, 0.66, 1.0), (100.0, 70.0, 60.0, 0.0), (100.0, 60.2, 20.0, 0.0), (0.1, 0.2)
)
LINE = 0.513 + 0.2 / 40.2 * 0.147
"""Above 0.66 lies as much lung of the SPECTs as above this of the maps: 60 %."""


def bundle_of(folder: Path, kinds: str, **more) -> Path:
    networks = []
    for seed, kind in enumerate(kinds.split()):
        torch.manual_seed(seed + 5)
        networks.append(build_network(network_settings({"architecture": kind, **SMALL})).eval())
    preprocessing = PreprocessingSettings(cell_mm=12.0, inputs=("aerated", "dense", "lung")).to_dict()
    about = {"name": folder.name, "version": "1", "intended_use": "none", "preprocessing": preprocessing, **more}
    return save_bundle(folder, networks, about, "", "", False)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    rng = np.random.default_rng(1)
    spect = small_chest.perfusion_spect()
    lines = ["patient_id,ct,spect,lungs,diagnosis,simulated"]
    for number, diagnosis in enumerate(("healthy", "acute pulmonary embolism")):
        noisy = sitk.GetImageFromArray(sitk.GetArrayFromImage(spect) * rng.uniform(0.5, 1.5, spect.GetSize()[::-1]))
        noisy.CopyInformation(spect)
        sitk.WriteImage(sitk.Cast(noisy, sitk.sitkFloat32), str(folder / f"spect{number}.nrrd"), True)
        lines.append(f"P{number},ct.nrrd,spect{number}.nrrd,lungs.nrrd,{diagnosis},yes")
    sitk.WriteImage(small_chest.chest_ct(), str(folder / "ct.nrrd"), True)
    sitk.WriteImage(small_chest.lung_labels(), str(folder / "lungs.nrrd"), True)
    (folder / "cohort.csv").write_text("\n".join(lines) + "\n")
    return folder / "cohort.csv"


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> list[Path]:
    root = tmp_path_factory.mktemp("models")
    return [bundle_of(root / "two", "unet arnn"), bundle_of(root / "one", "unet", scale=asdict(SCALE))]


@pytest.fixture(scope="module")
def out(cohort, models, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("out")
    asked = ["study", str(cohort), "--out", str(folder), "--register", "none", "--models", *map(str, models)]
    assert main([*asked, "--device", "cpu", "--progress", "none"]) == 0
    return folder


@pytest.fixture(scope="module")
def numbers(out) -> dict:
    return json.loads((out / "results" / "numbers.json").read_text(encoding="utf-8"))


def lungs_of_map(model: Path) -> tuple[np.ndarray, np.ndarray]:
    """The map's values in the lungs, and which of them are right."""
    ct, labels = small_chest.chest_ct(), small_chest.lung_labels()
    mapped = map_perfusion(ct, labels, load_bundle(model), "cpu", "fp32")
    values, label = (sitk.GetArrayFromImage(image) for image in (mapped.perfusion, labels))
    return values[label > 0], label[label > 0] == 2


def spect_lungs(cohort: Path, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Counts of the SPECT's voxels, and the parts of them that are right and left lung, by fine sampling in ITK."""
    spect = sitk.ReadImage(str(cohort.parent / f"spect{number}.nrrd"))
    parts = []
    fine = sitk.Image([n * 8 for n in spect.GetSize()], sitk.sitkUInt8)
    fine.SetSpacing([s / 8 for s in spect.GetSpacing()])
    fine.SetOrigin([o - s / 2 + s / 16 for o, s in zip(spect.GetOrigin(), spect.GetSpacing(), strict=True)])
    labels = sitk.Resample(small_chest.lung_labels(), fine, sitk.Transform(), sitk.sitkNearestNeighbor)
    for value in (2, 3):
        part = sitk.BinShrink(sitk.Cast(labels == value, sitk.sitkFloat32), [8] * 3)
        parts.append(sitk.GetArrayFromImage(part).astype(float))
    return sitk.GetArrayFromImage(spect).astype(float), *parts


def test_every_model_and_every_member_has_a_row(numbers):
    assert numbers["models"] == [
        "two",
        "two, member 1: plain 3D U-Net, channels 4-4-6-6, kernels of 3 cells",
        "two, member 2: attention residual network, channels 4-4-6-6, kernels of 3 cells",
        "one",
    ]
    r = [numbers["headline"]["patient"][name]["r"]["mean"] for name in numbers["models"]]
    assert r[1] == pytest.approx(r[3])  # the same network by itself
    assert len({round(value, 6) for value in r[:3]}) == 3
    assert set(numbers["baselines"]) >= {"blurred_mask", "blurred_density", "all_high"}


def test_agreement_is_that_of_scipy_on_the_spects_grid(cohort, models, numbers):
    values, found = {}, []
    ct, labels = small_chest.chest_ct(), small_chest.lung_labels()
    mapped = map_perfusion(ct, labels, load_bundle(models[0]), "cpu", "fp32").perfusion
    for number in range(2):
        counts, right, left = spect_lungs(cohort, number)
        lung = right + left >= 0.5
        spect = sitk.ReadImage(str(cohort.parent / f"spect{number}.nrrd"))
        if not values:  # a mean over the lung part of each voxel, sampled by ITK
            fine = sitk.Image([n * 8 for n in spect.GetSize()], sitk.sitkFloat32)
            fine.SetSpacing([s / 8 for s in spect.GetSpacing()])
            fine.SetOrigin([o - s / 2 + s / 16 for o, s in zip(spect.GetOrigin(), spect.GetSpacing(), strict=True)])
            total = sitk.BinShrink(sitk.Resample(mapped, fine, sitk.Transform(), sitk.sitkNearestNeighbor), [8] * 3)
            values["map"] = sitk.GetArrayFromImage(total)
        found.append(spearmanr((values["map"] / np.maximum(right + left, 1e-6))[lung], counts[lung])[0])
    assert numbers["headline"]["patient"]["two"]["r"]["mean"] == pytest.approx(np.mean(found), abs=0.01)


def test_share_of_the_right_lung_is_counted_by_hand(cohort, models, numbers):
    values, right = lungs_of_map(models[0])
    of_map, of_volume = 100 * values[right].sum() / values.sum(), 100 * right.mean()
    errors = []
    for number in range(2):
        counts, part_right, part_left = spect_lungs(cohort, number)
        of_spect = 100 * (counts * part_right).sum() / (counts * (part_right + part_left)).sum()
        errors.append((abs(of_map - of_spect), abs(of_volume - of_spect)))
    found = numbers["per_patient"]
    shown = found["two"][SHARE_ERROR]["mean"], found["volume"][SHARE_ERROR]["mean"]
    assert shown == pytest.approx(np.mean(errors, axis=0), abs=0.1)


def test_functional_volume_uses_the_bundles_calibrated_threshold_and_shows_the_other(cohort, models, numbers):
    values, _ = lungs_of_map(models[1])
    high = []
    for number in range(2):
        counts, right, left = spect_lungs(cohort, number)
        lung = counts[right + left >= 0.5]
        high.append(100 * (lung > 0.66 * np.percentile(lung, 75)).mean())
    found = numbers["per_patient"]["one"]
    assert found[HIGH_BIAS]["mean"] == pytest.approx(100 * (values > LINE).mean() - np.mean(high), abs=0.5)
    stands = found[f"{HIGH_BIAS} at 0.66 of the map"]["mean"]
    assert stands == pytest.approx(100 * (values > 0.66).mean() - np.mean(high), abs=0.5)
    assert stands != pytest.approx(found[HIGH_BIAS]["mean"], abs=1)
    without = numbers["per_patient"]["two"]
    assert without[HIGH_BIAS] == without[f"{HIGH_BIAS} at 0.66 of the map"]


def test_kappa_at_the_calibrated_threshold_is_cohens(cohort, models, out):
    ct, labels = small_chest.chest_ct(), small_chest.lung_labels()
    from DLCTPMLib.agreement.comparison import on_spect_grid  # brings them to one grid; κ is what is looked at

    mapped = map_perfusion(ct, labels, load_bundle(models[1]), "cpu", "fp32").perfusion
    spect = sitk.ReadImage(str(cohort.parent / "spect0.nrrd"))
    compared = on_spect_grid(mapped, spect, labels)
    lung = compared.masks["lungs"]
    a, b = compared.predictions["model"][lung] > LINE, compared.reference()[lung] > 0.66
    chance = a.mean() * b.mean() + (1 - a.mean()) * (1 - b.mean())
    assert 0.1 < a.mean() < 0.9
    expected = ((a == b).mean() - chance) / (1 - chance)
    rows = csv.DictReader((out / "results" / "rows.csv").read_text(encoding="utf-8").splitlines())
    found = [
        float(row["kappa"]) for row in rows
        if (row["patient_id"], row["scope"], row["part"], row["prediction"]) == ("P0", "lungs", WHOLE, "one")
    ]  # fmt: skip
    assert found == pytest.approx([expected])


def test_diseases_stand_apart_and_acute_embolism_by_itself(numbers, out):
    assert {name: group["patients"] for name, group in numbers["groups"].items()} == {
        "Healthy lung": 1,
        "Acute pulmonary embolism": 1,
    }
    page = (out / "results" / "comparison.md").read_text(encoding="utf-8")
    assert "2 *simulated* patients" in page
    assert "| Acute pulmonary embolism | 1 | two |" in page


def test_a_comparison_goes_on_and_takes_further_models(cohort, models, out, tmp_path, monkeypatch):
    mapped = []
    monkeypatch.setattr(
        module.Contender, "predictor",
        lambda self, device, usual=module.Contender.predictor: mapped.append(self.label) or usual(self, device),
    )  # fmt: skip
    third = bundle_of(tmp_path / "third", "arnn")
    asked = ["study", str(cohort), "--out", str(out), "--register", "none", "--progress", "none", "--models"]
    assert main([*asked, str(models[1]), str(third)]) == 0
    assert mapped == ["third"]
    assert json.loads((out / "results" / "numbers.json").read_text(encoding="utf-8"))["models"] == ["one", "third"]


def test_what_cannot_be_compared_is_refused_with_a_sentence(cohort, models, out, tmp_path, capsys):
    asked = ["study", str(cohort), "--progress", "none", "--models"]
    for more, sentence in (
        ([str(models[0]), str(models[0]), "--out", str(tmp_path)], "was given before"),
        (
            [str(models[0]), "--out", str(tmp_path), "--epochs", "3"],
            "--epochs: --models takes models that are trained",
        ),
        ([str(models[0]), "--out", str(out), "--register", "rigid"], "is about another cohort or registration"),
    ):
        assert main([*asked, *more]) == BAD_INPUT
        assert sentence in capsys.readouterr().err


def test_the_way_to_the_ceiling_and_the_best_baseline_of_each_metric():
    """Two baselines that are the best of one metric each; the model half way and three quarters to the ceiling."""

    def lines(name, r, ssim):
        for patient in ("a", "b"):
            for scope in ("lungs", "right lung", "left lung"):
                for part in (WHOLE, CORE):
                    yield patient, "fever", scope, part, name, "r_spearman", r
                    yield patient, "fever", scope, part, name, "ssim", ssim

    table = TidyTable.of([*lines("m", 0.7, 0.8), *lines("x", 0.6, 0.2), *lines("y", 0.5, 0.5)])
    ceiling = Ceiling(TidyTable.of(lines(CEILING, 0.8, 0.9)), 8, {})
    found = numbers_of(table, ["m"], ["x", "y"], ceiling, StatisticsSettings())
    gains = found["gains"]["patient"]["m"]
    assert (gains["r"]["baseline"], gains["ssim"]["baseline"]) == ("x", "y")
    assert gains["r"]["reached"] == pytest.approx(0.5)
    assert gains["ssim"]["reached"] == pytest.approx(0.75)
    assert gains["core"]["difference"] == pytest.approx(0.1)
    without = numbers_of(table, ["m"], ["x", "y"], None, replace(StatisticsSettings(), seed=1))
    assert without["gains"]["lung"]["m"]["r"]["reached"] is None
