"""A wheel holds everything that the program reads, and works where there is no source tree."""

import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
SHIPPED = ("Models", "Parameters", "Schemas", "Templates")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The unpacked wheel, built from a copy so that the checkout stays clean."""
    if int(metadata.version("setuptools").split(".")[0]) < 77:
        pytest.skip("building the wheel without a network needs setuptools 77 or newer")
    folder = tmp_path_factory.mktemp("wheel")
    leave_out = shutil.ignore_patterns("__pycache__", "*.egg-info", "Screenshots", "build")
    for name in ("DLCTPM", "DLCTPMTraining", "Resources"):
        shutil.copytree(REPOSITORY / name, folder / "source" / name, ignore=leave_out)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, folder / "source")
    command = ("wheel", "--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--wheel-dir", folder)
    done = subprocess.run(
        [sys.executable, "-m", "pip", *map(str, command), str(folder / "source")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        archive.extractall(folder / "unpacked")
    return folder / "unpacked"


@pytest.mark.parametrize("name", SHIPPED)
def test_the_wheel_holds_every_shared_file(wheel, name):
    def files(folder):
        return {path.relative_to(folder).as_posix() for path in (folder / name).rglob("*") if path.is_file()}

    assert files(REPOSITORY / "Resources")
    assert files(wheel / "DLCTPMResources") == files(REPOSITORY / "Resources")


def test_the_wheel_finds_its_files_without_the_source_tree(wheel):
    code = (
        f"import sys; sys.path.insert(0, {str(wheel)!r})\n"
        "from DLCTPMLib.common.resources import resource_path\n"
        "from DLCTPMLib.networks.bundle import load_bundle\n"
        "from DLCTPMTrainingLib.common.parameters import parameters\n"
        "print(resource_path('Templates/report.html.j2'), len(parameters()), load_bundle().name, sep='\\n')"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    place, count, name = done.stdout.splitlines()
    assert Path(place) == wheel / "DLCTPMResources" / "Templates" / "report.html.j2"
    assert int(count) > 100
    assert name == "dlctpm-demo-unet"
