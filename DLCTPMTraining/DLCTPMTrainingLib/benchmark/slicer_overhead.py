"""What the Slicer panel adds to the engine's own time, measured in a process of its own on the Slicer stand-in."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import SimpleITK as sitk

from DLCTPMLib.common.console import NO_WINDOW
from DLCTPMLib.common.ending.temporary_files import private_folder

PROGRAM = Path(__file__).resolve().parents[3] / "Testing" / "SlicerStandIn" / "measure.py"
"""Only in the source tree: an installed package has no stand-in."""
PACKAGES = ("slicer", "PySide6")


def measure_slicer(ct: sitk.Image) -> dict:
    """Seconds from the click on "Predict perfusion" to the overlay, and how much of it is not the engine's.

    Returns:
        the figures that ``measure.py`` describes, or ``{"skipped": reason}``.
    """
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing or not PROGRAM.exists():
        return {"skipped": f"needs the source tree and the Python packages {', '.join(missing) or 'of its tests'}"}
    with private_folder() as folder:
        path = folder / "ct.nrrd"
        sitk.WriteImage(ct, str(path))
        command = [sys.executable, str(PROGRAM), str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, **NO_WINDOW)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no reason given"]
        return {"skipped": lines[-1]}
    return json.loads(done.stdout.splitlines()[-1])


def slicer_lines(figures: dict) -> list[str]:
    """The figures as text, one a line."""
    if "skipped" in figures:
        return [f"slicer: skipped, {figures['skipped']}"]
    return [
        f"slicer (stand-in): click to overlay {figures['click_to_overlay_s']:.2f} s, engine's own stages "
        f"{figures['engine_s']:.2f} s, added {figures['overhead_s']:.2f} s; the command line alone takes "
        f"{figures['command_s']:.2f} s",
        f"slicer (stand-in): the panel opens in {figures['open_s']:.2f} s",
        f"slicer (stand-in): lungs' surfaces {figures['surfaces_s']:.2f} s, after the overlay; contours "
        f"{figures['contours_s']:.2f} s",
        f"slicer (stand-in): region table follows the slider after {figures['region_table_s']:.2f} s, "
        f"panel blocked {figures['slider_blocked_s']:.3f} s at most",
    ]
