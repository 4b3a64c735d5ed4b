"""What a prediction says of an ensemble with a calibrated scale: members, spread, threshold, the check of the map."""

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from small_chest import write_inputs
from test_result_schema import DESCRIBES

from DLCTPMLib.cli.main import DONE, main
from DLCTPMLib.mapping.mapping import map_perfusion
from DLCTPMLib.networks.bundle import load_bundle, save_bundle
from DLCTPMLib.networks.registry import build_network
from DLCTPMLib.networks.settings import network_settings
from DLCTPMLib.preprocessing.settings import PreprocessingSettings
from DLCTPMLib.quality.map_scale import map_scale_check
from DLCTPMLib.results.finished import open_result

SMALL = {"channels": (4, 4, 6, 6), "kernel": 3, "norm": "weight", "place": "lungs", "input_channels": 3}
LINE = 0.558
SCALE = {
    "patients": 17, "whose": "made-up patients", "values": [0, LINE, 0.66, 1.0], "spect_above": [100, 70, 60, 0],
    "map_above": [100, 60, 20, 0], "map_p75": [0.8, 0.9],
}  # fmt: skip
"""Above 0.66 in the SPECTs lies as much as above ``LINE`` in the maps: 60 %."""


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("inputs")
    networks = []
    for seed, name in ((5, "unet"), (6, "arnn")):
        torch.manual_seed(seed)
        networks.append(build_network(network_settings({"architecture": name, **SMALL})).eval())
    trained = {"patients": 9, "lungs": 18, "epochs_done": 4, "origin": {"virtual": 9}}
    metadata = {
        "name": "both", "version": "1", "intended_use": "none", "scale": SCALE,
        "preprocessing": PreprocessingSettings(cell_mm=12.0, inputs=("aerated", "dense", "lung")).to_dict(),
        "training": trained,
        "members_training": [
            {**trained, "fold": [1, 2]},
            {**trained, "patients": 8, "origin": {"virtual": 8}, "fold": [2, 2]},
        ],
    }  # fmt: skip
    save_bundle(folder / "both", networks, metadata, "# both\n", "", False)
    return {**write_inputs(folder), "model": str(folder / "both")}


def predicted(files, out, *more) -> Path:
    command = ["predict", files["ct"], "--model", files["model"], "--lungs", files["lungs"], "--device", "cpu"]
    assert main([*command, "--out", str(out), "--progress", "none", *more]) == DONE
    return out


@pytest.fixture(scope="module")
def folder(files, tmp_path_factory) -> Path:
    return predicted(files, tmp_path_factory.mktemp("both"), "--spect", files["spect"], "--register", "none")


@pytest.fixture(scope="module")
def result(folder) -> dict:
    return json.loads((folder / "result.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def mapped(files):
    ct, lungs = (sitk.ReadImage(files[name]) for name in ("ct", "lungs"))
    return map_perfusion(ct, lungs, load_bundle(files["model"]), "cpu", "fp32")


def test_the_spread_is_written_on_the_cts_grid(files, folder, mapped, result):
    spread, ct = sitk.ReadImage(str(folder / "perfusion_spread.nrrd")), sitk.ReadImage(files["ct"])
    assert (spread.GetSize(), spread.GetOrigin(), spread.GetSpacing()) == (
        ct.GetSize(), ct.GetOrigin(), ct.GetSpacing(),
    )  # fmt: skip
    values = sitk.GetArrayFromImage(spread)
    assert np.allclose(values, sitk.GetArrayFromImage(mapped.spread), atol=1e-5)
    inside = sitk.GetArrayFromImage(sitk.ReadImage(files["lungs"])) > 0
    assert values[~inside].max() == 0
    assert result["spread"]["mean"] == pytest.approx(values[inside].mean(), rel=1e-4)
    assert result["spread"]["percentile_95"] == pytest.approx(np.percentile(values[inside], 95), rel=1e-4)


def test_the_result_follows_its_schema_key_by_key(result):
    assert [error.message for error in DESCRIBES.iter_errors(result)] == []


def test_every_member_is_named(folder, result):
    members = result["model"]["members"]
    assert [(one["network"]["architecture"], one["patients"], one["fold"]) for one in members] == [
        ("unet", 9, [1, 2]),
        ("arnn", 8, [2, 2]),
    ]
    html = (folder / "report.html").read_text(encoding="utf-8")
    for part in (
        "The mean of 2 networks (1 × plain 3D U-Net, channels 4-4-6-6, kernels of 3 cells; 1 × attention residual",
        "(2) attention residual network, channels 4-4-6-6, kernels of 3 cells, trained on 8 simulated patients (18 "
        "lungs), 4 epochs, part 2 of 2 of their cohort left out",
        "The map is the mean of 2 networks.",
        "not how far the map is from the truth",
    ):
        assert part in html


def test_functional_volume_is_cut_at_the_calibrated_value_everywhere(files, folder, mapped, result):
    values = sitk.GetArrayFromImage(mapped.perfusion)
    inside = sitk.GetArrayFromImage(sitk.ReadImage(files["lungs"])) > 0
    high = (values[inside] > LINE).mean()
    assert 0.1 < high < 0.9
    lungs = result["regions"]["lungs"]
    assert lungs["high_ml"] / lungs["volume_ml"] == pytest.approx(high, abs=1e-4)
    chosen = result["settings"]["functional_regions"]
    assert chosen == {"definition": "p75:0.66", "threshold": pytest.approx(LINE)}
    assert result["settings"]["agreement"]["threshold"] == pytest.approx(LINE)
    spect = result["agreement"]["lungs"]["reference_high_percent"]
    counts = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "spect_relative.nrrd")))
    assert spect == pytest.approx(100 * (counts[counts > 0] > 0.66).mean(), abs=0.01)  # the SPECT keeps its own line
    finished = open_result(folder)
    assert finished.definition.high_above(np.zeros(0)) == pytest.approx(LINE)
    assert "0.66 of the 75th percentile of a SPECT on the mean over 17 made-up patients" in finished.definition.words


@pytest.mark.parametrize("asked", [("--function", "fixed:0.66"), ("--threshold", "0.66")])
def test_the_map_is_taken_as_it_stands_when_asked_for(files, tmp_path, asked):
    out = predicted(files, tmp_path / "out", *asked)
    result = json.loads((out / "result.json").read_text(encoding="utf-8"))
    assert result["settings"]["functional_regions"] == {"definition": "fixed:0.66", "threshold": 0.66}
    assert result["regions"]["lungs"]["high_ml"] == 0


def test_a_map_outside_what_held_out_patients_had_is_warned_of(files, folder, mapped, result):
    inside = sitk.GetArrayFromImage(sitk.ReadImage(files["lungs"])) > 0
    p75 = np.percentile(sitk.GetArrayFromImage(mapped.perfusion)[inside], 75)
    check = next(one for one in result["quality"] if one["check"] == "map scale")
    assert check["status"] == "WARN"
    assert check["value"] == pytest.approx(p75, abs=1e-4)
    assert result["map_p75"] == pytest.approx(p75, abs=1e-4)
    html = (folder / "report.html").read_text(encoding="utf-8")
    assert f"of this map it is {p75:.2f}, of 17 made-up patients 0.80 to 0.90" in html
    scale = load_bundle(files["model"]).scale
    assert map_scale_check(0.85, scale)[0]["status"] == "PASS"
    assert map_scale_check(0.95, scale)[0]["status"] == "WARN"
    assert map_scale_check(0.95, None) == []


def test_the_picture_says_that_a_map_is_an_expected_value(folder):
    html = (folder / "report.html").read_text(encoding="utf-8")
    section = html[html.index("<h2>Perfusion map</h2>") :]
    assert "A map is the expected value of such a SPECT and smoother than any" in section[:1500]
