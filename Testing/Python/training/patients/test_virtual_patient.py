"""Virtual patients: anatomy and physiology against published figures, diseases, twins, sides, determinism."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
import SimpleITK as sitk

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.labels.chest_regions import LEFT, LUNG, RIGHT, ChestRegion, is_region
from DLCTPMLib.volumes.patient_axes import PatientAxes, patient_array
from DLCTPMTrainingLib.patients.diseases import DISEASES
from DLCTPMTrainingLib.patients.virtual_patient import VirtualPatientSettings, simulate_patient

COARSE_MM = 5.0


def a_patient(diagnosis="healthy", seed=1, sex="F", age=60, **changes):
    settings = VirtualPatientSettings(
        "SYNTH-0001", seed, diagnosis, sex, age, (COARSE_MM,) * 3, core_spacing_mm=COARSE_MM
    )
    return simulate_patient(replace(settings, **changes))


@lru_cache
def seen(diagnosis="healthy", seed=1, sex="F", age=60):
    """The arrays of a coarse patient, made once for all tests."""
    return Seen(a_patient(diagnosis, seed, sex, age))


class Seen:
    """A patient's arrays (z, y, x) along the patient's axes, with what the claims below ask of them."""

    def __init__(self, patient):
        self.patient = patient
        self.hu, self.labels, self.flow = (patient_array(i) for i in (patient.ct, patient.lungs, patient.perfusion))
        self.lung = is_region(self.labels, LUNG)
        grid = sitk.Resample(patient.spect, patient.ct, sitk.Transform(), sitk.sitkLinear)
        self.spect = patient_array(grid)
        self.rows = np.flatnonzero(self.lung.any(axis=(0, 2)))
        self.slices = np.flatnonzero(self.lung.any(axis=(1, 2)))

    def third(self, values, which):
        """Mean of the lung's ventral (0), middle (1) or dorsal (2) third."""
        part = np.array_split(self.rows, 3)[which]
        mask = np.zeros_like(self.lung)
        mask[:, part] = True
        return float(values[mask & self.lung].mean())

    def share(self, values, regions):
        return float(values[is_region(self.labels, regions)].sum() / values[self.lung].sum())

    def uneven_at_one_height(self):
        """Coefficient of variation of blood flow in the rows of one distance from the back, their mean."""
        inside = self.lung & (self.flow > 0)
        rows = [self.flow[:, y][inside[:, y]] for y in self.rows]
        return float(np.mean([row.std() / row.mean() for row in rows if len(row) > 50]))

    def ventral_to_dorsal(self):
        return self.third(self.flow, 0) / self.third(self.flow, 2)


@pytest.fixture(scope="module")
def healthy():
    return [seen("healthy", seed, "FM"[seed % 2], 60) for seed in range(2, 10)]


@pytest.fixture(scope="module")
def woman():
    return seen()


# ---------------------------------------------------------------------------------------------- anatomy


def test_lungs_have_adult_volumes_and_the_right_one_is_larger(healthy):
    volumes = [one.patient.info["lung_volume_ml"] for one in healthy]
    assert all(2200 < volume < 7000 for volume in volumes)
    right = [one.share(one.lung * 1.0, RIGHT) for one in healthy]
    assert 0.506 < np.mean(right) < 0.574  # Yamada 2020: 50.6–57.4 %, mean 53.6


def test_men_have_larger_lungs_than_women(healthy):
    volumes = np.array([one.patient.info["lung_volume_ml"] for one in healthy])
    assert volumes[1::2].mean() > 1.2 * volumes[0::2].mean()


@pytest.mark.parametrize(
    ("lobe", "percent", "sd"),
    [  # Yamada 2020, Respiration 99:598, Table 3, supine
        (ChestRegion.RIGHT_SUPERIOR_LOBE, 17.9, 2.4),
        (ChestRegion.RIGHT_MIDDLE_LOBE, 9.3, 1.6),
        (ChestRegion.RIGHT_INFERIOR_LOBE, 26.5, 2.6),
        (ChestRegion.LEFT_SUPERIOR_LOBE, 23.1, 2.1),
        (ChestRegion.LEFT_INFERIOR_LOBE, 23.2, 2.4),
    ],
)
def test_lobes_have_their_published_share_of_the_lungs(healthy, lobe, percent, sd):
    found = 100 * np.mean([one.share(one.lung * 1.0, {lobe}) for one in healthy])
    assert found == pytest.approx(percent, abs=sd)


def test_the_lower_lobe_lies_behind_and_below_the_upper(woman):
    for upper, lower in ((4, 6), (7, 8)):
        region = woman.labels & 255
        z_up, y_up, _ = (c.mean() for c in np.nonzero(region == upper))
        z_low, y_low, _ = (c.mean() for c in np.nonzero(region == lower))
        assert z_low < z_up
        assert y_low > y_up


def test_left_is_left_in_lps(woman):
    axes = PatientAxes.of(woman.patient.lungs)
    assert not axes.is_oblique
    x = axes.origin_mm[0] + axes.spacing_mm[2] * np.arange(axes.shape[2])
    weights = {side: is_region(woman.labels, side).sum(axis=(0, 1)) for side in (RIGHT, LEFT)}
    centre = {side: np.average(x, weights=weights[side]) for side in weights}
    assert centre[LEFT] > centre[RIGHT] + 80  # LPS x runs to the patient's left
    # the heart is in the left half and the stomach's gas under the left dome
    middle = 0.5 * (centre[LEFT] + centre[RIGHT])
    assert weights[LEFT].sum() < weights[RIGHT].sum()
    body = np.zeros_like(woman.lung)
    body[:, woman.rows[0] : woman.rows[-1]] = True
    below = np.zeros_like(woman.lung)
    below[: woman.slices[len(woman.slices) // 3]] = True
    inside = np.abs(x - middle) < 100
    gas = (woman.hu < -700) & ~woman.lung & body & below & inside
    shrunk = np.argwhere(gas)
    assert len(shrunk) > 20
    assert np.median(x[shrunk[:, 2]]) > middle


def test_the_trachea_runs_down_the_midline_and_is_no_lung(woman):
    trachea = (woman.labels & 255) == ChestRegion.TRACHEA
    assert trachea.any()
    assert not (trachea & woman.lung).any()
    assert np.median(woman.hu[trachea]) < -900
    x = np.argwhere(trachea)[:, 2].mean()
    sides = [np.argwhere(is_region(woman.labels, side))[:, 2].mean() for side in (RIGHT, LEFT)]
    assert abs(x - np.mean(sides)) * COARSE_MM < 20


def test_the_base_is_concave_and_the_recess_lies_deep_behind(woman):
    right = is_region(woman.labels, RIGHT)
    lowest = np.where(right.any(axis=0), right.argmax(axis=0), 10**6)  # first lung slice in each column
    columns = np.flatnonzero((lowest < 10**6).sum(axis=0) > 0.8 * len(woman.rows))
    middle = lowest[:, columns[len(columns) // 2]]
    front, dome, back = (int(np.min(part)) for part in np.array_split(middle[middle < 10**6], 3))
    assert back * COARSE_MM + 40 < dome * COARSE_MM
    assert back < front


def test_every_lung_lies_whole_inside_its_ct(healthy):
    for one in healthy:
        for axis in range(3):
            faces = np.moveaxis(one.lung, axis, 0)
            assert not faces[0].any()
            assert not faces[-1].any()


# ---------------------------------------------------------------------------------------------- CT


def test_lung_density_is_that_of_inspiration_and_rises_towards_the_back(healthy):
    for one in healthy:
        assert -880 < one.hu[one.lung].mean() < -770  # a coarse grid mixes some soft tissue in
        assert 10 < one.third(one.hu, 2) - one.third(one.hu, 0) < 130
    assert -850 < np.mean([np.median(one.hu[one.lung]) for one in healthy]) < -800


def test_a_finer_ct_shows_the_same_patient(woman):
    fine = a_patient(ct_spacing_mm=(2.5, 2.5, 3.0))
    labels = patient_array(fine.lungs)
    ml = is_region(labels, LUNG).sum() * PatientAxes.of(fine.lungs).voxel_ml
    assert ml == pytest.approx(woman.lung.sum() * PatientAxes.of(woman.patient.lungs).voxel_ml, rel=0.015)
    brought = sitk.GetArrayFromImage(
        sitk.Resample(woman.patient.lungs, fine.lungs, sitk.Transform(), sitk.sitkNearestNeighbor)
    )
    both = is_region(labels, LUNG) & is_region(brought, LUNG)
    assert 2 * both.sum() / (is_region(labels, LUNG).sum() + is_region(brought, LUNG).sum()) > 0.95
    assert np.mean((labels & 255)[both] == (brought & 255)[both]) > 0.97


def test_a_square_matrix_is_made_on_demand():
    patient = a_patient(ct_spacing_mm=(5.0, 5.0, 6.0), ct_matrix=96)
    assert patient.ct.GetSize()[:2] == (96, 96)
    assert patient.ct.GetSpacing() == (5.0, 5.0, 6.0)
    assert is_region(sitk.GetArrayFromImage(patient.lungs), LUNG).sum() * 0.15 == pytest.approx(
        patient.info["lung_volume_ml"], rel=0.04
    )


# ---------------------------------------------------------------------------------------------- perfusion


def test_ventral_perfusion_is_about_half_of_dorsal(healthy):
    ratios = [one.ventral_to_dorsal() for one in healthy]
    assert all(0.33 < ratio < 0.75 for ratio in ratios)
    assert np.mean(ratios) == pytest.approx(0.5, abs=0.1)


def test_the_right_lung_gets_a_little_more_than_half_of_the_blood(healthy):
    shares = [one.share(one.flow, RIGHT) for one in healthy]
    assert all(0.45 < share < 0.61 for share in shares)
    assert np.mean(shares) == pytest.approx(0.53, abs=0.03)


def test_healthy_perfusion_is_uneven_to_the_published_degree(healthy):
    for one in healthy:
        flow = one.flow[one.lung & (one.flow > 0)]
        assert 0.3 < flow.std() / flow.mean() < 0.6


def test_all_blood_passes_the_lungs(woman):
    total = woman.flow.sum() * PatientAxes.of(woman.patient.perfusion).voxel_ml / 1000
    assert 4.0 <= total <= 6.0
    assert woman.flow.min() == 0
    assert np.all(woman.flow[~woman.lung & (woman.hu > -100)] < woman.flow.max() / 2)


# ---------------------------------------------------------------------------------------------- diseases


def test_acute_embolism_leaves_the_ct_of_the_healthy_twin(woman):
    embolism = seen("acute pulmonary embolism")
    assert embolism.hu.tobytes() == woman.hu.tobytes()
    assert embolism.labels.tobytes() == woman.labels.tobytes()
    change = embolism.flow[woman.flow > 0] / woman.flow[woman.flow > 0]
    lost = np.mean(change < 0.6 * np.median(change))
    assert 0.08 < lost < 0.6


def test_chronic_embolism_is_darker_where_flow_is_lost(woman):
    embolism = seen("chronic pulmonary embolism")
    here = woman.lung & embolism.lung & (woman.flow > 0) & (woman.hu < -700) & (embolism.hu < -700)
    change = embolism.flow[here] / woman.flow[here]
    darker = embolism.hu[here].astype(float) - woman.hu[here]
    lost = change < 0.5 * np.median(change)
    assert lost.mean() > 0.05
    assert darker[lost].mean() < darker[~lost].mean() - 15


def test_emphysema_loses_density_and_flow_in_the_same_places(woman):
    copd = seen("chronic obstructive airway disease")
    holes = copd.lung & (copd.hu < -950) & (copd.hu > -1020)
    assert np.mean(copd.hu[copd.lung] < -950) > 3 * np.mean(woman.hu[woman.lung] < -950)
    rest = copd.lung & (copd.hu > -900) & (copd.hu < -700)
    assert copd.flow[holes].mean() < 0.4 * copd.flow[rest].mean()


@pytest.mark.long
def test_hypertension_is_less_led_by_gravity_and_at_one_height_as_uneven_or_more():
    """Winkler 2022, Table 2: gradient 3.1 beside 5.5 % per cm, spread without it 0.22 beside 0.20."""
    ratios = []
    for seed in (1, 2, 3, 4):
        sick, well = seen("pulmonary hypertension", seed), seen("healthy", seed)
        assert sick.ventral_to_dorsal() > well.ventral_to_dorsal()
        ratios.append(sick.uneven_at_one_height() / well.uneven_at_one_height())
    assert 1.0 < np.mean(ratios) < 1.5


def test_a_tumour_is_solid_no_parenchyma_and_starves_the_lung(woman):
    cancer = seen("lung cancer")
    well = woman
    mass = well.lung & ~cancer.lung
    assert mass.sum() * COARSE_MM**3 > 500
    assert np.median(cancer.hu[mass]) > -50
    assert np.all(cancer.flow[mass] < 0.5 * well.flow.max())
    both = cancer.lung & (well.flow > 0)
    assert np.mean(cancer.flow[both] < 0.6 * well.flow[both]) > 0.01


def test_fibrosis_is_dense_at_the_base_and_ill_perfused():
    sick, well = seen("pulmonary fibrosis"), seen()
    low = np.zeros_like(sick.lung)
    low[: sick.slices[len(sick.slices) // 3]] = True
    dense = sick.lung & (sick.hu > -650)
    assert np.mean(dense[sick.lung & low]) > 1.5 * np.mean(dense[sick.lung & ~low])
    assert sick.hu[sick.lung].mean() > well.hu[well.lung].mean() + 10


def test_heart_failure_turns_the_gradient_and_brings_fluid(woman):
    failing = seen("congestive heart failure")
    assert failing.ventral_to_dorsal() > 1.3 * woman.ventral_to_dorsal()
    assert any("effusion" in finding for finding in failing.patient.info["findings"])
    assert failing.patient.info["lung_volume_ml"] < woman.patient.info["lung_volume_ml"]


def test_a_hypoplastic_right_lung_is_small_and_gets_less_than_its_share():
    sick = seen("hypoplastic right lung")
    volume, flow = sick.share(sick.lung * 1.0, RIGHT), sick.share(sick.flow, RIGHT)
    assert 0.1 < volume < 0.45
    assert flow < 0.8 * volume


def test_particles_that_pass_a_malformation_are_seen_in_the_body():
    """A fifth of them in sixty litres of body: a few times what a healthy patient's body shows, if that."""
    body = seen().hu > 0
    levels = []
    for diagnosis in ("pulmonary arteriovenous malformation", "healthy"):
        patients = [seen(diagnosis, seed) for seed in (1, 2, 3)]
        levels.append(np.mean([p.patient.info["spect"]["body_background"] for p in patients]))
    shunt = seen("pulmonary arteriovenous malformation")
    assert levels[0] > 1.5 * levels[1]
    assert np.median(shunt.spect[body]) < 0.15 * np.median(shunt.spect[shunt.lung])


@pytest.mark.parametrize("diagnosis", sorted(DISEASES))
def test_every_diagnosis_gives_a_patient_that_holds_together(diagnosis):
    patient = seen(diagnosis).patient
    flow, spect = patient_array(patient.perfusion), patient_array(patient.spect)
    labels = patient_array(patient.lungs)
    assert np.isfinite(flow).all()
    assert flow.min() >= 0
    assert np.isfinite(spect).all()
    assert spect.min() >= 0
    gone = 1 if any("lobectomy" in finding for finding in patient.info["findings"]) else 0
    assert len(set(np.unique((labels & 255)[is_region(labels, LUNG)])) & {4, 5, 6, 7, 8}) == 5 - gone
    assert patient.info["simulated"] is True


def test_raw_spect_values_lie_where_the_paper_saw_them():
    hypertension = np.array([seen("pulmonary hypertension", seed).spect.max() for seed in (1, 2)])
    others = np.array([seen("healthy", seed).spect.max() for seed in (1, 2, 4, 6, 8)])
    assert all((hypertension > 1000) & (hypertension < 16000))
    assert np.median(others) < 5000


# ---------------------------------------------------------------------------------------------- the rest


def test_the_same_settings_give_the_same_bytes_and_another_seed_does_not(woman):
    again, other = a_patient(), seen(seed=2).patient
    for name in ("ct", "lungs", "spect", "perfusion"):
        image, same = getattr(woman.patient, name), getattr(again, name)
        assert sitk.GetArrayFromImage(image).tobytes() == sitk.GetArrayFromImage(same).tobytes()
        assert image.GetOrigin() == same.GetOrigin()
    assert patient_array(other.ct).tobytes() != woman.hu.tobytes()
    assert woman.patient.info == again.info


def test_every_image_says_that_it_is_simulated(woman, tmp_path):
    for name in ("ct", "lungs", "spect", "perfusion"):
        path = tmp_path / f"{name}.nrrd"
        sitk.WriteImage(getattr(woman.patient, name), str(path), True)
        assert sitk.ReadImage(str(path)).GetMetaData("simulated").startswith("yes")


def test_misalignment_moves_the_spect_and_nothing_else(woman):
    voxel = woman.patient.spect.GetSpacing()[0]
    moved = a_patient(misalignment_mm=(-voxel, 3 * voxel, -2 * voxel)).spect
    there = np.roll(patient_array(woman.patient.spect), (-2, 3, -1), axis=(0, 1, 2))

    def likeness(values):
        return np.corrcoef(values.ravel(), there.ravel())[0, 1]

    assert moved.GetOrigin() == woman.patient.spect.GetOrigin()
    assert likeness(patient_array(moved)) > 0.99
    assert likeness(patient_array(moved)) > likeness(patient_array(woman.patient.spect)) + 0.02


@pytest.mark.parametrize(
    "wrong",
    [
        {"diagnosis": "common cold"},
        {"sex": "x"},
        {"age": 7},
        {"ct_spacing_mm": (0.1, 1, 1)},
        {"core_spacing_mm": 20.0},
        {"seed": -1},
    ],
)
def test_settings_that_make_no_patient_are_refused_with_a_sentence(wrong):
    with pytest.raises(InputError, match=r"."):
        replace(VirtualPatientSettings("SYNTH-0001", 1), **wrong)
