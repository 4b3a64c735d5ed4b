"""A study that is checked only, cut off, killed and continued: the numbers are those of one that was left alone."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from small_study import NETWORK, a_plan, rows_of_table
from small_training import some_samples

from DLCTPMLib.cli.main import BAD_INPUT, DONE
from DLCTPMLib.preprocessing.settings import PreprocessingSettings
from DLCTPMTrainingLib.cli.main import main
from DLCTPMTrainingLib.cohorts.table import read_cohort
from DLCTPMTrainingLib.study.fits import Fit
from DLCTPMTrainingLib.study.plan import Candidate
from DLCTPMTrainingLib.study.preparation import prepare_patient
from DLCTPMTrainingLib.study.settings import SearchSettings, SplitSettings
from DLCTPMTrainingLib.study.study import run_study
from DLCTPMTrainingLib.training.settings import TrainingSettings


def five_patients(cohort) -> Path:
    table = cohort.parent / "five.csv"
    table.write_text("\n".join(cohort.read_text().splitlines()[:6]) + "\n")
    return table


class CutOff(Exception):  # noqa: N818 - a death, not an error
    pass


@pytest.mark.long
def test_a_study_cut_off_again_and_again_ends_with_the_same_numbers(cohort, tmp_path):
    changes = {"split": SplitSettings(folds=2), "search": SearchSettings()}
    whole = run_study(a_plan(five_patients(cohort), tmp_path / "whole", **changes))
    rng = np.random.default_rng(8)

    def cut_after(calls):
        left = [calls]

        def progress(stage, fraction):
            left[0] -= 1
            if not left[0]:
                raise CutOff

        return progress

    cuts = 0
    changes["alternatives"] = ("unet",)  # may come later, and changes nothing of what was there
    while True:
        try:
            resumed = run_study(
                a_plan(five_patients(cohort), tmp_path / "cut", **changes), cut_after(int(rng.integers(12, 30)))
            )
            break
        except CutOff:
            cuts += 1
    assert cuts >= 3
    assert resumed.test == whole.test
    assert resumed.validation == whole.validation
    assert resumed.test_curve == whole.test_curve
    assert resumed.validation_curves == whole.validation_curves
    assert resumed.split == whole.split
    added = run_study(a_plan(five_patients(cohort), tmp_path / "whole", **changes))
    assert added.test == whole.test
    assert added.alternatives["unet"].test == resumed.alternatives["unet"].test
    assert added.alternatives["unet"].validation == resumed.alternatives["unet"].validation
    assert added.ensemble == resumed.ensemble


def test_a_death_between_checkpoint_and_copy_loses_no_epoch(tmp_path, monkeypatch):
    choice = Candidate(
        NETWORK,
        TrainingSettings(epochs=3, precision="fp32"),
        PreprocessingSettings(),
    )
    samples = some_samples()
    runs = {name: Fit(tmp_path / name, choice, ["P0", "P1"], [], torch.device("cpu"), (1, 2, 3)) for name in "ab"}
    runs["a"].fitted(samples)
    with monkeypatch.context() as patch:

        def die(self, epoch):
            raise CutOff

        patch.setattr(Fit, "_keep", die)
        with pytest.raises(CutOff):
            runs["b"].fitted(samples)
    runs["b"].fitted(samples)
    whole, cut = runs["a"].epochs(samples), runs["b"].epochs(samples)
    assert list(whole) == list(cut) == [1, 2, 3]
    for epoch in whole:
        for name, weights in whole[epoch].state_dict().items():
            assert torch.equal(weights, cut[epoch].state_dict()[name]), (epoch, name)


def test_registration_is_kept_and_used(cohort, tmp_path):
    row = read_cohort(cohort)[0]
    patient = prepare_patient(row, "rigid", tmp_path)
    assert patient.registration["after"] >= patient.registration["before"]
    transform = patient.load().transform
    point = np.array(patient.load().ct.TransformIndexToPhysicalPoint((20, 20, 20)))
    assert np.linalg.norm(np.array(transform.TransformPoint(point.tolist())) - point) < 12  # they were aligned
    written = (tmp_path / row.patient_id / "ct-to-spect.tfm").stat().st_mtime_ns
    prepare_patient(row, "rigid", tmp_path)
    assert (tmp_path / row.patient_id / "ct-to-spect.tfm").stat().st_mtime_ns == written


def test_the_command_names_every_fault_before_training(cohort, tmp_path, capsys):
    table = cohort.parent / "bad.csv"
    lines = cohort.read_text().splitlines()
    lines[4] = lines[4].replace("SYNTH-0004/ct.nrrd", "SYNTH-0001/ct.nrrd")
    table.write_text("\n".join(lines) + "\n")
    assert main(["study", str(table), "--out", str(tmp_path / "study"), "--progress", "none"]) == BAD_INPUT
    told = capsys.readouterr().err
    assert "line 5: the CT of patient SYNTH-0004 is that of patient SYNTH-0001 on line 2" in told
    assert "nothing was trained" in told
    assert not (tmp_path / "study").exists()


def test_a_check_leaves_a_contact_sheet_and_trains_nothing(cohort, tmp_path, capsys, monkeypatch):
    def never(*arguments, **more):
        raise AssertionError("trained")

    monkeypatch.setattr(Fit, "fitted", never)
    options = ["--register", "none", "--folds", "2", "--check", "--progress", "none"]
    assert main(["study", str(five_patients(cohort)), "--out", str(tmp_path / "study"), *options]) == DONE
    assert "Nothing was trained" in capsys.readouterr().out
    assert (tmp_path / "study" / "contact-sheet.png").stat().st_size > 10_000
    assert (tmp_path / "study" / "split.json").is_file()


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_the_command_killed_at_five_moments_ends_with_the_same_numbers(cohort, tmp_path):
    """With SIGKILL and workers, every option that trains, and the report's files compared with those of one job."""

    def command(out, jobs):
        return [sys.executable, "-m", "DLCTPMTrainingLib", "study", str(cohort), "--out", str(out),
                "--grid", "32x16x16",
                "--channels", "4-4-6-6", "--epochs", "2", "--search-epochs", "2", "--learning-rate", "0.01,0.0001",
                "--register", "none", "--precision", "fp32", "--device", "cpu", "--sensitivity", "--learning-curve",
                "--without", "pulmonary hypertension", "--alternatives", "unet", "--jobs", jobs, "--threads", "1",
                "--progress", "none"]  # fmt: skip

    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    start = time.monotonic()
    subprocess.run(command(tmp_path / "whole", "1"), check=True, env=environment)
    seconds = time.monotonic() - start
    moments = np.random.default_rng().uniform(0.05, 0.35, 5) * seconds
    for moment in moments:
        process = subprocess.Popen(command(tmp_path / "cut", "2"), env=environment)
        try:
            process.wait(moment)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
    subprocess.run(command(tmp_path / "cut", "2"), check=True, env=environment)
    names = ["numbers.json", *(path.name for path in (tmp_path / "whole" / "results").glob("*.csv"))]
    assert len(names) > 12
    for name in names:
        whole, cut = (results_file(tmp_path / study / "results" / name) for study in ("whole", "cut"))
        assert whole == cut, f"{name} differs after kills at {moments.round(1)} s of {seconds:.1f} s"


def results_file(path: Path) -> str | list[dict]:
    """A file of the results without the time that a map takes."""
    if path.name != "side-by-side.csv":
        return path.read_text(encoding="utf-8")
    return [{name: value for name, value in row.items() if name != "s a map"} for row in rows_of_table(path)]
