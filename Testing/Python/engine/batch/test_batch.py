"""Many CTs through the command: the figures of ``predict``, whoever does the work and whatever dies on the way."""

import csv
import json
import shutil
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import SimpleITK as sitk
from dask_by_hand import dask_by_hand
from html_tags import Tags
from matplotlib import image
from small_chest import chest_ct, lung_labels, on_grid, untrained_model, write_inputs

from DLCTPMLib.batch import index, work
from DLCTPMLib.batch.finding import BatchPatient, LeftOut
from DLCTPMLib.batch.thumbnail import write_thumbnail
from DLCTPMLib.cli.main import BAD_INPUT, DONE, main
from DLCTPMLib.common.errors import InputError
from DLCTPMLib.networks.bundle import load_bundle
from DLCTPMLib.results.job import PatientPaths
from DLCTPMLib.results.settings import PredictionSettings


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Two patients, one of them with a SPECT, and a file that is no image; a model; a table of all."""
    folder = tmp_path_factory.mktemp("inputs")
    files = write_inputs(folder)
    sitk.WriteImage(chest_ct() + 7, str(folder / "other.nrrd"))
    (folder / "broken.nrrd").write_bytes(b"NRRD0004\nno more")
    table = folder / "patients.csv"
    lines = [
        f"A,{files['ct']},{files['lungs']},{files['spect']}",
        "B,broken.nrrd,,",
        f"C,other.nrrd,{files['lungs']},",
    ]
    table.write_text("\n".join(["patient_id,ct,lungs,spect", *lines]) + "\n")
    return {**files, "table": str(table), "folder": folder}


def command(files, out, *more):
    options = ["--model", files["model"], "--device", "cpu", "--register", "none", "--progress", "none"]
    return ["cohort", "predict", files["table"], "--out", str(out), *options, *map(str, more)]


def rows_of(out):
    return list(csv.DictReader((out / "summary.csv").read_text(encoding="utf-8").splitlines()))


@pytest.fixture(scope="module")
def out(files, tmp_path_factory):
    """The results by one process."""
    out = tmp_path_factory.mktemp("batch") / "out"
    assert main(command(files, out, "--jobs", 1)) == DONE
    return out


def test_the_figures_are_those_of_predict(files, out, tmp_path):
    options = ["--model", files["model"], "--device", "cpu", "--register", "none", "--progress", "none"]
    single = ["--lungs", files["lungs"], "--spect", files["spect"], "--out", str(tmp_path / "single")]
    assert main(["predict", files["ct"], *options, *single]) == DONE
    expected = json.loads((tmp_path / "single" / "result.json").read_text())
    first, _, last = rows_of(out)
    for region, figures in expected["regions"].items():
        for name in ("volume_ml", "mean", "high_ml"):
            assert float(first[f"{region}.{name}"]) == figures[name], (region, name)
    assert float(first["agreement.lungs.r_spearman"]) == expected["agreement"]["lungs"]["r_spearman"]
    assert first["status"] == "WARN"
    assert last["agreement.lungs.r_spearman"] == ""
    mapped = [
        sitk.GetArrayFromImage(sitk.ReadImage(str(at / "perfusion.nrrd"))) for at in (out / "A", tmp_path / "single")
    ]
    assert np.array_equal(*mapped)
    assert json.loads((out / "A" / "result.json").read_text())["input"]["name"] == "A (CT)"  # the table's name for it


def test_a_patient_that_fails_is_a_line(out):
    row = rows_of(out)[1]
    assert (row["patient_id"], row["status"], row["lungs.volume_ml"]) == ("B", "FAILED", "")
    assert "B (CT)" in row["reason"]
    assert str(out.parent) not in row["reason"]
    assert not (out / "B").exists()
    page = (out / "index.html").read_text(encoding="utf-8")
    assert page.index(">B<") < page.index(">A<") < page.index(">C<")
    assert (out / "A" / "thumbnail.png").read_bytes().startswith(b"\x89PNG")


def test_workers_of_a_cluster_write_the_same_summary(files, out, tmp_path):
    pytest.importorskip("distributed")
    with dask_by_hand(tmp_path, workers=2) as (address, _):
        assert main(command(files, tmp_path / "out", "--scheduler", address)) == DONE
    for name in ("summary.csv", "index.html", "left-out.csv"):
        assert (tmp_path / "out" / name).read_bytes() == (out / name).read_bytes()


def test_a_command_of_two_processes_that_was_killed_goes_on(files, out, tmp_path):
    arguments = [sys.executable, "-m", "DLCTPMLib", *command(files, tmp_path / "out", "--jobs", 2)]
    started = subprocess.Popen(arguments)
    end = time.monotonic() + 120
    while not (done := [name for name in "CA" if (tmp_path / "out" / name).exists()]):
        assert started.poll() is None
        assert time.monotonic() < end
        time.sleep(0.02)
    started.send_signal(signal.SIGKILL)
    started.wait()
    written = (tmp_path / "out" / done[0] / "result.json").stat().st_mtime_ns
    assert main(command(files, tmp_path / "out", "--jobs", 2)) == DONE
    assert (tmp_path / "out" / done[0] / "result.json").stat().st_mtime_ns == written
    assert (tmp_path / "out" / "summary.csv").read_bytes() == (out / "summary.csv").read_bytes()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(path.name for path in out.iterdir())


def test_a_result_is_kept_only_while_it_is_made_of_the_same(files, out, tmp_path):
    model = load_bundle(files["model"])
    other = load_bundle(untrained_model(tmp_path / "model", "other"))
    shutil.copytree(out / "A", tmp_path / "out" / "A")
    ct = shutil.copy2(files["ct"], tmp_path / "ct.nrrd")
    patient = BatchPatient("A", PatientPaths(str(files["ct"]), files["spect"], files["lungs"]), named_by_id=True)
    settings = PredictionSettings(registration="none", device="cpu")

    def kept(patient=patient, bundle=model, settings=settings, force=False):
        how = work.How(str(tmp_path / "out"), str(bundle.path), bundle.sha256, settings, force)
        return how.kept_row(patient) is not None

    assert kept()
    assert not kept(bundle=other)
    assert not kept(settings=PredictionSettings(registration="none", device="cpu", function="max:0.2"))
    assert not kept(force=True)
    moved = BatchPatient("A", PatientPaths(str(ct), files["spect"], files["lungs"]), named_by_id=True)
    assert not kept(moved)
    (tmp_path / "out" / "A" / work.ROW_FILE).write_text('{"key": ')
    assert not kept()


def test_the_next_ct_is_read_while_this_one_is_mapped(files, tmp_path, monkeypatch):
    second_is_read = threading.Event()

    class Paths:
        def __init__(self, name):
            self.name = name

        def read(self):
            if self.name == "second":
                second_is_read.set()
            return self

        def by_role(self):
            return {}

    def predict(patient, *more):
        assert second_is_read.wait(20), "the second CT was not read beside the first one's map"

    monkeypatch.setattr(work.How, "kept_row", lambda self, patient: None)
    monkeypatch.setattr(work, "_predict", predict)
    how = work.How(str(tmp_path), files["model"], load_bundle(files["model"]).sha256, PredictionSettings())
    patients = [BatchPatient(name, Paths(name)) for name in ("first", "second")]
    assert work.predict_patients(patients, how, lambda stage, fraction: None) == {}


def test_a_worker_with_another_model_refuses(files, tmp_path):
    how = work.How(str(tmp_path), files["model"], "0" * 64, PredictionSettings())
    with pytest.raises(InputError, match="another model on this worker"):
        work.predict_patients((), how, None)


def test_a_table_without_a_ct_that_is_there_is_refused(tmp_path, capsys):
    (tmp_path / "patients.csv").write_text("patient_id,ct\nP1,gone.nrrd\n")
    assert main(["cohort", "predict", str(tmp_path / "patients.csv"), "--out", str(tmp_path / "out")]) == BAD_INPUT
    assert "gone.nrrd" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_pages_show_flags_first_escape_names_and_are_several_for_many(monkeypatch):
    monkeypatch.setattr(index, "A_PAGE", 2)
    rows = [
        {"patient_id": "<b>fine</b>", "status": "PASS", "reason": "", "simulated": "yes", "lungs.mean": 0.5},
        {"patient_id": "none", "status": "FAILED", "reason": "<script>no</script>"},
        {"patient_id": "forced", "status": "FAIL", "reason": "upside down", "simulated": "no", "lungs.mean": 0.25},
    ]
    pages = dict(index.index_pages(rows, [LeftOut("scout", "no stack")]))
    assert list(pages) == ["index.html", "index-2.html"]
    first, second = pages.values()
    assert first.index(">none<") < first.index(">forced<")
    assert "&lt;b&gt;fine&lt;/b&gt;" in second
    assert "<script>no" not in first
    assert "simulated" in second
    assert "no stack" in first
    assert not any(name.startswith("on") for name in Tags(first).attributes)


def test_a_thumbnail_has_the_right_lung_on_its_left(tmp_path):
    labels = lung_labels()
    right = sitk.GetArrayFromImage(labels) == 2
    write_thumbnail(tmp_path / "t.png", chest_ct(), on_grid(np.where(right, 1.0, 0.0).astype(np.float32)), labels)
    picture = image.imread(tmp_path / "t.png")[..., :3]
    assert abs(picture.shape[0] / picture.shape[1] - 48 * 6 / (64 * 5)) < 0.05  # in the proportions of mm
    middle = picture[picture.shape[0] // 2]
    colourful = np.ptp(middle, axis=1) > 0.2
    half = len(middle) // 2
    assert colourful[:half].sum() > 10
    assert colourful[half:].sum() < colourful[:half].sum() / 2
