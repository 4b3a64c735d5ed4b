"""When Slicer is killed outright, the engine's process ends as after Ctrl-C, and nothing is half-written."""

import sys

import pytest
from slicer_process import foster_parent, killed_at

from DLCTPMLib.common.ending.interruption import INTERRUPTED

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sees the end of an orphaned process on Linux only")

RUNS_ENGINE = """
from DLCTPMSlicerLib.engine.command import engineCommand, engineEnvironment
from DLCTPMSlicerLib.engine.process import EngineProcess
process = EngineProcess({command}, engineEnvironment(), onProgress=tell_stage)
process.start()
tell_engine(process)
process.wait()
"""
RUNS_JOB = """
from pathlib import Path
from DLCTPMSlicerLib.engine.job import EngineJob
def prepare(folder):
    (folder / "ct.nrrd").write_bytes(Path({ct!r}).read_bytes())
    return ["predict", str(folder / "ct.nrrd"), "--model", {model!r}, "--out", str(folder / "results")]
job = EngineJob(prepare, lambda folder: None, onProgress=tell_stage).start()
tell_engine(job._process)
job.wait()
"""
SILENT_COMMAND = """
import sys, time
def run(options, progress):
    progress("Silent work", 0.5)
    time.sleep(600)
from DLCTPMLib.cli.shared.command import Command
from DLCTPMLib.cli.main import main
sys.exit(main(["wait", "--progress", "json"], [Command("wait", "", lambda parser: None, run)]))
"""
"""Tells nothing more, so that nothing but the watch on the parent ends it."""


@pytest.fixture
def foster():
    with foster_parent():
        yield


def test_an_engine_that_works_on_in_silence_ends(foster, tmp_path):
    program = RUNS_ENGINE.format(command=[sys.executable, "-c", SILENT_COMMAND])
    assert killed_at("Silent work", program, tmp_path, seconds=15) == INTERRUPTED


@pytest.mark.parametrize("stage", ["Finding the lungs", "Mapping the", "Drawing the report"])
def test_a_prediction_leaves_nothing(foster, chest_files, tmp_path, stage):
    out = tmp_path / "results" / "of this CT"
    arguments = ["predict", chest_files["ct"], "--model", chest_files["model"], "--out", str(out)]
    program = RUNS_ENGINE.format(command=f"engineCommand({arguments!r})")
    assert killed_at(stage, program, tmp_path) == INTERRUPTED
    assert not out.parent.exists()


def test_a_comparison_leaves_the_earlier_results(foster, chest_files, tmp_path):
    out = tmp_path / "comparison"
    out.mkdir()
    (out / "result.json").write_text("earlier")
    images = ["--prediction", chest_files["spect"], "--spect", chest_files["spect"], "--lungs", chest_files["lungs"]]
    program = RUNS_ENGINE.format(command=f"engineCommand({['evaluate', *images, '--out', str(out)]!r})")
    assert killed_at("Comparing", program, tmp_path) == INTERRUPTED
    assert [path.name for path in out.iterdir()] == ["result.json"]
    assert (out / "result.json").read_text() == "earlier"


def test_no_copy_of_a_ct_stays_in_slicers_temporary_folder(foster, chest_files, tmp_path):
    program = RUNS_JOB.format(ct=chest_files["ct"], model=chest_files["model"])
    assert killed_at("Finding the lungs", program, tmp_path) == INTERRUPTED
    assert not list(tmp_path.rglob("ct.nrrd"))
