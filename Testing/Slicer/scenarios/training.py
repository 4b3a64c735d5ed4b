"""The training module: check a cohort, train, cancel and resume, save, clear, load, reload."""

import sys
import tempfile
from pathlib import Path

from scenario_steps import HELPERS, load_scene, made_elsewhere, save_and_clear, step, wait_idle

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
        wait_idle(bench, starts="checkButton")
    with step(bench, "train and cancel"):
        bench.click("trainButton")
        bench.wait_until(lambda: (files["out"] / "checkpoint.pt").exists(), 300)
        bench.click("cancelButton")
        wait_idle(bench, starts="checkButton")
    with step(bench, "resume"):
        bench.click("resumeButton")
        wait_idle(bench, starts="checkButton")
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
