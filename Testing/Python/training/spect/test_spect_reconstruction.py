"""OSEM and the post-filter against what theory says of them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from DLCTPMTrainingLib.spect.physics import Collimator
from DLCTPMTrainingLib.spect.projector import Projector, ViewGeometry
from DLCTPMTrainingLib.spect.reconstruction import osem, post_filter, subset_views

SIDE, DEPTH, VOXEL_MM = 36, 10, 8.84


@pytest.fixture(scope="module")
def cylinder():
    """A water cylinder, its uniform activity and a projector of 20 views."""
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    inside = torch.from_numpy(np.broadcast_to(np.hypot(y, x) < 13, (DEPTH, SIDE, SIDE)).astype(np.float32)).clone()
    geometry = ViewGeometry((DEPTH, SIDE, SIDE), VOXEL_MM, tuple(np.arange(20) * 18.0), (170.0,) * 20)
    projector = Projector.of(geometry, inside * 0.01536, Collimator(), keep_attenuation=True)
    return inside, projector


def core(volume: torch.Tensor, radius: float = 9.0) -> np.ndarray:
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    return volume[3:-3].numpy()[:, np.hypot(y, x) < radius]


def log_likelihood(counts: torch.Tensor, expected: torch.Tensor) -> float:
    counts, expected = counts.double(), expected.double()
    seen = expected > 0
    return float((counts[seen] * expected[seen].log()).sum() - expected.sum())


def test_every_view_belongs_to_one_subset_and_neighbours_follow_late():
    order = subset_views(60, 10)
    assert sorted(view for views in order for view in views) == list(range(60))
    assert {len(views) for views in order} == {6}
    assert all(np.all(np.diff(views) == 10) for views in order)
    starts = [views[0] for views in order]
    assert min(min(abs(a - b), 10 - abs(a - b)) for a, b in itertools.pairwise(starts)) >= 3


@pytest.mark.parametrize(("views", "subsets"), [(60, 1), (60, 2), (4, 4), (6, 3), (60, 60)])
def test_any_divisor_of_the_views_makes_subsets(views, subsets):
    order = subset_views(views, subsets)
    assert len(order) == subsets
    assert sorted(view for part in order for view in part) == list(range(views))


def test_mlem_raises_the_likelihood_and_keeps_the_counts(cylinder):
    inside, projector = cylinder
    counts = torch.from_numpy(np.random.default_rng(0).poisson(projector.forward(inside * 5)).astype(np.float32))
    steps = []

    def watch(_, estimate):
        expected = projector.forward(estimate)
        steps.append((log_likelihood(counts, expected), float(expected.sum())))

    osem(projector, counts, iterations=6, subsets=1, after_iteration=watch)

    likelihoods, totals = zip(*steps, strict=True)
    assert all(later > earlier for earlier, later in itertools.pairwise(likelihoods))
    assert totals == pytest.approx([float(counts.sum())] * 6, rel=1e-4)


def test_osem_makes_a_uniform_cylinder_uniform_and_quantitative(cylinder):
    inside, projector = cylinder
    estimate = osem(projector, projector.forward(inside * 5), iterations=4, subsets=5)
    values = core(estimate)
    assert values.mean() == pytest.approx(5.0, rel=0.01)
    assert values.std() / values.mean() < 0.06


def test_without_attenuation_correction_the_middle_is_lost(cylinder):
    inside, projector = cylinder
    plain = Projector.of(projector.geometry, None, Collimator())
    estimate = osem(plain, projector.forward(inside * 5), iterations=4, subsets=5)
    assert core(estimate, 3.0).mean() < 0.4 * 5.0
    assert core(estimate, 3.0).mean() < 0.9 * core(estimate).mean()


def test_the_scatter_estimate_takes_the_scatter_out_again(cylinder):
    inside, projector = cylinder
    primary = projector.forward(inside * 5)
    scatter = torch.full_like(primary, 0.3 * float(primary.mean()))
    ignored = core(osem(projector, primary + scatter, 4, 5)).mean()
    corrected = core(osem(projector, primary + scatter, 4, 5, scatter)).mean()
    assert ignored > 5.5
    assert corrected == pytest.approx(5.0, rel=0.01)


def test_an_empty_scan_gives_an_empty_image(cylinder):
    _, projector = cylinder
    estimate = osem(projector, torch.zeros(20, DEPTH, SIDE), 2, 5)
    assert float(estimate.abs().max()) == 0.0


def test_the_post_filter_has_the_width_it_is_called():
    volume = np.zeros((61, 61, 61), dtype=np.float32)
    volume[30, 30, 30] = 1.0
    smooth = post_filter(volume, 9.0, 1.0)
    profile = smooth[30, 30] / smooth.max()
    right = np.flatnonzero(profile > 0.5)[-1]
    half_width = right + (profile[right] - 0.5) / (profile[right] - profile[right + 1]) - 30
    assert 2 * half_width == pytest.approx(9.0, rel=0.01)
    assert smooth.sum() == pytest.approx(1.0, rel=1e-4)
    assert post_filter(volume, 0.0, 1.0) is volume
