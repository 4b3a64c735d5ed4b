"""A patient scanned and segmented in another way is the same patient: place, sides and SPECT stay."""

import numpy as np
import pytest
import SimpleITK as sitk
import small_chest

from DLCTPMLib.lungs.upright import UprightLungs
from DLCTPMLib.preprocessing.settings import PreprocessingSettings
from DLCTPMLib.volumes.patient_axes import PatientAxes, patient_array
from DLCTPMTrainingLib.samples.from_images import samples_of_pair
from DLCTPMTrainingLib.samples.lung_samples import Samples
from DLCTPMTrainingLib.samples.scan_variants import MASK_MM, OFFSET_HU, THICKNESS_MM, variant_stream, varied

IN_MM = PreprocessingSettings(cell_mm=12.0, inputs=("aerated", "dense", "lung"))


@pytest.fixture(scope="module")
def chest():
    return small_chest.chest_ct(), small_chest.lung_labels()


def centres_mm(lungs: UprightLungs) -> list[np.ndarray]:
    """Centre of each lung in patient coordinates."""
    return [
        lungs.axes.points_mm(np.argwhere(lungs.sides == side) + [part.start for part in lungs.box]).mean(axis=0)
        for side in (1, 2)
    ]


def test_a_variant_lies_where_the_patient_lies_and_keeps_its_sides(chest):
    before = UprightLungs.of(chest[1])
    spacing, volumes = [], []
    for number in range(12):
        ct, lungs = varied(*chest, variant_stream("P1", number))
        assert lungs.lie_on(ct)
        for now, then in zip(centres_mm(lungs), centres_mm(before), strict=True):
            assert np.abs(now - then).max() < 5
        spacing.append(PatientAxes.of(ct).spacing_mm[0])
        volumes.append(np.count_nonzero(lungs.sides) * lungs.axes.voxel_ml)
    own = np.count_nonzero(before.sides) * before.axes.voxel_ml
    assert min(volumes) < own < max(volumes)
    assert own / 2 < min(volumes)
    assert max(volumes) < 1.5 * own
    assert len(set(spacing)) > 1
    assert max(spacing) <= max(THICKNESS_MM[1], before.axes.spacing_mm[0]) * 1.5


def test_a_variant_has_an_offset_and_noise_but_the_mean_density_of_the_lungs(chest):
    ct, lungs = varied(*chest, variant_stream("P1", 0))
    here = patient_array(ct)[lungs.box][lungs.sides > 0].mean()
    own = UprightLungs.of(chest[1])
    there = patient_array(chest[0])[own.box][own.sides > 0].mean()
    assert 0 < abs(here - there) < 4 * OFFSET_HU + 40 * MASK_MM


def test_variants_are_the_same_on_every_run_and_differ_from_each_other(chest):
    once, again, other = (varied(*chest, variant_stream("P1", number))[0] for number in (0, 0, 1))
    assert np.array_equal(sitk.GetArrayViewFromImage(once), sitk.GetArrayViewFromImage(again))
    assert once.GetSize() != other.GetSize() or not np.array_equal(
        sitk.GetArrayViewFromImage(once), sitk.GetArrayViewFromImage(other)
    )


def test_samples_of_both_lungs_hold_the_scan_as_it_is_and_then_its_variants(chest):
    spect = small_chest.perfusion_spect()
    one = samples_of_pair("P1", *chest, spect, IN_MM)
    more = samples_of_pair("P1", *chest, spect, IN_MM, variants=2)
    assert (len(one), len(more), set(more.side)) == (1, 3, {"lungs"})
    size = one.mask.shape[1:]
    assert np.array_equal(more.enhanced[0][:, : size[0], : size[1], : size[2]], one.enhanced[0])
    assert one.volume_ml.shape == (1, 2)
    assert (one.volume_ml > 0).all()
    differ = more.target[1][: size[0], : size[1], : size[2]].astype(float) - one.target[0]
    both = more.mask[1][: size[0], : size[1], : size[2]] & one.mask[0]
    assert np.abs(differ[both]).mean() < 0.2 * 255  # the SPECT lies on the lungs as before


def test_joined_grids_of_several_sizes_are_filled_up_with_background():
    def one(size):
        grid = np.ones((1, *size), bool)
        return Samples(
            *map(np.array, (["P"], ["lungs"])), grid[:, None].astype(np.uint8), grid.astype(np.uint8), grid,
            np.ones((1, 2)), np.ones((1, 2)),
        )  # fmt: skip

    joined = Samples.joined([one((4, 3, 2)), one((2, 5, 3))])
    assert joined.mask.shape == (2, 4, 5, 3)
    assert joined.mask.sum() == 24 + 30
    assert joined.enhanced[1].sum() == 30
