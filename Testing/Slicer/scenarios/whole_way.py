"""CT → predict → threshold → contours → SPECT → evaluate → export → save → clear → load → reload."""

import tempfile
from pathlib import Path

from scenario_steps import chest_files, leftovers, load_scene, maps, predict, save_and_clear, step, texts, wait_idle

EXPORT_FOLDER_KEY = "DLCTPM/ExportFolder"
files = {}


def prepare(bench):
    import qt

    files.update(chest_files(), out=tempfile.mkdtemp(prefix="scenario-out-"))
    qt.QSettings().setValue(EXPORT_FOLDER_KEY, str(Path(files["out"], "report")))


def run(bench):
    slicer = bench.slicer
    with step(bench, "read the CT", None):
        ct = bench.load_volume(files["ct"], name="CT")
    bench.widget("ctSelector").setCurrentNode(ct)
    perfusion = predict(bench)
    regions = bench.widget("regionsTable")
    assert regions.rowCount > 0
    low, high = slicer.util.arrayFromVolume(perfusion).min(), slicer.util.arrayFromVolume(perfusion).max()
    assert (low, round(float(high), 3) <= 1.0) == (0.0, True)

    before = texts(regions)
    with step(bench, "threshold"):
        bench.widget("thresholdSlider").value = 0.7000000000000001  # as CTK gives it
        bench.wait_until(lambda: texts(regions) != before, 60)
    assert bench.module_widget._parameterNode.threshold == 0.7

    with step(bench, "contours"):
        bench.click("contoursButton")
        wait_idle(bench)
    contours = bench.module_widget._parameterNode.functionSegmentation
    assert contours.GetSegmentation().GetNumberOfSegments() >= 2

    with step(bench, "read the SPECT", None):
        spect = bench.load_volume(files["spect"], name="SPECT", show=False)
    bench.widget("spectSelector").setCurrentNode(spect)
    with step(bench, "evaluate"):
        bench.click("evaluateButton")
        wait_idle(bench)
    assert bench.widget("metricsTable").rowCount > 0
    assert spect.GetParentTransformNode() is not None

    with step(bench, "export"):
        bench.click("exportButton")
        wait_idle(bench)
    written = {path.name for path in Path(files["out"], "report").rglob("*")}
    assert {"report.html", "result.json", "perfusion.nrrd"} <= written, written
    assert leftovers(bench) == []

    scene = Path(files["out"], "scene.mrb")
    save_and_clear(bench, scene)
    assert bench.widget("ctSelector").currentNode() is None
    assert not bench.widget("predictButton").isEnabled()
    load_scene(bench, scene)
    assert bench.widget("ctSelector").currentNode().GetName() == "CT"
    assert bench.widget("thresholdSlider").value == 0.7
    assert len(maps(bench)) == 1
    assert bench.module_widget._parameterNode.perfusionVolume is maps(bench)[0]
    assert bench.widget("metricsTable").rowCount > 0
    bench.wait_until(lambda: bench.widget("regionsTable").rowCount > 0, 60)
    predict(bench, "predict again")
