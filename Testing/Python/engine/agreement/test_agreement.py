"""Agreement follows METHOD.md §5: every figure is recomputed here with SciPy, scikit-image and hand counts."""

import dataclasses
import json

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage, stats
from skimage.metrics import structural_similarity
from skimage.morphology import remove_small_objects

from DLCTPMLib.agreement.comparison import on_spect_grid
from DLCTPMLib.agreement.scores import METRICS, compare
from DLCTPMLib.agreement.settings import AgreementSettings
from DLCTPMLib.common.errors import InputError
from DLCTPMLib.preprocessing.settings import PreprocessingSettings
from DLCTPMLib.volumes.patient_axes import PatientAxes, file_image, patient_array

QUICK = PreprocessingSettings(grid_shape=(32, 24, 24), median_size=4, uniform_size=3)


@dataclasses.dataclass
class Patient:
    """A small patient: CT, lungs, a perfusion map, and a SPECT that resembles the map."""

    ct: sitk.Image
    lungs: sitk.Image
    perfusion: sitk.Image
    spect: sitk.Image

    def agreement(self, **arguments):
        arguments.setdefault("bundle_preprocessing", QUICK)
        return compare(self.perfusion, self.spect, self.lungs, **arguments)

    def comparison(self, **arguments):
        arguments.setdefault("bundle_preprocessing", QUICK)
        return on_spect_grid(self.perfusion, self.spect, self.lungs, **arguments)


def on_grid(array, spacing, origin):
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    return image


def a_patient(sides=("right", "left"), seed=3):
    rng = np.random.default_rng(seed)
    spacing, origin, size = (2.0, 2.0, 3.0), (-110.0, -70.0, -60.0), (50, 70, 110)
    z, y, x = np.meshgrid(*[np.arange(n) for n in size], indexing="ij")
    labels = np.zeros(size, np.uint16)
    for side, value, centre in (("right", 2, 27), ("left", 3, 82)):
        inside = ((z - 25) / 22) ** 2 + ((y - 35) / 30) ** 2 + ((x - centre) / 22) ** 2 < 1
        if side in sides:
            labels[inside] = value
    hu = np.where(labels > 0, -820 + 3 * (y - 35), 40) + rng.normal(0, 20, size)
    smooth = ndimage.gaussian_filter(rng.random(size), 4)
    perfusion = np.where(labels > 0, np.clip(0.75 + 12 * (smooth - 0.5), 0, 1), 0).astype(np.float32)
    spect_size, spect_spacing = (40, 40, 60), (4.42, 4.42, 4.42)
    spect = on_grid(np.zeros(spect_size, np.float32), spect_spacing, (-125.0, -85.0, -75.0))
    blurred = ndimage.gaussian_filter(perfusion + 0.15 * (labels > 0) * rng.random(size), 2)
    uptake = sitk.Resample(on_grid(blurred.astype(np.float32), spacing, origin), spect)
    return Patient(
        ct=on_grid(hu.astype(np.float32), spacing, origin),
        lungs=on_grid(labels, spacing, origin),
        perfusion=on_grid(perfusion, spacing, origin),
        spect=sitk.Cast(uptake * 3700.0 + 20.0, sitk.sitkFloat32),
    )


@pytest.fixture(scope="module")
def patient():
    return a_patient()


@pytest.fixture(scope="module")
def agreement(patient):
    return patient.agreement(ct=patient.ct)


@pytest.fixture(scope="module")
def comparison(patient):
    return patient.comparison(ct=patient.ct)


def with_spect(patient, array):
    return dataclasses.replace(patient, spect=file_image(array.astype(np.float32), patient.spect))


def plain_metrics(prediction, reference, lung, mask, threshold=0.66):
    """METHOD.md §5 written with SciPy and scikit-image."""
    p, s = prediction[mask].astype(float), reference[mask].astype(float)
    _, ssim = structural_similarity(
        np.clip(np.where(lung, prediction, 0), 0, 1).astype(float),
        np.clip(np.where(lung, reference, 0), 0, 1).astype(float),
        full=True,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=1,
    )
    both, first, second = (
        int(np.sum((p > threshold) & (s > threshold))),
        int(np.sum(p > threshold)),
        int(np.sum(s > threshold)),
    )
    n = len(p)
    neither = n - first - second + both
    chance = (first * second + (n - first) * (n - second)) / n**2
    return {
        "r_spearman": stats.spearmanr(p, s).statistic,
        "r_pearson": stats.pearsonr(p, s).statistic,
        "ssim": ssim[mask].mean(),
        "ssim_box": ssim.mean(),
        "dsc_high": 2 * both / (first + second),
        "dsc_low": 2 * neither / (2 * n - first - second),
        "kappa": ((both + neither) / n - chance) / (1 - chance),
    }


def figures(result):
    return {name: result[name] for name in METRICS}


@pytest.mark.parametrize("scope", ["lungs", "right lung", "left lung"])
@pytest.mark.parametrize("part", ["whole", "core"])
def test_every_metric_equals_its_plain_computation(agreement, comparison, scope, part):
    result = agreement[scope] if part == "whole" else agreement[scope]["core"]
    lung = comparison.masks[scope]
    if part == "whole":
        mask = lung
    elif scope == "lungs":
        mask = ndimage.binary_erosion(comparison.masks["right lung"], iterations=2)
        mask |= ndimage.binary_erosion(comparison.masks["left lung"], iterations=2)
    else:
        mask = ndimage.binary_erosion(lung, iterations=2)
    reference = patient_array_of_reference(comparison)
    expected = plain_metrics(comparison.predictions["model"], reference, lung, mask)
    assert figures(result) == pytest.approx(expected, abs=1e-6)
    expected = plain_metrics(comparison.predictions["geometry"], reference, lung, mask)
    assert figures(result["baselines"]["geometry"]) == pytest.approx(expected, abs=1e-6)
    assert result["voxels"] == mask.sum() > 0


def patient_array_of_reference(comparison):
    """S/HIR over the whole image, HIR recomputed from the SPECT."""
    return comparison.spect / np.percentile(comparison.spect[comparison.masks["lungs"]], 75)


def test_the_hir_is_that_of_both_lungs_also_in_the_core(patient, agreement, comparison):
    expected = np.percentile(patient_array(patient.spect)[comparison.masks["lungs"]], 75)
    assert agreement["lungs"]["hir"] == pytest.approx(expected)
    assert agreement["right lung"]["core"]["hir"] == pytest.approx(expected)


def test_both_hir_scopes_are_reported(patient, agreement):
    per_lung = patient.agreement(settings=AgreementSettings(hir_scope="lung"))
    for scope in ("lungs", "right lung", "left lung"):
        assert figures(agreement[scope]["other_hir_scope"]) == pytest.approx(figures(per_lung[scope]))
        assert figures(per_lung[scope]["other_hir_scope"]) == pytest.approx(figures(agreement[scope]))
    assert per_lung["lungs"]["hir"].keys() == {"right lung", "left lung"}
    assert per_lung["right lung"]["r_spearman"] == pytest.approx(agreement["right lung"]["r_spearman"])
    assert per_lung["right lung"]["ssim"] != pytest.approx(agreement["right lung"]["ssim"], abs=1e-5)


def test_a_spect_voxel_is_lung_when_at_least_half_of_it_is(patient, comparison):
    right = patient_array(patient.lungs) == 2
    volume = right.sum() * PatientAxes.of(patient.lungs).voxel_ml
    assert comparison.masks["right lung"].sum() * comparison.axes.voxel_ml == pytest.approx(volume, rel=0.02)
    assert not (comparison.masks["right lung"] & comparison.masks["left lung"]).any()


def test_a_map_that_is_the_spect_agrees_fully():
    patient = a_patient()
    nearest = sitk.Resample(patient.spect, patient.lungs, sitk.Transform(), sitk.sitkNearestNeighbor)
    grid = on_spect_grid(nearest, patient.spect, patient.lungs, bundle_preprocessing=QUICK)
    same = sitk.Cast(nearest, sitk.sitkFloat32) / grid.hir["patient"]
    result = compare(same, patient.spect, patient.lungs, bundle_preprocessing=QUICK)["lungs"]
    assert result["r_spearman"] > 0.99
    assert result["ssim"] > 0.99
    assert result["core"]["dsc_high"] > 0.97


def test_the_scale_of_the_spect_does_not_matter(patient, agreement):
    tenfold = with_spect(patient, patient_array(patient.spect) * 10).agreement(ct=patient.ct)
    assert figures(tenfold["lungs"]) == pytest.approx(figures(agreement["lungs"]), abs=1e-6)


def test_a_moved_spect_with_its_transform_agrees_as_before(patient, agreement):
    moved = sitk.Image(patient.spect)
    moved.SetOrigin([o + d for o, d in zip(moved.GetOrigin(), (12.5, -7.25, 30.0), strict=True)])
    shift = sitk.TranslationTransform(3, (12.5, -7.25, 30.0))
    again = dataclasses.replace(patient, spect=moved).agreement(transform=shift)
    assert figures(again["lungs"]) == pytest.approx(figures(agreement["lungs"]), abs=2e-3)
    assert again["left lung"]["voxels"] == pytest.approx(agreement["left lung"]["voxels"], rel=2e-3)


def test_orientation_of_the_files_changes_nothing(patient, agreement):
    turned = Patient(
        *(
            sitk.PermuteAxes(sitk.Flip(image, (True, False, True)), [1, 2, 0])
            for image in (patient.ct, patient.lungs, patient.perfusion)
        ),
        spect=sitk.PermuteAxes(sitk.Flip(patient.spect, (False, True, True)), [2, 0, 1]),
    )
    again = turned.agreement(ct=turned.ct)
    for scope in ("lungs", "right lung", "left lung"):
        assert figures(again[scope]) == pytest.approx(figures(agreement[scope]), abs=2e-3)
        for name, baseline in again[scope]["baselines"].items():
            assert figures(baseline) == pytest.approx(
                figures(agreement[scope]["baselines"][name]), abs=2e-3, nan_ok=True
            )


def test_calling_everything_high_scores_what_the_reference_says(agreement):
    for scope in ("lungs", "right lung", "left lung"):
        high = agreement[scope]["reference_high_percent"] / 100
        naive = agreement[scope]["baselines"]["all_high"]
        assert naive["dsc_high"] == pytest.approx(2 * high / (1 + high))
        assert naive["dsc_low"] == 0
        assert naive["kappa"] == pytest.approx(0)
        assert naive["r_spearman"] is None
        assert "same in every voxel" in naive["undefined"]["r_spearman"]


def test_baselines_that_need_the_ct_come_with_it(patient, agreement):
    assert list(agreement["lungs"]["baselines"]) == [
        "all_high",
        "geometry",
        "blurred_mask",
        "density_median",
        "enhanced_ct",
        "blurred_density",
    ]
    assert list(patient.agreement()["lungs"]["baselines"]) == ["all_high", "geometry", "blurred_mask"]


def test_self_scaled_baselines_have_one_as_their_percentile(comparison):
    lung = comparison.masks["lungs"]
    for name in ("geometry", "density_median", "enhanced_ct", "blurred_mask", "blurred_density"):
        assert np.percentile(comparison.predictions[name][lung], 75) == pytest.approx(1, abs=1e-5)


def test_a_missing_lung_has_no_figures_and_says_why():
    result = a_patient(sides=("right",)).agreement()
    assert result["right lung"]["r_spearman"] == pytest.approx(result["lungs"]["r_spearman"])
    left = result["left lung"]
    assert all(left[name] is None for name in METRICS)
    assert "left lung" in left["undefined"]["ssim"]
    assert left["voxels"] == 0


def test_a_lung_without_perfusion_has_no_hir_of_its_own(patient):
    array = patient_array(patient.spect).copy()
    array[:, :, 28:] = 0
    dark = with_spect(patient, array)
    assert dark.agreement()["left lung"]["dsc_low"] is not None
    alone = dark.agreement(settings=AgreementSettings(hir_scope="lung"))
    assert alone["left lung"]["ssim"] is None
    assert "high intensity region" in alone["left lung"]["undefined"]["ssim"]
    assert alone["left lung"]["hir"] is None
    assert alone["right lung"]["ssim"] is not None


def test_the_result_is_plain_json_and_every_ssim_names_its_convention(agreement):
    assert json.loads(json.dumps(agreement, allow_nan=False)) == agreement
    for scope in agreement.values():
        for part in (scope, scope["core"]):
            assert "σ 1.5" in part["ssim_convention"]
            assert "population covariance" in part["ssim_convention"]


def test_a_model_scaled_to_another_percentile_is_judged_by_it(patient, comparison):
    preprocessing = dataclasses.replace(QUICK, hir_percentile=90, clip_at=1.2, hir_scope="lung")
    other = patient.comparison(bundle_preprocessing=preprocessing)
    right = comparison.masks["right lung"]
    expected = comparison.spect[right] / (1.2 * np.percentile(comparison.spect[right], 90))
    assert other.reference()[right] == pytest.approx(expected, rel=1e-3)


def test_the_joint_histogram_counts_every_voxel_once(comparison):
    counts, edges = comparison.joint_histogram("right lung", bins=20, top=1.2)
    assert counts.sum() == comparison.masks["right lung"].sum()
    assert len(edges) == 21
    reference = np.clip(comparison.reference()[comparison.masks["right lung"]], 0, 1.2)
    assert counts.sum(axis=0).tolist() == np.histogram(reference, edges)[0].tolist()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda array: np.zeros_like(array), "zero everywhere"),
        (lambda array: np.where(array > 0, np.nan, array), "not numbers"),
        (lambda array: np.where(np.arange(60) < 1, array, 0), "cannot be normalised"),
    ],
)
def test_a_spect_without_perfusion_is_refused(patient, spoil, message):
    with pytest.raises(InputError, match=message):
        with_spect(patient, spoil(patient_array(patient.spect))).agreement()


def test_a_spect_elsewhere_is_refused(patient):
    away = sitk.Image(patient.spect)
    away.SetOrigin((900.0, 0.0, 0.0))
    with pytest.raises(InputError, match="does not lie on the lungs"):
        dataclasses.replace(patient, spect=away).agreement()


def test_a_planar_scintigram_is_refused(patient):
    flat = sitk.Image([20, 20], sitk.sitkFloat32)
    with pytest.raises(InputError, match="three-dimensional"):
        dataclasses.replace(patient, spect=flat).agreement()


def test_a_map_on_another_grid_is_refused(patient):
    with pytest.raises(InputError, match="CT's grid"):
        dataclasses.replace(patient, perfusion=patient.perfusion[1:]).agreement()


@pytest.mark.parametrize(
    "wrong",
    [
        {"function": "p75:0"},
        {"hir_scope": "both"},
        {"hir_percentile": 101},
        {"core_erosions": 0},
        {"clip_at": 0},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        AgreementSettings(**wrong)


def test_a_percentile_is_that_of_map_and_spect_each(patient):
    settings = AgreementSettings(function="percentile:70")
    found = patient.agreement(settings=settings)["lungs"]
    comparison = patient.comparison(settings=settings)
    lung = comparison.masks["lungs"]
    high = [
        image[lung] > np.float32(np.percentile(image[lung], 70))
        for image in (comparison.predictions["model"], comparison.reference())
    ]
    assert found["dsc_high"] == pytest.approx(2 * np.sum(high[0] & high[1]) / np.sum(high))
    assert found["reference_high_percent"] == pytest.approx(30, abs=0.5)
    assert found["prediction_high_percent"] == pytest.approx(30, abs=0.5)


def test_islands_are_removed_in_map_and_spect_before_they_are_compared(patient):
    """High islands become low, then low ones high, in each lung; counted again by scikit-image."""
    settings = AgreementSettings(function="fixed:0.75,specks:8")
    comparison = patient.comparison(settings=settings)
    lung, smallest = comparison.masks["lungs"], int(np.ceil(8 / comparison.axes.voxel_ml))

    def parts(image):
        high = np.zeros(lung.shape, bool)
        for side in comparison.sides.values():
            kept = remove_small_objects(side & (image > 0.75), smallest)
            high |= side & ~remove_small_objects(side & ~kept, smallest)
        return high[lung], ~high[lung]

    images = comparison.predictions["model"], comparison.reference()
    (high, low), (high_spect, low_spect) = map(parts, images)
    found = patient.agreement(settings=settings)["lungs"]
    plain = patient.agreement(settings=AgreementSettings(function="fixed:0.75"))["lungs"]
    assert found["prediction_high_percent"] == pytest.approx(100 * high.mean())
    assert found["reference_high_percent"] == pytest.approx(100 * high_spect.mean())
    assert plain["reference_high_percent"] != pytest.approx(100 * high_spect.mean())
    for name, a, b in (("dsc_high", high, high_spect), ("dsc_low", low, low_spect)):
        assert found[name] == pytest.approx(2 * (a & b).sum() / (a.sum() + b.sum()))


def test_settings_survive_their_way_through_json():
    settings = AgreementSettings(function="percentile:50", hir_scope="lung")
    assert AgreementSettings.from_dict(json.loads(json.dumps(settings.to_dict()))) == settings
    with pytest.raises(InputError, match="unknown name"):
        AgreementSettings.from_dict({"treshold": 0.5})
