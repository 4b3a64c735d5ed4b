"""The extension configures, builds, tests and installs with Slicer's own commands, and nothing is left out."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import SimpleITK as sitk
from small_chest import chest_ct, lung_labels
from small_training import READY

REPOSITORY = Path(__file__).resolve().parents[2]
STAND_IN = REPOSITORY / "Testing" / "CMakeStandIn"
SCRIPTED = Path("lib/Slicer-5.12/qt-scripted-modules")


def _load_python_lists():
    spec = importlib.util.spec_from_file_location("python_lists", STAND_IN / "python_lists.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def python_lists():
    return _load_python_lists()


@pytest.fixture(scope="session")
def cmake():
    cmake = Path(sys.executable).with_name("cmake")
    if not cmake.exists() and not (found := shutil.which("cmake")):
        pytest.skip("building the extension needs the Python package cmake")
    for program, package in (("make", "make"), ("c++", "g++")):
        if shutil.which(program) is None:
            pytest.skip(f"building the extension needs {program}: install the Debian package {package}")
    return str(cmake if cmake.exists() else found)


def _run(*command, cwd=None):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, cwd=cwd, check=False)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def build_folder(cmake, tmp_path_factory):
    build = tmp_path_factory.mktemp("extension-build")
    options = (f"-DSlicer_DIR={STAND_IN}", f"-DPython3_EXECUTABLE={sys.executable}")
    _run(cmake, "-S", REPOSITORY, "-B", build, "-G", "Unix Makefiles", *options)
    _run(cmake, "--build", build)
    return build


@pytest.fixture(scope="session")
def install_folder(cmake, build_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("extension-install")
    _run(cmake, "--install", build_folder, "--prefix", folder)
    return folder / SCRIPTED


def test_cmake_lists_name_every_python_file(python_lists):
    assert python_lists.differences() == []


def test_a_file_missing_from_the_cmake_lists_is_noticed(python_lists, tmp_path):
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    for module in python_lists.MODULES:
        (tmp_path / module).mkdir()
        shutil.copy(REPOSITORY / module / "CMakeLists.txt", tmp_path / module)
        (tmp_path / module / "forgotten.py").touch()
    python_lists.REPOSITORY = tmp_path
    messages = python_lists.differences()
    assert "DLCTPM/CMakeLists.txt does not list forgotten.py" in messages
    assert "DLCTPM/CMakeLists.txt lists DLCTPMLib/common/errors.py, which is gone" in messages
    assert "pyproject.toml lists the package DLCTPMLib.common, which is gone" in messages
    python_lists.write()
    assert python_lists.differences() == []
    assert "  forgotten.py\n" in (tmp_path / "DLCTPM" / "CMakeLists.txt").read_text()


@pytest.mark.parametrize("module", ["DLCTPM", "DLCTPMTraining"])
def test_resources_are_listed(module):
    folder = REPOSITORY / module
    text = (folder / "CMakeLists.txt").read_text().replace("${MODULE_NAME}", module)
    missing = [
        path.relative_to(folder).as_posix()
        for path in (folder / "Resources").rglob("*")
        if path.is_file() and f"  {path.relative_to(folder).as_posix()}\n" not in text
    ]
    assert missing == []


def test_installation_holds_everything_that_the_modules_import(python_lists, install_folder):
    for module in python_lists.MODULES:
        for name in python_lists.present(module):
            installed = install_folder / name
            assert installed.read_bytes() == (REPOSITORY / module / name).read_bytes(), name
    for shared in ("Models", "Parameters", "Schemas", "Templates"):
        for path in (REPOSITORY / "Resources" / shared).rglob("*"):
            if path.is_file():
                installed = install_folder / path.relative_to(REPOSITORY)
                assert installed.read_bytes() == path.read_bytes(), path
    for module in python_lists.MODULES:
        assert (install_folder / f"{module}.py").is_file()
        assert (install_folder / "Resources" / "UI" / f"{module}.ui").is_file()
        assert (install_folder / "Resources" / "Icons" / f"{module}.png").is_file()


def test_installed_engine_finds_its_models_and_starts(install_folder):
    code = "from DLCTPMLib.common.resources import resource_folder; print(resource_folder())"
    found = _run(sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(install_folder)!r}); {code}")
    assert Path(found.strip()) == install_folder / "Resources"


@pytest.fixture(scope="session")
def only_others_packages(tmp_path_factory):
    """What this Python has of others: no source tree of this project, no distribution, no entry points."""
    folder = tmp_path_factory.mktemp("site")
    for site in (Path(entry) for entry in sys.path if Path(entry).name == "site-packages"):
        for package in site.iterdir():
            ours = "dlctpm" in package.name.lower() or package.suffix == ".pth"
            if not ours and not (folder / package.name).exists():
                (folder / package.name).symlink_to(package)
    return folder


@pytest.fixture
def installed(install_folder, only_others_packages, tmp_path):
    """Runs the installed tree's Python as Slicer does, with a chest's files in the working folder."""
    sitk.WriteImage(chest_ct(), str(tmp_path / "ct.nrrd"))
    sitk.WriteImage(lung_labels(), str(tmp_path / "lungs.nrrd"))
    READY.save(tmp_path / "samples.npz")
    places = {"PYTHONPATH": os.pathsep.join(map(str, (install_folder, only_others_packages)))}

    def run(*arguments) -> str:
        command = [sys.executable, "-S", *map(str, arguments)]
        done = subprocess.run(
            command, cwd=tmp_path, env={**os.environ, **places}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_installed_libraries_are_found_without_a_distribution(installed, install_folder):
    code = (
        "import DLCTPMLib, DLCTPMTrainingLib, importlib.metadata as found\n"
        "from DLCTPMTrainingLib.common.parameters import parameters\n"
        "print(DLCTPMLib.__file__, DLCTPMTrainingLib.__file__, len(parameters()))\n"
        "print(len(found.entry_points(group='dlctpm.commands')))"
    )
    first, entry_points = installed("-c", code).splitlines()
    engine, training, count = first.split()
    assert Path(engine).is_relative_to(install_folder)
    assert Path(training).is_relative_to(install_folder)
    assert int(count) > 100
    assert entry_points == "0"


def test_installed_engine_predicts_and_segments(installed, tmp_path):
    installed("-m", "DLCTPMLib", "predict", "ct.nrrd", "--lungs", "lungs.nrrd", "--out", "out", "--progress", "none")
    report = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    style = (REPOSITORY / "Resources" / "Templates" / "base.css").read_text(encoding="utf-8")
    assert style.splitlines()[0] in report
    assert "plain 3D U-Net" in report
    installed("-m", "DLCTPMLib", "segment", "ct.nrrd", "--out", "found.seg.nrrd", "--progress", "none")
    assert sitk.GetArrayViewFromImage(sitk.ReadImage(str(tmp_path / "found.seg.nrrd"))).any()


def test_installed_training_trains(installed, tmp_path):
    options = ["--samples", "samples.npz", "--epochs", 1, "--channels", "2-2-4-4", "--device", "cpu"]
    installed("-m", "DLCTPMTrainingLib", "train", *options, "--progress", "none", "--out", "run")
    assert (tmp_path / "run" / "model" / "SHA256SUMS").is_file()


def test_the_modules_own_tests_pass_after_the_build(cmake, build_folder):
    ctest = Path(cmake).with_name("ctest")
    output = _run(ctest, "--test-dir", build_folder, "--output-on-failure", "--no-tests=error")
    # opening the panel, and the module's own test, of each of the two modules
    assert re.search(r"100% tests passed, 0 tests failed out of 4", output), output


def test_pictures_and_pages_of_the_tutorial_are_there():
    for page in (REPOSITORY / "docs" / "tutorial.md", REPOSITORY / "README.md"):
        links = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8"))
        assert [link for link in links if not (page.parent / link).exists()] == [], page
