"""The changes of a CT against SimpleITK's own filters, and the table of a small chest found again by hand."""

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from scipy.stats import spearmanr
from small_chest import chest_ct, lung_labels, on_grid, points_mm

from DLCTPMLib.cli.main import BAD_INPUT
from DLCTPMLib.lungs.upright import UprightLungs
from DLCTPMLib.mapping.mapping import map_perfusion
from DLCTPMLib.networks.bundle import load_bundle, save_bundle
from DLCTPMLib.networks.registry import build_network
from DLCTPMLib.networks.settings import network_settings
from DLCTPMLib.preprocessing.settings import PreprocessingSettings
from DLCTPMTrainingLib.cli.main import main
from DLCTPMTrainingLib.robustness import changes, figures
from DLCTPMTrainingLib.robustness.changes import AXES, BLUR_MM, TILT_DEGREES, sharper, softer, tilted, with_border
from DLCTPMTrainingLib.robustness.figures import ScannedLungs

SMALL = {"channels": (4, 4, 6, 6), "kernel": 3, "norm": "weight", "place": "lungs", "input_channels": 3}
BALL, RADIUS = (-70.0, 0.0, 1040.0), 22.0
LINE = 0.514
SCALE = {
    "patients": 1, "whose": "made up", "values": [0, LINE, 0.66, 1.0], "spect_above": [100, 70, 60, 0],
    "map_above": [100, 60, 20, 0], "map_p75": [0.1, 0.9],
}  # fmt: skip


def chest_with_mass() -> sitk.Image:
    """The small chest with a ball of soft tissue in the right lung and a thin vessel in the left one."""
    x, y, z = points_mm()
    hu = sitk.GetArrayFromImage(chest_ct())
    hu[((x - BALL[0]) ** 2 + (y - BALL[1]) ** 2 + (z - BALL[2]) ** 2) < RADIUS**2] = 30
    hu[(np.abs(x - 70) < 3) & (np.abs(y) < 3) & (np.abs(z - 1040) < 60)] = 30
    return on_grid(hu)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("inputs")
    for name, image in (("ct", chest_with_mass()), ("lungs", lung_labels())):
        sitk.WriteImage(image, str(folder / f"{name}.nrrd"), True)
    for seed, name in ((5, "a"), (8, "b")):
        torch.manual_seed(seed)
        network = build_network(network_settings({"architecture": "unet", **SMALL})).eval()
        about = {
            "name": name, "version": "1", "intended_use": "none", "scale": SCALE,
            "preprocessing": PreprocessingSettings(cell_mm=12.0, inputs=("aerated", "dense", "lung")).to_dict(),
        }  # fmt: skip
        save_bundle(folder / name, network, about, "", "", False)
    return {name: str(folder / name) for name in ("ct.nrrd", "lungs.nrrd", "a", "b")}


@pytest.fixture(scope="module")
def out(inputs, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("out")
    asked = ["robustness", inputs["ct.nrrd"], "--lungs", inputs["lungs.nrrd"], "--models", inputs["a"], inputs["b"]]
    assert main([*asked, "--out", str(folder), "--device", "cpu", "--progress", "none"]) == 0
    return folder


@pytest.fixture(scope="module")
def found(out) -> dict:
    return json.loads((out / "robustness.json").read_text(encoding="utf-8"))["cts"]["1 ct.nrrd"]


@pytest.fixture(scope="module")
def maps(inputs) -> list[np.ndarray]:
    return [
        sitk.GetArrayFromImage(
            map_perfusion(chest_with_mass(), lung_labels(), load_bundle(inputs[n]), "cpu", "fp32").perfusion
        )
        for n in ("a", "b")
    ]


@pytest.fixture(scope="module")
def labels() -> np.ndarray:
    return sitk.GetArrayFromImage(lung_labels())


@pytest.mark.parametrize("axis", AXES.values(), ids=["left-right", "front-back"])
def test_a_tilt_turns_the_grid_and_moves_nothing(axis):
    ct, turned = tilted(chest_ct(), lung_labels(), axis)
    cosines = np.array(ct.GetDirection()).reshape(3, 3).diagonal()
    assert np.degrees(np.arccos(cosines.min())) == pytest.approx(TILT_DEGREES)
    shapes = [sitk.LabelShapeStatisticsImageFilter() for _ in range(2)]
    for shape, image in zip(shapes, (lung_labels(), turned), strict=True):
        shape.Execute(sitk.Cast(image, sitk.sitkUInt8))
    for value in (2, 3):
        before, after = shapes
        assert after.GetPhysicalSize(value) == pytest.approx(before.GetPhysicalSize(value), rel=0.01)
        assert after.GetCentroid(value) == pytest.approx(before.GetCentroid(value), abs=0.5)
    place = (-70.0, 20.0, 1040.0)
    index = ct.TransformPhysicalPointToContinuousIndex(place)
    assert ct.EvaluateAtContinuousIndex(index) == pytest.approx(-794, abs=30)  # −810 + 0.8 y, and noise


@pytest.mark.parametrize("outward_mm", [-6.0, 6.0])
def test_the_border_moves_as_in_maurers_distance_map(outward_mm):
    lungs = UprightLungs.of(lung_labels())
    ours = sitk.GetArrayFromImage(with_border(lungs, chest_ct(), outward_mm)) > 0
    distance = sitk.GetArrayFromImage(
        sitk.SignedMaurerDistanceMap(lung_labels() > 0, squaredDistance=False, useImageSpacing=True)
    )
    assert ours[distance < outward_mm - 6].all()
    assert not ours[distance > outward_mm + 6].any()
    volume = ours.sum() / (distance <= 0).sum()
    assert (volume > 1.1) if outward_mm > 0 else (volume < 0.9)


def test_a_softer_kernel_is_simpleitks_gaussian_and_a_sharper_one_its_opposite():
    ct = sitk.Cast(chest_ct(), sitk.sitkFloat32)
    fine = sitk.Resample(ct, [80] * 3, sitk.Transform(), sitk.sitkLinear, (-110.0, -40.0, 1000.0), [1.0] * 3)
    blurred = sitk.GetArrayFromImage(sitk.SmoothingRecursiveGaussian(fine, BLUR_MM))
    middle = (slice(10, -10),) * 3
    ours, other = (sitk.GetArrayFromImage(change(fine)) for change in (softer, sharper))
    values = sitk.GetArrayFromImage(fine)
    assert np.abs(ours - blurred)[middle].max() < 1.0
    assert np.allclose(other - values, values - ours, atol=1e-3)


def test_dense_tissue_is_the_mass_and_no_vessel():
    scanned = ScannedLungs("x", chest_with_mass(), UprightLungs.of(lung_labels()))
    volume = np.count_nonzero(scanned.dense) * scanned.lungs.axes.voxel_ml
    assert volume == pytest.approx(4 / 3 * np.pi * RADIUS**3 / 1000, rel=0.2)
    assert not (scanned.dense & (scanned.lungs.sides == 2)).any()
    assert not (scanned.around_dense & (scanned.lungs.sides == 2)).any()
    healthy = ScannedLungs("y", chest_ct(), UprightLungs.of(lung_labels()))
    assert not healthy.dense.any()
    assert np.array_equal(healthy.away_from_dense, healthy.lungs.sides > 0)


def test_two_models_are_compared_outside_dense_tissue(found, maps, labels):
    x, y, z = points_mm()
    away = ((x - BALL[0]) ** 2 + (y - BALL[1]) ** 2 + (z - BALL[2]) ** 2) > (RADIUS + 6) ** 2
    for one, value in zip(found["pairs"], (2, 3), strict=True):
        own = (labels == value) & away
        assert one["spearman"] == pytest.approx(spearmanr(maps[0][own], maps[1][own])[0], abs=0.02)
        high = [100 * (values[own] > LINE).mean() for values in maps]
        assert one["high_percent"] == pytest.approx(high, abs=2)


def test_changes_are_counted_by_hand(inputs, found, maps, labels):
    inside, a = labels > 0, found["alone"]["a"]
    assert a["threshold"] == pytest.approx(LINE)
    assert a["high_percent"] == pytest.approx(100 * (maps[0][inside] > LINE).mean(), abs=0.01)
    assert a["right_percent"] == pytest.approx(100 * maps[0][labels == 2].sum() / maps[0].sum(), abs=0.01)
    assert a["kernel_percent"] == {"softer": None, "sharper": None}  # voxels of 5 mm hold no kernel
    assert a["mask_percent"] == {"−1 mm": None, "+1 mm": None}  # and no millimetre of a border
    x, y, z = points_mm()
    ball = ((x - BALL[0]) ** 2 + (y - BALL[1]) ** 2 + (z - BALL[2]) ** 2) < RADIUS**2
    assert a["dense"] == pytest.approx(maps[0][ball].mean(), abs=0.005)


def test_a_kernel_and_a_border_are_counted_by_hand_where_voxels_are_fine(inputs, monkeypatch):
    monkeypatch.setattr(changes, "BLUR_MM", 6.0)
    monkeypatch.setattr(figures, "BLUR_MM", 6.0)
    monkeypatch.setattr(figures, "MASK_MM", 6.0)
    bundle, ct, labels = load_bundle(inputs["a"]), chest_with_mass(), lung_labels()
    scanned = ScannedLungs("x", ct, UprightLungs.of(labels))
    a = figures.figures_of(scanned, bundle, scanned.map(bundle, "cpu"), "cpu")
    mask = sitk.GetArrayFromImage(labels) > 0

    def mapped(ct, labels):
        return sitk.GetArrayFromImage(map_perfusion(ct, labels, bundle, "cpu", "fp32").perfusion)

    before, soft = mapped(ct, labels), mapped(softer(ct), labels)
    assert a["kernel_mean"]["softer"] == pytest.approx(np.abs(soft - before)[mask].mean(), abs=1e-5)
    assert a["kernel_mean"]["softer"] > 0
    crossed = ((soft > LINE) != (before > LINE))[mask]
    assert a["kernel_percent"]["softer"] == pytest.approx(100 * crossed.mean(), abs=0.01)
    smaller = with_border(scanned.lungs, ct, -6.0)
    inner = sitk.GetArrayFromImage(smaller) > 0
    assert inner.sum() < 0.9 * mask.sum()
    crossed = ((mapped(ct, smaller) > LINE) != (before > LINE))[inner & mask]
    assert a["mask_percent"]["−6 mm"] == pytest.approx(100 * crossed.mean(), abs=0.01)


def test_the_page_has_a_row_for_every_model(out):
    page = (out / "robustness.md").read_text(encoding="utf-8")
    assert "| 1 ct.nrrd | right lung | a | b |" in page
    assert "| 1 ct.nrrd | b |" in page


def test_masks_must_be_as_many_as_cts(inputs, tmp_path, capsys):
    asked = ["robustness", inputs["ct.nrrd"], inputs["ct.nrrd"], "--models", inputs["a"], "--out", str(tmp_path)]
    assert main([*asked, "--lungs", inputs["lungs.nrrd"], "--progress", "none"]) == BAD_INPUT
    assert "1 masks for 2 CTs" in capsys.readouterr().err
