"""The whole way, lungs and shipped model included: the file's axes must not matter."""

import numpy as np
import pytest
import SimpleITK as sitk

from DLCTPMLib.function.regions import region_table
from DLCTPMLib.lungs.segmentation import segment_lungs
from DLCTPMLib.mapping.mapping import map_perfusion
from DLCTPMLib.networks.bundle import load_bundle
from DLCTPMLib.volumes.patient_axes import PatientAxes, patient_array
from DLCTPMTrainingLib.patients.virtual_patient import VirtualPatientSettings, simulate_patient


def mapped(ct: sitk.Image) -> tuple[sitk.Image, sitk.Image]:
    lungs = segment_lungs(ct).labels
    return map_perfusion(ct, lungs, load_bundle(), device="cpu", precision="fp32").perfusion, lungs


@pytest.fixture(scope="module")
def ct() -> sitk.Image:
    settings = VirtualPatientSettings("SYNTH-0001", 21, "lung cancer", ct_spacing_mm=(2.0, 2.0, 2.5))
    return simulate_patient(settings).ct


@pytest.fixture(scope="module")
def upright(ct):
    return mapped(ct)


@pytest.mark.parametrize("orientation", ["RAS", "LPI", "ASL", "IRP"])
def test_flipped_permuted_and_turned_files_give_the_same_map(ct, upright, orientation):
    perfusion, lungs = mapped(sitk.DICOMOrient(ct, orientation))
    assert np.array_equal(patient_array(lungs), patient_array(upright[1]))
    assert np.abs(patient_array(perfusion) - patient_array(upright[0])).max() < 1e-5
    assert PatientAxes.of(perfusion).origin_mm == pytest.approx(PatientAxes.of(ct).origin_mm)


def test_a_grid_tilted_by_17_degrees_gives_volumes_and_shares_within_one_percent(ct, upright):
    middle = ct.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in ct.GetSize()])
    turn = sitk.Euler3DTransform(middle, np.radians(17), 0.0, 0.0)
    extent = [1.3 * n * s for n, s in zip(ct.GetSize(), ct.GetSpacing(), strict=True)]
    grid = sitk.Image([round(e / s) for e, s in zip(extent, ct.GetSpacing(), strict=True)], sitk.sitkUInt8)
    grid.SetSpacing(ct.GetSpacing())
    grid.SetDirection(turn.GetMatrix())
    corner = np.reshape(turn.GetMatrix(), (3, 3)) @ (np.array(extent) / 2)
    grid.SetOrigin((np.array(middle) - corner).tolist())
    tilted = sitk.Resample(ct, grid, sitk.Transform(3, sitk.sitkIdentity), sitk.sitkLinear, -1000)
    assert PatientAxes.of(tilted).is_oblique

    table, tilted_table = (region_table(*images, 0.66) for images in (upright, mapped(tilted)))
    for side in ("right lung", "left lung"):
        one, other = table[side], tilted_table[side]
        assert other["volume_ml"] == pytest.approx(one["volume_ml"], rel=0.01)
        assert other["perfusion_percent"] == pytest.approx(one["perfusion_percent"], abs=1.0)
        # interpolation smooths the tilted CT's noise, and with it the histogram that Eq. 1 equalises
        assert other["mean"] == pytest.approx(one["mean"], rel=0.04)
