"""Whatever a user gives by mistake: status 2, one line that names it, and nothing written."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from dicom_samples import MR_IMAGE, header, hu_volume, write_ct_series, write_nm
from small_chest import SIZE, chest_ct, lung_labels, on_grid, perfusion_spect, write_inputs

from DLCTPMLib.cli.main import BAD_INPUT, DONE, main
from DLCTPMLib.networks.bundle import SUMS


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """Paths of a good CT, lung mask, SPECT and model."""
    return write_inputs(tmp_path_factory.mktemp("good"))


@pytest.fixture
def refused(good, tmp_path, capsys, monkeypatch):
    """Run a command that must be refused; gives its one line back.

    The results folder holds an earlier result, which must be untouched, and nothing new may lie anywhere.
    """
    out = tmp_path / "results"
    out.mkdir()
    (out / "result.json").write_text("earlier")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))

    def run(*arguments, names: str, out=out) -> str:
        before = contents(tmp_path)
        status = main([*map(str, arguments), "--out", str(out), "--progress", "none"])
        said = capsys.readouterr()
        errors = [line for line in said.err.splitlines() if line.startswith("error:")]
        assert status == BAD_INPUT, said.err
        assert "Traceback" not in said.err
        assert len(errors) == 1
        assert names in errors[0]
        assert said.out == ""
        assert contents(tmp_path) == before
        return errors[0]

    return run


@pytest.fixture
def predict(refused, good):
    """``predict`` with one input replaced by a bad one."""

    def run(names: str, ct=None, **options) -> str:
        options = {"model": good["model"], "lungs": good["lungs"], **options}
        given = [part for name, value in options.items() for part in (f"--{name.replace('_', '-')}", value)]
        return refused("predict", ct or good["ct"], *given, names=names)

    return run


def contents(folder: Path) -> dict[str, str]:
    """Every file below a folder with the hash of what it holds."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in sorted(folder.rglob("*"))
    }


def write(image, path: Path) -> Path:
    sitk.WriteImage(image, str(path))
    return path


def changed(image: sitk.Image, change) -> sitk.Image:
    array = sitk.GetArrayFromImage(image)
    result = sitk.GetImageFromArray(change(array))
    result.CopyInformation(image)
    return result


def test_a_missing_file(predict, tmp_path):
    for option in ("ct", "lungs", "spect"):
        assert "no such file" in predict("nowhere.nrrd", **{option: tmp_path / "nowhere.nrrd"})
    assert "no such model" in predict("nowhere", model=tmp_path / "nowhere")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with a name are POSIX")
@pytest.mark.timeout(60)
def test_a_pipe_is_not_waited_for(refused, good, tmp_path):
    pipe = tmp_path / "pipe.nrrd"
    os.mkfifo(pipe)
    given = {"--lungs": good["lungs"], "--spect": good["spect"], "--model": good["model"]}
    for option in (None, *given):
        options = [part for name, value in given.items() if name != option for part in (name, value)]
        ct = [pipe] if option is None else [good["ct"], option, pipe]
        refused("predict", *ct, *options, names="pipe.nrrd")


def test_links_in_a_circle_take_no_results(refused, good, tmp_path):
    circle = tmp_path / "circle"
    circle.symlink_to(circle)
    assert "leads nowhere" in refused("predict", good["ct"], names="circle", out=circle)


@pytest.mark.skipif(sys.platform != "linux", reason="names that are no text exist on Linux")
def test_a_file_whose_name_is_no_text_is_mapped_and_named_in_plain_characters(good, tmp_path, capsys):
    ct = os.fsdecode(os.fsencode(tmp_path) + b"/\xff\x1b[31m.nrrd")
    shutil.copy(good["ct"], ct)
    given = ["--lungs", good["lungs"], "--model", good["model"], "--out", str(tmp_path / "out")]
    assert main(["predict", ct, *given]) == DONE, capsys.readouterr().err
    assert json.loads((tmp_path / "out" / "result.json").read_text("utf-8"))["input"]["name"] == "��[31m.nrrd"
    assert "\x1b" not in (tmp_path / "out" / "report.html").read_text("utf-8")


def test_what_is_not_an_image(predict, tmp_path):
    path = tmp_path / "letter.nrrd"
    path.write_text("Dear colleague,\n" * 50)
    for option in ("ct", "lungs", "spect"):
        predict("letter.nrrd", **{option: path})


def test_a_truncated_image(predict, good, tmp_path):
    path = tmp_path / "half.nrrd"
    content = Path(good["ct"]).read_bytes()
    path.write_bytes(content[: len(content) // 2])
    predict("half.nrrd", ct=path)


def test_an_empty_file_and_an_empty_folder(predict, tmp_path):
    (tmp_path / "empty.nrrd").touch()
    (tmp_path / "nothing").mkdir()
    for option in ("ct", "spect"):
        predict("empty.nrrd", **{option: tmp_path / "empty.nrrd"})
        assert "no DICOM images" in predict("nothing", **{option: tmp_path / "nothing"})


def test_a_two_dimensional_image(predict, tmp_path):
    path = write(sitk.GetImageFromArray(np.zeros((40, 40), np.int16)), tmp_path / "slice.nrrd")
    picture = write(sitk.GetImageFromArray(np.zeros((40, 40), np.uint8)), tmp_path / "slice.png")
    for option in ("ct", "spect"):
        assert "2D" in predict("slice.nrrd", **{option: path})
        assert "2D" in predict("slice.png", **{option: picture})


def test_a_planar_scintigram_as_spect(predict, tmp_path):
    path = write_nm(tmp_path / "planar.dcm", np.ones((2, 64, 64)), kind="STATIC")
    assert "planar scintigram" in predict("planar.dcm", spect=path)


def test_a_spect_given_as_ct(predict, good, tmp_path):
    assert "not a chest CT" in predict("spect.nrrd", ct=good["spect"])
    path = write_nm(tmp_path / "nm.dcm", np.ones((16, 9, 9)))
    assert "modality NM, not a CT" in predict("nm.dcm", ct=path)


def test_another_modality(predict, tmp_path):
    write_ct_series(tmp_path / "mr", hu_volume(), modality="MR", sop_class=MR_IMAGE)
    assert "(1 MR)" in predict("mr", ct=tmp_path / "mr")
    assert "no SPECT series" in predict("mr", spect=tmp_path / "mr")


def test_a_dicom_file_without_pixels(predict, tmp_path):
    folder = tmp_path / "report"
    folder.mkdir()
    header("1.2.840.10008.5.1.4.1.1.88.33", "SR").save_as(folder / "sr.dcm", enforce_file_format=True)
    assert "no DICOM images" in predict("report", ct=folder)


def test_two_ct_series_are_listed(predict, tmp_path):
    write_ct_series(tmp_path / "ct" / "a", hu_volume(), number=3)
    write_ct_series(tmp_path / "ct" / "b", hu_volume(), number=5)
    said = predict("ct", ct=tmp_path / "ct")
    assert "3 (12 images" in said
    assert "5 (12 images" in said
    assert "--series" in said
    assert "no CT series 4" in predict("ct", ct=tmp_path / "ct", series="4")


def test_missing_slices(predict, tmp_path):
    paths = write_ct_series(tmp_path / "ct", hu_volume((20, 10, 10)), seed=0)
    order = np.random.default_rng(0).permutation(20)
    paths[int(np.flatnonzero(order == 7)[0])].unlink()
    assert "1 between z = 115 and z = 120 mm" in predict("ct", ct=tmp_path / "ct")


def test_values_that_are_not_numbers(predict, tmp_path):
    def spoil(array):
        array = array.astype(np.float32)
        array[3, 4, 5] = np.nan
        return array

    assert "1 voxels are not numbers" in predict("nan", ct=write(changed(chest_ct(), spoil), tmp_path / "nan.nrrd"))
    spoilt = write(changed(perfusion_spect(), spoil), tmp_path / "nan_spect.nrrd")
    assert "not numbers" in predict("nan_spect", spect=spoilt)


def test_a_map_that_holds_what_is_no_number(refused, good, tmp_path):
    def spoil(array):
        array = np.clip(array.astype(np.float32) / 1000 + 1, 0, 1)
        array[3, 4, 5] = np.nan
        return array

    spoilt = write(changed(chest_ct(), spoil), tmp_path / "map.mha")
    given = ("--lungs", good["lungs"], "--spect", good["spect"])
    assert "1 voxels are not numbers" in refused("evaluate", "--prediction", spoilt, *given, names="map.mha")


def test_a_spect_of_zeros(predict, tmp_path):
    zeros = write(changed(perfusion_spect(), np.zeros_like), tmp_path / "zeros.nrrd")
    assert "zero everywhere" in predict("zeros.nrrd", spect=zeros)


def test_a_spect_that_lies_elsewhere(predict, tmp_path):
    image = perfusion_spect()
    image.SetOrigin((2000.0, 0.0, 0.0))
    path = write(image, tmp_path / "elsewhere.nrrd")
    for how in ("none", "rigid"):
        predict("elsewhere.nrrd", spect=path, register=how)


def test_a_mask_that_does_not_overlap(predict, tmp_path):
    image = lung_labels()
    image.SetOrigin((2000.0, 0.0, 0.0))
    assert "inside the CT" in predict("far.nrrd", lungs=write(image, tmp_path / "far.nrrd"))
    half = lung_labels()
    half.SetOrigin((-160.0 + 70, -120.0, 900.0))
    assert "inside the CT" in predict("half.nrrd", lungs=write(half, tmp_path / "half.nrrd"))


def test_a_mask_on_another_grid_is_brought_over_with_a_warning(good, tmp_path, capsys):
    grid = sitk.Image([64, 64, 64], sitk.sitkUInt16)
    grid.SetOrigin((-160.0, -120.0, 900.0))
    grid.SetSpacing((5.0, 4.0, 4.5))
    other = sitk.Resample(lung_labels(), grid, sitk.Transform(), sitk.sitkNearestNeighbor)
    path = write(other, tmp_path / "other.nrrd")
    out = tmp_path / "out"
    assert main(["predict", good["ct"], "--lungs", str(path), "--model", good["model"], "--out", str(out)]) == 0
    assert "another grid" in capsys.readouterr().out


def test_an_empty_mask(predict, tmp_path):
    empty = write(on_grid(np.zeros(SIZE[::-1], np.uint16)), tmp_path / "empty.nrrd")
    assert "is empty" in predict("empty.nrrd", lungs=empty)


def test_a_ct_without_lungs(refused, good, tmp_path):
    """Nothing but a body: the lungs cannot be found."""
    solid = changed(chest_ct(), lambda array: np.where(sitk.GetArrayFromImage(lung_labels()) > 0, 40, array))
    path = write(solid, tmp_path / "solid.nrrd")
    refused("predict", path, "--model", good["model"], names="solid.nrrd")
    refused("segment", path, out=tmp_path / "lungs.nrrd", names="solid.nrrd")


@pytest.fixture
def bundle(good, tmp_path):
    """A copy of the good model, to be spoilt."""
    return Path(shutil.copytree(good["model"], tmp_path / "bundle"))


def test_a_model_with_a_wrong_hash(predict, bundle):
    card = bundle / "docs" / "README.md"
    card.write_text(card.read_text() + "\nAnd it is a medical device.\n")
    assert "SHA-256" in predict("README.md", model=bundle)


@pytest.mark.parametrize("name", ["configs/metadata.json", "models/model.safetensors", "LICENSE", SUMS])
def test_a_model_with_a_missing_file(predict, bundle, name):
    (bundle / name).unlink()
    assert "missing" in predict(Path(name).name, model=bundle)


@pytest.mark.parametrize("name", ["models/model.pt", "weights.pkl", "models/model.ckpt"])
def test_a_model_with_a_pickle(predict, bundle, name, tmp_path):
    (bundle / name).write_bytes(b"\x80\x04N.")
    with (bundle / SUMS).open("a") as sums:
        sums.write(f"{hashlib.sha256((bundle / name).read_bytes()).hexdigest()}  {name}\n")
    assert "never opened" in predict(Path(name).name, model=bundle)
    archive = shutil.make_archive(str(tmp_path / "zipped"), "zip", bundle)
    assert "never opened" in predict("zipped.zip", model=archive)


def test_a_zip_that_leads_outside(predict, tmp_path):
    archive = tmp_path / "evil.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("../outside.dcm", "x")
    assert "leads out of the zip" in predict("evil.zip", ct=archive)


def test_results_that_should_go_into_a_file(refused, good, tmp_path):
    path = tmp_path / "taken"
    path.write_text("mine")
    refused("predict", good["ct"], "--model", good["model"], out=path, names="taken")
    images = ("--prediction", good["ct"], "--spect", good["ct"], "--lungs", good["ct"])
    refused("evaluate", *images, out=path, names="taken")
    refused("segment", good["ct"], out=tmp_path / "no" / "folder.nrrd", names="folder.nrrd")
    refused("segment", good["ct"], out=tmp_path / "lungs.strange", names="lungs.strange")


def test_settings_out_of_range(predict, good):
    for value in ("0", "1", "-0.2", "nan"):
        predict("threshold", threshold=value)
    predict("uncertainty", uncertainty="20")


def test_the_other_commands_refuse_the_same(refused, good, tmp_path):
    missing = tmp_path / "nowhere.nrrd"
    refused("segment", missing, out=tmp_path / "l.nrrd", names="nowhere.nrrd")
    refused("register", "--fixed", missing, "--moving", good["spect"], out=tmp_path / "t.tfm", names="nowhere")
    refused("register", "--fixed", good["ct"], "--moving", missing, out=tmp_path / "t.tfm", names="nowhere")
    evaluate = ["evaluate", "--prediction", good["ct"], "--spect", good["spect"], "--lungs"]
    refused(*evaluate, missing, names="nowhere")
    refused(*evaluate, good["lungs"], "--transform", missing, names="nowhere")
    refused("train", tmp_path / "nowhere.csv", out=tmp_path / "run", names="nowhere.csv")
    refused("cohort", "simulate", "--patients", "0", "--seed", "1", out=tmp_path / "cohort", names="0 patients")


def test_a_full_disk_as_the_writer_sees_it(predict, monkeypatch):
    """The disk's own word for it is taken, since some file formats lose their end without an error."""
    usage = shutil.disk_usage

    def full(path):
        return usage(path)._replace(free=0)

    monkeypatch.setattr("DLCTPMLib.common.atomic_output.shutil.disk_usage", full)
    assert "disk is full" in predict("results")


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of 300 kB, mounted for the test."""
    place = tmp_path / "disk"
    place.mkdir()
    options = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(options, capture_output=True).returncode:
        pytest.skip("a small file system can only be mounted by root on Linux")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_really_is_too_small(good, tiny_disk, capsys):
    earlier = tiny_disk / "results"
    earlier.mkdir()
    (earlier / "result.json").write_text("earlier")
    for out in (earlier, tiny_disk / "new"):
        options = ["--model", good["model"], "--lungs", good["lungs"], "--out", str(out)]
        assert main(["predict", good["ct"], *options]) == BAD_INPUT
        said = capsys.readouterr().err
        assert said.startswith("error: ")
        assert "the disk is full" in said
        assert said.count("\n") == 1
    assert [str(p.relative_to(tiny_disk)) for p in tiny_disk.rglob("*")] == ["results", "results/result.json"]
    assert (earlier / "result.json").read_text() == "earlier"


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs a user whose rights are checked")
def test_a_file_that_may_not_be_read(predict, good, tmp_path):
    path = Path(shutil.copy(good["ct"], tmp_path / "secret.nrrd"))
    path.chmod(0)
    predict("secret.nrrd", ct=path)
