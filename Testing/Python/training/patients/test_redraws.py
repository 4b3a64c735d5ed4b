"""What no CT shows can be drawn anew: the CT stays bit for bit, the blood flow does not, and its mean settles."""

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk

from DLCTPMLib.common.errors import InputError
from DLCTPMTrainingLib.patients.redraws import Redraws
from DLCTPMTrainingLib.patients.virtual_patient import (
    SimulatedChest,
    VirtualPatientSettings,
    simulate_patient,
)

CORE_MM = 6.0


def settings(diagnosis="healthy", **changes):
    return replace(VirtualPatientSettings("SYNTH-0001", 4, diagnosis, "M", 70, (CORE_MM,) * 3, CORE_MM), **changes)


def voxels(image):
    return sitk.GetArrayFromImage(image).tobytes()


@pytest.mark.parametrize(
    "diagnosis",
    [
        "acute pulmonary embolism",
        "chronic obstructive airway disease",
        "congestive heart failure",
        "lung cancer",
        "pneumonia",
        "pulmonary hypertension",
        "systemic lupus erythematosus",
        "tuberculosis",
    ],
)
def test_the_ct_and_the_lungs_stay_and_perfusion_and_spect_do_not(diagnosis):
    own, other = (simulate_patient(settings(diagnosis, redraw=number)) for number in (0, 1))
    assert voxels(own.ct) == voxels(other.ct)
    assert voxels(own.lungs) == voxels(other.lungs)
    for name in ("perfusion", "spect"):
        assert voxels(getattr(own, name)) != voxels(getattr(other, name))
    one, two = (sitk.GetArrayFromImage(patient.perfusion) for patient in (own, other))
    inside = (one > 0) & (two > 0)
    assert np.array_equal(one > 0, two > 0)
    assert 0.2 < np.corrcoef(one[inside], two[inside])[0, 1] < 0.98


@pytest.mark.long
def test_the_mean_of_many_draws_settles_as_the_root_of_their_number():
    flows = np.array([SimulatedChest.of(settings(redraw=number)).perfusion for number in range(1, 17)])
    lung = flows[0] > 0

    def apart(count):
        """RMS between the means of two separate sets of ``count`` draws."""
        first, second = flows[:count].mean(axis=0), flows[count : 2 * count].mean(axis=0)
        return float(np.sqrt(np.mean((first - second)[lung] ** 2)))

    assert apart(8) < 0.55 * apart(1)


@pytest.mark.parametrize("spect", ["analytic", pytest.param("osem", marks=pytest.mark.long)])
def test_draw_0_is_the_patient_of_the_cohort_and_each_number_its_own(spect):
    own = settings("acute pulmonary embolism", spect=spect)
    patient = simulate_patient(own)
    redraws = Redraws(own, patient.ct)
    drawn = [redraws.draw(number)[0] for number in (3, 0)]
    assert voxels(drawn[1]) == voxels(patient.spect)
    if spect == "osem":  # one more scan would tell nothing new
        return
    alone = simulate_patient(replace(own, redraw=3))
    assert np.allclose(sitk.GetArrayFromImage(drawn[0]), sitk.GetArrayFromImage(alone.spect), rtol=1e-4, atol=1e-3)
    assert voxels(drawn[0]) != voxels(drawn[1])


def test_the_number_of_a_draw_is_checked():
    with pytest.raises(InputError, match="redraw -1"):
        settings(redraw=-1)
