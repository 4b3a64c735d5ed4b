"""Files of the program's own making, and the commands that read them again: what the fuzz target damages of them."""

import tempfile
from pathlib import Path

import SimpleITK as sitk
from small_chest import chest_ct, lung_labels, perfusion_spect, write_inputs
from small_training import READY

from DLCTPMLib.cli.main import parser_of
from DLCTPMLib.common.progress import no_progress
from DLCTPMLib.networks.bundle import load_bundle
from DLCTPMLib.preprocessing.settings import PreprocessingSettings
from DLCTPMLib.results.methods import training_sentence
from DLCTPMTrainingLib.cli.main import COMMANDS

SAMPLES = "samples.npz"
QUIETLY = ("--device", "cpu", "--progress", "json")


def run(*arguments: object) -> None:
    """Run a command of the program in this process; what it raises is the caller's."""
    options = parser_of(COMMANDS).parse_args([str(each) for each in arguments])
    options.run(options, no_progress)


def write_program_files(folder: Path) -> dict[str, list[Path]]:
    """A model, samples, a training run, a cohort's table, and a prediction with its images; by reader."""
    inputs = write_inputs(folder / "result")
    model = (folder / "result" / "model").rename(folder / "model")
    READY.save(folder / SAMPLES)
    begun = folder / "checkpoint"
    run(
        "train", "--samples", folder / SAMPLES, "--out", begun, "--epochs", 2, "--device", "cpu", "--progress", "json"
    )
    READY.save(begun / SAMPLES)
    result = folder / "result"
    images = (inputs["ct"], "--lungs", inputs["lungs"], "--model", model)
    run("predict", *images, "--out", folder / "map", "--progress", "json", "--force", "--device", "cpu")
    for name in ("result.json", "perfusion.nrrd"):
        (folder / "map" / name).rename(result / name)
    (folder / "cohort").mkdir()
    for name, image in (("ct", chest_ct()), ("lungs", lung_labels()), ("spect", perfusion_spect())):
        sitk.WriteImage(image, str(folder / "cohort" / f"{name}.nrrd"), True)
    table = "patient_id,ct,spect,lungs,diagnosis,sex,age\nP0,ct.nrrd,spect.nrrd,lungs.nrrd,fever,F,61\n"
    (folder / "cohort" / "cohort.csv").write_text(table, encoding="utf-8")
    return {
        name: [folder / (SAMPLES if name == "samples" else "model" if name == "bundle" else name)]
        for name in PROGRAM_FILES
    }


def _bundle(path: Path, scratch: Path) -> None:
    bundle = load_bundle(path)
    bundle.network()
    training_sentence(bundle.metadata, PreprocessingSettings())


def _samples(path: Path, scratch: Path) -> None:
    run("train", "--samples", path, "--out", scratch / "run", "--epochs", 1, *QUIETLY)


def _checkpoint(path: Path, scratch: Path) -> None:
    run("train", "--samples", path / SAMPLES, "--out", path, "--epochs", 2, *QUIETLY)


def _cohort(path: Path, scratch: Path) -> None:
    run("cohort", "check", path / "cohort.csv", "--progress", "json")


def _result(path: Path, scratch: Path) -> None:
    images = {name: path / f"{name}.nrrd" for name in ("ct", "lungs", "spect")}
    options = [each for name, image in images.items() for each in (f"--{name}", image)]
    run(
        "evaluate",
        "--prediction",
        path / "perfusion.nrrd",
        *options,
        "--result",
        path / "result.json",
        "--out",
        scratch / "out",
        "--progress",
        "json",
    )


PROGRAM_FILES = {
    "bundle": _bundle,
    "samples": _samples,
    "checkpoint": _checkpoint,
    "cohort": _cohort,
    "result": _result,
}
"""What reads each kind: given the path and a folder to write to."""


def read_program_file(kind: str, path: str) -> None:
    """Read a file of one kind as its command does; raises what the command raises."""
    with tempfile.TemporaryDirectory() as scratch:
        PROGRAM_FILES[kind](Path(path), Path(scratch))
