"""Predicted postoperative FEV1 equals the hand calculation; what cannot be meant is refused."""

import pytest
from small_chest import write_inputs

from DLCTPMLib.cli.main import BAD_INPUT, main
from DLCTPMLib.common.errors import InputError
from DLCTPMLib.function.partitions import LOBE_NAMES
from DLCTPMLib.function.resection import PARTS, SIDES, Resection

SHARES = {
    "right lung": 56.0,
    "left lung": 44.0,
    "right upper lobe": 22.0,
    "right middle lobe": 8.0,
    "right lower lobe": 26.0,
    "left upper lobe": 20.0,
    "left lower lobe": 24.0,
}
TABLE = {name: {"perfusion_percent": share} for name, share in SHARES.items()}


@pytest.mark.parametrize(
    ("removed", "litres", "percent"),
    [
        ("RUL", 1.638, 54.6),  # 2.1 × 0.78, of 3.0
        ("rul, rml", 1.47, 49.0),  # 2.1 × 0.70
        ("left", 1.176, 39.2),  # 2.1 × 0.56
        ("RLL,LLL", 1.05, 35.0),  # 2.1 × 0.50
    ],
)
def test_ppo_fev1_equals_the_hand_calculation(removed, litres, percent):
    found = Resection(2.1, 3.0, removed).of(TABLE)
    assert found["ppo_fev1_l"] == pytest.approx(litres)
    assert found["ppo_fev1_percent"] == pytest.approx(percent)
    assert found["fev1_percent"] == pytest.approx(70)


def test_what_may_be_removed_are_regions_of_the_table():
    assert set(PARTS.values()) == {*LOBE_NAMES, *SIDES}


def test_without_a_reference_value_there_are_no_percentages():
    found = Resection(2.0, None, "right").of(TABLE)
    assert found["ppo_fev1_l"] == pytest.approx(0.88)
    assert found["ppo_fev1_percent"] is found["fev1_percent"] is None


def test_without_perfusion_there_is_no_figure_and_without_an_operation_no_entry():
    assert Resection(2.0, None, "right").of({"right lung": {"perfusion_percent": None}})["ppo_fev1_l"] is None
    assert Resection().of(TABLE) is None


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"fev1": 2.1}, "needs both"),
        ({"removed": "RUL"}, "needs both"),
        ({"predicted_fev1": 3.0}, "needs both"),
        ({"fev1": 2100, "removed": "RUL"}, "no FEV1 in litres"),
        ({"fev1": float("nan"), "removed": "RUL"}, "no FEV1 in litres"),
        ({"fev1": 2, "predicted_fev1": 0, "removed": "RUL"}, "--predicted-fev1 0"),
        ({"fev1": 2, "removed": "RXL"}, "give some of RUL"),
        ({"fev1": 2, "removed": "RUL,"}, "give some of RUL"),
        ({"fev1": 2, "removed": "RUL,RUL"}, "twice"),
        ({"fev1": 2, "removed": "right,RUL"}, "twice"),
        ({"fev1": 2, "removed": "right,left"}, "leaves no lung"),
        ({"fev1": 2, "removed": "right,LUL,LLL"}, "leaves no lung"),
    ],
)
def test_what_cannot_be_meant_is_refused(chosen, said):
    with pytest.raises(InputError, match=said):
        Resection(**chosen)


def test_a_lobe_that_the_mask_lacks_is_refused_before_the_map_is_made(tmp_path, capsys):
    files = write_inputs(tmp_path)
    command = ["predict", files["ct"], "--lungs", files["lungs"], "--model", files["model"], "--fev1", "2.1"]
    out = tmp_path / "out"
    assert main([*command, "--removed", "RUL", "--out", str(out), "--progress", "none"]) == BAD_INPUT
    told = capsys.readouterr().err
    assert "these lungs have no right upper lobe; give a mask with lobes" in told
    assert told.count("\n") == 1
    assert not out.exists()
