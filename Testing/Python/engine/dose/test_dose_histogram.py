"""Dose–volume and dose–function histograms: what an analytic lung gives, and what plastimatch finds."""

import csv
import shutil
import subprocess
import sysconfig
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from rt_samples import dose_grid, filled, points_of
from small_chest import SIZE, lung_labels

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.dose.analysis import DoseImages, LungDose, structure_dose
from DLCTPMLib.dose.histogram import LEVELS_GY, STEP_GY, DoseHistogram
from DLCTPMLib.function.definitions import DEFAULT, parse_definition
from DLCTPMLib.lungs.upright import UprightLungs
from DLCTPMLib.volumes.patient_axes import PatientAxes

TOP_GY, CELLS = 40.0, 50


def slab(values: np.ndarray) -> sitk.Image:
    """An image whose left half (patient's right) and right half each run through ``values`` along y."""
    array = np.broadcast_to(values[None, :, None], (4, CELLS, 8))
    image = sitk.GetImageFromArray(np.ascontiguousarray(array))
    image.SetSpacing((10.0, 4.0, 10.0))
    return image


MIDDLES = (np.arange(CELLS) + 0.5) / CELLS


@pytest.fixture(scope="module")
def phantom() -> DoseImages:
    """Lungs whose perfusion grows from 0 to 1 towards the back and whose dose grows with it from 0 to 40 Gy."""
    labels = slab(np.full(CELLS, 3, np.uint16))
    labels[:4, :, :] = 2
    dose = slab((TOP_GY * MIDDLES).astype(np.float32))
    return DoseImages(slab(MIDDLES.astype(np.float32)), UprightLungs.of(labels), dose)


def test_dose_and_function_that_grow_together_give_their_known_fmld_and_fv20(phantom):
    """∫f·d / ∫f = 2/3 of the highest dose; the better half of the lung has 3/4 of its function."""
    lungs = LungDose(phantom).measured(parse_definition("fixed:0.4"))[0]["lungs"]
    assert lungs["mean_gy"] == pytest.approx(TOP_GY / 2, rel=1e-5)
    assert lungs["weighted"]["mean_gy"] == pytest.approx(TOP_GY * 2 / 3, rel=1e-3)
    assert lungs["at_least_percent"]["20"] == pytest.approx(50)
    assert lungs["weighted"]["at_least_percent"]["20"] == pytest.approx(75, rel=1e-6)
    assert lungs["high"]["mean_gy"] == pytest.approx(TOP_GY * 0.7, rel=1e-5)  # of perfusion 0.4 … 1
    assert lungs["high"]["at_least_percent"]["20"] == pytest.approx(100 * 5 / 6)
    assert lungs["low"]["at_least_percent"]["20"] == 0
    assert lungs["volume_ml"] == pytest.approx(4 * CELLS * 8 * 0.4)


def test_each_lung_is_told_apart(phantom):
    perfusion = sitk.Image(phantom.perfusion)
    perfusion[4:, :, :] = 0.0  # nothing in the left lung
    dose = sitk.Image(phantom.dose)
    dose[4:, :, :] = 10.0
    regions = LungDose(DoseImages(perfusion, phantom.lungs, dose)).measured(parse_definition("fixed:0.4"))[0]
    assert regions["left lung"]["mean_gy"] == pytest.approx(10)
    assert np.isnan(regions["left lung"]["weighted"]["mean_gy"])
    assert np.isnan(regions["left lung"]["high"]["mean_gy"])
    assert regions["lungs"]["mean_gy"] == pytest.approx((TOP_GY / 2 + 10) / 2, rel=1e-5)
    right = regions["right lung"]["weighted"]
    assert regions["lungs"]["weighted"]["mean_gy"] == pytest.approx(right["mean_gy"])
    assert regions["lungs"]["weighted"]["at_least_percent"] == pytest.approx(right["at_least_percent"])


@pytest.mark.parametrize("turn", ["feet first", "prone", "oblique"])
def test_a_ct_that_lies_another_way_has_the_dose_of_its_places(turn):
    """The mean dose by SimpleITK on the CT's own grid, voxel by voxel, is ours along the patient's axes."""
    a, b = np.radians((20, 12))
    oblique = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]]) @ np.array(
        [[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]]
    )
    direction = {"feet first": np.diag([-1, 1, -1.0]), "prone": np.diag([-1, -1, 1.0]), "oblique": oblique}[turn]
    grid = dose_grid((40, 36, 30), (4.0, 4.0, 5.0), (0.0, 0.0, 0.0), direction)
    corners = points_of(grid).reshape(-1, 3)
    middle = (corners.min(axis=0) + corners.max(axis=0)) / 2
    away = points_of(grid) - middle
    inside = (away[..., 1] ** 2 + away[..., 2] ** 2 < 45**2) & (np.abs(away[..., 0]) < 60)
    labels = sitk.GetImageFromArray(np.where(inside, np.where(away[..., 0] < 0, 2, 3), 0).astype(np.uint16))
    labels.CopyInformation(grid)
    dose = filled(
        dose_grid((50, 50, 50), (6.0, 6.0, 6.0), middle - 150), lambda p: 30 + 0.1 * (p - middle) @ [1, 2, 3]
    )
    on_ct = sitk.GetArrayFromImage(sitk.Resample(dose, grid))
    regions = LungDose(DoseImages(grid + 1, UprightLungs.of(labels), dose)).measured(DEFAULT)[0]
    for name, value in (("right lung", 2), ("left lung", 3)):
        own = sitk.GetArrayFromImage(labels) == value
        assert regions[name]["mean_gy"] == pytest.approx(on_ct[own].mean(), rel=1e-4)
        assert regions[name]["volume_ml"] == pytest.approx(np.count_nonzero(own) * 0.08)
    assert regions["right lung"]["mean_gy"] < regions["left lung"]["mean_gy"]


def test_a_target_is_left_out_and_what_is_beside_the_lungs_changes_nothing(phantom):
    high_dose = np.zeros(phantom.lungs.sides.shape, bool)
    high_dose[:, CELLS // 2 :] = True
    images = DoseImages(phantom.perfusion, phantom.lungs, phantom.dose, None, {"GTV": high_dose})
    lungs = LungDose(images)
    assert lungs.measured(parse_definition("fixed:0.4"))[0]["lungs"]["mean_gy"] == pytest.approx(TOP_GY / 4, rel=1e-5)
    assert lungs.excluded_ml["GTV"] == pytest.approx(2 * CELLS * 8 * 0.4)
    nowhere = DoseImages(phantom.perfusion, phantom.lungs, phantom.dose, None, {"GTV": high_dose & False})
    assert "does not touch the lungs" in LungDose(nowhere).warnings[0]
    everywhere = DoseImages(phantom.perfusion, phantom.lungs, phantom.dose, None, {"GTV": high_dose | True})
    with pytest.raises(InputError, match="leave no lung"):
        LungDose(everywhere)


def test_the_target_stays_in_the_lungs_that_a_definition_looks_at(phantom):
    """Contours of high-functional lung and its dose must be of the same lung."""
    best = np.zeros(phantom.lungs.sides.shape, bool)
    best[:, CELLS // 2 :] = True
    lungs = LungDose(DoseImages(phantom.perfusion, phantom.lungs, phantom.dose, None, {"GTV": best}))
    (row,) = lungs.by_definition([parse_definition("percentile:50")])
    assert row["threshold"] == pytest.approx(0.5, abs=0.5 / CELLS)
    assert row["volume_ml"] == 0


def test_the_definitions_of_function_give_the_doses_of_their_lung(phantom):
    names = ("fixed:0.6", "max:0.4", "percentile:70", "tertiles")
    rows = LungDose(phantom).by_definition([parse_definition(name) for name in names])
    for row, lowest in zip(rows, (0.6, 0.4, 0.7, 2 / 3), strict=True):
        assert row["mean_gy"] == pytest.approx(TOP_GY * (1 + lowest) / 2, rel=0.02)
        assert row["volume_percent"] == pytest.approx(100 * (1 - lowest), abs=100 / CELLS)


def test_tertiles_leave_lung_between_high_and_low_and_specks_go(phantom):
    lungs = LungDose(phantom)
    whole = lungs.measured(parse_definition("tertiles"))[0]["lungs"]
    assert whole["low"]["mean_gy"] == pytest.approx(TOP_GY / 6, rel=0.05)
    assert whole["high"]["mean_gy"] == pytest.approx(TOP_GY * 5 / 6, rel=0.02)
    assert whole["high"]["volume_ml"] + whole["low"]["volume_ml"] < 0.7 * whole["volume_ml"]
    plain, cleaned = (
        lungs.measured(parse_definition(text))[0]["right lung"]["high"]["volume_ml"]
        for text in ("fixed:0.9", "fixed:0.9,specks:40")
    )
    assert plain == pytest.approx(5 * 4 * 4 * 0.4)
    assert cleaned == 0


def test_a_dose_grid_that_leaves_lung_out_is_said_and_one_that_leaves_most_out_is_refused(phantom):
    lungs = LungDose(DoseImages(phantom.perfusion, phantom.lungs, phantom.dose[:, CELLS // 4 :, :]))
    assert lungs.outside_percent == pytest.approx(100 * (CELLS // 4) / CELLS)
    assert "count with 0 Gy" in lungs.warnings[0]
    with pytest.raises(InputError, match="holds 20 % of the lungs"):
        LungDose(DoseImages(phantom.perfusion, phantom.lungs, phantom.dose[:, CELLS * 4 // 5 :, :]))


def test_a_histogram_counts_as_numpy_does():
    random = np.random.default_rng(2)
    dose, weights = random.gamma(2, 9, 5000).astype(np.float32), random.random(5000).astype(np.float32)
    plain, weighted = DoseHistogram(dose), DoseHistogram(dose, weights)
    assert plain.mean_gy() == pytest.approx(dose.mean(dtype=float))
    assert weighted.mean_gy() == pytest.approx(np.average(dose.astype(float), weights=weights))
    for level in LEVELS_GY:
        assert plain.at_least_percent(level) == pytest.approx(100 * np.mean(dose >= level))
        assert weighted.at_least_percent(level) == pytest.approx(100 * weights[dose >= level].sum() / weights.sum())
    curve = plain.curve_percent(40)
    assert curve == pytest.approx([100 * np.mean(dose >= step * STEP_GY) for step in range(40)])
    assert plain.at_least_percent(1000) == 0


PLASTIMATCH = shutil.which("plastimatch", path=sysconfig.get_path("scripts")) or shutil.which("plastimatch")
FINE_GY = 0.02
GRIDS = {
    "its own": (SIZE, (5.0, 5.0, 6.0), (-160.0, -120.0, 900.0), 0),
    "coarser and shifted": ((60, 40, 50), (7.0, 8.0, 8.0), (-197.0, -148.0, 881.0), 0),
    "coarser, shifted and turned": ((90, 80, 60), (6.0, 6.0, 7.0), (-223.0, -202.0, 880.0), 12),
}


def plan(points):
    """A field through the chest: soft edges, fading towards the back."""
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    field = 1 / (1 + np.exp((np.abs(x + 40) - 45) / 6)) / (1 + np.exp((np.abs(z - 1030) - 60) / 6))
    return 66 * field * np.exp(-0.004 * (y + 120)) + 0.02 * (x + 250)


@pytest.mark.skipif(PLASTIMATCH is None, reason="plastimatch is not installed (the extra 'test' brings it)")
@pytest.mark.parametrize("grid", GRIDS)
def test_histograms_and_mean_doses_are_those_of_plastimatch(tmp_path, grid):
    size, spacing, origin, degrees = GRIDS[grid]
    angle = np.radians(degrees)
    about_z = [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    dose = filled(dose_grid(size, spacing, origin, about_z), plan)
    labels = lung_labels()
    masks = {"right": labels == 2, "left": labels == 3}
    bits = sum(sitk.Cast(mask, sitk.sitkUInt32) * (1 << bit) for bit, mask in enumerate(masks.values()))
    sitk.WriteImage(bits, str(tmp_path / "structures.nrrd"))
    (tmp_path / "list.txt").write_text("".join(f"{bit}|255\\0\\0|{name}\n" for bit, name in enumerate(masks)))
    sitk.WriteImage(dose, str(tmp_path / "dose.nrrd"))
    theirs = plastimatch_histograms(tmp_path)
    for name, mask in masks.items():
        axes = PatientAxes.of(labels)
        inside = axes.view(sitk.GetArrayFromImage(mask) > 0)
        ours = structure_dose(inside, axes, dose)
        curve = theirs[name]
        assert ours["mean_gy"] == pytest.approx(curve[1:].sum() * FINE_GY / curve[0], rel=0.001)
        for level in (5, 10, 20, 30, 40, 50):
            theirs_percent = 100 * curve[round(level / FINE_GY)] / curve[0]
            assert ours["at_least_percent"][str(level)] == pytest.approx(theirs_percent, abs=0.1)
        assert ours["volume_ml"] == pytest.approx(curve[0] * axes.voxel_ml)
        assert ours["mean_gy"] > 5


def plastimatch_histograms(folder: Path) -> dict[str, np.ndarray]:
    """Voxels that get at least each multiple of ``FINE_GY``, by structure."""
    command = [PLASTIMATCH, "dvh", "--input-ss-img", "structures.nrrd", "--input-ss-list", "list.txt"]
    command += ["--input-dose", "dose.nrrd", "--output-csv", "dvh.csv", "--normalization", "vox"]
    command += ["--bin-width", str(FINE_GY), "--num-bins", "4000"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=120)
    with (folder / "dvh.csv").open() as file:
        head, *rows = csv.reader(file)
    values = np.array(rows, float)
    return {name.strip(): values[:, column] for column, name in enumerate(head) if column}
