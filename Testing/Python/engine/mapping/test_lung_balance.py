"""The balance of right and left lung: fitted as by least squares, and what it does to a map."""

import math

import numpy as np
import pytest
import SimpleITK as sitk
import small_chest
import torch

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.mapping.mapping import map_perfusion
from DLCTPMLib.networks.arnn import Arnn
from DLCTPMLib.networks.balance import LungBalance, LungLevel, differences
from DLCTPMLib.networks.bundle import load_bundle, save_bundle
from DLCTPMLib.networks.settings import ArnnSettings
from DLCTPMLib.preprocessing.settings import PreprocessingSettings
from DLCTPMTrainingLib.samples.left_right import LEAST_PATIENTS, RIDGE, fit_balance

BALANCE = LungBalance(50, "made up", -0.05, 0.7, 0.01, 0.2, (-1.0, 1.0), (-80.0, 80.0), (-1.0, 1.0))
SETTINGS = PreprocessingSettings(grid_shape=(16, 16, 16), median_size=3, uniform_size=3)
RIGHT, LEFT = LungLevel(2000.0, -820.0, 0.6), LungLevel(1500.0, -850.0, 0.5)


def lungs_of_patients(count: int, seed: int = 0) -> list[tuple[LungLevel, LungLevel]]:
    rng = np.random.default_rng(seed)
    return [
        tuple(LungLevel(rng.uniform(800, 3000), rng.normal(-840, 20), rng.uniform(0.4, 0.8)) for _ in range(2))
        for _ in range(count)
    ]


def test_fitted_as_by_least_squares_with_the_penalty_as_further_lines():
    """NumPy's solver, on standardised differences under which stands the root of the penalty."""
    lungs = lungs_of_patients(40)
    ratios = np.random.default_rng(1).normal(0, 0.3, 40)
    found = fit_balance(lungs, ratios, "made up")
    seen = np.array([differences(*both) for both in lungs])
    standard = (seen - seen.mean(axis=0)) / seen.std(axis=0)
    above = np.c_[np.ones(40), standard]
    lines = np.vstack([above, np.c_[np.zeros(3), math.sqrt(RIDGE) * np.eye(3)]])
    solved = np.linalg.lstsq(lines, np.r_[ratios, np.zeros(3)], rcond=None)[0]
    for both, expected in zip(lungs, above @ solved, strict=True):
        assert found.log_ratio(*both) == pytest.approx(expected, abs=1e-4)


def test_too_few_patients_give_none():
    lungs = lungs_of_patients(LEAST_PATIENTS)
    assert fit_balance(lungs, np.zeros(LEAST_PATIENTS), "few") is not None
    assert fit_balance(lungs[1:], np.zeros(LEAST_PATIENTS - 1), "few") is None


def test_the_mean_of_both_lungs_stays_and_their_ratio_becomes_the_balances():
    of_right, of_left = BALANCE.factors(RIGHT, LEFT)
    means = RIGHT.mean * of_right, LEFT.mean * of_left
    expected = -0.05 + 0.7 * math.log(2000 / 1500) + 0.01 * 30 + 0.2 * math.log(0.6 / 0.5)
    assert math.log(means[0] / means[1]) == pytest.approx(expected)
    assert 2000 * means[0] + 1500 * means[1] == pytest.approx(2000 * 0.6 + 1500 * 0.5)


def test_a_difference_beyond_all_patients_counts_as_the_largest_of_them():
    dense, denser = (LungLevel(2000.0, hu, 0.6) for hu in (-770.0, -500.0))
    assert BALANCE.log_ratio(dense, LEFT) == BALANCE.log_ratio(denser, LEFT)


@pytest.fixture(scope="module")
def mapped(tmp_path_factory):
    """Maps of the small chest, with HU added to its lungs, by a network without and with a balance."""
    torch.manual_seed(2)
    network = Arnn(ArnnSettings(channels=(4, 4, 6, 6), kernel=3)).eval()
    about = {"name": "any", "version": "0", "intended_use": "tests", "preprocessing": SETTINGS.to_dict()}
    folder = tmp_path_factory.mktemp("bundles")
    plain = load_bundle(save_bundle(folder / "plain", network, about, "", ""))
    balanced = load_bundle(save_bundle(folder / "balanced", network, {**about, "balance": BALANCE.to_dict()}, "", ""))
    labels = small_chest.lung_labels()
    sides = sitk.GetArrayFromImage(labels)

    def made(right: int = 0, left: int = 0, of=balanced, lungs=labels):
        hu = sitk.GetArrayFromImage(small_chest.chest_ct())
        hu[sides == 2] += right
        hu[sides == 3] += left
        return sitk.GetArrayFromImage(map_perfusion(small_chest.on_grid(hu), lungs, of, "cpu", "fp32").perfusion)

    return made, plain, balanced, sides


def share(perfusion: np.ndarray, sides: np.ndarray) -> float:
    return float(perfusion[sides == 2].sum() / perfusion.sum())


def test_a_lung_60_hu_less_dense_gets_less_and_an_offset_of_both_changes_nothing(mapped):
    made, _, _, sides = mapped
    as_it_is, lighter, offset = (share(made(*added), sides) for added in ((), (-60, 0), (-60, -60)))
    assert lighter < as_it_is - 0.05
    assert offset == pytest.approx(as_it_is, abs=0.002)


def test_without_a_balance_a_denser_lung_is_not_seen(mapped):
    made, plain, _, sides = mapped
    assert share(made(-60, 0, plain), sides) == pytest.approx(share(made(of=plain), sides), abs=0.002)


def test_the_pattern_of_each_lung_stays(mapped):
    made, plain, _, sides = mapped
    before, after = made(of=plain), made()
    for side in (2, 3):
        ratio = after[sides == side] / before[sides == side]
        assert ratio.min() == pytest.approx(ratio.max(), rel=1e-4)


def test_one_lung_alone_has_nothing_to_be_balanced_with(mapped):
    made, plain, _, sides = mapped
    only_right = small_chest.on_grid(np.where(sides == 2, 2, 0).astype(np.uint16))
    assert np.array_equal(made(lungs=only_right), made(of=plain, lungs=only_right))


@pytest.mark.parametrize(
    "change",
    [
        {"patients": 0},
        {"density_hu": [10.0, -10.0]},
        {"per_hu": "much"},
        {"per_hu": None},
        {"more": 1},
    ],
)
def test_a_damaged_balance_is_refused_in_one_sentence(tmp_path, mapped, change):
    _, _, bundle, _ = mapped
    told = {name: value for name, value in (BALANCE.to_dict() | change).items() if value is not None}
    with pytest.raises(InputError, match="balance"):
        load_bundle(save_bundle(tmp_path / "m", bundle.networks()[0], {**bundle.metadata, "balance": told}, "", ""))


def test_both_lungs_on_one_grid_take_none(tmp_path, mapped):
    _, _, bundle, _ = mapped
    settings = PreprocessingSettings(cell_mm=12.0, inputs=("aerated", "dense", "lung"))
    network = Arnn(ArnnSettings(channels=(4, 4, 6, 6), kernel=3, input_channels=3, norm="weight", place="lungs"))
    told = {**bundle.metadata, "preprocessing": settings.to_dict()}
    told = {name: value for name, value in told.items() if name != "network"}
    with pytest.raises(InputError, match="balance"):
        load_bundle(save_bundle(tmp_path / "m", network.eval(), told, "", ""))
