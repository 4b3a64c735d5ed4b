"""What the tests of patients on real CTs share; the 'real' CTs are virtual patients'."""

import numpy as np
import pytest
import SimpleITK as sitk
from dicom_samples import write_ct_series
from real_cts import SPACING_MM, a_chest, quick

from DLCTPMTrainingLib.cohorts.on_real_cts import simulate_on_real_cts


@pytest.fixture(scope="package")
def chest():
    return a_chest()


@pytest.fixture(scope="package")
def cts(tmp_path_factory, chest):
    """Two people's CTs: one as NRRD with its lobes beside it, one as a DICOM series full of names."""
    folder = tmp_path_factory.mktemp("cts")
    named = sitk.Image(chest.ct)
    named.SetMetaData("PatientName", "Soames^Anna")
    sitk.WriteImage(named, str(folder / "anna.nrrd"), True)
    sitk.WriteImage(chest.lungs, str(folder / "anna_lungs.nrrd"), True)
    other = a_chest(2, "lung cancer").ct
    origin = other.GetOrigin()
    write_ct_series(
        folder / "bert", np.maximum(sitk.GetArrayFromImage(other), -1024), (SPACING_MM,) * 3, origin=origin
    )
    (folder / "notes.txt").write_text("two CTs")
    return folder


@pytest.fixture(scope="package")
def cohort(cts, tmp_path_factory):
    out = tmp_path_factory.mktemp("cohort") / "out"
    simulate_on_real_cts(cts, 2, 5, out, adjust=quick)
    return out
