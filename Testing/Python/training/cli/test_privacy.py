"""docs/privacy.md: identities planted in headers, names and tables are found in no file that a command leaves."""

import csv
import gzip
import hashlib
import io
import json
import os
import shutil
import stat
import threading
import zipfile
import zlib
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from dicom_samples import compress, write_ct_series
from small_chest import ORIGIN, SPACING, chest_ct, lung_labels, perfusion_spect, write_inputs

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.results.names import InputNames
from DLCTPMTrainingLib.cli.main import main
from DLCTPMTrainingLib.training.checkpoint import CHECKPOINT

HEADER = {
    "PatientName": "Zyxquist^Headername",
    "PatientID": "Zyxquist-headerid",
    "InstitutionName": "Zyxquist Headerhospital",
    "SeriesDescription": "Zyxquist headerseries",
    "StudyDescription": "Zyxquist headerstudy",
    "PatientComments": "Zyxquist headercomment",
    "ReferringPhysicianName": "Zyxquist^Headerdoctor",
    "AccessionNumber": "Zyxquist-acc",
    "PatientBirthDate": "19391124",
    "StudyDate": "19391123",
    "StudyInstanceUID": "1.2.826.0.1.193911.7.1",
    "SeriesInstanceUID": "1.2.826.0.1.193911.7.2",
    "FrameOfReferenceUID": "1.2.826.0.1.193911.7.3",
}
MARK = b"zyxquist"
"""In every planted identity that is text, and in nothing else."""
MARKS = (MARK, b"193911", b"zyxq niftidescrip", b"zyxq niftiaux")
"""In every planted identity; the last stand in fields that are too short for more."""


def folder_of(tmp_path: Path) -> Path:
    return tmp_path / "Zyxquist Foldername"


def plain_parts(data: bytes) -> list[bytes]:
    """A file's bytes, and what is compressed in them: gzip, zip (PyTorch's and NumPy's files too), NRRD's data."""
    parts = [data]
    if data[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            parts += [part for name in packed.namelist() for part in (name.encode(), *plain_parts(packed.read(name)))]
    elif data[:2] == b"\x1f\x8b":
        parts += plain_parts(gzip.decompress(data))
    elif data[:4] == b"NRRD":
        body = data.partition(b"\n\n")[2]
        parts += [zlib.decompressobj(31).decompress(body)] if body[:2] == b"\x1f\x8b" else [body]
    parts += [part.decode("utf-16-le").encode() for part in parts if b"\0Z\0y\0x\0q" in part and len(part) % 2 == 0]
    return parts


def named_in(folder: Path, marks: tuple[bytes, ...] = (MARK,)) -> list[str]:
    """The files and folders below a folder in whose name or content a planted identity is found."""
    found = []
    for path in folder.rglob("*"):
        parts = [str(path.relative_to(folder)).encode()]
        if path.is_file():
            parts += plain_parts(path.read_bytes())
        if any(mark in part.lower() for part in parts for mark in marks):
            found.append(str(path.relative_to(folder)))
    return sorted(found)


@pytest.fixture(scope="module")
def planted(tmp_path_factory) -> dict[str, Path]:
    """A chest whose every name and header holds an identity; the model's names are innocent."""
    root = tmp_path_factory.mktemp("inputs")
    model = Path(write_inputs(root / "model-of")["model"])
    place = folder_of(root)
    place.mkdir()
    for name, image in (("ct", chest_ct()), ("lungs", lung_labels()), ("spect", perfusion_spect())):
        image.SetMetaData("comment", "Zyxquist nrrdcomment")
        image.SetMetaData("Zyxquist nrrdkey", "Zyxquist nrrdvalue")
        sitk.WriteImage(image, str(place / f"Zyxquist_file_{name}.nrrd"), True)
    series = place / "Zyxquist_series"
    paths = write_ct_series(
        series, sitk.GetArrayFromImage(chest_ct()), spacing=SPACING, origin=ORIGIN, intercept=-2048.0, **HEADER
    )
    import pydicom

    for path in paths:
        dataset = pydicom.dcmread(path)
        dataset.private_block(0x0011, "Zyxquist privatecreator", create=True).add_new(
            1, "LO", "Zyxquist privatevalue"
        )
        dataset.save_as(path)
    packed = Path(shutil.copytree(series, root / "packed"))
    for path in packed.iterdir():
        compress(path, "JPEG")  # decoded from a copy
    archive = shutil.make_archive(str(place / "Zyxquist_zip"), "zip", packed)
    hu = sitk.GetArrayFromImage(chest_ct())
    affine = np.diag([-SPACING[0], -SPACING[1], SPACING[2], 1.0])
    affine[:3, 3] = -ORIGIN[0], -ORIGIN[1], ORIGIN[2]
    nifti = nibabel.Nifti1Image(hu.T.astype(np.int16), affine)
    nifti.header["descrip"], nifti.header["aux_file"] = b"Zyxq niftidescrip", b"Zyxq niftiaux"
    nibabel.save(nifti, place / "Zyxquist_file.nii.gz")
    files = {name: place / f"Zyxquist_file_{name}.nrrd" for name in ("ct", "lungs", "spect")}
    files["nifti"] = place / "Zyxquist_file.nii.gz"
    return {**files, "series": series, "zip": Path(archive), "model": model, "place": place}


class Watch(threading.Thread):
    """Reads every file that appears below a folder while a command runs, however short it lives.

    Attributes:
        open_to_others: places where an identity stood, in a name or in the content, that others may enter.
        seen: how many files were read.
    """

    def __init__(self, folder: Path):
        super().__init__(daemon=True)
        self._folder, self._over, self._known = folder, threading.Event(), set()
        self.open_to_others: list[str] = []
        self.seen = 0

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self.join()

    def run(self):
        while not self._over.is_set():
            there = os.walk(self._folder)  # passes over what is gone again
            for path in (Path(place) / name for place, folders, files in there for name in folders + files):
                try:
                    key = (path, path.stat().st_size)
                    if key in self._known:
                        continue
                    self._known.add(key)
                    content = path.read_bytes() if path.is_file() else b""
                    above = [one for one in path.parents if one.is_relative_to(self._folder) and one != self._folder]
                    closed = any(stat.S_IMODE(one.stat().st_mode) == 0o700 for one in above)
                except OSError:  # gone again
                    continue
                self.seen += bool(content)
                inside = str(path.relative_to(self._folder)).encode() + content
                if not closed and any(mark in inside.lower() for mark in MARKS):
                    self.open_to_others.append(str(path))


def test_the_search_finds_what_was_planted(planted, tmp_path):
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"a Zyxquist in it"))
    np.savez_compressed(tmp_path / "b.npz", about=np.array("a Zyxquist in it".encode("ascii")))
    (tmp_path / "c.txt").write_text("nobody")
    assert named_in(tmp_path) == ["a.gz", "b.npz"]
    found = named_in(planted["series"])
    assert len(found) == len(list(planted["series"].iterdir()))
    assert named_in(planted["place"])[0].startswith("Zyxquist_")


@pytest.mark.parametrize("source", ["ct", "nifti", "series", "zip"])
def test_predict_under_a_pseudonym_names_nobody(planted, tmp_path, monkeypatch, capsys, source):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", None)
    given = ["--lungs", str(planted["lungs"]), "--spect", str(planted["spect"]), "--register", "none"]
    command = ["predict", str(planted[source]), *given, "--model", str(planted["model"]), "--pseudonym", "case 7"]
    with Watch(tmp_path) as watch:
        assert main(command) == 0, capsys.readouterr().err
    assert watch.open_to_others == []
    assert watch.seen > (40 if source == "zip" else 5)
    assert list(temporary.iterdir()) == []
    assert (tmp_path / "case 7-perfusion" / "report.html").is_file()
    assert named_in(tmp_path, (*MARKS, str(planted["place"].parent).encode().lower())) == []
    assert MARK not in capsys.readouterr().out.lower().encode()
    described = json.loads((tmp_path / "case 7-perfusion" / "result.json").read_text())["input"]
    assert described["name"] == "case 7 (CT)"
    assert described["lungs"]["source"] == "case 7 (lungs)"
    assert described["spect"]["name"] == "case 7 (SPECT)"


def test_without_a_pseudonym_files_are_named_but_no_folder_above_them_and_no_header(planted, tmp_path, capsys):
    lungs = ["--lungs", str(planted["lungs"]), "--model", str(planted["model"])]
    sums = {}
    for source in ("ct", "series"):
        out = tmp_path / source
        assert main(["predict", str(planted[source]), *lungs, "--out", str(out)]) == 0, capsys.readouterr().err
        described = json.loads((out / "result.json").read_text())["input"]
        assert described["name"] == planted[source].name
        assert named_in(out) == ["report.html", "result.json"]  # by the name of the file only
        headers = (b"headerid", b"headerhospital", b"headerseries", b"headerstudy", b"headercomment", b"headerdoctor")
        assert named_in(out, (b"foldername", *headers, b"nrrdcomment", b"private", b"193911")) == []
        assert named_in(out, (str(tmp_path).encode().lower(),)) == []
        sums[source] = described["sha256"]
    assert sums["ct"] == sums["series"]  # one content, whatever it is called and however it is packed


def hmac_of(key: str, uid: str) -> str:
    """HMAC-SHA-256 (RFC 2104) by its definition."""
    block = key.encode().ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block) + uid.encode()).digest()
    return hashlib.sha256(bytes(byte ^ 0x5C for byte in block) + inner).hexdigest()[:16]


@pytest.mark.parametrize(
    ("options", "key", "date"),
    [([], "DL-CTPM", None), (["--examination-salt", "a secret", "--examination-date"], "a secret", "1939-11-23")],
)
def test_an_examination_is_named_by_keyed_hashes_and_its_date_by_option(
    planted, tmp_path, capsys, options, key, date
):
    lungs = ["--lungs", str(planted["lungs"]), "--model", str(planted["model"]), "--pseudonym", "seven"]
    out = tmp_path / "out"
    assert main(["predict", str(planted["series"]), *lungs, *options, "--out", str(out)]) == 0, capsys.readouterr()
    named = json.loads((out / "result.json").read_text())["input"]["examination"]
    assert named["study"] == hmac_of(key, HEADER["StudyInstanceUID"])
    assert named["series"] == hmac_of(key, HEADER["SeriesInstanceUID"])
    assert named.get("patient") == (hmac_of(key, HEADER["PatientID"]) if "a secret" in options else None)
    assert "not anonymous" in named["meaning"]
    assert named.get("date") == date
    report = (out / "report.html").read_text()
    assert named["study"] in report
    assert named["meaning"] in report
    assert ("1939-11-23" in report) == bool(date)
    assert named_in(out, MARKS) == []


def test_a_date_that_is_not_known_is_said(planted, tmp_path, capsys):
    given = ["--lungs", str(planted["lungs"]), "--model", str(planted["model"]), "--examination-date"]
    assert main(["predict", str(planted["ct"]), *given, "--out", str(tmp_path / "out")]) == 0
    assert "the date of the CT's examination is not known" in capsys.readouterr().out


def test_segment_register_and_evaluate_name_nobody(planted, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    ct, lungs, spect = (str(planted[name]) for name in ("ct", "lungs", "spect"))
    assert main(["segment", str(planted["series"]), "--out", str(out / "found.seg.nrrd")]) == 0
    moved = str(out / "moved.tfm")
    assert main(["register", "--fixed", ct, "--moving", spect, "--lungs", lungs, "--out", moved]) == 0
    predicted = out / "predicted"
    model = ["--model", str(planted["model"]), "--pseudonym", "seven"]
    assert main(["predict", ct, "--lungs", lungs, *model, "--out", str(predicted)]) == 0
    given = ["--spect", spect, "--lungs", lungs, "--transform", moved, "--ct", ct, *model]
    result = ["--result", str(predicted / "result.json"), "--out", str(out / "compared")]
    assert main(["evaluate", "--prediction", str(predicted / "perfusion.nrrd"), *given, *result]) == 0
    assert named_in(out, (*MARKS, str(tmp_path).encode().lower())) == [], capsys.readouterr()


def test_what_travels_from_a_training_names_no_patient(planted, tmp_path, capsys):
    table = tmp_path / "Zyxquist_cohort.csv"
    with table.open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["patient_id", "ct", "spect", "lungs", "diagnosis", "sex", "age", "notes"])
        for number in range(3):
            images = []
            for name in ("ct", "spect", "lungs"):
                images.append(tmp_path / f"Zyxquist{number}_{name}.nrrd")
                shutil.copy(planted[name], images[-1])
            for path in images[:2]:  # patients differ
                image = sitk.ReadImage(str(path))
                sitk.WriteImage(sitk.Cast(sitk.ShiftScale(image, float(number)), image.GetPixelID()), str(path))
            if number == 0:  # one comes as DICOM
                images[0] = shutil.copytree(planted["series"], tmp_path / "Zyxquist0_series")
            lines.writerow([f"Zyxquist-id-{number}", *images, "Zyxquist's own disease", "F", 60, "Zyxquist called"])
    assert main(["cohort", "check", str(table)]) == 0, capsys.readouterr().err
    small = ["--channels", "4-4-6-6", "--grid", "32x16x16", "--median-size", "4", "--uniform-size", "3"]
    exported = tmp_path / "travels" / "samples.npz"
    exported.parent.mkdir()
    site = tmp_path / "site"
    options = ["--out", str(site), *small, "--epochs", "1"]
    assert main(["train", str(table), *options, "--export", str(exported)]) == 0, capsys.readouterr().err
    assert main(["train", str(table), *options]) == 0, capsys.readouterr().err
    shutil.copytree(site / "model", tmp_path / "travels" / "model")
    checkpoints = list(site.rglob(CHECKPOINT))
    assert checkpoints
    for number, path in enumerate(checkpoints):
        shutil.copy(path, tmp_path / "travels" / f"{number}-{CHECKPOINT}")
    assert named_in(tmp_path / "travels", (MARK, str(tmp_path).encode().lower())) == []
    about = json.loads(str(np.load(exported)["about"]))
    assert [one["patient_id"] for one in about["patients"]] == ["P0001", "P0002", "P0003"]
    assert {one["diagnosis"] for one in about["patients"]} == {"other"}
    metadata = json.loads((site / "model" / "configs" / "metadata.json").read_text())
    assert list(metadata["training"]["diagnoses"]) == ["other"]


def cohort_of(planted, folder: Path, ids: list[str]) -> Path:
    """A table of patients under innocent ids whose files, folders, headers and further columns name them."""
    table = folder / "cohort.csv"
    with table.open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["patient_id", "ct", "spect", "lungs", "diagnosis", "sex", "age", "notes"])
        for number, name in enumerate(ids):
            images = []
            for kind in ("ct", "spect"):
                image = sitk.ReadImage(str(planted[kind]))
                image = sitk.Cast(sitk.ShiftScale(image, float(number)), image.GetPixelID())  # patients differ
                image.SetMetaData("Zyxquist nrrdkey", "Zyxquist nrrdvalue")
                images.append(folder / f"Zyxquist{number}_{kind}.nrrd")
                sitk.WriteImage(image, str(images[-1]), True)
            lines.writerow([name, *images, planted["lungs"], "fever", "F", 60, "Zyxquist called"])
    return table


@pytest.mark.long
def test_a_study_leaves_no_name_but_the_tables_and_its_export_none(planted, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    place = tmp_path / "Zyxquist cohort"
    place.mkdir()
    table = cohort_of(planted, place, [f"P{number:03d}" for number in range(1, 6)])
    small = ["--folds", "2", "--epochs", "1", "--channels", "2-2-4-4", "--grid", "32x16x16", "--median-size", "4"]
    small += ["--uniform-size", "3", "--register", "none", "--device", "cpu", "--seed", "1"]
    site = tmp_path / "site"
    site.mkdir()
    with Watch(site) as watch:
        study = ["study", str(table), "--out", str(site / "study"), "--export-docs", str(site / "docs"), *small]
        assert main(study) == 0, capsys.readouterr().err
    with_names_of_files = [os.path.join("study", name) for name in ("run.json", "study.json")]
    seen = {os.path.basename(path).split("-", 1)[-1] for path in watch.open_to_others}  # ".PID-run.json" at first
    assert seen <= {"run.json", "study.json"}
    assert watch.seen > 50
    assert named_in(site / "docs", (*MARKS, str(tmp_path).encode().lower())) == []
    assert named_in(site, MARKS) == with_names_of_files


@pytest.mark.long
def test_what_is_simulated_names_no_folder_it_was_written_to(tmp_path, capsys):
    for command in (["demo"], ["cohort", "simulate", "--patients", "1", "--seed", "1", "--dicom"]):
        out = tmp_path / "Zyxquist Foldername" / command[0]
        assert main([*command, "--out", str(out)]) == 0, capsys.readouterr().err
        assert named_in(out) == []


def test_information_for_bug_reports_names_nobody(planted, monkeypatch, capsys):
    monkeypatch.chdir(planted["place"])
    assert main(["info", "--json"]) == 0
    assert MARK not in capsys.readouterr().out.lower().encode()


PATIENT = "{id},ct.nrrd,ct.nrrd,,{diagnosis},F,60,{simulated}"


@pytest.mark.parametrize(
    ("patient_id", "diagnosis", "simulated", "words"),
    [
        ("Zyxquist", "fever", "", "would carry this patient_id"),
        ("P12345", "fever", "", "would carry this patient_id"),
        ("P001", "Zyxquist's disease", "", "would carry this diagnosis"),
        ("P001", "other", "", "nothing was trained"),
        ("SYNTH-0001", "any", "yes", "nothing was trained"),
    ],
)
def test_a_study_whose_exported_report_would_name_somebody_is_refused_at_once(
    tmp_path, capsys, patient_id, diagnosis, simulated, words
):
    table = tmp_path / "cohort.csv"
    row = PATIENT.format(id=patient_id, diagnosis=diagnosis, simulated=simulated)
    table.write_text(f"patient_id,ct,spect,lungs,diagnosis,sex,age,simulated\n{row}\n")
    (tmp_path / "ct.nrrd").write_text("")
    study = ["study", str(table), "--out", str(tmp_path / "study")]
    assert main([*study, "--export-docs", str(tmp_path / "docs")]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert "Zyxquist" not in said
    assert not (tmp_path / "docs").exists()


@pytest.mark.parametrize("name", ["", " ", "../x", "a\\b", "a\nb", "x" * 65, "\x1b[2J"])
def test_a_pseudonym_is_a_name(name):
    with pytest.raises(InputError, match="--pseudonym"):
        InputNames({"CT": "ct.nrrd"}, name)


def test_sentences_lose_paths_and_under_a_pseudonym_names():
    path = os.path.join(os.sep, "home", "Zyxquist", "ct.nrrd")
    paths = {"CT": path, "lungs": None}
    assert InputNames(paths).told([f"{path} is uneven"]) == ["ct.nrrd is uneven"]
    assert InputNames(paths, "seven").told([f"{path}: ct.nrrd is uneven"]) == ["seven (CT): seven (CT) is uneven"]
