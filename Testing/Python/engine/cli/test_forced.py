"""A FAIL among the checks of the input ends ``predict`` and ``segment``; ``--force`` goes on and all says so."""

import json

import nibabel
import pytest
import SimpleITK as sitk
from matplotlib.text import Text
from small_chest import chest_ct, lung_labels, on_grid, write_inputs

from DLCTPMLib.cli.main import BAD_INPUT, DONE, main
from DLCTPMLib.quality.gate import FORCED_KEY
from DLCTPMLib.results import figures


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    """Predict on a chest whose lungs are nearly as dense as water."""
    folder = tmp_path_factory.mktemp("inputs")
    files = write_inputs(folder)
    hu = sitk.GetArrayFromImage(chest_ct())
    hu[sitk.GetArrayFromImage(lung_labels()) > 0] += 700
    sitk.WriteImage(on_grid(hu), str(folder / "dense.nrrd"))
    options = ["--lungs", files["lungs"], "--model", files["model"], "--spect", files["spect"], "--register", "none"]
    return ["predict", str(folder / "dense.nrrd"), *options, "--device", "cpu", "--progress", "none"]


def test_a_fail_ends_with_its_sentence_and_leaves_nothing(command, tmp_path, capsys):
    out = tmp_path / "out"
    assert main([*command, "--out", str(out)]) == BAD_INPUT
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith("error: ")
    for part in ("dense.nrrd", "not aerated lung", "--force"):
        assert part in said
    assert list(tmp_path.iterdir()) == []


def test_a_program_that_reads_along_is_told_the_failed_checks(command, tmp_path, capsys):
    assert main([*command[:-1], "json", "--out", str(tmp_path / "out")]) == BAD_INPUT
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (sentences,) = [line["failed_checks"] for line in told if "failed_checks" in line]
    assert any("not aerated lung" in said for said in sentences)
    assert not any("--force" in said for said in sentences)


def test_forced_is_said_in_every_picture_and_file(command, tmp_path, capsys, monkeypatch):
    written = []
    set_text = Text.set_text
    monkeypatch.setattr(Text, "set_text", lambda self, said: (written.append(str(said)), set_text(self, said)))
    out = tmp_path / "out"
    assert main([*command, "--force", "--out", str(out)]) == DONE
    result = json.loads((out / "result.json").read_text(encoding="utf-8"))
    assert result["forced"] == [check["message"] for check in result["quality"] if check["status"] == "FAIL"]
    assert any("not aerated lung" in said for said in result["forced"])
    report = (out / "report.html").read_text(encoding="utf-8")
    assert "FORCED: this map cannot be right" in report
    notes = [said for said in written if figures.NOTE in said]
    assert len(notes) >= report.count("data:image/png") > 0  # a text is set more than once
    assert all(figures.FORCED_NOTE in said for said in notes)
    for name in ("perfusion.nrrd", "function.seg.nrrd"):
        assert "mean lung density" in sitk.ReadImage(str(out / name)).GetMetaData(FORCED_KEY)
    assert "FORCED" in capsys.readouterr().out


@pytest.fixture(scope="module")
def upper_half(tmp_path_factory):
    """A CT that ends in the middle of the lungs."""
    path = tmp_path_factory.mktemp("part") / "part.nrrd"
    sitk.WriteImage(chest_ct()[:, :, 24:], str(path))
    return str(path)


def test_lungs_of_a_part_of_a_chest_are_not_written(upper_half, tmp_path, capsys):
    out = tmp_path / "lungs.nrrd"
    assert main(["segment", upper_half, "--out", str(out), "--progress", "json"]) == BAD_INPUT
    said = capsys.readouterr()
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
    for part in ("part.nrrd", "no diaphragm", "write the lungs all the same with --force"):
        assert part in said.err
    told = [json.loads(line) for line in said.out.splitlines()]
    assert any("no diaphragm" in one for line in told for one in line.get("failed_checks", []))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["lungs.nrrd", "lungs.seg.nrrd", "lungs.mha", "lungs.nii.gz"])
def test_forced_lungs_say_so_in_every_format(upper_half, tmp_path, capsys, name):
    out = tmp_path / name
    assert main(["segment", upper_half, "--force", "--out", str(out), "--progress", "none"]) == DONE
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("FORCED: ") and "whole chest" in line for line in lines)
    assert any(line.startswith("FAIL: ") and "no diaphragm" in line for line in lines)
    header = nibabel.load(out).header["descrip"].item().decode() if ".nii" in name else None
    note = header or sitk.ReadImage(str(out)).GetMetaData(FORCED_KEY)
    assert note.startswith("input checks FAILED, this cannot be right: whole chest")


def test_segment_says_of_a_ct_what_predict_says_of_it(command, tmp_path, capsys):
    ct, model = write_inputs(tmp_path / "in")["ct"], command[command.index("--model") + 1]
    assert main(["segment", ct, "--out", str(tmp_path / "lungs.nrrd"), "--progress", "none"]) == DONE
    lines = capsys.readouterr().out.splitlines()
    assert FORCED_KEY not in sitk.ReadImage(str(tmp_path / "lungs.nrrd")).GetMetaDataKeys()
    predict = ["predict", ct, "--model", model, "--device", "cpu", "--progress", "none"]
    assert main([*predict, "--out", str(tmp_path / "out")]) == DONE
    quality = json.loads((tmp_path / "out" / "result.json").read_text(encoding="utf-8"))["quality"]
    expected = [f"{one['status']}: {one['message']}" for one in quality if one["status"] != "PASS"]
    assert expected
    assert [line for line in lines if line.startswith(("WARN: ", "FAIL: "))] == expected
