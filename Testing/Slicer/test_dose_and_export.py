"""The panel's DICOM objects and its dose and function, with the engine's own process."""

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import _with_small_chest
from dicom_database import DicomDatabase
from panel_steps import FAILS, click, temporary_folders, until_idle

pydicom = pytest.importorskip("pydicom", reason="DICOM needs the Python package pydicom")

GTV = ((-70.0, 20.0, 1052.0), 24.0)
"""Centre (LPS mm) and radius of a ball in the right lung."""


@pytest.fixture(scope="session")
def plan_files(tmp_path_factory) -> dict[str, str]:
    """The chest's CT as DICOM, a dose and structures, made in a process of their own."""
    code = "import json, sys, small_plan as p; print(json.dumps(p.write_plan(p.Path(sys.argv[1]))))"
    return json.loads(_with_small_chest(code, tmp_path_factory.mktemp("plan")).splitlines()[-1])


@pytest.fixture
def database(plan_files, monkeypatch):
    """Slicer's DICOM database with the chest's CT."""
    import slicer

    made = DicomDatabase(plan_files["dicom"])
    monkeypatch.setattr(slicer, "dicomDatabase", made, raising=False)
    return made


@pytest.fixture
def from_dicom(mapped, database, tmp_path):
    """The panel with a map whose CT came from DICOM, and a folder chosen."""
    database.claim(mapped._parameterNode.ctVolume)
    mapped.ui.exportPathLineEdit.currentPath = str(tmp_path)
    mapped.panel.update()
    return mapped


@pytest.fixture
def errors(monkeypatch):
    """What the panel shows as errors."""
    import slicer

    told = []
    monkeypatch.setattr(slicer.util, "errorDisplay", lambda text, **_more: told.append(text))
    return told


@pytest.fixture
def opened(monkeypatch):
    """What the panel opens outside."""
    import qt

    told = []
    monkeypatch.setattr(qt.QDesktopServices, "openUrl", lambda url: told.append(Path(url.toLocalFile())))
    return told


def objects_in(folder):
    return {path.name: pydicom.dcmread(path) for path in Path(folder).glob("*.dcm")}


def test_a_ct_from_another_kind_of_file_has_one_sentence_and_no_button(mapped):
    ui = mapped.ui
    assert not ui.exportSection.isHidden()
    assert not ui.exportDicomButton.enabled
    assert "was not loaded from DICOM" in ui.dicomLabel.text
    assert not ui.dicomLabel.isHidden()
    assert ui.exportForcedCheckBox.isHidden()


def test_the_chosen_objects_lie_in_the_study_of_the_ct(from_dicom, plan_files, tmp_path, opened):
    ui = from_dicom.ui
    ui.deidentifyCheckBox.click()
    ui.holesComboBox.currentIndex = 1
    from_dicom._parameterNode.threshold = 0.5
    click(from_dicom, ui.exportDicomButton)
    written = objects_in(tmp_path / "dicom")
    assert set(written) == {"perfusion_map.dcm", "segmentation.dcm", "structure_set.dcm", "measurements.dcm"}
    ct = pydicom.dcmread(next(Path(plan_files["dicom"]).iterdir()))
    assert {str(one.StudyInstanceUID) for one in written.values()} == {str(ct.StudyInstanceUID)}
    assert str(written["segmentation.dcm"].FrameOfReferenceUID) == str(ct.FrameOfReferenceUID)
    assert all(str(one.PatientName) != str(ct.PatientName) for one in written.values())
    names = [roi.ROIName for roi in written["structure_set.dcm"].StructureSetROISequence]
    assert any("p75_0.50" in name or "p75_0.5" in name for name in names), names
    for name in written:
        assert name in ui.statusLabel.text
    assert temporary_folders() == []
    ui.openFolderButton.click()
    assert opened == [tmp_path / "dicom"]


def test_what_is_not_ticked_is_not_asked_for(from_dicom, engine):
    asked, ui = engine("pass"), from_dicom.ui
    ui.dicomSegCheckBox.click()
    ui.dicomSeriesCheckBox.click()
    assert not ui.dicomSrCheckBox.enabled  # measurements refer to the segmentation
    click(from_dicom, ui.exportDicomButton)
    (arguments,) = asked
    assert arguments[arguments.index("--objects") + 1] == "map,rtstruct,series"
    assert arguments[arguments.index("--holes") + 1] == "keyhole"
    assert "--force" not in arguments
    assert "--deidentify" not in arguments
    ui.dicomRtstructCheckBox.click()
    click(from_dicom, ui.exportDicomButton)
    assert "--holes" not in asked[1]  # of contours only, and what does nothing is refused
    for box in (ui.dicomMapCheckBox, ui.dicomSeriesCheckBox):
        box.click()
    assert not ui.exportDicomButton.enabled


def test_a_forced_map_is_exported_only_with_a_tick(from_dicom, engine):
    asked, ui = engine("pass"), from_dicom.ui
    perfusion = from_dicom._parameterNode.perfusionVolume
    result = json.loads(perfusion.GetAttribute("DLCTPM.Result"))
    perfusion.SetAttribute("DLCTPM.Result", json.dumps({**result, "forced": ["It is upside down."]}))
    from_dicom.panel.update()
    assert not ui.exportForcedCheckBox.isHidden()
    assert not ui.exportDicomButton.enabled
    assert "forced" in ui.exportDicomButton.toolTip
    ui.exportForcedCheckBox.click()
    click(from_dicom, ui.exportDicomButton)
    assert "--force" in asked[0]


def test_what_is_hidden_while_a_section_is_folded_is_hidden_when_it_is_opened(from_dicom):
    ui, perfusion = from_dicom.ui, from_dicom._parameterNode.perfusionVolume
    result = perfusion.GetAttribute("DLCTPM.Result")
    ui.exportSection.collapsed = False
    perfusion.SetAttribute("DLCTPM.Result", json.dumps({**json.loads(result), "forced": ["It is upside down."]}))
    from_dicom.panel.update()
    assert not ui.exportForcedCheckBox.isHidden()
    ui.exportSection.collapsed = True
    perfusion.SetAttribute("DLCTPM.Result", result)
    from_dicom.panel.update()
    ui.exportSection.collapsed = False
    assert ui.exportForcedCheckBox.isHidden()


def test_an_image_that_left_the_database_is_told(from_dicom, database, errors):
    database.files.popitem()
    click(from_dicom, from_dicom.ui.exportDicomButton)
    assert len(errors) == 1
    assert "is not in Slicer's DICOM database any more" in errors[0]


def ball(reference):
    """The GTV as voxels (k, j, i) of a volume whose axes are those of the patient."""
    import slicer
    import vtk

    (x, y, z), radius = GTV
    k, j, i = np.indices(slicer.util.arrayFromVolume(reference).shape)
    toRas = vtk.vtkMatrix4x4()
    reference.GetIJKToRASMatrix(toRas)
    ras = slicer.util.arrayFromVTKMatrix(toRas) @ np.stack([i, j, k, np.ones_like(i)]).reshape(4, -1)
    away = ras[:3] - np.array([[-x], [-y], [z]])
    return (np.linalg.norm(away, axis=0) <= radius).reshape(k.shape)


@pytest.fixture
def plan(mapped):
    """A dose on the CT's grid and a segmentation with a GTV, in the scene: volume, segmentation, GTV's voxels."""
    import slicer

    ct = mapped._parameterNode.ctVolume
    values = np.broadcast_to(np.linspace(0, 40, ct.GetImageData().GetDimensions()[0]), ball(ct).shape)
    dose = slicer.modules.volumes.logic().CloneVolume(ct, "dose")
    slicer.util.updateVolumeFromArray(dose, values.astype(np.float32))
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "structures")
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(ct)
    for name in ("GTV", "Heart"):
        segmentation.GetSegmentation().AddEmptySegment(name, name)
        slicer.util.updateSegmentBinaryLabelmapFromArray(ball(ct).astype(np.uint8), segmentation, name, ct)
    mapped.ui.doseSelector.setCurrentNode(dose)
    mapped.ui.structuresSelector.setCurrentNode(segmentation)
    return dose, segmentation, ball(ct)


def rows_of(table):
    """Column → values of what a table shows."""
    headings = [table.horizontalHeaderItem(c).text() for c in range(table.columnCount)]
    return {heading: [table.item(r, c).text() for r in range(table.rowCount)] for c, heading in enumerate(headings)}


def expected(panel, dose, gtv, part=None):
    """Mean dose of both lungs, of voxels of the scene alone; ``part``: of the lungs what is asked for."""
    import slicer

    parameters = panel._parameterNode
    values = slicer.util.arrayFromVolume(parameters.perfusionVolume)
    inside = (values > 0) & ~gtv
    gy = slicer.util.arrayFromVolume(dose)
    if part == "high":
        inside &= values > parameters.threshold
    weights = values if part == "weighted" else np.ones_like(values)
    return float((gy * weights)[inside].sum() / weights[inside].sum())


def test_figures_are_those_of_the_voxels_in_the_scene_and_are_saved_with_it(mapped, plan, tmp_path, opened):
    import slicer

    dose, _segmentation, gtv = plan
    ui = mapped.ui
    mapped._parameterNode.threshold = 0.5
    assert ui.dosePathLineEdit.isHidden()
    click(mapped, ui.doseButton)
    shown = rows_of(ui.doseTable)
    assert float(shown["MLD\nGy"][0]) == pytest.approx(expected(mapped, dose, gtv), abs=0.15)
    assert float(shown["fMLD w\nGy"][0]) == pytest.approx(expected(mapped, dose, gtv, "weighted"), abs=0.15)
    assert float(shown["fMLD\nGy"][0]) == pytest.approx(expected(mapped, dose, gtv, "high"), abs=0.15)
    assert "lungs minus GTV" in ui.doseLabel.text
    assert "p75:0.5" in ui.doseLabel.text
    assert ui.statusLabel.text.startswith("Dose and function worked out.")
    ui.doseReportButton.click()
    assert "<html" in opened[0].read_text(encoding="utf-8")
    assert temporary_folders() == []

    scene = tmp_path / "planned.mrb"
    assert slicer.util.saveScene(str(scene))
    slicer.mrmlScene.Clear(0)
    assert ui.doseSection.isHidden()
    slicer.util.loadScene(str(scene))
    assert rows_of(ui.doseTable) == shown
    assert "lungs minus GTV" in ui.doseLabel.text
    assert mapped._parameterNode.structures.GetName() == "structures"
    assert ui.doseReportButton.enabled


def test_another_segment_or_nothing_is_left_out_as_chosen(mapped, plan, engine, errors):
    asked, ui = engine("pass"), mapped.ui
    assert [ui.targetComboBox.itemText(i) for i in range(ui.targetComboBox.count)][2:] == ["GTV", "Heart"]
    arguments = []
    for index in (0, 1, 3):
        ui.targetComboBox.currentIndex = index
        ui.doseButton.click()
        until_idle(mapped)
        arguments.append(asked[-1])
    assert "--structures" in arguments[0]
    assert "--exclude" not in arguments[0]
    assert "--structures" not in arguments[1]
    assert arguments[2][arguments[2].index("--exclude") + 1] == "Heart"


def test_structures_that_are_surfaces_are_made_into_voxels_of_a_copy(mapped, plan, tmp_path):
    """SlicerRT's structure sets have no voxels; the segmentation of the scene stays as it is."""
    import slicer

    from DLCTPMSlicerLib.engine.steps import runThrough
    from DLCTPMSlicerLib.planning.dose_steps import _writeTargets

    _dose, segmentation, gtv = plan
    inside = segmentation.GetSegmentation()
    assert inside.CreateRepresentation("Closed surface")
    inside.SetSourceRepresentationName("Closed surface")
    inside.RemoveRepresentation("Binary labelmap")
    perfusion = mapped._parameterNode.perfusionVolume
    path = runThrough(_writeTargets(segmentation, "GTV", perfusion, tmp_path / "targets.seg.nrrd"))
    assert not inside.ContainsRepresentation("Binary labelmap")
    read = slicer.util.loadSegmentation(str(path))
    assert read.GetSegmentation().GetNumberOfSegments() == 1
    again = slicer.util.arrayFromSegmentBinaryLabelmap(
        read, read.GetSegmentation().GetNthSegmentID(0), perfusion
    ).astype(bool)
    assert 2 * (again & gtv).sum() / (again.sum() + gtv.sum()) > 0.9


def test_files_of_the_planning_system_are_held_against_the_ct(from_dicom, plan_files):
    ui = from_dicom.ui
    assert not ui.doseButton.enabled
    ui.dosePathLineEdit.currentPath = plan_files["dose"]
    ui.structuresPathLineEdit.currentPath = plan_files["structures"]
    click(from_dicom, ui.doseButton)
    assert "lungs minus GTV" in ui.doseLabel.text
    assert ui.doseTable.rowCount == 3


def test_a_dose_that_slicerrt_knows_to_be_relative_is_refused(mapped, plan, errors):
    import slicer

    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    study = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "plan")
    item = hierarchy.GetItemByDataNode(plan[0]) or hierarchy.CreateItem(study, plan[0])
    hierarchy.SetItemParent(item, study)
    hierarchy.SetItemAttribute(study, "DicomRtImport.DoseUnitName", "RELATIVE")
    click(mapped, mapped.ui.doseButton)
    assert len(errors) == 1
    assert "is in RELATIVE, not in Gy" in errors[0]


def test_what_the_engine_refuses_is_told_and_leaves_the_scene_as_it_was(mapped, plan, engine, errors):
    import slicer

    engine(FAILS)
    before = slicer.mrmlScene.GetNumberOfNodes()
    click(mapped, mapped.ui.doseButton)
    assert errors == ["ct.nrrd: this is not a CT; give a CT."]
    assert slicer.mrmlScene.GetNumberOfNodes() == before


def test_a_new_prediction_in_its_place_takes_the_dose_away(mapped, plan):
    ui, perfusion = mapped.ui, mapped._parameterNode.perfusionVolume
    click(mapped, ui.doseButton)
    ui.outputSelector.setCurrentNode(perfusion)
    click(mapped, ui.predictButton)
    assert perfusion.GetNodeReference("DLCTPM.dose") is None
    assert ui.doseTable.rowCount == 0
    assert ui.doseLabel.isHidden()
