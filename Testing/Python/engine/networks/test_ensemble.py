"""One bundle of several networks: its map is their mean, and their spread is kept."""

import hashlib
import json

import numpy as np
import pytest
import SimpleITK as sitk
import small_chest
import torch

from DLCTPMLib.agreement.scores import compare
from DLCTPMLib.cli.info import in_words, information
from DLCTPMLib.common.errors import InputError
from DLCTPMLib.mapping.mapping import map_perfusion
from DLCTPMLib.networks.bundle import METADATA, load_bundle, save_bundle
from DLCTPMLib.networks.registry import build_network
from DLCTPMLib.networks.settings import network_dict, network_settings
from DLCTPMLib.preprocessing.settings import PreprocessingSettings
from DLCTPMTrainingLib.cli.main import main

SMALL = {"channels": (4, 4, 6, 6), "kernel": 3, "norm": "weight", "place": "lungs", "input_channels": 3}
ABOUT = {
    "name": "member",
    "version": "1",
    "intended_use": "none",
    "preprocessing": PreprocessingSettings(cell_mm=12.0, inputs=("aerated", "dense", "lung")).to_dict(),
    "training": {
        "patients": 3, "lungs": 6, "diagnoses": {}, "epochs_done": 1,
        "batch_size": 1, "learning_rate": 1e-3, "seed": 1,
        "origin": {"measured": 3},
    },
    "training_ranges": {"lung_volume_ml": [1000.0, 2000.0], "lung_mean_hu": [-850.0, -700.0]},
    "validation": {"r": 0.7, "bce_above_entropy": 0.1},
    "software": "DL-CTPM", "pytorch_version": "2", "bf16_max_error": 0.001,
}  # fmt: skip


def one(name: str, seed: int):
    torch.manual_seed(seed)
    return build_network(network_settings({"architecture": name, **SMALL})).eval()


@pytest.fixture(scope="module")
def members():
    return [one("unet", 1), one("arnn", 2), one("unet", 3)]


@pytest.fixture(scope="module")
def folders(tmp_path_factory, members):
    root = tmp_path_factory.mktemp("members")
    return [save_bundle(root / str(n), network, ABOUT, "", "") for n, network in enumerate(members)]


def test_members_of_several_kinds_come_back_in_half_precision(tmp_path, members):
    bundle = load_bundle(save_bundle(tmp_path / "m", members, ABOUT, "", ""))
    assert [each["architecture"] for each in bundle.members] == ["unet", "arnn", "unet"]
    assert bundle.parameters == sum(p.numel() for each in members for p in each.parameters())
    x = torch.rand(1, 3, 9, 8, 7)
    for ours, theirs in zip(bundle.networks(), members, strict=True):
        assert torch.allclose(ours(x), theirs(x), atol=5e-3)


def test_a_bundle_of_one_network_is_written_as_before(folders, members):
    bundle = load_bundle(folders[0])
    assert "members" not in bundle.metadata
    assert bundle.members == [json.loads(json.dumps(network_dict(members[0].settings)))]


def test_the_map_is_the_members_mean_and_the_spread_their_standard_deviation(tmp_path, folders):
    ct, lungs = small_chest.chest_ct(), small_chest.lung_labels()
    assert main(["train", "--members", *map(str, folders), "--out", str(tmp_path), "--name", "both"]) == 0
    ensemble = load_bundle(tmp_path / "model")
    mapped = map_perfusion(ct, lungs, ensemble, "cpu", "fp32")
    alone = [map_perfusion(ct, lungs, load_bundle(folder), "cpu", "fp32") for folder in folders]
    assert all(each.spread is None for each in alone)
    maps = np.stack([sitk.GetArrayFromImage(each.perfusion) for each in alone])
    inside = sitk.GetArrayFromImage(lungs) > 0
    assert np.allclose(sitk.GetArrayFromImage(mapped.perfusion)[inside], maps.mean(axis=0)[inside], atol=1e-4)
    spread = sitk.GetArrayFromImage(mapped.spread)
    assert spread[~inside].max() == 0
    own = maps.std(axis=0, ddof=1)[inside]
    # interpolating a standard deviation is no more than near the standard deviation of what was interpolated
    assert np.corrcoef(spread[inside], own)[0, 1] > 0.95
    assert ensemble.name == "both"
    assert "mean of 3 networks" in ensemble.card


def test_members_that_see_other_images_are_refused(tmp_path, folders, members, capsys):
    other = {**ABOUT, "preprocessing": {**ABOUT["preprocessing"], "cell_mm": 10.0}}
    odd = save_bundle(tmp_path / "odd", members[0], other, "", "")
    assert main(["train", "--members", str(folders[0]), str(odd), "--out", str(tmp_path / "out")]) == 2
    assert "preprocessing differs" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", ["a text", [], [{"architecture": "arnn"}]])
def test_members_that_are_none_are_refused(tmp_path, members, wrong):
    folder = save_bundle(tmp_path / "m", members, ABOUT, "", "")
    path = folder / METADATA
    metadata = json.loads(path.read_text()) | {"members": wrong}
    path.write_text(json.dumps(metadata))
    lines = [
        f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n"
        for name in (line.split("  ")[1] for line in (folder / "SHA256SUMS").read_text().splitlines())
    ]
    (folder / "SHA256SUMS").write_text("".join(lines))
    with pytest.raises(InputError, match=r"members|network"):
        load_bundle(folder)


def test_the_card_and_info_tell_of_every_member(tmp_path, folders):
    assert main(["train", "--members", *map(str, folders), "--out", str(tmp_path), "--name", "both"]) == 0
    bundle = load_bundle(tmp_path / "model")
    assert "mean of 3 networks" in bundle.card
    assert bundle.card.count("channels 4-4-6-6, kernels of 3 cells: 3 patients (6 lungs)") == 3
    assert "has not been measured for this model" in bundle.card
    assert [one["patients"] for one in bundle.identity()["members"]] == [3, 3, 3]
    found = {**information(), "models": [bundle.identity()]}
    assert in_words(found).count("kernels of 3 cells, trained on 3 patients with measured SPECT (6 lungs)") == 3


def test_the_scale_is_pooled_from_the_members_or_taken_on_a_cohort_of_its_own(tmp_path, members):
    """Volumes are those of the map that the bundle makes on the CT's grid, and of the SPECT on its own."""
    scale = {
        "patients": 2, "whose": "made up", "values": [0, 0.5, 1.0], "spect_above": [100, 60, 20],
        "map_above": [100, 60, 0], "map_p75": [0.5, 0.6],
    }  # fmt: skip
    kept = [
        save_bundle(tmp_path / str(n), network, {**ABOUT, "scale": scale}, "", "")
        for n, network in enumerate(members[:2])
    ]
    asked = ["train", "--members", *map(str, kept), "--name", "both", "--progress", "none"]
    assert main([*asked, "--out", str(tmp_path / "pooled")]) == 0
    pooled = load_bundle(tmp_path / "pooled" / "model")
    assert pooled.scale.patients == 4
    assert pooled.scale.map_value(0.5) == pytest.approx(0.5)
    assert "0.50 to 0.60 in 4 validation patients" in pooled.card
    for name, image in (("ct", small_chest.chest_ct()), ("lungs", small_chest.lung_labels())):
        sitk.WriteImage(image, str(tmp_path / f"{name}.nrrd"))
    sitk.WriteImage(small_chest.perfusion_spect(), str(tmp_path / "spect.nrrd"))
    (tmp_path / "c.csv").write_text("patient_id,ct,spect,lungs\nP1,ct.nrrd,spect.nrrd,lungs.nrrd\n")
    assert main([*asked, "--out", str(tmp_path / "own"), "--calibrate", str(tmp_path / "c.csv")]) == 0
    bundle = load_bundle(tmp_path / "own" / "model")
    ct, lungs = small_chest.chest_ct(), small_chest.lung_labels()
    mapped = map_perfusion(ct, lungs, bundle, "cpu", "fp32").perfusion
    values = sitk.GetArrayFromImage(mapped)[sitk.GetArrayFromImage(lungs) > 0]
    agreement, scale = compare(mapped, small_chest.perfusion_spect(), lungs), bundle.scale
    high = agreement["lungs"]["reference_high_percent"]
    assert scale.spect_above[scale.values.index(0.66)] == pytest.approx(high, abs=0.01)
    middle = min(range(len(scale.values)), key=lambda n: abs(scale.map_above[n] - 50))
    assert 1 < scale.map_above[middle] < 99
    assert scale.map_above[middle] == pytest.approx(100 * (values > scale.values[middle]).mean(), abs=1)
    assert bundle.scale.map_p75 == pytest.approx([np.percentile(values, 75)] * 2, abs=0.01)
    assert main(["train", str(tmp_path / "c.csv"), "--out", str(tmp_path), "--calibrate", "c.csv"]) == 2
