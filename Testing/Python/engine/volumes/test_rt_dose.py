"""An RT dose comes out in Gy where it was planned, whichever way its planes are told; what is no dose is refused."""

import numpy as np
import pytest
import SimpleITK as sitk
from pydicom.uid import generate_uid
from rt_samples import change, dose_grid, filled, points_of, write_rt_dose

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.dose.files import read_dose

GRID = {"size": (20, 18, 16), "spacing": (7.0, 8.0, 6.0), "origin": (-60.0, -50.0, 880.0)}
FEET_FIRST = np.diag([-1.0, 1.0, -1.0])


def turned(*degrees: float) -> np.ndarray:
    """A rotation about the patient's long axis, then about the lateral one."""
    a, b = np.radians(degrees)
    about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    return about_z @ np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])


def linear(points):
    """A dose that tells each place from every other."""
    return 30 + 0.1 * points[..., 0] + 0.05 * points[..., 1] + 0.02 * (points[..., 2] - 900)


@pytest.mark.parametrize(
    ("offsets", "direction"),
    [
        ("relative", np.eye(3)),
        ("absolute", np.eye(3)),
        ("descending", np.eye(3)),
        ("relative", turned(12, 0)),
        ("descending", turned(12, 9)),
        ("relative", FEET_FIRST),
        ("absolute", FEET_FIRST),
    ],
)
def test_every_voxel_has_the_dose_of_its_place(tmp_path, offsets, direction):
    path = write_rt_dose(tmp_path / "rd.dcm", filled(dose_grid(**GRID, direction=direction), linear), offsets)
    dose = read_dose([path])
    assert np.allclose(sitk.GetArrayViewFromImage(dose.image), linear(points_of(dose.image)), atol=1e-5)
    assert dose.notes == []
    assert (dose.description["summation"], dose.description["type"]) == ("PLAN", "PHYSICAL")


@pytest.fixture
def rt_dose(tmp_path):
    """Write an RT dose with some attributes changed."""

    def write(name="rd.dcm", dose=linear, **tags):
        return change(write_rt_dose(tmp_path / name, filled(dose_grid(**GRID), dose)), **tags)

    return write


@pytest.mark.parametrize(
    ("tags", "sentence"),
    [
        ({"DoseUnits": "RELATIVE"}, "its dose is relative"),
        ({"DoseUnits": None}, "states no dose units"),
        ({"DoseType": "ERROR"}, "difference of two doses"),
        ({"DoseGridScaling": None}, "no Dose Grid Scaling"),
        ({"DoseGridScaling": "0"}, "no Dose Grid Scaling"),
        ({"GridFrameOffsetVector": None}, "no usable Grid Frame Offset Vector"),
        ({"GridFrameOffsetVector": [float(v) for v in range(5, 21)]}, "neither 0 nor the z"),
        ({"GridFrameOffsetVector": [float(v) ** 1.5 for v in range(16)]}, "unevenly spaced"),
        ({"ImagePositionPatient": None}, "no usable Image Position Patient"),
        ({"NumberOfFrames": 1, "GridFrameOffsetVector": [0.0]}, "in one plane"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"}, "rd.dcm"),
    ],
)
def test_what_is_no_dose_in_gy_on_a_grid_is_refused(rt_dose, tags, sentence):
    with pytest.raises(InputError, match=sentence):
        read_dose([rt_dose(**tags)])


def test_a_cut_off_dose_is_refused(rt_dose):
    path = rt_dose()
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(InputError, match=str(path)):
        read_dose([path])


def test_beams_are_added_up_only_where_it_is_asked_for(rt_dose, tmp_path):
    for number in (1, 2, 3):
        rt_dose(f"beam{number}.dcm", DoseSummationType="BEAM")
    with pytest.raises(InputError, match=r"3 dose files: beam1.dcm \(BEAM\).*--sum"):
        read_dose([tmp_path])
    dose = read_dose([tmp_path], summed=True)
    assert np.allclose(sitk.GetArrayViewFromImage(dose.image), 3 * linear(points_of(dose.image)), atol=1e-4)
    assert dose.notes == ["the dose is the sum of 3 files (DoseSummationType BEAM)"]
    assert dose.description["files"] == 3


def test_the_same_file_counts_once(rt_dose):
    path = rt_dose()
    assert read_dose([path, path]).description["files"] == 1


def test_beams_on_other_grids_are_brought_to_the_first_ones(rt_dose, tmp_path):
    rt_dose("a.dcm", DoseSummationType="BEAM")
    finer = dose_grid((60, 60, 60), (3.0, 3.0, 3.0), (-80.0, -70.0, 860.0))
    write_rt_dose(tmp_path / "b.dcm", filled(finer, linear), DoseSummationType="BEAM")
    dose = read_dose([tmp_path], summed=True)
    assert np.allclose(sitk.GetArrayViewFromImage(dose.image), 2 * linear(points_of(dose.image)), atol=1e-3)
    assert "another dose grid" in " ".join(dose.notes)


@pytest.mark.parametrize(
    ("tags", "sentence"),
    [
        ({"DoseSummationType": "PLAN"}, r"several kinds \(BEAM, PLAN\)"),
        ({"FrameOfReferenceUID": generate_uid()}, "several frames of reference"),
        ({"PatientID": "another"}, "several patients"),
        ({"DoseType": "EFFECTIVE"}, "several types"),
    ],
)
def test_what_is_not_part_of_one_whole_is_not_added_up(rt_dose, tmp_path, tags, sentence):
    rt_dose("a.dcm", DoseSummationType="BEAM")
    rt_dose("b.dcm", **{"DoseSummationType": "BEAM", **tags})
    with pytest.raises(InputError, match=sentence):
        read_dose([tmp_path], summed=True)


def test_the_dose_of_a_part_of_a_plan_and_an_effective_one_are_said(rt_dose):
    assert "that of one beam" in read_dose([rt_dose(DoseSummationType="BEAM")]).notes[0]
    assert "effective" in read_dose([rt_dose(DoseType="EFFECTIVE")]).notes[0]
    assert "is not known" in read_dose([rt_dose(DoseSummationType=None)]).notes[0]


def test_a_dose_that_may_be_in_cgy_is_asked_about(tmp_path):
    path = write_rt_dose(tmp_path / "rd.dcm", filled(dose_grid(**GRID), lambda points: 100 * linear(points)))
    assert "make sure that it is not in cGy" in read_dose([path]).notes[0]


def test_a_plain_volume_is_taken_as_gy_and_one_in_cgy_or_below_zero_is_refused(tmp_path):
    path = tmp_path / "dose.nrrd"
    image = filled(dose_grid(**GRID), linear)
    sitk.WriteImage(image, str(path))
    dose = read_dose([path])
    assert np.allclose(sitk.GetArrayViewFromImage(dose.image), sitk.GetArrayViewFromImage(image))
    assert len(dose.notes) == 1
    assert "taken as Gy" in dose.notes[0]
    sitk.WriteImage(image / float(sitk.GetArrayViewFromImage(image).max()), str(path))
    assert "make sure that it is a plan's dose" in read_dose([path]).notes[1]
    for wrong, sentence in ((image * 100, "cGy"), (image - 30, "negative doses"), (image * 0, "0 everywhere")):
        sitk.WriteImage(wrong, str(path))
        with pytest.raises(InputError, match=sentence):
            read_dose([path])


def test_a_folder_without_a_dose_and_two_volumes_are_refused(tmp_path):
    with pytest.raises(InputError, match="holds no DICOM RT dose"):
        read_dose([tmp_path])
    for name in "ab":
        sitk.WriteImage(filled(dose_grid(**GRID), linear), str(tmp_path / f"{name}.nrrd"))
    with pytest.raises(InputError, match="only DICOM RT dose files are added up"):
        read_dose([tmp_path / "a.nrrd", tmp_path / "b.nrrd"], summed=True)
