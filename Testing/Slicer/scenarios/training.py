"""The training module: check a cohort, train, cancel and resume, save, clear, load, reload."""

import sys
import tempfile
from pathlib import Path

from scenario_steps import HELPERS, load_scene, made_elsewhere, save_and_clear, step

files = {}


def prepare(bench):
    sys.path.append(str(HELPERS))
    from training_steps import GOOD, HEADER, MAKE_COHORT

    cohort = Path(tempfile.mkdtemp(prefix="scenario-cohort-"))
    made_elsewhere(MAKE_COHORT, cohort)
    (cohort / "cohort.csv").write_text("\n".join([HEADER, *GOOD, ""]))
    files.update(cohort=cohort / "cohort.csv", out=Path(tempfile.mkdtemp(prefix="scenario-run-")) / "run")


def run(bench):
    from training_steps import set_up

    slicer, panel = bench.slicer, bench.module_widget
    set_up(panel, files["cohort"], files["out"])
    bench.process()
    with step(bench, "check"):
        bench.click("checkButton")
        wait_idle(bench)
    with step(bench, "train and cancel"):
        bench.click("trainButton")
        bench.wait_until(lambda: (files["out"] / "checkpoint.pt").exists(), 300)
        bench.click("cancelButton")
        wait_idle(bench)
    with step(bench, "resume"):
        bench.click("resumeButton")
        wait_idle(bench)
    assert (files["out"] / "model" / "SHA256SUMS").is_file()
    assert bench.widget("resultsTable").rowCount > 0
    assert slicer.util.getNodesByClass("vtkMRMLPlotChartNode")

    scene = files["out"].parent / "scene.mrb"
    save_and_clear(bench, scene)
    load_scene(bench, scene)
    assert slicer.util.getNodesByClass("vtkMRMLPlotChartNode")
    with step(bench, "reload", None):
        panel.onReload()
        bench.process()


def wait_idle(bench, seconds: float = 300.0) -> None:
    """Let what runs end."""
    bench.wait_until(lambda: is_idle(bench), seconds)


def is_idle(bench) -> bool:
    """Whether nothing runs."""
    return bench.widget("checkButton").isEnabled() and not bench.widget("cancelButton").isEnabled()
