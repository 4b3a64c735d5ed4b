"""Functional labels and the region table equal hand counts."""

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import stats

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.function.heterogeneity import FIGURES
from DLCTPMLib.function.partitions import LOBE_NAMES, THIRD_NAMES, VENTRAL_THIRD_NAMES
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


LEVELS = ("upper", "middle", "lower")
DEPTHS = ("ventral", "intermediate", "dorsal")


def test_thirds_come_for_each_lung_from_above_downwards_and_from_front_to_back():
    """On six rows from front to back, that a plane can part in three."""
    labels = np.zeros((12, 6, 4))
    labels[..., :2], labels[..., 3] = 2, 3
    values = np.zeros((12, 6, 4)) + np.array([0.9, 0.9, 0.5, 0.5, 0.1, 0.1])[:, None]
    table = region_table(an_image(values, np.float32), an_image(labels, np.uint16))
    assert list(table) == [
        "lungs",
        "right lung",
        "left lung",
        *(f"{side} {part} third" for side in ("right", "left") for part in LEVELS),
        *(f"{side} {part} third" for side in ("right", "left") for part in DEPTHS),
    ]
    for side, width in (("right", 2), ("left", 1)):
        for part, value in zip(DEPTHS, (0.9, 0.5, 0.1), strict=True):  # y runs to the patient's back
            row = table[f"{side} {part} third"]
            assert row["volume_ml"] == pytest.approx(12 * 2 * width * VOXEL_ML)
            assert row["mean"] == pytest.approx(value)
            assert row["perfusion_percent"] == pytest.approx(100 * value * width / (1.5 * 3))
        assert table[f"{side} middle third"]["mean"] == pytest.approx(0.5)


def test_thirds_are_those_of_the_lungs_own_figures(perfusion, lungs):
    table = region_table(perfusion, lungs)
    assert [table[f"left {level} third"]["mean"] for level in LEVELS] == pytest.approx([0.8, 0.65, 0.5])
    for side in ("right", "left"):
        parts = [table[f"{side} {level} third"] for level in LEVELS]
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


def test_every_division_adds_up_to_a_hundred_and_a_lobe_phantom_has_its_known_shares():
    """Five lobes of 8, 4, 12, 10 and 14 slices' columns, each filled with a value of its own."""
    sizes = {4: 8, 5: 4, 6: 12, 7: 10, 8: 14}
    values = {4: 0.9, 5: 0.3, 6: 0.6, 7: 0.8, 8: 0.2}
    column = np.concatenate([np.full(size, region) for region, size in sizes.items()])
    labels = np.broadcast_to(column[:, None, None], (48, 3, 4))
    image = np.vectorize(values.get)(labels)
    table = region_table(an_image(image, np.float32), an_image(labels, np.uint16))
    total = sum(sizes[region] * values[region] for region in sizes)
    for name, region in zip(LOBE_NAMES, sizes, strict=True):
        assert table[name]["perfusion_percent"] == pytest.approx(100 * sizes[region] * values[region] / total)
    for names in (LOBE_NAMES, THIRD_NAMES, VENTRAL_THIRD_NAMES, ("right lung", "left lung")):
        assert sum(table[name]["perfusion_percent"] for name in names if name in table) == pytest.approx(100)


def test_front_and_back_are_the_patients_on_a_tilted_scan():
    """Turned by 20° about the long axis, a map that grows to the back is lowest in the ventral thirds."""
    turn = sitk.Euler3DTransform((0, 0, 0), 0, 0, np.radians(20))
    labels = an_image(np.full((4, 30, 30), 2), np.uint16)
    labels.SetSpacing((2.0, 2.0, 5.0))
    labels.SetDirection(turn.GetMatrix())
    k, j, i = np.indices((4, 30, 30))
    matrix = np.array(turn.GetMatrix()).reshape(3, 3)
    y = np.stack([2.0 * i, 2.0 * j, 5.0 * k], axis=-1) @ matrix[1]
    image = an_image((y - y.min()) / np.ptp(y), np.float32)
    image.CopyInformation(labels)
    table = region_table(image, labels)
    cuts = np.quantile(y, (1 / 3, 2 / 3))
    parts = [y <= cuts[0], (y > cuts[0]) & (y <= cuts[1]), y > cuts[1]]
    values = sitk.GetArrayFromImage(image)
    for depth, voxels in zip(DEPTHS, parts, strict=True):
        assert table[f"right {depth} third"]["volume_ml"] == pytest.approx(voxels.sum() * 0.02, rel=0.02)
        assert table[f"right {depth} third"]["mean"] == pytest.approx(values[voxels].mean(), abs=0.01)


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
