"""How Slicer starts the engine: its own Python, the engine's folders on the path, and where results go."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

MODULE_FOLDER = Path(__file__).resolve().parents[2]
TRAINING_FOLDER = MODULE_FOLDER.parent / "DLCTPMTraining"
"""In the source tree; an installed extension has both modules in one folder."""

ENGINE, TRAINING = "DLCTPMLib", "DLCTPMTrainingLib"
"""The two programs: the engine's commands, and those together with training's (demo, cohort, train, study)."""


def pythonProgram() -> str:
    """Slicer's Python (``PythonSlicer``), or this Python where there is no Slicer around."""
    return shutil.which("PythonSlicer") or sys.executable


def engineCommand(arguments: list[str], program: str = ENGINE) -> list[str]:
    """Program and arguments of one command, of the engine or with ``TRAINING`` of training, with progress as JSON.

    Example::

        engineCommand(["predict", "ct.nrrd", "--out", "results"])
    """
    return [pythonProgram(), "-m", program, *arguments, "--progress", "json"]


def engineEnvironment() -> dict[str, str]:
    """This process's environment with the engine on the path and UTF-8 everywhere."""
    environment = dict(os.environ)
    folders = [str(folder) for folder in (MODULE_FOLDER, TRAINING_FOLDER) if folder.is_dir()]
    before = environment.get("PYTHONPATH")
    environment["PYTHONPATH"] = os.pathsep.join([*folders, *([before] if before else [])])
    environment["PYTHONIOENCODING"] = "utf-8"
    environment["PYTHONUNBUFFERED"] = "1"
    return environment
