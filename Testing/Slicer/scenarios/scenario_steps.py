"""What the scenarios share: a small chest's files, clicks by the panel's contract names, each step's standstill.

The scenarios are written for a program that runs a module over Slicer's own Python files, with widgets that were not
written here, and gives them a ``bench``; README.md beside this file tells what that has.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
HELPERS = REPOSITORY / "Testing" / "helpers"
sys.path.append(str(HELPERS))
MAKES_FILES = "import json, sys, small_chest as c; print(json.dumps(c.write_inputs(c.Path(sys.argv[1]))))"
NOT_FROZEN_S = 30.0
"""Only the order of magnitude on a loaded machine; the printed figures are what counts."""
MAP_ATTRIBUTE, MAP_VALUE = "DLCTPM.Made", "perfusion"


def chest_files() -> dict[str, str]:
    """CT, lungs, SPECT and an untrained model in a temporary folder, made in a process of their own (torch)."""
    return json.loads(made_elsewhere(MAKES_FILES, tempfile.mkdtemp(prefix="scenario-")))


def made_elsewhere(code: str, folder: str | Path) -> str:
    """Run Python code in a process of its own, with the tests' helpers and the engine, on a folder; its last line."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HELPERS), str(REPOSITORY / "DLCTPM")])}
    command = [sys.executable, "-c", code, str(folder)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.splitlines()[-1] if done.stdout else ""


@contextmanager
def step(bench, name: str, frozen_s: float | None = NOT_FROZEN_S):
    """One step of a scenario; says how long it took and how long the panel stood still at most.

    Args:
        bench: the judge's.
        name: of the step.
        frozen_s: the longest standstill that passes; None where Slicer itself reads or writes volumes.
    """
    from event_loop import gaps

    began = time.monotonic()
    with gaps() as seen:
        yield
        bench.process()
    longest, busy = seen.longest_s * 1000, seen.busy_s * 1000
    took = time.monotonic() - began
    print(f"{name}: {took:.1f} s, longest standstill {longest:.0f} ms, {busy:.0f} ms at work", flush=True)
    assert frozen_s is None or seen.longest_s < frozen_s, f"{name}: the panel stood still for {seen.longest_s:.1f} s"


def save_and_clear(bench, scene: Path) -> None:
    """Save everything, and empty the scene."""
    with step(bench, "save", None):
        assert bench.slicer.util.saveScene(str(scene))
    with step(bench, "clear"):
        bench.slicer.mrmlScene.Clear(0)


def load_scene(bench, scene: Path) -> None:
    """Load what was saved."""
    with step(bench, "load", None):
        bench.slicer.util.loadScene(str(scene))
    bench.process()


def wait_idle(bench, seconds: float = 300.0, starts: str = "predictButton") -> None:
    """Let what runs end: the button that starts a run can be clicked, *Cancel* cannot.

    The buttons are looked up once: looking through the panel at every turn would be measured as a standstill.
    """
    start, cancel = bench.widget(starts), bench.widget("cancelButton")
    bench.wait_until(lambda: start.isEnabled() and not cancel.isEnabled(), seconds)


def maps(bench) -> list:
    """The perfusion maps in the scene."""
    volumes = bench.slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    return [volume for volume in volumes if volume.GetAttribute(MAP_ATTRIBUTE) == MAP_VALUE]


def predict(bench, name: str = "predict"):
    """Click *Predict perfusion* and wait for its map."""
    before = {volume.GetID() for volume in maps(bench)}
    with step(bench, name):
        bench.click("predictButton")
        wait_idle(bench)
    (made,) = [volume for volume in maps(bench) if volume.GetID() not in before]
    return made


def census(bench) -> dict[str, int]:
    """Node class → number of nodes."""
    scene = bench.slicer.mrmlScene
    classes = [scene.GetNthNode(index).GetClassName() for index in range(scene.GetNumberOfNodes())]
    return {name: classes.count(name) for name in sorted(set(classes))}


def leftovers(bench) -> list[str]:
    """Folders that jobs left for the engine."""
    return [path.name for path in Path(bench.slicer.app.temporaryPath).glob("dlctpm-*")]


def texts(table) -> list:
    """What a table shows."""
    cells = [table.item(row, column) for row in range(table.rowCount) for column in range(table.columnCount)]
    return [cell.text() if cell is not None else "" for cell in cells]
