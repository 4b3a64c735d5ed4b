"""The command line: what goes in, what comes out, what it says, and how it ends."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from dicom_samples import PATIENT, write_ct_series
from small_chest import chest_ct, lung_labels, write_inputs

from DLCTPMLib import RESEARCH_USE_ONLY, __version__
from DLCTPMLib.agreement.files import COMPARISON_FILES
from DLCTPMLib.agreement.scores import BASELINE_NAMES
from DLCTPMLib.cli.main import BAD_INPUT, DEFECT, DONE, main
from DLCTPMLib.common.ending.interruption import INTERRUPTED
from DLCTPMLib.labels.seg_nrrd import segments_of
from DLCTPMLib.lungs.masks import read_lungs
from DLCTPMLib.volumes.reading import read_image

PREDICTED = {"perfusion.nrrd", "lungs.nrrd", "function.seg.nrrd", "result.json", "report.html"}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """CT, lungs, SPECT and an untrained model on disk."""
    return write_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="module")
def prediction(files, tmp_path_factory):
    """A finished prediction with its SPECT: the folder."""
    out = tmp_path_factory.mktemp("prediction") / "out"
    options = ["--model", files["model"], "--lungs", files["lungs"], "--spect", files["spect"], "--device", "cpu"]
    status = main(["predict", files["ct"], *options, "--register", "none", "--out", str(out), "--progress", "none"])
    assert status == DONE
    return out


def python(*arguments, **more):
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=120, **more)


def result_of(folder) -> dict:
    return json.loads((Path(folder) / "result.json").read_text(encoding="utf-8"))


def same_but_for_time_and_place(result: dict) -> dict:
    result = json.loads(json.dumps(result))
    del result["timings_s"]
    for described in (result["input"], result["input"].get("spect", {})):
        described.pop("name", None)
    return result


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["predict"],
        ["register"],
        ["predict", "ct.nrrd", "--device", "abacus"],
        ["predict", "ct.nrrd", "--threshold", "high"],
        ["predict", "ct.nrrd", "--function", "p75:0.5", "--threshold", "0.5"],
        ["predict", "ct.nrrd", "--nonsense"],
        ["evaluate", "--prediction", "p.nrrd"],
    ],
)
def test_wrong_usage_is_one_line_and_status_2(arguments, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == BAD_INPUT
    said = capsys.readouterr()
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
    assert said.out == ""
    assert list(tmp_path.iterdir()) == []


def test_predict_writes_every_output_on_the_cts_grid(prediction, files):
    assert {path.name for path in prediction.iterdir()} == PREDICTED | {"spect_to_ct.tfm", *COMPARISON_FILES}
    ct, perfusion, lungs = chest_ct(), read_image(prediction / "perfusion.nrrd"), lung_labels()
    assert perfusion.GetPixelID() == sitk.sitkFloat32
    assert read_image(prediction / "lungs.nrrd").GetPixelID() == sitk.sitkUInt16
    for image in (perfusion, read_image(prediction / "lungs.nrrd")):
        assert (image.GetSize(), image.GetOrigin()) == (ct.GetSize(), ct.GetOrigin())
        assert (image.GetSpacing(), image.GetDirection()) == (ct.GetSpacing(), ct.GetDirection())
    values, inside = sitk.GetArrayFromImage(perfusion), sitk.GetArrayFromImage(lungs) > 0
    assert (values[~inside] == 0).all()
    assert ((values[inside] > 0) & (values[inside] <= 1)).all()


def test_functional_segments_divide_the_lungs_at_the_threshold(prediction):
    segments = segments_of(sitk.ReadImage(str(prediction / "function.seg.nrrd")), "function.seg.nrrd")
    masks = {segment.name: segments.mask(segment) for segment in segments.segments}
    values = sitk.GetArrayFromImage(read_image(prediction / "perfusion.nrrd"))
    labels = sitk.GetArrayFromImage(lung_labels())
    for side, value in (("Right", 2), ("Left", 3)):
        lung = labels == value
        assert np.array_equal(masks[f"{side} high-functional lung (p75:0.66)"], lung & (values > 0.66))
        assert np.array_equal(masks[f"{side} low-functional lung (p75:0.66)"], lung & (values <= 0.66))
    assert len(masks) == 4


def test_result_json_holds_what_the_contract_names(prediction, files):
    result = result_of(prediction)
    assert result["schema_version"] == 2
    assert result["software"] == {"name": "DL-CTPM", "version": __version__}
    assert result["research_use_only"] == RESEARCH_USE_ONLY
    assert result["simulated"] is False
    assert set(result["model"]) == {"name", "version", "sha256", "intended_use", "members"}
    assert result["input"]["name"] == Path(files["ct"]).name
    assert result["input"]["size"] == list(chest_ct().GetSize())
    assert result["input"]["spacing"] == list(chest_ct().GetSpacing())
    assert {"lungs", "right lung", "left lung", "right upper third", "left lower third"} <= set(result["regions"])
    for row in result["regions"].values():
        uneven = {"cv", "heterogeneity", "defect_percent"}
        assert set(row) == {"volume_ml", "mean", "perfusion_percent", "high_ml", "low_ml"} | uneven
    for scope in ("lungs", "right lung", "left lung"):
        figures = result["agreement"][scope]
        for part in (figures, figures["core"]):
            assert {"r_spearman", "ssim", "ssim_box", "dsc_high", "dsc_low", "kappa"} <= set(part)
            assert set(part["baselines"]) == set(BASELINE_NAMES)
    assert {check["status"] for check in result["quality"]} <= {"PASS", "WARN", "FAIL"}
    assert all(seconds >= 0 for seconds in result["timings_s"].values())
    assert result["settings"]["registration"] == {"kind": "none"}
    assert "not blood flow" in result["notes"]["perfusion"]
    assert "compressed" in result["notes"]["shares"]


def test_volumes_in_the_result_are_those_of_the_mask(prediction):
    regions = result_of(prediction)["regions"]
    labels = sitk.GetArrayFromImage(lung_labels())
    assert regions["right lung"]["volume_ml"] == pytest.approx((labels == 2).sum() * 0.15)
    assert regions["right lung"]["perfusion_percent"] + regions["left lung"]["perfusion_percent"] == pytest.approx(
        100
    )


def test_the_same_input_gives_the_same_bytes(prediction, files, tmp_path):
    copy = tmp_path / "elsewhere.nrrd"
    shutil.copy(files["ct"], copy)
    options = ["--model", files["model"], "--lungs", files["lungs"], "--spect", files["spect"], "--device", "cpu"]
    assert main(["predict", str(copy), *options, "--register", "none", "--out", str(tmp_path / "out")]) == DONE
    for name in ("perfusion.nrrd", "lungs.nrrd", "function.seg.nrrd", "spect_to_ct.tfm"):
        assert (tmp_path / "out" / name).read_bytes() == (prediction / name).read_bytes()
    assert same_but_for_time_and_place(result_of(tmp_path / "out")) == same_but_for_time_and_place(
        result_of(prediction)
    )


def test_a_second_run_without_spect_leaves_no_transform_behind(prediction, files, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(prediction, out)
    (out / "notes.txt").write_text("mine")
    assert (
        main(["predict", files["ct"], "--lungs", files["lungs"], "--model", files["model"], "--out", str(out)]) == 0
    )
    assert {path.name for path in out.iterdir()} == PREDICTED | {"notes.txt"}
    assert "agreement" not in result_of(out)


def test_a_dicom_folder_gives_the_map_of_the_same_file(prediction, files, tmp_path, capsys):
    hu = sitk.GetArrayFromImage(chest_ct())
    write_ct_series(tmp_path / "dicom", hu, spacing=chest_ct().GetSpacing(), origin=chest_ct().GetOrigin())
    options = [
        "--model",
        files["model"],
        "--lungs",
        files["lungs"],
        "--device",
        "cpu",
        "--out",
        str(tmp_path / "out"),
    ]
    assert main(["predict", str(tmp_path / "dicom"), *options]) == DONE
    same = [sitk.GetArrayFromImage(read_image(f / "perfusion.nrrd")) for f in (tmp_path / "out", prediction)]
    assert np.array_equal(*same)
    texts = [(tmp_path / "out" / name).read_text(encoding="utf-8") for name in ("result.json", "report.html")]
    assert not any(PATIENT in text for text in (*texts, capsys.readouterr().out))
    assert result_of(tmp_path / "out")["input"]["dicom"]["Modality"] == "CT"


def test_a_prone_patients_registration_expects_no_gravity_and_says_so(files, tmp_path, capsys):
    grid = {"spacing": chest_ct().GetSpacing(), "origin": chest_ct().GetOrigin(), "PatientPosition": "FFP"}
    write_ct_series(tmp_path / "dicom", sitk.GetArrayFromImage(chest_ct()), **grid)
    images = ["--lungs", files["lungs"], "--device", "cpu", "--out", str(tmp_path / "out")]
    options = ["--model", files["model"], "--spect", files["spect"], "--progress", "none"]
    assert main(["predict", str(tmp_path / "dicom"), *images, *options]) == DONE
    result = result_of(tmp_path / "out")
    assert result["settings"]["registration"]["gravity_percent_per_cm"] == 0
    assert any("prone" in warning for warning in result["warnings"])
    (check,) = (one for one in result["quality"] if one["check"] == "patient position")
    assert (check["status"], check["value"]) == ("WARN", 180)
    command = ["register", "--fixed", str(tmp_path / "dicom"), "--moving", files["spect"], "--lungs", files["lungs"]]
    capsys.readouterr()
    assert main([*command, "--out", str(tmp_path / "found.tfm"), "--progress", "none"]) == DONE
    assert "prone" in capsys.readouterr().out


def test_json_progress_is_all_of_standard_output_and_never_goes_back(files, tmp_path, capsys):
    options = ["--model", files["model"], "--lungs", files["lungs"], "--spect", files["spect"], "--register", "none"]
    assert main(["predict", files["ct"], *options, "--out", str(tmp_path / "out"), "--progress", "json"]) == DONE
    said = capsys.readouterr()
    lines = [json.loads(line) for line in said.out.splitlines()]
    fractions = [line["fraction"] for line in lines]
    assert len(lines) > 10
    assert all(set(line) == {"stage", "fraction"} for line in lines)
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    assert said.err == ""


def test_a_chest_with_one_lung_is_mapped_and_the_absence_is_said(files, tmp_path):
    labels = sitk.GetArrayFromImage(lung_labels())
    one = sitk.GetImageFromArray(np.where(labels == 2, labels, 0).astype(np.uint16))
    one.CopyInformation(lung_labels())
    sitk.WriteImage(one, str(tmp_path / "one.nrrd"))
    options = ["--model", files["model"], "--lungs", str(tmp_path / "one.nrrd"), "--spect", files["spect"]]
    assert main(["predict", files["ct"], *options, "--out", str(tmp_path / "out")]) == DONE
    result = result_of(tmp_path / "out")
    assert any("left lung" in warning for warning in result["warnings"])
    left = result["regions"]["left lung"]
    assert (left["volume_ml"], left["mean"], left["perfusion_percent"]) == (0, None, 0)
    assert result["agreement"]["left lung"]["r_spearman"] is None
    assert result["agreement"]["left lung"]["undefined"]["r_spearman"]
    report = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "right lung only, " in report
    assert "Only the right lung was found" in report


def test_results_go_beside_the_work_when_no_folder_was_named(files, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["predict", files["ct"], "--lungs", files["lungs"], "--model", files["model"]]) == DONE
    assert {path.name for path in (tmp_path / "ct-perfusion").iterdir()} == PREDICTED


def test_segment_writes_labels_and_segmentations(files, tmp_path, capsys):
    assert main(["segment", files["ct"], "--out", str(tmp_path / "lungs.nii.gz")]) == DONE
    assert main(["segment", files["ct"], "--out", str(tmp_path / "lungs.seg.nrrd")]) == DONE
    truth = sitk.GetArrayFromImage(lung_labels())
    for name in ("lungs.nii.gz", "lungs.seg.nrrd"):
        found = sitk.GetArrayFromImage(read_lungs(tmp_path / name, chest_ct()).labels)
        for side in (2, 3):
            overlap = 2 * ((found == side) & (truth == side)).sum() / ((found == side).sum() + (truth == side).sum())
            assert overlap > 0.95
    assert {
        segment.name
        for segment in segments_of(sitk.ReadImage(str(tmp_path / "lungs.seg.nrrd")), "lungs.seg.nrrd").segments
    } == {
        "right lung",
        "left lung",
    }
    assert len(list(tmp_path.iterdir())) == 2


def test_register_finds_a_known_shift_from_ct_to_spect_points(files, tmp_path):
    spect = read_image(files["spect"])
    spect.SetOrigin([o + d for o, d in zip(spect.GetOrigin(), (9.0, -7.0, 8.0), strict=True)])
    sitk.WriteImage(spect, str(tmp_path / "moved.nrrd"))
    out = tmp_path / "t.tfm"
    arguments = ["--fixed", files["ct"], "--moving", str(tmp_path / "moved.nrrd"), "--lungs", files["lungs"]]
    assert main(["register", *arguments, "--out", str(out)]) == DONE
    transform = sitk.ReadTransform(str(out))
    for point in [(-70.0, 0.0, 1040.0), (70.0, 20.0, 1080.0)]:
        expected = np.add(point, (9, -7, 8))
        assert np.linalg.norm(np.array(transform.TransformPoint(point)) - expected) < 4  # half a SPECT voxel


def test_evaluate_repeats_the_agreement_of_predict(prediction, files, tmp_path, capsys):
    arguments = ["--prediction", str(prediction / "perfusion.nrrd"), "--spect", files["spect"]]
    arguments += ["--lungs", files["lungs"], "--ct", files["ct"], "--model", files["model"]]
    assert main(["evaluate", *arguments, "--out", str(tmp_path / "out")]) == DONE
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"result.json", *COMPARISON_FILES}
    assert result_of(tmp_path / "out")["agreement"] == result_of(prediction)["agreement"]
    assert "geometry" in capsys.readouterr().out


def test_evaluate_with_the_predictions_result_writes_its_report_with_the_spect(prediction, files, tmp_path):
    """As if the prediction had been given the SPECT: at the same threshold, the same figures."""
    arguments = ["predict", files["ct"], "--lungs", files["lungs"], "--model", files["model"], "--device", "cpu"]
    assert main([*arguments, "--out", str(tmp_path / "alone"), "--progress", "none"]) == DONE
    assert "agreement" not in result_of(tmp_path / "alone")
    arguments = ["evaluate", "--prediction", str(prediction / "perfusion.nrrd"), "--spect", files["spect"]]
    arguments += ["--lungs", files["lungs"], "--ct", files["ct"], "--model", files["model"]]
    arguments += ["--result", str(tmp_path / "alone" / "result.json")]
    assert main([*arguments, "--out", str(tmp_path / "out")]) == DONE
    joined, expected = result_of(tmp_path / "out"), result_of(prediction)
    for part in ("agreement", "regions", "model", "quality", "notes", "simulated"):
        assert joined[part] == expected[part], part
    report = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert f"{expected['agreement']['lungs']['r_spearman']:.2f}".replace("-", "−") in report
    assert "Joint histogram" in report
    assert main([*arguments, "--threshold", "0.4", "--out", str(tmp_path / "other")]) == DONE
    other = result_of(tmp_path / "other")
    assert other["settings"]["functional_regions"] == {"definition": "fixed:0.4", "threshold": 0.4}
    assert other["regions"]["lungs"]["high_ml"] > joined["regions"]["lungs"]["high_ml"]
    thirds = ["--function", "tertiles", "--out", str(tmp_path / "thirds")]
    assert main([*arguments, *thirds]) == DONE
    lungs = result_of(tmp_path / "thirds")["regions"]["lungs"]
    assert lungs["high_ml"] == pytest.approx(lungs["volume_ml"] / 3, rel=0.01)
    assert main([*arguments[:-2], "--result", files["ct"], "--out", str(tmp_path / "bad")]) == BAD_INPUT


def test_compared_images_lie_on_the_spects_grid_and_add_up(prediction, files):
    spect = read_image(files["spect"])
    images = [read_image(prediction / name) for name in COMPARISON_FILES[:3]]
    assert all(image.GetSize() == spect.GetSize() and image.GetOrigin() == spect.GetOrigin() for image in images)
    relative, perfusion, difference = (sitk.GetArrayFromImage(image) for image in images)
    lung, counts = perfusion > 0, sitk.GetArrayFromImage(spect)
    figures = result_of(prediction)["agreement"]["lungs"]
    np.testing.assert_allclose(relative[lung], counts[lung] / figures["hir"], rtol=1e-5)
    np.testing.assert_allclose(difference[lung], perfusion[lung] - np.clip(relative[lung], 0, 1), atol=1e-6)
    assert not np.any([image[~lung] for image in (relative, difference)])
    rows = np.loadtxt(prediction / "joint_histogram.csv", delimiter=",", skiprows=1)
    assert rows[:, 2].sum() == lung.sum() == figures["voxels"]
    assert np.average(rows[:, 1], weights=rows[:, 2]) == pytest.approx(perfusion[lung].mean(), abs=0.013)


def test_evaluate_without_the_ct_leaves_out_the_density_baselines(prediction, files, tmp_path):
    transform = prediction / "spect_to_ct.tfm"
    arguments = ["--prediction", str(prediction / "perfusion.nrrd"), "--spect", files["spect"]]
    arguments += ["--lungs", files["lungs"], "--transform", str(transform), "--out", str(tmp_path / "out")]
    assert main(["evaluate", *arguments]) == DONE
    baselines = result_of(tmp_path / "out")["agreement"]["lungs"]["baselines"]
    assert set(baselines) == {"all_high", "geometry", "blurred_mask"}


def test_a_defect_is_a_traceback_and_status_1(files, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("DLCTPMLib.results.job.predict_to_folder", lambda *a, **k: 1 / 0)
    assert main(["predict", files["ct"], "--model", files["model"], "--out", str(tmp_path / "out")]) == DEFECT
    assert "ZeroDivisionError" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 GB")])
def test_too_little_memory_is_advice_not_a_traceback(files, tmp_path, monkeypatch, capsys, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("DLCTPMLib.results.job.predict_to_folder", fail)
    assert main(["predict", files["ct"], "--model", files["model"], "--out", str(tmp_path / "out")]) == BAD_INPUT
    assert capsys.readouterr().err.startswith("error: there is not enough memory")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no signals of this kind")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_with_128_and_its_number_and_the_callers_handlers_are_back(
    files, tmp_path, monkeypatch, capsys, number
):
    """Slicer's Cancel sends SIGTERM. A second signal does not disturb the cleaning up."""

    def signalled(then=lambda *_, **__: None):
        def run(*arguments, **options):
            os.kill(os.getpid(), number)
            return then(*arguments, **options)

        return run

    before = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]
    monkeypatch.setattr("DLCTPMLib.results.job.predict_to_folder", signalled())
    monkeypatch.setattr("DLCTPMLib.common.atomic_output.shutil.rmtree", signalled(shutil.rmtree))
    options = ["--model", files["model"], "--lungs", files["lungs"], "--out", str(tmp_path / "out")]
    assert main(["predict", files["ct"], *options]) == 128 + number
    assert capsys.readouterr().err == "interrupted\n"
    assert list(tmp_path.iterdir()) == []
    assert [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no SIGINT to one process")
def test_ctrl_c_in_mid_prediction_ends_with_130_and_leaves_nothing(files, tmp_path):
    """The signal comes in the middle of the work; results of an earlier run stay as they were."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "result.json").write_text("earlier")
    options = ["--model", files["model"], "--spect", files["spect"], "--out", str(out), "--progress", "json"]
    child = subprocess.Popen(
        [sys.executable, "-m", "DLCTPMLib", "predict", files["ct"], *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in child.stdout:
        if "Mapping" in line:
            child.send_signal(signal.SIGINT)
            break
    errors = child.communicate(timeout=60)[1]
    assert child.returncode == INTERRUPTED
    assert errors == "interrupted\n"
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "result.json"]
    assert (out / "result.json").read_text() == "earlier"


def test_values_that_could_mean_two_things_are_explained_by_lungs_values(tmp_path, capsys):
    ct, labels = tmp_path / "ct.nrrd", tmp_path / "labels.nrrd"
    array = np.full((20, 20, 40), 40, np.int16)
    sides = np.zeros(array.shape, np.uint16)
    sides[3:17, 3:17, 3:17], sides[3:17, 3:17, 23:37] = 1, 2  # lungmask's numbers: right 1, left 2
    array[sides > 0] = np.random.default_rng(7).normal(-850, 60, np.count_nonzero(sides))
    for values, path in ((array, ct), (sides, labels)):
        image = sitk.GetImageFromArray(values)
        image.SetSpacing((8.0, 8.0, 12.0))
        sitk.WriteImage(image, str(path))
    out = tmp_path / "out"
    command = ["predict", str(ct), "--lungs", str(labels), "--out", str(out), "--progress", "none"]
    assert main([*command, "--lungs-values", "lungmask"]) == 0, capsys.readouterr().err
    found = sitk.GetArrayFromImage(sitk.ReadImage(str(out / "lungs.nrrd")))
    assert set(np.unique(found)) >= {0, 2, 3} or found.max() > 8  # sides, or their thirds
    assert np.array_equal(found > 0, sides > 0)
    assert main([*command, "--lungs-values", "nonsense"]) == 2
