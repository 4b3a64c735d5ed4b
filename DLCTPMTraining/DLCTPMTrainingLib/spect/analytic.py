"""A reconstructed SPECT from true perfusion without projections: breathing, blur, correlated noise.

The quick way, for demonstrations and tests; cohorts are scanned with ``simulator`` through ``scan``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from DLCTPMTrainingLib.common.grid import Grid
from DLCTPMTrainingLib.common.parameters import draw, value

FWHM = 2.3548
"""Full width at half maximum of a Gaussian in standard deviations."""


@dataclass(frozen=True)
class AnalyticSpectSettings:
    """The SPECT's grid and where it lies against the CT.

    Attributes:
        voxel_mm: edge of a voxel; ``matrix`` voxels along every axis.
        shift_mm: LPS shift (x, y, z) of the SPECT against the CT.
        turn_degrees: rotation about the x, y and z axis, round the centre of the SPECT.
    """

    voxel_mm: float = 4.42
    matrix: int = 128
    shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    turn_degrees: tuple[float, float, float] = (0.0, 0.0, 0.0)


def breathing_matrix(
    z_mm: np.ndarray, base_mm: float, apex_mm: float, excursion_mm: float, phases: int = 7
) -> np.ndarray:
    """Average over a breath of shifts along z, none at the apex, ``excursion_mm`` peak to peak at the base.

    Returns (nz, nz): breathing image = matrix @ resting image; columns sum to 1 well inside, so counts are kept.
    """
    count = len(z_mm)
    share = np.clip((apex_mm - z_mm) / (apex_mm - base_mm), 0, 1.15)
    matrix = np.zeros((count, count))
    step = z_mm[1] - z_mm[0]
    columns = np.arange(count)
    for phase in range(phases):
        # time spent follows a raised cosine to the fourth: longer at the end of expiration (Lujan 1999)
        moved = 0.5 - np.cos(np.pi * (phase + 0.5) / phases) ** 4
        position = columns + excursion_mm * share * moved / step
        lower = np.floor(position).astype(int)
        weight = position - lower
        for index, part in ((lower, 1 - weight), (lower + 1, weight)):
            keep = (index >= 0) & (index < count)
            matrix[index[keep], columns[keep]] += part[keep] / phases
    return matrix.astype(np.float32)


def blurred_spect(
    perfusion: np.ndarray,
    body: np.ndarray,
    grid: Grid,
    offset_mm: tuple[float, float, float],
    high_value: float,
    body_background: float | None,
    settings: AnalyticSpectSettings,
    rng: np.random.Generator,
    counts: np.random.Generator,
) -> tuple[sitk.Image, dict]:
    """What a scan of a perfusion image looks like, without simulating the scan.

    Args:
        perfusion: true perfusion on ``grid`` (z, y, x), 0 outside the lungs.
        body: boolean mask of the body on ``grid``.
        offset_mm: where the chest frame lies in the CT's LPS frame.
        high_value: raw value that the 75th percentile of the lung gets.
        body_background: activity of the body as a share of the lung's level, None to draw the usual.
        settings: grid and misalignment.
        rng: the SPECT's own stream.
        counts: the stream of its noise.

    Returns:
        The SPECT (float32 raw values ≥ 0) and what was drawn.
    """
    names = ("fwhm_mm", "breathing_mm", "noise", "noise_fwhm_mm", "scatter", "body_background")
    drawn = {name: draw(rng, f"spect.{name}") for name in names}
    if body_background is not None:
        drawn["body_background"] = body_background
    lung = perfusion > 0
    level = float(perfusion[lung].mean())
    slices = np.flatnonzero(lung.any(axis=(1, 2)))
    z = grid.axis(2).astype(float)
    breath = breathing_matrix(z, z[slices[0]], z[slices[-1]], drawn["breathing_mm"])
    activity = np.tensordot(breath, perfusion, axes=(1, 0))
    activity += np.float32(drawn["body_background"] * level) * body
    spacing = grid.spacing_mm[0]
    activity = ndimage.gaussian_filter(activity, drawn["fwhm_mm"] / FWHM / spacing, truncate=3.5)
    coarse = activity[::4, ::4, ::4]
    scatter = ndimage.gaussian_filter(
        coarse, value("spect.scatter_mm") / (4 * spacing), mode="constant", truncate=2.5
    )

    centre = lung_centre(lung, grid)
    frame = _spect_frame(centre, offset_mm, settings)
    sampled = _Sampler(frame, grid, centre, offset_mm, settings)
    raw = sampled(activity)
    raw += np.float32(drawn["scatter"]) * sampled(scatter, step=4)

    white = counts.standard_normal(raw.shape, dtype=np.float32)
    noise = smooth_unit_noise(white, drawn["noise_fwhm_mm"], settings.voxel_mm)
    # between Poisson (SD ∝ √value) and the multiplicative noise of EM (SD ∝ value; Barrett 1994)
    noise_sd = drawn["noise"] * level * np.clip(raw / level, 0, None) ** value("spect.noise_power")
    raw += noise_sd * noise
    np.clip(raw, 0, None, out=raw)
    inside = sampled(lung.astype(np.float32)) >= 0.5
    raw *= np.float32(high_value / np.percentile(raw[inside], 75))
    image = sitk.GetImageFromArray(raw)
    image.CopyInformation(frame)
    drawn["high_value"] = high_value
    return image, drawn


def smooth_unit_noise(white: np.ndarray, fwhm_mm: float, voxel_mm: float) -> np.ndarray:
    """White noise smoothed to an autocorrelation of the given width, at unit variance.

    Noise blurred by a Gaussian of width s has an autocorrelation of width s·√2.
    """
    smooth = ndimage.gaussian_filter(white, fwhm_mm / FWHM / voxel_mm / np.sqrt(2), mode="wrap", truncate=4.0)
    return smooth / smooth.std()


def lung_centre(lung: np.ndarray, grid: Grid) -> np.ndarray:
    """Middle of the lungs' box in the grid's frame (x, y, z), mm."""
    spans = [np.flatnonzero(lung.any(axis=tuple(b for b in range(3) if b != a))) for a in range(3)]
    return np.array([0.5 * (grid.axis(i)[spans[2 - i][0]] + grid.axis(i)[spans[2 - i][-1]]) for i in range(3)], float)


def _spect_frame(
    centre: np.ndarray, offset_mm: tuple[float, float, float], settings: AnalyticSpectSettings
) -> sitk.Image:
    """An empty image on the SPECT's grid, its centre on the lungs' centre rounded to half a millimetre."""
    frame = sitk.Image([settings.matrix] * 3, sitk.sitkUInt8)
    frame.SetSpacing([settings.voxel_mm] * 3)
    half = 0.5 * (settings.matrix - 1) * settings.voxel_mm
    frame.SetOrigin([float(round(2 * (c + o)) / 2 - half) for c, o in zip(centre, offset_mm, strict=True)])
    return frame


class _Sampler:
    """Core-grid arrays at the voxels of the SPECT, the misalignment undone: one affine map of indices."""

    def __init__(self, frame, grid, centre, offset_mm, settings):
        movement = misalignment(settings.shift_mm, settings.turn_degrees)
        turn, shift = movement[:3, :3], movement[:3, 3]
        first = np.array(frame.GetOrigin()) - offset_mm - centre - shift  # x, y, z from the lungs' centre
        matrix = turn.T * settings.voxel_mm / np.array(grid.spacing_mm)[:, None]
        start = (turn.T @ first + centre - grid.origin_mm) / grid.spacing_mm
        self._matrix, self._start = matrix[::-1, ::-1], start[::-1]
        self._shape = (settings.matrix,) * 3

    def __call__(self, array: np.ndarray, step: int = 1) -> np.ndarray:
        """Trilinear values (float32), 0 outside; ``array`` holds every ``step``-th core voxel."""
        return ndimage.affine_transform(
            array, self._matrix / step, self._start / step, self._shape, np.float32, order=1, cval=0.0
        )


def misalignment(shift_mm: tuple[float, float, float], turn_degrees: tuple[float, float, float]) -> np.ndarray:
    """The patient's movement from CT to SPECT about the lungs' centre (4 × 4): turn (x, y, z), then shift."""
    a, b, c = np.deg2rad(turn_degrees)
    rx = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    ry = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    rz = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    result = np.eye(4)
    result[:3, :3] = rz @ ry @ rx
    result[:3, 3] = shift_mm
    return result
