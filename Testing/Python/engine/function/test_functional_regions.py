"""Functional labels and the region table equal hand counts."""

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import stats

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.function.heterogeneity import FIGURES
from DLCTPMLib.function.regions import MeasuredRegions, functional_labels, region_table

# A strip of 12 slices along z, each of 2 × 4 voxels of 1 × 2 × 5 mm; x runs to the patient's left.
SPACING = (1.0, 2.0, 5.0)
VOXEL_ML = 0.01


def an_image(array, dtype):
    image = sitk.GetImageFromArray(np.asarray(array, dtype))
    image.SetSpacing(SPACING)
    return image


@pytest.fixture
def lungs():
    """Right lung in the first two columns, left in the last; one column of background between them."""
    labels = np.zeros((12, 2, 4))
    labels[..., :2], labels[..., 3] = 2, 3
    return an_image(labels, np.uint16)


@pytest.fixture
def perfusion(lungs):
    """0.9 in the right lung; in the left 0.5, but 0.8 in its upper half. Noise outside must not count."""
    values = np.full((12, 2, 4), 0.9)
    values[..., 3] = 0.5
    values[6:, :, 3] = 0.8
    return an_image(values, np.float32)


def test_labels_are_high_above_the_threshold_and_low_at_it(lungs):
    values = np.full((12, 2, 4), 0.66, np.float32)
    values[0] = np.nextafter(np.float32(0.66), np.float32(1))
    labels = sitk.GetArrayFromImage(functional_labels(an_image(values, np.float32), lungs, float(np.float32(0.66))))
    assert (labels[0, :, [0, 1, 3]] == 1).all()
    assert (labels[1:, :, [0, 1, 3]] == 2).all()
    assert not labels[..., 2].any()


def test_the_labels_lie_on_the_cts_grid(perfusion, lungs):
    labels = functional_labels(perfusion, lungs)
    assert labels.GetPixelID() == sitk.sitkUInt8
    assert labels.GetSpacing() == lungs.GetSpacing()
    assert labels.GetDirection() == lungs.GetDirection()


def test_the_table_equals_hand_counts(perfusion, lungs):
    table = region_table(perfusion, lungs)
    right, left = 48 * 0.9, 12 * 0.5 + 12 * 0.8
    assert table["right lung"] == pytest.approx(
        {
            "volume_ml": 48 * VOXEL_ML,
            "mean": 0.9,
            "perfusion_percent": 100 * right / (right + left),
            "high_ml": 48 * VOXEL_ML,
            "low_ml": 0,
            "cv": 0,
            "heterogeneity": 0,
            "defect_percent": 0,
        }
    )
    assert table["left lung"] == pytest.approx(
        {
            "volume_ml": 24 * VOXEL_ML,
            "mean": 0.65,
            "perfusion_percent": 100 * left / (right + left),
            "high_ml": 12 * VOXEL_ML,
            "low_ml": 12 * VOXEL_ML,
            "cv": 0.15 / 0.65,
            "heterogeneity": 0.3 / 0.65,
            "defect_percent": 0,  # 0.5 is more than 0.6 of the lungs' mean, 0.817
        }
    )
    assert table["lungs"]["perfusion_percent"] == pytest.approx(100)
    assert table["lungs"]["volume_ml"] == pytest.approx(72 * VOXEL_ML)


def test_thirds_come_for_each_lung_from_above_downwards(perfusion, lungs):
    table = region_table(perfusion, lungs)
    assert list(table) == [
        "lungs",
        "right lung",
        "left lung",
        *(f"{side} {level} third" for side in ("right", "left") for level in ("upper", "middle", "lower")),
    ]
    assert [table[f"left {level} third"]["mean"] for level in ("upper", "middle", "lower")] == pytest.approx(
        [0.8, 0.65, 0.5]
    )
    for side in ("right", "left"):
        parts = [table[f"{side} {level} third"] for level in ("upper", "middle", "lower")]
        for figure in ("volume_ml", "high_ml", "low_ml", "perfusion_percent"):
            assert sum(part[figure] for part in parts) == pytest.approx(table[f"{side} lung"][figure])


def test_lobes_come_where_the_mask_has_them(perfusion):
    labels = np.zeros((12, 2, 4))
    labels[:4, :, :2], labels[4:6, :, :2], labels[6:, :, :2] = 6, 5, 4
    labels[:6, :, 3], labels[6:, :, 3] = 8, 7
    table = region_table(perfusion, an_image(labels, np.uint16))
    assert table["right middle lobe"]["volume_ml"] == pytest.approx(8 * VOXEL_ML)
    assert table["left upper lobe"]["mean"] == pytest.approx(0.8)
    assert table["left lower lobe"]["high_ml"] == 0
    lobes = [name for name in table if name.endswith("lobe")]
    assert len(lobes) == 5
    assert sum(table[name]["perfusion_percent"] for name in lobes) == pytest.approx(100)
    assert "left upper third" in table


def test_a_missing_lung_has_no_mean(perfusion):
    labels = np.zeros((12, 2, 4))
    labels[..., :2] = 2
    left = region_table(perfusion, an_image(labels, np.uint16))["left lung"]
    empty = {"volume_ml": 0, "mean": None, "perfusion_percent": 0, "high_ml": 0, "low_ml": 0}
    assert left == empty | dict.fromkeys(FIGURES)


def test_without_perfusion_there_are_no_shares(lungs):
    table = region_table(an_image(np.zeros((12, 2, 4)), np.float32), lungs)
    assert table["right lung"]["perfusion_percent"] is None
    assert table["right lung"]["mean"] == 0


def test_unevenness_equals_scipys_and_a_count(lungs):
    rng = np.random.default_rng(3)
    values = rng.gamma(2, 0.2, (12, 2, 4)).clip(0, 1).astype(np.float32)
    table = region_table(an_image(values, np.float32), lungs)
    labels = sitk.GetArrayFromImage(lungs)
    mean = values[labels > 0].mean(dtype=float)
    for name, side in (("right lung", 2), ("left lung", 3)):
        own = values[labels == side].astype(float)
        assert table[name]["cv"] == pytest.approx(stats.variation(own))
        assert table[name]["heterogeneity"] == pytest.approx(stats.iqr(own) / own.mean())
        assert table[name]["defect_percent"] == pytest.approx(100 * np.mean(own < 0.6 * mean))
    assert 0 < table["lungs"]["defect_percent"] < 100


def test_orientation_of_the_file_changes_no_figure(perfusion, lungs):
    turned = [sitk.PermuteAxes(sitk.Flip(image, (True, True, False)), [2, 0, 1]) for image in (perfusion, lungs)]
    for name, row in region_table(*turned).items():
        assert row == pytest.approx(region_table(perfusion, lungs)[name])


def test_a_map_on_another_grid_is_refused(perfusion, lungs):
    with pytest.raises(InputError, match="different grids"):
        region_table(perfusion[1:], lungs)


@pytest.mark.parametrize("threshold", [0, 1, -0.2])
def test_a_threshold_outside_the_scale_is_refused(perfusion, lungs, threshold):
    with pytest.raises(InputError, match="threshold"):
        functional_labels(perfusion, lungs, threshold)


def test_a_map_gone_through_once_answers_every_threshold_alike(lungs):
    rng = np.random.default_rng(2)
    values = an_image(np.round(rng.random((12, 2, 4)), 2), np.float32)  # many values lie on a threshold
    measured = MeasuredRegions(values, lungs).sort()
    for threshold in np.arange(1, 100) / 100:
        for name, row in measured.table(threshold).items():
            assert row.items() <= region_table(values, lungs, threshold)[name].items()
    with pytest.raises(InputError):
        measured.table(1.0)
