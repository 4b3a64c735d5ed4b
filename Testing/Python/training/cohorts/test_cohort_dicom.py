"""Virtual patients as DICOM: pydicom, GDCM and the engine read the same voxels at the same place as in the NRRD."""

import json
import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_readers import errors_of
from small_chest import write_inputs

from DLCTPMLib.cli.main import DONE
from DLCTPMLib.common.errors import InputError
from DLCTPMLib.volumes.patient_axes import patient_array, same_grid
from DLCTPMLib.volumes.reading import read_ct, read_image, read_spect
from DLCTPMTrainingLib.cli.main import main
from DLCTPMTrainingLib.cohorts import dicom as cohort_dicom
from DLCTPMTrainingLib.cohorts import simulate as cohort_simulation
from DLCTPMTrainingLib.cohorts.dicom import DICOM, write_patient_dicom
from DLCTPMTrainingLib.cohorts.dicom_writing import SimulatedStudy, stored_step, write_ct, write_spect
from DLCTPMTrainingLib.cohorts.simulate import simulate_cohort
from DLCTPMTrainingLib.cohorts.table import read_cohort

STUDY = SimulatedStudy("SYNTH-0007", "M", 54, "lung cancer", "a1b2", "4")
SIMULATED = "SIMULATED - research use only"


def a_patient(folder: Path, configuration="c0ffee") -> Path:
    """A virtual patient's folder as the cohort makes it, of the small chest."""
    write_inputs(folder)
    settings = {"patient_id": "SYNTH-0007", "sex": "M", "age": 54, "diagnosis": "lung cancer"}
    info = {"settings": settings, "configuration_sha256": configuration, "generator_version": 4}
    (folder / "patient.json").write_text(json.dumps(info))
    return folder


@pytest.fixture(scope="module")
def patient(tmp_path_factory):
    folder = a_patient(tmp_path_factory.mktemp("cohort") / "SYNTH-0007")
    write_patient_dicom(folder)
    return folder


@pytest.fixture(scope="module")
def ct_headers(patient):
    return [pydicom.dcmread(path) for path in sorted((patient / DICOM["ct"]).iterdir())]


@pytest.fixture(scope="module")
def nm(patient):
    return pydicom.dcmread(patient / DICOM["spect"])


@pytest.fixture(scope="module")
def half_a_step(nm):
    """How far a stored count may lie from the simulated one."""
    return 0.5 * nm.RealWorldValueMappingSequence[0].RealWorldValueSlope


def content(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


# ---------------------------------------------------------------------------------------------- voxels and places


def test_the_ct_series_reads_back_voxel_for_voxel(patient):
    written, original = read_ct(patient / DICOM["ct"]), read_ct(patient / "ct.nrrd")
    assert written.warnings == []
    assert same_grid(written.image, original.image, 1e-6)
    np.testing.assert_array_equal(patient_array(written.image), patient_array(original.image))


def test_the_spect_reads_back_to_half_a_stored_step(patient, half_a_step):
    written, original = read_spect(patient / DICOM["spect"]), read_spect(patient / "spect.nrrd")
    highest = patient_array(original.image).max()
    assert written.warnings == []
    assert same_grid(written.image, original.image, 1e-6)
    np.testing.assert_allclose(patient_array(written.image), patient_array(original.image), rtol=0, atol=half_a_step)
    assert half_a_step * 65534 <= highest <= half_a_step * 131070  # the 16 bits are used


def test_one_folder_of_both_gives_the_ct_to_one_and_the_spect_to_the_other(patient):
    assert read_ct(patient / "dicom").description["dicom"]["Modality"] == "CT"
    assert read_spect(patient / "dicom").description["dicom"]["Modality"] == "NM"


def test_pydicom_alone_finds_every_frame_where_the_standard_puts_it(patient, nm, half_a_step):
    original = read_image(patient / "spect.nrrd")
    mapping = nm.RealWorldValueMappingSequence[0]
    place = nm.DetectorInformationSequence[0]
    along_row, along_column = np.reshape([float(v) for v in place.ImageOrientationPatient], (2, 3))
    normal = np.cross(along_row, along_column)
    assert list(nm.SliceVector) == list(range(1, nm.NumberOfFrames + 1))
    assert nm.NumberOfSlices == nm.NumberOfFrames == original.GetSize()[2]
    for frame, row, column in ((0, 0, 0), (7, 11, 23), (20, 17, 12)):
        point = (
            np.array(place.ImagePositionPatient, float)
            + column * float(nm.PixelSpacing[1]) * along_row
            + row * float(nm.PixelSpacing[0]) * along_column
            + frame * float(nm.SpacingBetweenSlices) * normal
        )
        stored = nm.pixel_array[frame, row, column] * mapping.RealWorldValueSlope + mapping.RealWorldValueIntercept
        assert stored == pytest.approx(original[original.TransformPhysicalPointToIndex(point)], abs=half_a_step)


def test_gdcm_reads_both_as_the_nrrd_files(patient, half_a_step):
    for name, path in (("ct", sorted((patient / DICOM["ct"]).iterdir())), ("spect", patient / DICOM["spect"])):
        original = sitk.ReadImage(str(patient / f"{name}.nrrd"))
        read = sitk.ReadImage([str(p) for p in path] if name == "ct" else str(path))
        np.testing.assert_allclose(
            sitk.GetArrayFromImage(read), sitk.GetArrayFromImage(original), rtol=0, atol=half_a_step
        )
        assert same_grid(read, original, 1e-4)


@pytest.mark.parametrize("flipped", [False, True])
def test_tilted_and_downward_stacks_keep_their_place(tmp_path, flipped):
    """Slices that run against the normal of their rows and columns: the slice spacing becomes negative."""
    rng = np.random.default_rng(3)
    image = sitk.GetImageFromArray(rng.uniform(0, 900, (12, 10, 9)).astype(np.float32))
    image.SetSpacing((4.42, 3.3, 5.0))
    image.SetOrigin((-31.234567, 12.0, 1 / 3))
    image.SetDirection(sitk.Euler3DTransform((0, 0, 0), 0.2, -0.1, 0.3).GetMatrix())
    image = sitk.Flip(image, (False, False, flipped))
    write_spect(image, STUDY, tmp_path / "spect.dcm")
    hu = sitk.Cast(image - 800, sitk.sitkInt16)
    write_ct(hu, STUDY, tmp_path / "ct")
    assert (pydicom.dcmread(tmp_path / "spect.dcm").SpacingBetweenSlices < 0) is flipped
    spect, ct = read_spect(tmp_path / "spect.dcm").image, read_ct(tmp_path / "ct").image
    for index in ((0, 0, 0), (8, 9, 11), (3, 1, 7)):
        point = image.TransformIndexToPhysicalPoint(index)
        assert spect[spect.TransformPhysicalPointToIndex(point)] == pytest.approx(image[index], abs=0.02)
        assert ct[ct.TransformPhysicalPointToIndex(point)] == hu[index]
        nearest = spect.TransformPhysicalPointToContinuousIndex(point)
        assert nearest == pytest.approx(np.round(nearest), abs=1e-5)


def test_the_stored_step_is_a_power_of_two_that_reaches_the_highest():
    for highest in (0.0, 3.0, 1000.0, 65535.0, 65536.0, 4e6):
        step = stored_step(highest)
        assert np.log2(step) == round(np.log2(step))
        assert highest / step <= 65535
        assert float(str(pydicom.valuerep.DSfloat(step, auto_format=True))) == step


def test_voxels_that_dicom_could_not_hold_are_refused(tmp_path, patient):
    with pytest.raises(InputError, match="negative"):
        write_spect(read_image(patient / "spect.nrrd") - 1e6, STUDY, tmp_path / "spect.dcm")
    with pytest.raises(InputError, match="16-bit"):
        write_ct(read_image(patient / "spect.nrrd"), STUDY, tmp_path)


# ---------------------------------------------------------------------------------------------- headers


def test_every_file_says_that_nobody_was_scanned(ct_headers, nm):
    for header in (*ct_headers, nm):
        assert header.PatientID == "SYNTH-0007"
        assert "SIMULATED" in str(header.PatientName)
        assert header.StudyDescription == SIMULATED
        assert header.ImageComments.startswith(SIMULATED)
        assert "SIMULATED" in header.SeriesDescription
        assert (header.SyntheticData, header.QualityControlSubject) == ("YES", "YES")
        assert "ORIGINAL" not in header.ImageType
        assert (header.PatientSex, header.PatientAge) == ("M", "054Y")


def test_no_file_tells_when_or_where_it_was_written(ct_headers, nm):
    for header in (ct_headers[0], nm):
        for element in header.iterall():
            if element.VR in ("DA", "TM", "DT"):
                assert element.is_empty
        for keyword in ("StationName", "InstitutionName", "OperatorsName", "DeviceSerialNumber"):
            assert keyword not in header
        assert header.file_meta.ImplementationVersionName == "DL-CTPM"


def test_ct_and_spect_share_patient_study_and_frame_of_reference_only(ct_headers, nm):
    every = (*ct_headers, nm)
    assert len({h.StudyInstanceUID for h in every}) == len({h.FrameOfReferenceUID for h in every}) == 1
    assert len({h.SeriesInstanceUID for h in every}) == 2
    assert len({h.SOPInstanceUID for h in every}) == len(every)
    for header in every:
        for element in header:
            if element.keyword.endswith("InstanceUID") or element.keyword == "FrameOfReferenceUID":
                assert element.value.startswith("1.2.826.0.1.3680043.8.498.")
                assert element.value.is_valid


def test_the_nm_file_is_a_reconstructed_emission_volume(nm):
    """What PS3.3 C.8.4 asks of a RECON TOMO image, by hand."""
    assert nm.SOPClassUID == pydicom.uid.NuclearMedicineImageStorage
    assert list(nm.ImageType) == ["DERIVED", "PRIMARY", "RECON TOMO", "EMISSION"]
    assert nm.FrameIncrementPointer == 0x00540080
    assert nm.NumberOfDetectors == nm.NumberOfEnergyWindows == nm.NumberOfRotations == 1
    assert len(nm.DetectorInformationSequence) == 1
    assert nm.RadiopharmaceuticalInformationSequence[0].RadionuclideCodeSequence[0].CodeValue == "72454006"
    lying = nm.PatientOrientationCodeSequence[0]
    assert lying.CodeMeaning == "recumbent"
    assert lying.PatientOrientationModifierCodeSequence[0].CodeMeaning == "supine"
    assert nm.PatientGantryRelationshipCodeSequence[0].CodeMeaning == "headfirst"


def test_dciodvfy_finds_no_error(patient):
    for path in (patient / DICOM["ct"] / "0001.dcm", patient / DICOM["spect"]):
        # Synthetic Data (0008,001C) is younger than many copies of dciodvfy
        assert [line for line in errors_of(path) if "(0x0008,0x001c)" not in line] == []


# ---------------------------------------------------------------------------------------------- making them


def test_the_same_patient_gives_the_same_bytes(tmp_path, patient):
    again = a_patient(tmp_path / "SYNTH-0007")
    write_patient_dicom(again)
    assert content(again / "dicom") == content(patient / "dicom")


def test_what_is_there_is_left_alone_and_what_is_not_whole_is_made_again(tmp_path):
    folder = a_patient(tmp_path / "SYNTH-0007")
    write_patient_dicom(folder)
    first, times = content(folder / "dicom"), {p: p.stat().st_mtime_ns for p in (folder / "dicom").rglob("*")}
    write_patient_dicom(folder)
    assert {p: p.stat().st_mtime_ns for p in (folder / "dicom").rglob("*")} == times
    (folder / DICOM["ct"] / "0005.dcm").unlink()
    write_patient_dicom(folder)
    assert content(folder / "dicom") == first
    (folder / DICOM["spect"]).write_bytes(b"cut short")
    write_patient_dicom(folder)
    assert content(folder / "dicom") == first


def test_another_configuration_replaces_every_identifier(tmp_path):
    folder = a_patient(tmp_path / "SYNTH-0007")
    write_patient_dicom(folder)
    before = pydicom.dcmread(folder / DICOM["spect"])
    a_patient(folder, configuration="decaf")
    write_patient_dicom(folder)
    after = pydicom.dcmread(folder / DICOM["spect"])
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"):
        assert getattr(after, keyword) != getattr(before, keyword)


def test_an_interrupted_patient_has_no_dicom_rather_than_half_of_it(tmp_path, monkeypatch):
    def interrupted(*_arguments):
        raise KeyboardInterrupt

    folder = a_patient(tmp_path / "SYNTH-0007")
    left = folder / ".dicom.partial-killed"
    left.mkdir()
    os.utime(left, (time.time() - 3600,) * 2)
    before = {path.name for path in folder.iterdir()} - {left.name}
    monkeypatch.setattr(cohort_dicom, "write_spect", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_patient_dicom(folder)
    assert {path.name for path in folder.iterdir()} == before


def test_a_cohort_has_a_table_of_its_dicom_files(tmp_path):
    def coarse(settings):
        return replace(settings, ct_spacing_mm=(6.0, 6.0, 6.0), core_spacing_mm=6.0)

    simulate_cohort(1, 3, tmp_path, adjust=coarse)
    images = content(tmp_path)
    simulate_cohort(1, 3, tmp_path, adjust=coarse, dicom=True)  # DICOM for a cohort that was made without
    assert {path: data for path, data in content(tmp_path).items() if path in images} == images
    (plain,), (dicom,) = read_cohort(tmp_path / "cohort.csv"), read_cohort(tmp_path / "cohort_dicom.csv")
    assert (dicom.patient_id, dicom.diagnosis, dicom.lungs) == (plain.patient_id, plain.diagnosis, plain.lungs)
    np.testing.assert_array_equal(patient_array(read_ct(dicom.ct).image), patient_array(read_ct(plain.ct).image))
    spect = patient_array(read_spect(plain.spect).image)
    np.testing.assert_allclose(patient_array(read_spect(dicom.spect).image), spect, atol=spect.max() / 65535)


def test_the_command_passes_the_wish_on(tmp_path, monkeypatch, capsys):
    asked = []

    def stand_in(*arguments):
        asked.append(arguments)
        return tmp_path / "cohort.csv"

    monkeypatch.setattr(cohort_simulation, "simulate_cohort", stand_in)
    for more in ([], ["--dicom"]):
        assert main(["cohort", "simulate", "--patients", "1", "--seed", "3", "--out", str(tmp_path), *more]) == DONE
    assert [arguments[-1] for arguments in asked] == [False, True]
    assert capsys.readouterr().out.count("cohort_dicom.csv") == 1


def test_predict_and_evaluate_give_the_same_from_dicom_as_from_nrrd(patient, tmp_path):
    agreements = {}
    for name, ct, spect in (("nrrd", "ct.nrrd", "spect.nrrd"), ("dicom", DICOM["ct"], DICOM["spect"])):
        images = ["--lungs", str(patient / "lungs.nrrd"), "--spect", str(patient / spect)]
        out, again = tmp_path / name, tmp_path / f"{name}-again"
        model = ["--model", str(patient / "model")]
        place = ["--register", "none", "--device", "cpu", "--out", str(out), "--progress", "none"]
        assert main(["predict", str(patient / ct), *images, *model, *place]) == DONE
        compared = ["--prediction", str(out / "perfusion.nrrd"), "--ct", str(patient / ct)]
        assert main(["evaluate", *compared, *images, *model, "--out", str(again), "--progress", "none"]) == DONE
        agreements[name] = [json.loads((f / "result.json").read_text())["agreement"] for f in (out, again)]
    maps = [sitk.GetArrayFromImage(read_image(tmp_path / name / "perfusion.nrrd")) for name in agreements]
    np.testing.assert_array_equal(*maps)
    for nrrd, dicom in zip(*agreements.values(), strict=True):
        assert figures(dicom) == pytest.approx(figures(nrrd), abs=2e-3, rel=1e-4)


def figures(agreement: dict, prefix: str = "") -> dict[str, float]:
    """Every number of a nested result, by its path."""
    found = {}
    for name, value in agreement.items():
        if isinstance(value, dict):
            found |= figures(value, f"{prefix}{name}/")
        elif isinstance(value, int | float) and "value" not in name:
            found[prefix + name] = float(value)
    return found
