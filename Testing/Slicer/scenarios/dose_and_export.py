"""CT → predict → dose and function → DICOM objects → save → clear → load: what the planning system is to get."""

import json
import tempfile
from pathlib import Path

from scenario_steps import (
    chest_files,
    leftovers,
    load_scene,
    made_elsewhere,
    maps,
    predict,
    save_and_clear,
    step,
    texts,
    wait_idle,
)

EXPORT_FOLDER_KEY = "DLCTPM/ExportFolder"
MAKES_PLAN = "import json, sys, small_plan as p; print(json.dumps(p.write_plan(p.Path(sys.argv[1]))))"
files = {}


def prepare(bench):
    import qt

    folder = tempfile.mkdtemp(prefix="scenario-plan-")
    files.update(chest_files(), plan=json.loads(made_elsewhere(MAKES_PLAN, folder)), out=Path(folder, "out"))
    qt.QSettings().setValue(EXPORT_FOLDER_KEY, str(files["out"]))


def run(bench):
    from dicom_database import DicomDatabase

    slicer = bench.slicer
    slicer.dicomDatabase = DicomDatabase(files["plan"]["dicom"])
    ct = bench.load_volume(files["ct"], name="CT")
    bench.widget("ctSelector").setCurrentNode(ct)
    perfusion = predict(bench)
    assert not bench.widget("exportDicomButton").isEnabled()  # the CT came from another kind of file
    assert "not loaded from DICOM" in bench.widget("dicomLabel").text
    slicer.dicomDatabase.claim(ct)
    bench.module_widget.panel.update()

    dose, targets = plan_in_scene(bench, ct)
    bench.widget("doseSelector").setCurrentNode(dose)
    bench.widget("structuresSelector").setCurrentNode(targets)
    with step(bench, "dose and cancel"):
        bench.click("doseButton")
        bench.click("cancelButton")
        wait_idle(bench)
    assert perfusion.GetNodeReference("DLCTPM.dose") is None
    with step(bench, "dose of nodes"):
        bench.click("doseButton")
        wait_idle(bench)
    assert bench.widget("doseTable").rowCount == 3, bench.widget("statusLabel").text
    assert "lungs minus GTV" in bench.widget("doseLabel").text
    assert bench.widget("doseReportButton").isEnabled()
    of_nodes = texts(bench.widget("doseTable"))

    with step(bench, "export and cancel"):
        bench.click("exportDicomButton")
        bench.click("cancelButton")
        wait_idle(bench)
    assert not Path(files["out"], "dicom").exists()
    with step(bench, "export"):
        bench.click("exportDicomButton")
        wait_idle(bench)
    written = {path.name for path in Path(files["out"], "dicom").iterdir()}
    assert written == {"perfusion_map.dcm", "segmentation.dcm", "structure_set.dcm", "measurements.dcm"}, written
    assert leftovers(bench) == []

    scene = Path(files["out"], "scene.mrb")
    save_and_clear(bench, scene)
    assert bench.widget("doseTable").rowCount == 0
    load_scene(bench, scene)
    assert texts(bench.widget("doseTable")) == of_nodes
    assert bench.widget("doseSelector").currentNode().GetName() == "dose"
    assert bench.widget("structuresSelector").currentNode().GetName() == "structures"
    assert bench.widget("exportDicomButton").isEnabled()
    assert len(maps(bench)) == 1

    bench.widget("doseSelector").setCurrentNode(None)
    bench.widget("structuresSelector").setCurrentNode(None)
    bench.widget("dosePathLineEdit").currentPath = files["plan"]["dose"]
    bench.widget("structuresPathLineEdit").currentPath = files["plan"]["structures"]
    with step(bench, "dose of files"):
        bench.click("doseButton")
        wait_idle(bench)
    assert "lungs minus GTV" in bench.widget("doseLabel").text
    assert texts(bench.widget("doseTable")) != of_nodes


def plan_in_scene(bench, ct):
    """A dose that grows across the chest, and a box in the right lung that is a GTV, as nodes."""
    import numpy as np

    slicer = bench.slicer
    voxels = slicer.util.arrayFromVolume(ct)
    dose = slicer.modules.volumes.logic().CloneVolume(ct, "dose")
    values = np.broadcast_to(np.linspace(0, 40, voxels.shape[2]), voxels.shape)
    slicer.util.updateVolumeFromArray(dose, values.astype(np.float32))
    targets = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "structures")
    targets.SetReferenceImageGeometryParameterFromVolumeNode(ct)
    targets.GetSegmentation().AddEmptySegment("GTV", "GTV")
    box = np.zeros(voxels.shape, np.uint8)
    box[20:28, 22:30, 14:22] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(box, targets, "GTV", ct)
    return dose, targets
