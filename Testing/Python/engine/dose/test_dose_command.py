"""``dlctpm dose`` from a prediction and a plan to its figures; inputs that do not belong together are refused."""

import json
import re
import shutil
from copy import deepcopy

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_mask_samples import write_seg
from html_tags import Tags
from jsonschema import Draft202012Validator
from made_plan import PRESCRIBED_GY, write_plan
from pydicom.uid import generate_uid
from rt_samples import change, drawn_on, filled, points_of, write_rt_dose
from small_chest import CENTRES, chest_ct
from small_plan import GTV_CENTRE, GTV_MM, across, planned_structures, planning_grid

from DLCTPMLib.cli.main import BAD_INPUT, DONE, main
from DLCTPMLib.common.resources import resource_path
from DLCTPMLib.labels.seg_nrrd import Segment, write_segments
from DLCTPMLib.volumes.transform_files import write_transform

SCHEMA = json.loads(resource_path("Schemas/dose.schema.json").read_text(encoding="utf-8"))


@pytest.fixture
def dose_of(planned, tmp_path, monkeypatch):
    """Run the command, without drawing its report unless that is asked for; the content of ``dose.json``."""

    def run(*arguments, dose=planned.dose, result=planned.result, drawn=False) -> dict:
        if not drawn:
            monkeypatch.setattr("DLCTPMLib.dose.report.write_dose_report", lambda path, *_: path.touch())
        command = ["dose", str(result), "--dose", str(dose), *map(str, arguments)]
        assert main([*command, "--out", str(tmp_path / "out"), "--progress", "none"]) == DONE
        return json.loads((tmp_path / "out" / "dose.json").read_text(encoding="utf-8"))

    return run


@pytest.fixture
def refused(planned, tmp_path, capsys):
    """Run the command, which must end with one sentence and without a file."""

    def run(*arguments, dose=planned.dose, result=planned.result) -> str:
        command = ["dose", str(result), "--dose", str(dose), *map(str, arguments)]
        assert main([*command, "--out", str(tmp_path / "out"), "--progress", "none"]) == BAD_INPUT
        said = capsys.readouterr().err
        assert said.count("error:") == 1
        assert "Traceback" not in said
        assert not (tmp_path / "out").exists()
        return said

    return run


def test_what_is_written_follows_the_schema_and_every_key_is_described(planned, dose_of):
    result = dose_of("--structures", planned.structures, "--organs", "heart")
    Draft202012Validator(SCHEMA).validate(result)
    closed = deepcopy(SCHEMA)
    for part in [closed, *closed["$defs"].values()]:
        if "properties" in part:
            part["additionalProperties"] = False
    Draft202012Validator(closed).validate(result)


def test_figures_are_those_of_the_plan(planned, dose_of):
    """A dose that grows linearly across: the mean dose of each lung is that of its middle."""
    result = dose_of("--structures", planned.structures, "--exclude", "--organs", "Heart")
    for name, label in (("right lung", 2), ("left lung", 3)):
        expected = across(np.array(CENTRES[label]))
        assert result["regions"][name]["mean_gy"] == pytest.approx(expected, rel=0.01)
    assert result["structures"]["Heart"]["volume_ml"] == pytest.approx(4 / 3 * np.pi * 3**3, rel=0.05)
    assert result["structures"]["Heart"]["mean_gy"] == pytest.approx(across(np.array([20.0, 0, 0])), rel=0.01)


def test_gross_target_volumes_are_left_out_by_their_names(planned, dose_of):
    """ "Lungs-GTV" is no target, "ITV_old" has no contours: only the GTV goes."""
    result = dose_of("--structures", planned.structures, "--dicom", planned.ct)
    assert [name for name, one in result["structures"].items() if one["role"] == "excluded"] == ["GTV"]
    gtv = result["structures"]["GTV"]
    assert gtv["volume_ml"] == pytest.approx(4 / 3 * np.pi * (GTV_MM / 10) ** 3, rel=0.05)
    assert gtv["in_lungs_ml"] == pytest.approx(gtv["volume_ml"])  # it lies wholly in the right lung
    whole = dose_of("--structures", planned.structures, "--exclude")
    lost = whole["regions"]["right lung"]["volume_ml"] - result["regions"]["right lung"]["volume_ml"]
    assert lost == pytest.approx(gtv["volume_ml"])
    assert result["warnings"] == []


def test_a_known_map_gives_its_known_fmld(planned, dose_of, tmp_path):
    """Perfusion 0.75 in the right lung, 0.25 in the left one: Σ f·d / Σ f is known."""
    folder = tmp_path / "known"
    shutil.copytree(planned.result, folder)
    lungs = sitk.ReadImage(str(folder / "lungs.nrrd"))
    known = 0.75 * sitk.Cast(lungs == 2, sitk.sitkFloat32) + 0.25 * sitk.Cast(lungs == 3, sitk.sitkFloat32)
    sitk.WriteImage(known, str(folder / "perfusion.nrrd"))
    result = dose_of("--function", "fixed:0.5", result=folder)
    right, left = (across(np.array(CENTRES[label])) for label in (2, 3))
    whole = result["regions"]["lungs"]
    assert whole["weighted"]["mean_gy"] == pytest.approx(0.75 * right + 0.25 * left, rel=0.01)
    assert whole["high"]["mean_gy"] == pytest.approx(right, rel=0.01)
    assert whole["low"]["mean_gy"] == pytest.approx(left, rel=0.01)
    assert result["regions"]["left lung"]["high"]["mean_gy"] is None
    assert (result["function"]["definition"], result["function"]["threshold"]) == ("fixed:0.5", 0.5)


def test_targets_come_out_of_a_dicom_segmentation_and_a_seg_nrrd_as_out_of_a_structure_set(
    planned, dose_of, tmp_path
):
    lungs = sitk.ReadImage(str(planned.result / "lungs.nrrd"))
    ball = ((points_of(lungs) - GTV_CENTRE) ** 2).sum(axis=-1) < GTV_MM**2
    (frame,) = planned.drawn.frames
    seg = change(write_seg(tmp_path / "seg.dcm", lungs, [("GTV", None, ball)]), FrameOfReferenceUID=frame)
    labels = sitk.GetImageFromArray(ball.astype(np.uint8))
    labels.CopyInformation(lungs)
    write_segments(tmp_path / "targets.seg.nrrd", labels, [Segment("gtv", "GTV", 1)])
    expected = dose_of("--structures", planned.structures)
    for path, kind in ((seg, "SEG"), (tmp_path / "targets.seg.nrrd", "segmentation")):
        result = dose_of("--structures", path)
        assert result["input"]["structures"] == {"name": path.name, "format": kind}
        assert result["structures"]["GTV"]["volume_ml"] == pytest.approx(np.count_nonzero(ball) * 0.15)
        assert result["regions"]["lungs"]["mean_gy"] == pytest.approx(
            expected["regions"]["lungs"]["mean_gy"], rel=0.01
        )


def moved_plan(tmp_path):
    """The plan on another examination: everything lies 30 mm further to the left and 15 mm higher, turned by 8°."""
    transform = sitk.Euler3DTransform((0.0, 0.0, 1040.0), 0.0, 0.0, np.radians(8), (30.0, 0.0, 15.0))
    frame = generate_uid()
    back = transform.GetInverse()

    def dose_there(points):
        flat = points.reshape(-1, 3)
        return across(np.array([back.TransformPoint(p) for p in flat.tolist()])).reshape(points.shape[:-1])

    structures = planned_structures(tmp_path / "rs.dcm", frame)
    dataset = pydicom.dcmread(structures)
    for item in dataset.ROIContourSequence:
        for contour in item.ContourSequence:
            points = np.array(contour.ContourData, float).reshape(-1, 3)
            moved = np.array([transform.TransformPoint(p) for p in points.tolist()])
            contour.ContourData = [round(float(v), 3) for v in moved.ravel()]
    dataset.save_as(structures)
    dose = write_rt_dose(tmp_path / "rd.dcm", filled(planning_grid(), dose_there), frame=frame)
    write_transform(transform, tmp_path / "ct_to_plan.tfm")
    return dose, structures, tmp_path / "ct_to_plan.tfm"


def test_a_plan_on_another_examination_is_moved_by_its_transform(planned, dose_of, refused, tmp_path):
    dose, structures, transform = moved_plan(tmp_path)
    assert "another frame of reference than the CT's" in refused("--dicom", planned.ct, dose=dose)
    expected = dose_of("--structures", planned.structures)
    result = dose_of("--structures", structures, "--transform", transform, dose=dose)
    for name in ("lungs", "right lung", "left lung"):
        assert result["regions"][name]["mean_gy"] == pytest.approx(expected["regions"][name]["mean_gy"], rel=0.01)
    assert result["structures"]["GTV"]["volume_ml"] == pytest.approx(
        expected["structures"]["GTV"]["volume_ml"], rel=0.03
    )
    assert result["structures"]["GTV"]["in_lungs_ml"] == pytest.approx(result["structures"]["GTV"]["volume_ml"])
    assert result["input"]["transform"] == "ct_to_plan.tfm"


def test_a_transform_between_what_shares_its_coordinates_is_said(planned, dose_of, tmp_path):
    write_transform(sitk.Euler3DTransform(), tmp_path / "nothing.tfm")
    arguments = ("--structures", planned.structures, "--transform", tmp_path / "nothing.tfm")
    assert "although rd.dcm lies in the CT's frame of reference" in dose_of(*arguments)["warnings"][0]


def test_a_structure_without_contours_may_lie_anywhere(planned, dose_of, tmp_path):
    path = shutil.copy(planned.structures, tmp_path / "rs.dcm")
    dataset = pydicom.dcmread(path)
    dataset.StructureSetROISequence[3].ReferencedFrameOfReferenceUID = generate_uid()
    dataset.save_as(path)
    assert dose_of("--structures", path, "--dicom", planned.ct)["warnings"] == []


def test_the_dose_of_another_frame_of_reference_is_refused(planned, refused, tmp_path):
    dose = write_rt_dose(tmp_path / "rd.dcm", filled(planning_grid(), across), frame=generate_uid())
    said = refused("--structures", planned.structures, dose=dose)
    assert "lies in another frame of reference than the CT's" in said
    assert "--transform" in said


def test_a_relative_dose_is_refused(refused, planned, tmp_path):
    path = shutil.copy(planned.dose, tmp_path / "rd.dcm")
    assert "its dose is relative" in refused(dose=change(tmp_path / "rd.dcm", DoseUnits="RELATIVE"))
    assert path.name == "rd.dcm"


def test_a_structure_without_contours_and_one_that_is_not_there_are_refused(refused, planned):
    said = refused("--structures", planned.structures, "--exclude", "ITV_old")
    assert "its structure ITV_old has no contours" in said
    said = refused("--structures", planned.structures, "--exclude", "CTV")
    assert "has no structure CTV; it has GTV, Heart, Lungs-GTV, ITV_old" in said
    assert "--structures" in refused("--organs", "Heart")


def test_structures_of_another_patient_are_refused(refused, planned, tmp_path):
    path = shutil.copy(planned.structures, tmp_path / "rs.dcm")
    said = refused("--structures", change(path, PatientID="SOMEBODY-ELSE"))
    assert "is of another patient than" in said
    assert "SOMEBODY-ELSE" not in said


def test_structures_of_another_frame_of_reference_are_refused(refused, planned, tmp_path):
    structures = planned_structures(tmp_path / "rs.dcm", generate_uid())
    said = refused("--structures", structures, "--dicom", planned.ct)
    assert "was drawn in another frame of reference than the CT's" in said


def test_a_ct_that_has_changed_since_or_is_no_dicom_series_is_refused(refused, planned, tmp_path):
    changed = tmp_path / "ct"
    shutil.copytree(planned.ct, changed)
    change(sorted(changed.iterdir())[3], RescaleIntercept=-1000)
    assert "is not the CT that" in refused("--dicom", changed)
    sitk.WriteImage(chest_ct(), str(tmp_path / "ct.nrrd"))
    assert "has no SOP instances" in refused("--dicom", tmp_path / "ct.nrrd")


def test_structures_drawn_on_another_series_are_said(dose_of, planned, tmp_path):
    path = shutil.copy(planned.structures, tmp_path / "rs.dcm")
    dataset = change(path, ReferencedFrameOfReferenceSequence=None)
    assert not [w for w in dose_of("--structures", dataset)["warnings"] if "another series" in w]
    drawn_on(path, generate_uid(), [generate_uid()])
    assert "another series" in " ".join(dose_of("--structures", path)["warnings"])


def test_what_is_no_result_is_refused(refused, planned, tmp_path):
    assert "is no folder" in refused(result=planned.dose)
    broken = tmp_path / "broken"
    shutil.copytree(planned.result, broken)
    (broken / "lungs.nrrd").unlink()
    assert "lungs.nrrd" in refused(result=broken)
    assert "is no definition" in refused("--function", "half")


def test_a_forced_and_simulated_map_says_so_everywhere(planned, dose_of, tmp_path):
    folder = tmp_path / "forced"
    shutil.copytree(planned.result, folder)
    told = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    told["forced"], told["simulated"] = ["The CT is of a knee."], True
    (folder / "result.json").write_text(json.dumps(told), encoding="utf-8")
    result = dose_of(result=folder, drawn=True)
    assert (result["forced"], result["simulated"]) == (["The CT is of a knee."], True)
    page = (tmp_path / "out" / "dose.html").read_text(encoding="utf-8")
    assert "FORCED: this map cannot be right." in page
    assert "Simulated: every image and number" in page


def test_the_report_is_one_whole_page_that_names_nobody(planned, dose_of, tmp_path):
    result = dose_of("--structures", planned.structures, "--pseudonym", "P001", drawn=True)
    page = (tmp_path / "out" / "dose.html").read_text(encoding="utf-8")
    assert not Tags(page).runs_something()
    assert len(re.findall(r'<img [^>]*src="data:image/png;base64,', page)) == 3
    assert not re.search(r'(src|href)="(?!data:)', page)
    for text in (page, json.dumps(result)):
        for secret in ("Doe^", "HOSPITAL-4711", "rs.dcm", "rd.dcm", str(tmp_path), *planned.drawn.frames):
            assert secret not in text
    for limit in result["limits"]:
        assert limit["source"] in page
    assert "no advice" in page


def test_the_made_plan_of_the_docs_is_a_plan(planned, dose_of, tmp_path):
    structures, dose = write_plan(planned.result, tmp_path / "plan", planned.ct)
    result = dose_of("--structures", structures, "--organs", "PTV", "SpinalCord", "--dicom", planned.ct, dose=dose)
    assert result["warnings"] == []
    assert result["structures"]["GTV"]["d50_gy"] == pytest.approx(PRESCRIBED_GY, rel=0.01)
    assert result["structures"]["PTV"]["d98_gy"] > 0.9 * PRESCRIBED_GY
    assert result["structures"]["SpinalCord"]["mean_gy"] < 0.2 * PRESCRIBED_GY


def test_results_go_beside_the_prediction_unless_told(planned, tmp_path):
    folder = tmp_path / "result"
    shutil.copytree(planned.result, folder)
    assert main(["dose", str(folder), "--dose", str(planned.dose), "--progress", "none"]) == DONE
    assert {"dose.json", "dose.html", "perfusion.nrrd"} <= {path.name for path in folder.iterdir()}
    told = json.loads((folder / "dose.json").read_text(encoding="utf-8"))
    assert told["function"]["definition"] == "p75:0.66"  # as the prediction's contours
