"""Exported objects are valid, lie where the CT lies, and say what they are: judged by other people's readers."""

import json
from dataclasses import replace

import highdicom
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_readers import (
    errors_of,
    map_by_dcmqi,
    on_grid,
    run,
    segments_by_dcmqi,
    structures_by_plastimatch,
)
from dicom_samples import PATIENT, PATIENT_ID
from finished_samples import ANONYMOUS, write_finished, write_result
from rt_samples import dose_grid, filled, points_of

from DLCTPMLib.cli.main import BAD_INPUT, DONE, main
from DLCTPMLib.dicom_export.facts import Facts
from DLCTPMLib.dicom_export.perfusion_map import parametric_map
from DLCTPMLib.dicom_export.series import STEP
from DLCTPMLib.dicom_export.source import open_ct_source
from DLCTPMLib.dose.structures import read_structures
from DLCTPMLib.function.definitions import DEFAULT
from DLCTPMLib.results.finished import open_result
from DLCTPMLib.volumes.reading import read_ct

CASES = {
    "supine": {"SpecificCharacterSet": "ISO_IR 192", "PatientName": "Müller^Zoë"},
    "oblique": {"position": "oblique"},
    "feet first": {"position": "feet first"},
    "prone": {"position": "prone"},
    "forced, lungs from first to last slice": {
        "long_lungs": True,
        "result": {"forced": ["too short"], "simulated": True},
    },
    "de-identified": ANONYMOUS,
    "enhanced": {"position": "oblique", "enhanced": True},
}
OBJECTS = "map,series,seg,rtstruct,sr"
FILES = (
    "perfusion_map.dcm",
    "segmentation.dcm",
    "structure_set.dcm",
    "measurements.dcm",
    "perfusion_series/0001.dcm",
)


def exported_to(out, finished, objects=OBJECTS, *more, ct=None):
    """Run the command for a prediction; its CT's own folder unless another one is given."""
    command = ["export", finished.result, "--dicom", ct or finished.ct, "--out", out, "--objects", objects, *more]
    assert main([*map(str, command), "--progress", "none"]) == DONE
    return out


@pytest.fixture(scope="module", params=CASES)
def exported(request, tmp_path_factory):
    """The prediction, the folder of its objects, the CT, and the case's name."""
    folder = tmp_path_factory.mktemp("case")
    finished = write_finished(folder, **CASES[request.param])
    out = exported_to(folder / "out", finished, OBJECTS, "--force")
    return finished, out, read_ct(finished.ct).image, request.param


def masks_of(finished):
    high = np.float32(0.66) < finished.perfusion
    lungs = {"Lungs": finished.labels > 0, "Lung_R": finished.labels == 2, "Lung_L": finished.labels == 3}
    parts = {f"{name}_high_p75_0.66": lung & high for name, lung in lungs.items()}
    return {**lungs, **parts, **{f"{name}_low_p75_0.66": lung & ~high for name, lung in lungs.items()}}


def dice(a, b):
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


def test_the_validator_finds_no_error(exported):
    for name in FILES:
        assert errors_of(exported[1] / name) == []


def test_dcmqi_and_highdicom_read_the_map_where_it_is(exported, tmp_path):
    finished, out, ct, _ = exported
    image = map_by_dcmqi(out / "perfusion_map.dcm", tmp_path)
    volume = highdicom.imread(out / "perfusion_map.dcm").get_volume()
    for index in [(3, 4, 5), (6, 8, 2)]:
        point = image.TransformIndexToPhysicalPoint(index)
        at = np.linalg.solve(volume.affine, [*point, 1])[:3]
        assert np.allclose(at, np.round(at), atol=1e-3)
        assert volume.array[tuple(np.round(at).astype(int))] == pytest.approx(image[index])
    values = sitk.GetImageFromArray(finished.perfusion)
    values.CopyInformation(ct)
    there = sitk.Resample(values, image, sitk.Transform(), sitk.sitkLinear, 0.0)
    lung = sitk.GetImageFromArray((finished.labels > 0).astype(np.float32))
    lung.CopyInformation(ct)
    inside = sitk.GetArrayFromImage(sitk.Resample(lung, image, sitk.Transform(), sitk.sitkLinear, 0.0)) > 0.999
    back, expected = sitk.GetArrayFromImage(image)[inside], sitk.GetArrayFromImage(there)[inside]
    assert inside.sum() > 500
    assert np.corrcoef(back, expected)[0, 1] > 0.99
    assert np.abs(back - expected).mean() < 0.03


@pytest.mark.parametrize(
    "axes",
    [
        [[1, 0, 0], [0, 1, 0], [0, 0, -1]],  # slices downward: left-handed
        [[1, 0, 0], [0, 0, -1], [0, 1, 0]],  # coronal
        [[0, 1, 0], [0, 0, -1], [1, 0, 0]],  # sagittal
    ],
)
def test_a_map_on_any_grid_comes_back_where_it_was(axes, tmp_path):
    """Every voxel holds a linear field of its own place, so any flip, swap or shift shows."""
    grid = dose_grid((7, 6, 5), (2.5, 2.0, 4.0), (-10.0, 20.0, 30.0), np.array(axes, float).T)
    field = filled(grid, lambda points: 1000 + points @ [1.0, 2.0, 5.0])
    finished = write_finished(tmp_path / "case")
    result = json.loads((finished.result / "result.json").read_text())
    facts = Facts(result, DEFAULT, open_ct_source(finished.ct, open_result(finished.result)))
    parametric_map(field, facts, 9101).save_as(tmp_path / "map.dcm", enforce_file_format=True)
    assert errors_of(tmp_path / "map.dcm") == []
    back = map_by_dcmqi(tmp_path / "map.dcm", tmp_path)
    assert np.abs(sitk.GetArrayFromImage(back) - (1000 + points_of(back) @ [1.0, 2.0, 5.0])).max() < 0.01


def test_the_segmentation_is_the_mask_exactly(exported, tmp_path):
    finished, out, ct, name = exported
    read = segments_by_dcmqi(out / "segmentation.dcm", tmp_path)
    own = read_structures(out / "segmentation.dcm")
    prefix = "FORCED_" if name.startswith("forced") else ""
    labels = dict(
        zip([s.TrackingID for s in pydicom.dcmread(out / FILES[1]).SegmentSequence], own.names, strict=True)
    )
    for structure, mask in masks_of(finished).items():
        assert np.array_equal(on_grid(read[prefix + structure], ct) > 0, mask), structure
        assert np.array_equal(own.mask(labels[prefix + structure], ct), mask), structure


def test_the_contours_hold_the_mask(exported, tmp_path):
    finished, out, ct, name = exported
    sitk.WriteImage(ct, str(tmp_path / "ct.nrrd"))
    prefix = "FORCED_" if name.startswith("forced") else ""
    own = read_structures(out / "structure_set.dcm")
    assert own.names == [prefix + structure for structure in masks_of(finished)]
    others = structures_by_plastimatch(out / "structure_set.dcm", tmp_path / "ct.nrrd", tmp_path)
    for structure, mask in masks_of(finished).items():
        assert dice(own.mask(prefix + structure, ct), mask) > 0.999
        other = sitk.GetArrayFromImage(others[prefix + structure]) > 0
        assert dice(other, mask) > 0.98
        assert other.sum() == pytest.approx(mask.sum(), rel=0.01)


def test_segments_and_contours_name_the_frames_of_an_enhanced_ct_that_they_lie_on(tmp_path):
    finished = write_finished(tmp_path, position="feet first", enhanced=True)
    exported_to(tmp_path / "out", finished, "seg,rtstruct")
    (path,) = finished.ct.iterdir()
    frames = pydicom.dcmread(path).PerFrameFunctionalGroupsSequence
    heights = [float(frame.PlanePositionSequence[0].ImagePositionPatient[2]) for frame in frames]
    assert heights != sorted(heights, reverse=True)  # slices descend: the frames are in another order
    named = []
    for contour in pydicom.dcmread(tmp_path / "out" / "structure_set.dcm").ROIContourSequence[0].ContourSequence:
        (image,) = contour.ContourImageSequence
        named.append((image, float(contour.ContourData[2])))
    for frame in pydicom.dcmread(tmp_path / "out" / "segmentation.dcm").PerFrameFunctionalGroupsSequence:
        (image,) = frame.DerivationImageSequence[0].SourceImageSequence
        named.append((image, float(frame.PlanePositionSequence[0].ImagePositionPatient[2])))
    assert len(named) > 50
    for image, height in named:
        assert image.ReferencedSOPInstanceUID == pydicom.dcmread(path).SOPInstanceUID
        assert heights[int(image.ReferencedFrameNumber) - 1] == pytest.approx(height, abs=1e-3)


def test_the_plain_series_comes_back_within_a_step(exported):
    finished, out, ct, _ = exported
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(out / "perfusion_series")))
    image = reader.Execute()
    brought = sitk.GetArrayFromImage(sitk.Resample(image, ct, sitk.Transform(), sitk.sitkNearestNeighbor, -1.0))
    assert np.abs(brought - finished.perfusion).max() <= STEP


def test_measurements_are_those_of_the_masks(exported, tmp_path):
    finished, out, ct, _ = exported
    run("tid1500reader", "--inputDICOM", out / "measurements.dcm", "--outputMetadata", tmp_path / "sr.json")
    groups = json.loads((tmp_path / "sr.json").read_text())["Measurements"]
    masks = masks_of(finished)
    assert len(groups) == len(masks)
    voxel_ml = np.prod(ct.GetSpacing()) / 1000
    for group, mask in zip(groups, masks.values(), strict=True):
        found = {item["quantity"]["CodeValue"]: float(item["value"]) for item in group["measurementItems"]}
        assert found["118565006"] == pytest.approx(mask.sum() * voxel_ml, rel=1e-4)
        assert found["mean-relative-perfusion"] == pytest.approx(finished.perfusion[mask].mean(), abs=1e-4)
        share = 100 * finished.perfusion[mask].sum() / finished.perfusion.sum()
        assert found["share-of-perfusion"] == pytest.approx(share, abs=1e-3)


def test_every_object_is_of_the_cts_study_and_says_what_it_is(exported):
    finished, out, _, case = exported
    ct = pydicom.dcmread(next(finished.ct.iterdir()), stop_before_pixels=True)
    series = set()
    for name in FILES:
        read = pydicom.dcmread(out / name)
        assert read.StudyInstanceUID == ct.StudyInstanceUID
        assert str(read.PatientName) == str(ct.PatientName)
        assert read.PatientID == ct.PatientID
        if name != "measurements.dcm":
            assert read.FrameOfReferenceUID == ct.FrameOfReferenceUID
        assert "research use only" in read.SeriesDescription
        (equipment,) = [e for e in read.ContributingEquipmentSequence if e.Manufacturer == "DL-CTPM"]
        assert equipment.DeviceSerialNumber == "ab" * 32
        for said in ("artificial intelligence", "Research use only", "p75:0.66"):
            assert said in equipment.ContributionDescription
        forced = case.startswith("forced")
        assert ("FORCED" in read.SeriesDescription) == ("SIMULATED" in read.SeriesDescription) == forced
        assert ("FORCED" in equipment.ContributionDescription) == forced
        if "ImageType" in read:
            assert read.ImageType[0] == "DERIVED"
        series.add(read.SeriesInstanceUID)
    assert len(series) == len(FILES)


def test_deidentified_objects_name_nobody(tmp_path):
    finished = write_finished(tmp_path, AccessionNumber="ACC-99", StudyID="S-77")
    out = exported_to(tmp_path / "out", finished, OBJECTS, "--deidentify")
    for name in FILES:
        assert errors_of(out / name) == []
        content = (out / name).read_bytes()
        for said in (
            PATIENT,
            PATIENT_ID,
            "Roe^Richard",
            "19700101",
            "20240305",
            "ACC-99",
            "S-77",
            "General Hospital",
        ):
            assert said.encode() not in content
        assert pydicom.dcmread(out / name).PatientIdentityRemoved == "YES"


def test_names_differ_in_their_first_16_characters_and_carry_the_definition(tmp_path):
    finished = write_finished(tmp_path)
    more = ("--function", "tertiles,specks:0.5", "--holes", "xor")
    out = exported_to(tmp_path / "out", finished, "rtstruct", *more)
    assert errors_of(out / "structure_set.dcm") == []
    names = [roi.ROIName for roi in pydicom.dcmread(out / "structure_set.dcm").StructureSetROISequence]
    assert len({name[:16] for name in names}) == len(names) == 12
    assert all("tertiles_specks_0.5" in name for name in names[3:])
    assert {path.name for path in out.iterdir()} == {"structure_set.dcm"}
    drawn = [roi.get("ContourSequence", []) for roi in pydicom.dcmread(out / "structure_set.dcm").ROIContourSequence]
    kinds = [{contour.ContourGeometricType for contour in contours} for contours in drawn]
    assert {"CLOSEDPLANAR_XOR"} in kinds
    assert all(len(of_roi) <= 1 for of_roi in kinds)  # readers refuse a structure with both


def written_again(ct, path, axes):
    """The CT in another format, its axes run through another way."""
    sitk.WriteImage(sitk.DICOMOrient(ct, axes), str(path))
    return path


@pytest.mark.parametrize(
    ("name", "axes", "rounded"), [("ct.nii.gz", "LAS", 0), ("ct.nrrd", "LPS", 0), ("ct.nii", "SAR", 0.3)]
)
def test_a_map_of_the_ct_in_another_format_is_exported_to_its_dicom(tmp_path, name, axes, rounded):
    """NIfTI of dcm2niix has its rows flipped, places in single precision; values may be rounded otherwise."""
    finished = write_finished(tmp_path / "dicom", position="oblique")
    expected = exported_to(tmp_path / "expected", finished, "rtstruct,seg,series")
    ct = read_ct(finished.ct).image
    other = replace(finished, result=tmp_path / "other", labels=None, perfusion=None)
    copied = read_ct(written_again(ct, tmp_path / name, axes)).image
    if rounded:
        copied = sitk.Cast(copied, sitk.sitkFloat32) + rounded
    lungs, perfusion = (
        sitk.GetArrayFromImage(sitk.DICOMOrient(sitk.ReadImage(str(finished.result / f"{one}.nrrd")), axes))
        for one in ("lungs", "perfusion")
    )
    write_result(replace(other, labels=lungs, perfusion=perfusion), copied)
    out = exported_to(tmp_path / "out", other, "rtstruct,seg,series")
    for file in ("segmentation.dcm", "perfusion_series/0007.dcm"):
        assert pydicom.dcmread(out / file).PixelData == pydicom.dcmread(expected / file).PixelData
    sets = [pydicom.dcmread(folder / "structure_set.dcm").ROIContourSequence for folder in (out, expected)]
    assert sets[0] == sets[1]


def refused(capsys, *arguments):
    assert main(["export", *map(str, arguments), "--progress", "none"]) == BAD_INPUT
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    return said


def test_what_cannot_be_exported_is_told(tmp_path, capsys):
    finished = write_finished(tmp_path / "one")
    other = write_finished(tmp_path / "two", long_lungs=True, result={"forced": ["The lungs are cut off."]})
    out = tmp_path / "out"

    def told(result, ct, *more):
        return refused(capsys, result, "--dicom", ct, "--out", out, *more)

    assert "has changed since" in told(finished.result, other.ct)
    moved = read_ct(finished.ct).image
    moved.SetOrigin(np.add(moved.GetOrigin(), (0, 0, 0.2)))
    elsewhere = replace(finished, result=tmp_path / "elsewhere")
    write_result(elsewhere, moved)
    assert "has changed since" in told(elsewhere.result, finished.ct)
    assert "The lungs are cut off." in told(other.result, other.ct)
    assert "there is no object 'dose'" in told(finished.result, finished.ct, "--objects", "dose")
    assert "export seg with them" in told(finished.result, finished.ct, "--objects", "sr")
    assert "there is no such report" in told(finished.result, finished.ct, "--objects", "pdf")
    assert "there is no structure 'heart'" in told(finished.result, finished.ct, "--structures", "heart")
    assert "have no lobes" in told(finished.result, finished.ct, "--structures", "lobes")
    assert "only tertiles" in told(finished.result, finished.ct, "--structures", "middle")
    sitk.WriteImage(read_ct(finished.ct).image, str(tmp_path / "ct.nrrd"))
    assert "no SOP instances" in told(finished.result, tmp_path / "ct.nrrd")
    for path in finished.ct.iterdir():
        header = pydicom.dcmread(path)
        header.FrameOfReferenceUID = f"1.2.{header.InstanceNumber % 2 + 1}"
        header.save_as(path)
    assert "2 frames of reference" in told(finished.result, finished.ct)
    for path in finished.ct.iterdir():
        header = pydicom.dcmread(path)
        del header.FrameOfReferenceUID
        header.save_as(path)
    assert "names no frame of reference" in told(finished.result, finished.ct)
    assert not out.exists()


def test_an_export_takes_the_place_of_its_own_objects_alone_and_says_what_it_removed(tmp_path, capsys):
    finished = write_finished(tmp_path / "one")
    out = exported_to(tmp_path / "out", finished, "rtstruct,seg,series")
    capsys.readouterr()
    exported_to(out, finished, "rtstruct")
    said = capsys.readouterr().out
    assert "removed, of an earlier export: segmentation.dcm" in said
    assert "removed, of an earlier export: perfusion_series" in said
    assert [one.name for one in out.iterdir()] == ["structure_set.dcm"]
    planned = pydicom.dcmread(out / "structure_set.dcm")
    planned.ManufacturerModelName = "Another planning system"
    del planned.ContributingEquipmentSequence
    planned.save_as(out / "structure_set.dcm")
    before = (out / "structure_set.dcm").read_bytes()
    assert "was not written by DL-CTPM" in refused(capsys, finished.result, "--dicom", finished.ct, "--out", out)
    (out / "perfusion_series").mkdir()
    (out / "perfusion_series" / "notes.txt").write_text("mine")
    assert "notes.txt" in refused(capsys, finished.result, "--dicom", finished.ct, "--out", out)
    assert (out / "structure_set.dcm").read_bytes() == before


def test_a_pdf_in_the_predictions_folder_goes_along_and_nobody_is_named_on_the_terminal(tmp_path, capsys):
    finished = write_finished(tmp_path, PatientName="Onename")
    content = b"%PDF-1.4\n%%EOF\n\n"
    (finished.result / "report.pdf").write_bytes(content)
    out = tmp_path / "out"
    arguments = ["export", str(finished.result), "--dicom", str(finished.ct), "--out", str(out), "--progress", "none"]
    assert main(arguments) == DONE
    assert "Onename" not in "".join(capsys.readouterr())
    assert errors_of(out / "report.dcm") == []
    assert pydicom.dcmread(out / "report.dcm").EncapsulatedDocument == content
