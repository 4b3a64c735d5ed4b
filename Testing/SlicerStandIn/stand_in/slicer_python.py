"""Where the Python files of ``slicer`` come from (``parameterNodeWrapper``, ``ScriptedLoadableModule`` …).

They are Slicer's own where the environment names their folder, otherwise this repository's small ones.
"""

import os
import sys
from pathlib import Path

VARIABLE = "SLICER_PYTHON"
"""Environment variable with the folder ``Base/Python`` of Slicer's sources; README.md tells how to make it."""
SMALL = Path(__file__).resolve().parents[1] / "slicer_files"
MARKER = Path("slicer", "ScriptedLoadableModule.py")

CTK_NAMES = (
    "ctkCheckBox",
    "ctkCheckablePushButton",
    "ctkColorPickerButton",
    "ctkComboBox",
    "ctkDirectoryButton",
    "ctkDoubleRangeSlider",
    "ctkDoubleSlider",
    "ctkDoubleSpinBox",
)
SLICER_NAMES = ("qMRMLRangeWidget", "qMRMLSliderWidget", "qMRMLSpinBox", "qSlicerWidget")
"""Widgets that Slicer's files name and no panel of this repository has: classes without a behaviour. A ``.ui`` file
that uses one is refused, and nothing is ever an instance of one."""


def own_files() -> Path | None:
    """The folder of Slicer's own files, None where none is named.

    Raises:
        FileNotFoundError: the named folder is not ``Base/Python`` of Slicer's sources.
    """
    named = os.environ.get(VARIABLE)
    if not named:
        return None
    folder = Path(named).resolve()
    if not (folder / MARKER).is_file():
        raise FileNotFoundError(f"{VARIABLE} is {folder}, which has no {MARKER}: name Slicer's folder Base/Python.")
    return folder


def add_to(slicer_package) -> None:
    """Let ``import slicer.…`` find them."""
    folder = own_files()
    if folder is None:
        slicer_package.__path__.append(str(SMALL))
        return
    import ctk
    import qt

    for module, names in ((ctk, CTK_NAMES), (slicer_package, SLICER_NAMES)):
        for name in names:
            setattr(module, name, type(name, (qt.QWidget,), {}))
    slicer_package.__path__.append(str(folder / "slicer"))
    sys.path.append(str(folder))  # last: sitkUtils and its kin
