"""Registration finds a known misalignment, never makes it worse in silence, and always in the same way."""

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.registration import search as registration
from DLCTPMLib.registration.images import expected_spect
from DLCTPMLib.registration.search import register
from DLCTPMLib.registration.settings import RegistrationSettings
from DLCTPMLib.volumes.patient_axes import PatientAxes, patient_array

CT_SPACING, CT_ORIGIN, CT_SIZE = (4.0, 4.0, 5.0), (-190.0, -150.0, 20.0), (56, 72, 96)
SPECT_SPACING, SPECT_ORIGIN = (6.0, 6.0, 6.0), (-200.0, -200.0, -40.0)
GOAL_MM = 2.2  # half a voxel of a usual SPECT


def an_image(array, spacing, origin):
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    return image


class Patient:
    """Two lungs of different shape, denser and better perfused towards the back, with a few defects."""

    def __init__(self, dark_lung=False):
        rng = np.random.default_rng(5)
        z, y, x = (o + s * np.arange(n) for o, s, n in zip(CT_ORIGIN[::-1], CT_SPACING[::-1], CT_SIZE, strict=True))
        z, y, x = z[:, None, None], y[None, :, None], x[None, None, :]
        above_dome = z > 60 + 25 * np.exp(-(((np.abs(x) - 75) / 60) ** 2) - (y / 80) ** 2)
        right = (((z - 60) / 215) ** 2 + ((y - 5) / 95) ** 2 + ((x + 80) / 64) ** 2 < 1) & above_dome
        left = (((z - 60) / 220) ** 2 + ((y - 5) / 92) ** 2 + ((x - 78) / 60) ** 2 < 1) & above_dome
        left &= ~(((z - 100) / 70) ** 2 + ((y + 30) / 55) ** 2 + ((x - 25) / 60) ** 2 < 1)  # the heart
        labels = (2 * right + 3 * left).astype(np.uint16)
        lung = labels > 0
        body = np.broadcast_to((y / 130) ** 2 + (x / 175) ** 2 < 1, lung.shape)
        hu = np.where(lung, -850 + 0.6 * y, np.where(body, 40, -1000)) + rng.normal(0, 15, lung.shape)
        perfusion = np.where(lung, (hu + 1000) * (1 + 0.003 * y), 0)
        for _ in range(4):
            centre = rng.permutation(np.argwhere(lung))[0]
            away = sum(
                ((np.arange(n) - c) * s).reshape([-1 if a == axis else 1 for a in range(3)]) ** 2
                for axis, (n, c, s) in enumerate(zip(lung.shape, centre, CT_SPACING[::-1], strict=True))
            )
            perfusion *= np.where(away < 25**2, 0.2, 1)
        if dark_lung:
            perfusion *= np.where(left, 0.08, 1)
        self.ct = an_image(hu.astype(np.int16), CT_SPACING, CT_ORIGIN)
        self.lungs = an_image(labels, CT_SPACING, CT_ORIGIN)
        self._perfusion = an_image(perfusion.astype(np.float32), CT_SPACING, CT_ORIGIN)
        self.points = PatientAxes.of(self.lungs).points_mm(np.argwhere(lung)[::301])

    def spect(self, transform):
        """A SPECT of the patient who moved by ``transform`` after the CT: 15 mm blur, noise, 6 mm voxels."""
        grid = an_image(np.zeros((68, 68, 68), np.float32), SPECT_SPACING, SPECT_ORIGIN)
        moved = sitk.Resample(self._perfusion, grid, transform.GetInverse(), sitk.sitkLinear, 0.0)
        values = ndimage.gaussian_filter(sitk.GetArrayFromImage(moved), 15 / 2.355 / SPECT_SPACING[0])
        noise = ndimage.gaussian_filter(np.random.default_rng(9).normal(size=values.shape), 1)
        values = values * (1 + 0.4 * noise) + 0.02 * values.max() * np.abs(noise)
        return an_image((20 * np.clip(values, 0, None)).astype(np.float32), SPECT_SPACING, SPECT_ORIGIN)

    def error_mm(self, found, truth):
        """Mean distance over the lungs between where two transforms put a point."""
        return float(
            np.mean(
                [
                    np.linalg.norm(np.subtract(found.TransformPoint(p), truth.TransformPoint(p)))
                    for p in self.points.tolist()
                ]
            )
        )


IDENTITY = sitk.Euler3DTransform()
TWENTY_MM_OFF = sitk.Euler3DTransform((0, 0, 140), 0.05, -0.04, 0.06, (11.0, -10.0, 12.0))


@pytest.fixture(scope="module")
def patient():
    return Patient()


@pytest.fixture(scope="module")
def moved_spect(patient):
    return patient.spect(TWENTY_MM_OFF)


@pytest.fixture(scope="module")
def found(patient, moved_spect):
    return register(patient.ct, moved_spect, lungs=patient.lungs)


def test_twenty_millimetres_off_is_found_to_half_a_spect_voxel(patient, found):
    assert patient.error_mm(IDENTITY, TWENTY_MM_OFF) > 19
    assert patient.error_mm(found.transform, TWENTY_MM_OFF) < GOAL_MM
    assert found.improved
    assert found.metric_after > found.metric_before
    assert found.warnings == []


def test_forty_millimetres_and_many_degrees_off_is_found_as_well(patient):
    far = sitk.Euler3DTransform((0, 0, 140), 0.15, -0.1, 0.17, (-24.0, 18.0, -26.0))
    assert patient.error_mm(IDENTITY, far) > 38
    found = register(patient.ct, patient.spect(far), lungs=patient.lungs)
    assert patient.error_mm(found.transform, far) < GOAL_MM


def test_a_tilted_ct_of_thick_slices_is_registered_as_well(patient, moved_spect):
    tilt = sitk.Euler3DTransform((0, 0, 140), 0.3, 0.0, 0.1)
    grid = sitk.Image([100, 80, 42], sitk.sitkUInt8)
    grid.SetSpacing((4.0, 4.0, 8.0))
    grid.SetDirection(tilt.GetMatrix())
    grid.SetOrigin(tilt.TransformPoint((-200.0, -160.0, -20.0)))
    ct = sitk.Resample(patient.ct, grid, sitk.Transform(), sitk.sitkLinear, -1000)
    lungs = sitk.Resample(patient.lungs, grid, sitk.Transform(), sitk.sitkNearestNeighbor)
    found = register(ct, moved_spect, lungs=lungs)
    assert patient.error_mm(found.transform, TWENTY_MM_OFF) < GOAL_MM


def test_the_expected_spect_holds_the_lungs_mass_where_it_is(patient):
    fixed = expected_spect(patient.ct, patient.lungs, patient.spect(IDENTITY), 7.0, 50.0, gravity_percent_per_cm=0)
    lung = patient_array(patient.lungs) > 0
    density = np.clip((patient_array(patient.ct) + 1000.0) / 1000, 0, 1)[lung]
    points = PatientAxes.of(patient.ct).points_mm(np.argwhere(lung))
    image = sitk.GetArrayFromImage(fixed.image)
    places = PatientAxes.of(fixed.image).points_mm(np.argwhere(image > -1))
    assert image.sum() * np.prod(fixed.image.GetSpacing()) == pytest.approx(density.sum() * 80, rel=1e-3)
    assert np.average(places, axis=0, weights=image.ravel()) == pytest.approx(
        np.average(points, axis=0, weights=density), abs=0.05
    )
    assert fixed.centre_mm == pytest.approx(points.mean(axis=0), abs=0.01)
    assert fixed.spread_mm2 == pytest.approx(points.var(axis=0), rel=0.01)  # but for the size of a cell


@pytest.mark.parametrize("tilted", [False, True])
def test_expected_flow_per_gram_rises_towards_the_patients_back(patient, moved_spect, tilted):
    ct, lungs = sitk.Image(patient.ct), sitk.Image(patient.lungs)
    for image in (ct, lungs) if tilted else ():
        image.SetDirection(sitk.Euler3DTransform((0, 0, 0), 0.4, 0.1, 0.2).GetMatrix())
    level, rising = (expected_spect(ct, lungs, moved_spect, 0.01, 50.0, percent) for percent in (0.0, 2.0))
    axes = PatientAxes.of(level.image)
    mass, flow = (patient_array(fixed.image) for fixed in (level, rising))
    lung = np.argwhere(mass > 0.05)
    centimetres = (axes.points_mm(lung)[:, 1] - level.centre_mm[1]) / 10
    assert np.ptp(centimetres) > 15
    np.testing.assert_allclose((flow / np.maximum(mass, 1e-9))[tuple(lung.T)], 1 + 0.02 * centimetres, atol=2e-3)


def test_a_step_turns_the_lungs_as_far_as_it_shifts_them(patient, moved_spect):
    fixed = expected_spect(patient.ct, patient.lungs, moved_spect, 7.0, 50.0, gravity_percent_per_cm=0)
    search = registration._Search(fixed, moved_spect, RegistrationSettings())
    points = patient.points
    for make, count in ((sitk.Euler3DTransform, 6), (lambda: sitk.AffineTransform(3), 12)):
        for number, scale in enumerate(search.scales(count)):
            step = make()
            step.SetCenter(fixed.centre_mm)
            values = np.array(step.GetParameters())
            values[number] += 1e-3
            step.SetParameters(values.tolist())
            shift = np.array([step.TransformPoint(p) for p in points.tolist()]) - points
            assert (shift**2).sum(axis=1).mean() / 1e-6 == pytest.approx(scale, rel=0.08)  # every 301st voxel


def test_the_transform_lays_the_spect_on_the_ct(patient, moved_spect, found):
    lung = patient_array(patient.lungs) > 0

    def overlap(transform):
        on_ct = patient_array(sitk.Resample(moved_spect, patient.ct, transform))
        hot = on_ct > np.sort(on_ct, axis=None)[-np.count_nonzero(lung)]
        return 2 * np.count_nonzero(hot & lung) / (np.count_nonzero(hot) + np.count_nonzero(lung))

    assert overlap(found.transform) > 0.85 > 0.8 > overlap(IDENTITY)


def test_the_same_inputs_give_the_same_transform_bit_for_bit(patient, moved_spect, found):
    again = register(patient.ct, moved_spect, lungs=patient.lungs)
    assert again.transform.GetParameters() == found.transform.GetParameters()
    assert (again.metric_before, again.metric_after) == (found.metric_before, found.metric_after)


def test_the_programs_number_of_threads_is_left_as_it_was(patient, moved_spect):
    threads = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    register(patient.ct, moved_spect, lungs=patient.lungs, settings=RegistrationSettings(iterations=1))
    assert sitk.ProcessObject.GetGlobalDefaultNumberOfThreads() == threads


def test_a_registered_spect_stays_where_it_is(patient):
    result = register(patient.ct, patient.spect(IDENTITY), lungs=patient.lungs)
    assert patient.error_mm(result.transform, IDENTITY) < GOAL_MM


def test_a_lung_without_perfusion_does_not_draw_the_spect_aside():
    patient = Patient(dark_lung=True)  # its centre of mass lies 70 mm to the right
    result = register(patient.ct, patient.spect(TWENTY_MM_OFF), lungs=patient.lungs)
    assert patient.error_mm(result.transform, TWENTY_MM_OFF) < 6


def test_the_order_of_the_spects_axes_does_not_matter(patient, moved_spect, found):
    turned = sitk.PermuteAxes(sitk.Flip(moved_spect, (True, False, True)), [1, 2, 0])
    result = register(patient.ct, turned, lungs=patient.lungs)
    assert patient.error_mm(result.transform, found.transform) < 1e-3


def test_without_lungs_the_ct_itself_is_the_guide(patient, moved_spect):
    result = register(patient.ct, moved_spect)
    assert patient.error_mm(result.transform, TWENTY_MM_OFF) < 8
    assert result.improved


def test_a_far_start_needs_and_takes_an_initial_transform(patient):
    far = sitk.Euler3DTransform((0, 0, 140), 0.0, 0.0, 1.2, (40.0, 0.0, -60.0))
    near = sitk.Euler3DTransform((0, 0, 140), 0.0, 0.0, 1.2, (32.0, 9.0, -50.0))
    result = register(patient.ct, patient.spect(far), lungs=patient.lungs, initial=near)
    assert patient.error_mm(result.transform, far) < GOAL_MM


def test_affine_is_kept_where_the_patient_breathed_in_further(patient):
    deeper = sitk.AffineTransform([1, 0, 0, 0, 1, 0, 0, 0, 1.15], [4.0, -6.0, 5.0], [0.0, 0.0, 250.0])
    spect = patient.spect(deeper)
    rigid = register(patient.ct, spect, "rigid", lungs=patient.lungs)
    affine = register(patient.ct, spect, "affine", lungs=patient.lungs)
    assert patient.error_mm(affine.transform, deeper) < patient.error_mm(rigid.transform, deeper) - 2
    assert affine.metric_after > rigid.metric_after
    assert "changes volumes by" in affine.warnings[0]


def test_affine_is_given_up_where_rigid_is_as_good(patient, moved_spect, found):
    result = register(patient.ct, moved_spect, "affine", lungs=patient.lungs)
    assert patient.error_mm(result.transform, found.transform) == pytest.approx(0, abs=1e-9)
    assert "the rigid transform was kept" in result.warnings[0]


def test_a_worse_place_is_not_taken(patient, moved_spect, monkeypatch):
    def lost(self, start, step, progress):
        return registration.as_affine(sitk.TranslationTransform(3, (80.0, 0.0, 0.0)))

    monkeypatch.setattr(registration._Search, "run", lost)
    result = register(patient.ct, moved_spect, lungs=patient.lungs)
    assert not result.improved
    assert patient.error_mm(result.transform, IDENTITY) == 0
    assert result.metric_after == result.metric_before
    assert "no better place" in result.warnings[0]


def test_an_unlikely_movement_is_pointed_out(patient, moved_spect, monkeypatch):
    monkeypatch.setattr(
        registration._Search,
        "run",
        lambda self, start, step, progress: registration.as_affine(sitk.Euler3DTransform((0, 0, 140), 0.4, 0, 0)),
    )
    monkeypatch.setattr(registration._Search, "mutual_information", lambda self, t: 1 - (t.GetMatrix()[4] > 0.99))
    warning = register(patient.ct, moved_spect, lungs=patient.lungs).warnings[0]
    assert "23°" in warning


def test_progress_runs_to_the_end(patient, moved_spect):
    told = []
    register(
        patient.ct,
        moved_spect,
        lungs=patient.lungs,
        settings=RegistrationSettings(iterations=5),
        progress=lambda stage, fraction: told.append(fraction),
    )
    assert told == sorted(told)
    assert told[-1] == 1


def test_input_that_cannot_be_registered_is_refused(patient, moved_spect):
    with pytest.raises(InputError, match="zero everywhere"):
        register(patient.ct, moved_spect * 0, lungs=patient.lungs)
    with pytest.raises(InputError, match="unknown kind"):
        register(patient.ct, moved_spect, "deformable", lungs=patient.lungs)
    with pytest.raises(InputError, match="mask is empty"):
        register(patient.ct, moved_spect, lungs=patient.lungs * 0)
    away = sitk.Image(moved_spect)
    away.SetOrigin((5000.0, 0.0, 0.0))
    with pytest.raises(InputError, match="does not overlap"):
        register(patient.ct, away, lungs=patient.lungs)


@pytest.mark.parametrize("wrong", [{"samples": 10}, {"iterations": 0}, {"last_step_mm": 5.0}])
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        RegistrationSettings(**wrong)
