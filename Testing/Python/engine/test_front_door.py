"""``import DLCTPMLib``: what it offers, that nothing heavy comes with it, and the README's lines as they stand."""

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path
from types import FunctionType

import pytest
import SimpleITK as sitk
from small_chest import write_inputs

import DLCTPMLib
import DLCTPMTrainingLib
from DLCTPMLib.cli.main import DONE, main

REPOSITORY = Path(__file__).resolve().parents[3]
HEAVY = ("torch", "SimpleITK", "numpy", "scipy", "skimage", "matplotlib", "pydicom")
PACKAGES = sorted(
    f"{library.__name__}.{path.parent.name}"
    for library in (DLCTPMLib, DLCTPMTrainingLib)
    for path in Path(library.__file__).parent.glob("*/__init__.py")
)


def test_the_front_door_leads_to_the_rooms():
    named = {"read_ct", "segment_lungs", "load_bundle", "map_perfusion", "register", "compare"}
    assert named <= set(DLCTPMLib.__all__)
    for name in DLCTPMLib.__all__:
        assert callable(getattr(DLCTPMLib, name)), name
    with pytest.raises(AttributeError, match="'DLCTPMLib' has no attribute 'predict_everything'"):
        _ = DLCTPMLib.predict_everything


@pytest.mark.parametrize("package", PACKAGES)
def test_every_name_of_a_packages_public_face_is_there(package):
    room = importlib.import_module(package)
    assert room.__doc__
    assert room.__all__
    for name in room.__all__:
        offered = getattr(room, name)
        assert offered.__doc__ or not isinstance(offered, (type, FunctionType)), name
        assert name in dir(room)
        assert not (Path(room.__file__).parent / f"{name}.py").exists(), f"{name} hides the module of that name"


def test_knowing_what_is_offered_imports_nothing_heavy():
    rooms = ", ".join(PACKAGES)
    code = f"import sys, DLCTPMLib, {rooms}; dir(DLCTPMLib); DLCTPMLib.__all__; DLCTPMLib.InputError; "
    code += f"print([name for name in {HEAVY} if name in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert shown.stdout.strip() == "[]", shown.stderr


def test_the_lines_of_the_readme_give_what_the_command_gives(tmp_path, monkeypatch, capsys):
    lines = re.search(r"```python\n(import DLCTPMLib.*?)```", (REPOSITORY / "README.md").read_text(), re.DOTALL)[1]
    files = write_inputs(tmp_path)
    arguments = ["--spect", files["spect"], "--device", "cpu", "--out", str(tmp_path / "out"), "--progress", "none"]
    assert main(["predict", files["ct"], *arguments]) == DONE
    result = json.loads((tmp_path / "out" / "result.json").read_text(encoding="utf-8"))
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    exec(compile(lines, "README.md", "exec"), {})
    printed = capsys.readouterr().out.split()
    figures = result["agreement"]["lungs"]
    assert [float(each) for each in printed] == pytest.approx([figures["r_spearman"], figures["dsc_high"]], abs=1e-6)
    maps = [sitk.GetArrayFromImage(sitk.ReadImage(str(path))) for path in ("perfusion.nrrd", "out/perfusion.nrrd")]
    assert (maps[0] == maps[1]).all()
    assert maps[0].any()
