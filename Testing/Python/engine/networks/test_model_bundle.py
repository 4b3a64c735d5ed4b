import hashlib
import json
import shutil
import zipfile
from pathlib import Path

import pytest
import torch

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.networks.arnn import Arnn
from DLCTPMLib.networks.bundle import load_bundle, save_bundle
from DLCTPMLib.networks.settings import ArnnSettings
from DLCTPMLib.preprocessing.settings import PreprocessingSettings

METADATA = {
    "name": "test",
    "version": "1.2.3",
    "intended_use": "none",
    "preprocessing": PreprocessingSettings(edges="masked").to_dict(),
}


@pytest.fixture
def network() -> Arnn:
    torch.manual_seed(1)
    return Arnn(ArnnSettings(channels=(8, 8, 8, 8), kernel=3)).eval()


@pytest.fixture
def bundle_folder(tmp_path, network) -> Path:
    return save_bundle(tmp_path / "a model", network, METADATA, "# Card", "Apache-2.0", half_precision=False)


def test_a_model_comes_back_as_it_was_saved(bundle_folder, network):
    bundle = load_bundle(bundle_folder)
    assert (bundle.name, bundle.version, bundle.intended_use, bundle.card) == ("test", "1.2.3", "none", "# Card")
    assert bundle.preprocessing == PreprocessingSettings(edges="masked")
    assert bundle.sha256 == hashlib.sha256((bundle_folder / "SHA256SUMS").read_bytes()).hexdigest()
    x = torch.rand(1, 1, 8, 8, 8)
    assert torch.equal(bundle.network()(x), network(x))


def test_half_precision_is_half_the_size_and_near(tmp_path, bundle_folder, network):
    half = save_bundle(tmp_path / "half", network, METADATA, "", "", half_precision=True)
    weights = "models/model.safetensors"
    assert (half / weights).stat().st_size < 0.75 * (bundle_folder / weights).stat().st_size
    x = torch.rand(1, 1, 8, 8, 8)
    assert torch.allclose(load_bundle(half).network()(x), network(x), atol=2e-3)


@pytest.mark.parametrize("inner", ["", "a model/"])
def test_a_zip_is_the_same_model(tmp_path, bundle_folder, inner):
    archive = tmp_path / "model.zip"
    with zipfile.ZipFile(archive, "w") as z:
        for path in bundle_folder.rglob("*"):
            if path.is_file():
                z.write(path, inner + path.relative_to(bundle_folder).as_posix())
    assert load_bundle(archive).sha256 == load_bundle(bundle_folder).sha256


def test_saving_again_replaces_the_model_and_leaves_nothing_else(bundle_folder, network):
    save_bundle(bundle_folder, network, {**METADATA, "version": "2"}, "", "")
    assert load_bundle(bundle_folder).version == "2"
    assert [p.name for p in bundle_folder.parent.iterdir()] == [bundle_folder.name]


def test_sums_are_what_sha256sum_checks(bundle_folder):
    for line in (bundle_folder / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((bundle_folder / name).read_bytes()).hexdigest() == digest


def _add_a_pickle(folder: Path):
    (folder / "models" / "model.pt").write_bytes(b"\x80\x04.")


def _add_an_unlisted_file(folder: Path):
    (folder / "notes.txt").write_text("hello")


def _alter_the_weights(folder: Path):
    path = folder / "models" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")


def _lose_the_weights(folder: Path):
    (folder / "models" / "model.safetensors").unlink()


def _lose_the_sums(folder: Path):
    (folder / "SHA256SUMS").unlink()


def _say_another_network(folder: Path):
    path = folder / "configs" / "metadata.json"
    metadata = json.loads(path.read_text())
    metadata["network"]["channels"] = [8, 8, 8, 9]
    old = hashlib.sha256(path.read_bytes()).hexdigest()
    path.write_text(json.dumps(metadata))
    sums = folder / "SHA256SUMS"
    sums.write_text(sums.read_text().replace(old, hashlib.sha256(path.read_bytes()).hexdigest()))


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (_add_a_pickle, "model.pt may hold code"),
        (_add_an_unlisted_file, "notes.txt is not listed"),
        (_alter_the_weights, "does not match its SHA-256"),
        (_lose_the_weights, "model.safetensors is missing"),
        (_lose_the_sums, "SHA256SUMS is missing"),
        (_say_another_network, "does not fit the network"),
    ],
)
def test_a_harmed_bundle_is_refused_in_one_line(bundle_folder, harm, said):
    harm(bundle_folder)
    with pytest.raises(InputError, match=said) as caught:
        load_bundle(bundle_folder).network()
    assert str(bundle_folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_model_is_refused(tmp_path):
    (tmp_path / "x.txt").write_text("hello")
    for path, said in [
        (tmp_path, "is missing"),
        (tmp_path / "x.txt", "not a DL-CTPM model"),
        ("nix", "no such model"),
    ]:
        with pytest.raises(InputError, match=said):
            load_bundle(path)


def test_a_damaged_zip_is_refused(tmp_path, bundle_folder):
    archive = Path(shutil.make_archive(str(tmp_path / "m"), "zip", bundle_folder))
    data = bytearray(archive.read_bytes())
    middle = len(data) // 3
    data[middle : middle + 50] = bytes(50)
    archive.write_bytes(bytes(data))
    with pytest.raises(InputError, match=str(archive)):
        load_bundle(archive)
