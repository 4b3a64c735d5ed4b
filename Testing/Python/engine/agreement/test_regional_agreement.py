"""The SPECT's own shares by region, and limits of agreement, against counts by hand."""

import numpy as np
import pytest
import SimpleITK as sitk

from DLCTPMLib.agreement.regions import regional_agreement, spect_shares
from DLCTPMLib.agreement.spect_grid import SpectGrid
from DLCTPMLib.function.partitions import LOBE_NAMES, THIRD_NAMES, VENTRAL_THIRD_NAMES
from DLCTPMLib.function.regions import region_table
from DLCTPMLib.lungs.upright import UprightLungs

LOBES = {4: 0.9, 5: 0.3, 6: 0.6, 7: 0.8, 8: 0.2}
CT_MM, SPECT_MM = 2.0, 3.6
"""Spacings of which neither is a multiple of the other: SPECT voxels lie across the lobes' borders."""


def image_of(array, spacing, origin):
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((spacing,) * 3)
    image.SetOrigin((origin,) * 3)
    return image


@pytest.fixture(scope="module")
def labels():
    """Five lobes as boxes of 72 × 36 × 36 voxels of the CT, right ones above each other, left ones too."""
    array = np.zeros((36, 36, 72), np.uint16)
    array[24:, :, :36], array[12:24, :, :36], array[:12, :, :36] = 4, 5, 6
    array[20:, :, 36:], array[:20, :, 36:] = 7, 8
    return image_of(array, CT_MM, CT_MM / 2)


def averaged(values):
    """What a SPECT without blur holds: the mean of the CT's voxels in each of its own, by sampling each axis."""
    size = [round(n * CT_MM / SPECT_MM) for n in values.shape]
    for axis, n in enumerate(size):
        points = (np.arange(n * 18) + 0.5) * SPECT_MM / 18  # 18 points a voxel meet every border of the CT's voxels
        values = np.take(values, (points // CT_MM).astype(int), axis=axis)
        shape = list(values.shape)
        values = values.reshape(*shape[:axis], n, 18, *shape[axis + 1 :]).mean(axis=axis + 1)
    return values


def test_a_spect_that_equals_the_map_has_the_maps_shares(labels):
    array = sitk.GetArrayFromImage(labels)
    values = np.vectorize(lambda region: LOBES.get(region, 0.0))(array).astype(np.float32)
    perfusion = image_of(values, CT_MM, CT_MM / 2)
    spect = image_of(averaged(values).astype(np.float32), SPECT_MM, SPECT_MM / 2)
    lungs = UprightLungs.of(labels)
    shares = spect_shares(SpectGrid.of(lungs, spect), sitk.GetArrayFromImage(spect), lungs)
    table = region_table(perfusion, labels)
    for names in (LOBE_NAMES, THIRD_NAMES, VENTRAL_THIRD_NAMES, ("right lung", "left lung")):
        assert sum(shares[name] for name in names) == pytest.approx(100)
    found = regional_agreement(table, shares)
    assert set(found["regions"]) == set(table) - {"lungs"}
    for name, row in found["regions"].items():
        assert row["map_percent"] == table[name]["perfusion_percent"]
        assert row["difference"] == pytest.approx(0, abs=1.2), name  # blur of a SPECT voxel's width between lobes
    assert set(found["limits"]) == {"lobes", "six zones", "thirds from front to back"}


def test_limits_of_agreement_are_bland_and_altmans():
    of_map = dict(zip(THIRD_NAMES, (20, 25, 15, 10, 20, 10), strict=True))
    of_spect = dict(zip(THIRD_NAMES, (18, 30, 10, 12, 20, 10), strict=True))
    regions = {"lungs": {"perfusion_percent": 100}} | {n: {"perfusion_percent": s} for n, s in of_map.items()}
    limits = regional_agreement(regions, of_spect)["limits"]
    assert set(limits) == {"six zones"}
    differences = [2, -5, 5, -2, 0, 0]
    sd = (sum(d * d for d in differences) / 5) ** 0.5
    assert limits["six zones"] == pytest.approx(
        {"regions": 6, "mean": 0, "sd": sd, "lower": -1.96 * sd, "upper": 1.96 * sd}
    )


def test_a_spect_without_counts_in_the_lungs_has_no_shares(labels):
    lungs = UprightLungs.of(labels)
    spect = image_of(np.zeros((20, 20, 40), np.float32), SPECT_MM, SPECT_MM / 2)
    shares = spect_shares(SpectGrid.of(lungs, spect), sitk.GetArrayFromImage(spect), lungs)
    assert set(shares.values()) == {None}
    found = regional_agreement({name: {"perfusion_percent": 10.0} for name in shares}, shares)
    assert found["limits"] == {}
    assert found["regions"]["right lung"]["difference"] is None
