"""The whole scan joined to the virtual patient: place, level, background. Every number here is simulated."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.volumes.patient_axes import patient_array
from DLCTPMTrainingLib.patients.virtual_patient import VirtualPatient, VirtualPatientSettings, simulate_patient
from DLCTPMTrainingLib.spect.scan import moved

SETTINGS = VirtualPatientSettings(
    "SYNTH-0001", 5, "healthy", spect="osem", core_spacing_mm=4.0, ct_spacing_mm=(4.0, 4.0, 4.0)
)


@pytest.fixture(scope="module")
def patient() -> VirtualPatient:
    return simulate_patient(SETTINGS)


def weighted_centre(image: sitk.Image) -> np.ndarray:
    values = sitk.GetArrayFromImage(image).astype(float)
    index = [(values * i).sum() / values.sum() for i in np.indices(values.shape)[::-1]]
    return np.array(image.TransformContinuousIndexToPhysicalPoint(index))


def test_the_emission_lies_beside_the_ct_by_the_shift_of_the_attenuation_map(patient):
    lungs = sitk.Resample(sitk.Cast(patient.perfusion > 0, sitk.sitkFloat32), patient.spect)
    seen = sitk.Mask(patient.spect, sitk.DilateObjectMorphology(sitk.Cast(lungs > 0.5, sitk.sitkUInt8), [4] * 3))
    shift = -np.array(patient.info["spect"]["attenuation_shift_mm"])
    assert np.abs(shift).max() > 2, "a patient that hardly moved shows nothing"
    found = weighted_centre(seen) - weighted_centre(patient.perfusion)
    assert np.abs(found - shift).max() < 2.0


def test_the_level_is_the_drawn_one_and_the_body_faint(patient):
    lungs = patient_array(sitk.Resample(sitk.Cast(patient.perfusion > 0, sitk.sitkFloat32), patient.spect))
    values, drawn = patient_array(patient.spect), patient.info["spect"]
    # the lungs of the CT lie beside those of the SPECT, by a few millimetres
    assert np.percentile(values[lungs >= 0.5], 75) == pytest.approx(drawn["high_value"], rel=0.08)
    hu = patient_array(sitk.Resample(patient.ct, patient.spect, sitk.Transform(), sitk.sitkLinear, -1000.0))
    far = (
        sitk.GetArrayFromImage(sitk.BinaryDilate(sitk.GetImageFromArray((lungs > 0).astype(np.uint8)), [6] * 3)) == 0
    )
    rows = (lungs > 0.5).any(axis=(1, 2))
    body = far & (hu > -200) & rows[:, None, None]
    share = values[body].mean() / values[lungs > 0.5].mean()
    assert share == pytest.approx(drawn["body_background"], rel=0.5)


def test_it_is_the_camera_s_grid_and_says_simulated(patient):
    assert patient.spect.GetSize() == (128,) * 3
    assert patient.spect.GetSpacing() == pytest.approx((4.42,) * 3)
    assert patient.spect.GetMetaData("simulated").startswith("yes")


def test_a_moved_image_has_its_points_moved():
    image = sitk.Image([5, 6, 7], sitk.sitkFloat32)
    image.SetOrigin([1, 2, 3])
    angle = np.radians(30)
    turn = [np.cos(angle), -np.sin(angle), 0, np.sin(angle), np.cos(angle), 0, 0, 0, 1]
    movement = sitk.AffineTransform(turn, [4, 5, 6], [10, 20, 30])
    there = moved(image, movement).TransformIndexToPhysicalPoint([3, 2, 1])
    assert there == pytest.approx(movement.TransformPoint(image.TransformIndexToPhysicalPoint([3, 2, 1])))


def test_the_kind_of_scan_is_checked_and_decides_the_hash():
    assert SETTINGS.sha256 != replace(SETTINGS, spect="analytic").sha256
    with pytest.raises(InputError, match="osem or analytic"):
        replace(SETTINGS, spect="pet")
