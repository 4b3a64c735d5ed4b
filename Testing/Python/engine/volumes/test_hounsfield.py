"""Values that are no Hounsfield units are refused with their cause."""

import numpy as np
import pytest
import SimpleITK as sitk
from turned_chests import a_patient, images

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.volumes.hounsfield import hounsfield_fault
from DLCTPMLib.volumes.reading import read_ct

WRONG = {
    "inverted": (lambda hu: -hu, "inverted"),
    "inverted, stored from 0": (lambda hu: 1000 - hu, "no air"),
    "offset missing": (lambda hu: np.maximum(hu, -1024) + 1024, "no air"),
    "offset missing, padding": (lambda hu: np.where(hu <= -1000, -2000, hu + 1024), "−1024 is missing"),
    "rescaled twice": (lambda hu: hu - 1024, "applied twice"),
    "a tenth": (lambda hu: hu / 10, "no air"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_not_in_hounsfield_units_is_refused_with_its_cause(wrong, tmp_path):
    change, cause = WRONG[wrong]
    ct, _ = images(change(a_patient()[0].astype(float)), a_patient()[1])
    sitk.WriteImage(ct, str(tmp_path / "ct.nrrd"))
    with pytest.raises(InputError, match=cause) as refused:
        read_ct(tmp_path / "ct.nrrd")
    assert "; give the CT" in str(refused.value)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_chest_is_in_hounsfield_units_with_padding_or_without(seed):
    hu, _ = a_patient(seed)
    assert hounsfield_fault(hu) is None
    assert hounsfield_fault(np.where(hu <= -1000, -3024, hu)) is None


def test_a_chest_with_metal_is_in_hounsfield_units():
    hu = a_patient()[0].copy()
    hu[20:40, 40:48, 40:48] = 3071
    assert hounsfield_fault(hu) is None


def test_too_little_is_not_judged():
    assert hounsfield_fault(np.full((8, 8, 8), -1000)) is None
