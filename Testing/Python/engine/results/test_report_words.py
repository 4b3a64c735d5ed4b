"""The one sentence that a report comes to says what the result holds, and takes nothing back later."""

import re

import pytest

from DLCTPMLib.results.report_tables import ppo_rows, zone_rows
from DLCTPMLib.results.report_words import conclusion, dicom_rows, likely_cause


def a_result(right=0.6, left=0.4, upper=1.0, cell_mm=6.0, **others):
    """A result whose lungs have these means, and whose upper thirds lie this far from their lung's."""
    lungs = {"right": right, "left": left}
    regions = {"lungs": {"mean": (right + left) / 2, "volume_ml": 5000}}
    for side, mean in lungs.items():
        share = 100 * mean / (right + left) if right + left else None
        regions[f"{side} lung"] = {"mean": mean, "volume_ml": 2500 * (mean > 0), "perfusion_percent": share}
        for level in ("upper", "middle", "lower"):
            regions[f"{side} {level} third"] = {"mean": mean * (upper if level == "upper" else 1.1)}
    return {
        "regions": regions,
        "settings": {"preprocessing": {"cell_mm": cell_mm}},
        "quality": [],
        "simulated": False,
        **others,
    }


def one_sentence(text):
    return text.endswith(".") and not re.search(r"[.!?](?=\s)", text)


def test_a_model_that_compares_the_lungs_gives_their_shares():
    said = conclusion(a_result(upper=0.7))
    assert one_sentence(said)
    assert "right lung 60 % and the left lung 40 %" in said
    assert "most reduced in the left upper zone (0.56 of the lungs' mean)" in said  # 0.4 × 0.7 of 0.5
    assert "not a measurement of blood flow" in said


def test_a_model_that_cannot_compare_them_tells_of_each_by_itself():
    said = conclusion(a_result(upper=0.7, cell_mm=0.0))
    assert one_sentence(said)
    assert "reduced in the right upper zone with 0.70 and the left upper zone with 0.70 of that lung's mean" in said
    assert "%" not in said
    even = conclusion(a_result(upper=0.9, cell_mm=0.0))
    assert "no zone of the map is reduced (lowest: the right upper zone with 0.90" in even


def test_a_balance_compares_them_and_density_of_one_lung_at_a_time_does_not():
    assert "right lung 60 %" in conclusion(a_result(cell_mm=0.0, balance={"patients": 40}))
    alone = a_result(cell_mm=0.0)
    alone["settings"]["preprocessing"]["inputs"] = ["enhanced", "density"]
    assert "cannot tell" in conclusion(alone)


def test_a_postoperative_figure_says_that_its_model_sees_one_lung_at_a_time():
    asked = {
        "fev1_l": 2.1, "fev1_percent": 72.4, "removed": ["right lung"], "removed_percent": 57.2, "ppo_fev1_l": 0.9,
        "ppo_fev1_percent": 31.0, "formula": "made up",
    }  # fmt: skip
    assert "Caveat" in dict(ppo_rows(asked, sides_compared=False))
    assert "Caveat" not in dict(ppo_rows(asked, sides_compared=True))


def test_a_forced_map_has_no_conclusion():
    failed = {"check": "mean lung density", "status": "FAIL", "message": "water"}
    said = conclusion(a_result(quality=[failed], forced=["water"]))
    assert one_sentence(said)
    assert said.startswith("No conclusion can be drawn")
    assert "mean lung density" in said
    assert "%" not in said


@pytest.mark.parametrize(("right", "left"), [(0.0, 0.5), (0.5, 0.0)])
def test_a_lung_that_is_missing_is_said(right, left):
    said = conclusion(a_result(right, left))
    assert one_sentence(said)
    assert said.startswith(f"Only the {'right' if right else 'left'} lung was found")


def test_without_perfusion_nothing_is_concluded():
    assert conclusion(a_result(0.0, 0.0)).startswith("The map holds no perfusion")


def test_a_spect_and_checks_that_do_not_pass_are_said():
    compared = {
        "agreement": {"lungs": {"r_spearman": 0.4321}},
        "regional_agreement": {
            "regions": {"right lung": {"spect_percent": 51.6}, "left lung": {"spect_percent": 48.4}}
        },
        "quality": [{"check": "tilt", "status": "WARN", "message": "tilted"}],
        "simulated": True,
    }
    said = conclusion(a_result(**compared))
    assert one_sentence(said)
    for part in ("52 % right, 48 % left", "rank correlation of 0.43", "1 of the checks", "a simulated patient"):
        assert part in said


def test_a_header_and_a_check_are_told_in_words():
    rows = dict(dicom_rows({"PatientPosition": "FFP", "KVP": 120.0, "ImageType": ["ORIGINAL", "AXIAL"], "Odd": "x"}))
    assert rows == {
        "patient position": "feet first, prone (FFP)",
        "tube voltage (kV)": "120",
        "image type": "ORIGINAL, AXIAL",
        "Odd": "x",
    }
    assert dict(dicom_rows({"PatientPosition": "SITTING"})) == {"patient position": "SITTING"}
    assert "kernel" in likely_cause("left lung: mean density in training")
    assert likely_cause("a check of tomorrow") == ""


def test_zones_without_lung_are_a_dash():
    rows = zone_rows({"right upper zone": {"score": 1, "relative": 0.5}, "left lower zone": {"score": None}})
    assert rows[0] == {"name": "upper", "right": "1 – markedly reduced (0.50)", "left": "–"}
    assert rows[2]["left"] == "–"
