"""The patient as the gamma camera meets it: frame of the scan, activity, attenuation, breathing, scatter."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
import torch

from DLCTPMLib.common.errors import InputError
from DLCTPMTrainingLib.spect.physics import attenuation_per_mm, constant
from DLCTPMTrainingLib.spect.settings import SpectSettings

BODY_MU_PER_MM = 0.3 * constant("mu_water") / 10.0
"""Attenuation above which a voxel belongs to the body's contour: between lung or blankets and tissue."""

AIR_MU_PER_MM = 0.05 * constant("mu_water") / 10.0
"""Attenuation above which a voxel is lung or tissue, not air."""

AXIAL_MARGIN_MM = 45.0
"""Room above and below the lungs in the cropped grid: breathing and five standard deviations of the response."""


@dataclass(frozen=True)
class ScanFrame:
    """Where the reconstruction lies in the patient, and which part of it is worth computing.

    Attributes:
        origin_mm: LPS position (x, y, z) of the first voxel's centre of the whole reconstruction.
        voxel_mm: its voxel size.
        matrix: its voxels along each edge; axes run along the patient's.
        start: (z, y, x) index of the computed part in it.
        shape: (z, y, x) voxels of the computed part; square in y and x around the rotation axis.
    """

    origin_mm: tuple[float, float, float]
    voxel_mm: float
    matrix: int
    start: tuple[int, int, int]
    shape: tuple[int, int, int]

    def grid(self, subdivision: int = 1) -> sitk.Image:
        """An empty image of the computed part, each voxel divided into ``subdivision``³."""
        voxel = self.voxel_mm / subdivision
        grid = sitk.Image([n * subdivision for n in self.shape[::-1]], sitk.sitkUInt8)
        grid.SetSpacing([voxel] * 3)
        first = np.array(self.start[::-1]) * self.voxel_mm - (self.voxel_mm - voxel) / 2
        grid.SetOrigin([float(v) for v in np.array(self.origin_mm) + first])
        return grid

    def whole(self, part: np.ndarray) -> np.ndarray:
        """The whole (z, y, x) reconstruction around a computed part, 0 elsewhere."""
        volume = np.zeros((self.matrix,) * 3, dtype=np.float32)
        volume[tuple(slice(s, s + n) for s, n in zip(self.start, self.shape, strict=True))] = part
        return volume

    def image(self, volume: np.ndarray) -> sitk.Image:
        """A whole (z, y, x) reconstruction as an image in the patient."""
        image = sitk.GetImageFromArray(np.ascontiguousarray(volume, dtype=np.float32))
        image.SetSpacing([self.voxel_mm] * 3)
        image.SetOrigin([float(v) for v in self.origin_mm])
        return image


def check_patient(perfusion: sitk.Image, ct: sitk.Image) -> None:
    """Refuse images that no scan can be simulated from.

    Raises:
        InputError: not three-dimensional, perfusion negative, not finite or zero everywhere.
    """
    for name, image in (("perfusion image", perfusion), ("CT", ct)):
        if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
            raise InputError(f"the {name} must be one scalar volume; give a three-dimensional image.")
    values = sitk.GetArrayViewFromImage(perfusion)
    if not np.isfinite(values).all() or values.min() < 0:
        raise InputError("the perfusion image has negative or missing values; give activity, 0 or more everywhere.")
    if not values.any():
        raise InputError("the perfusion image is 0 everywhere; there is no activity to scan.")


def scan_frame(perfusion: sitk.Image, ct: sitk.Image, settings: SpectSettings) -> ScanFrame:
    """Lay the reconstruction on the patient: rotation axis through the CT's centre, lungs in the middle along z.

    The computed part holds the body (its attenuation matters all around) over the height of the lungs.

    Raises:
        InputError: the activity does not fit into the scanner's field of view.
    """
    matrix, voxel = settings.matrix, settings.voxel_mm
    axis = np.array(ct.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in ct.GetSize()]))
    active = sitk.GetArrayFromImage(perfusion) > 0
    corners = np.array(np.nonzero(active)).T[:, ::-1]
    low_index, high_index = corners.min(axis=0) - 0.5, corners.max(axis=0) + 0.5
    box = np.array(
        [
            perfusion.TransformContinuousIndexToPhysicalPoint(np.where([b & 1, b & 2, b & 4], high_index, low_index))
            for b in range(8)
        ]
    )
    low, high = box.min(axis=0), box.max(axis=0)
    centre = np.array([axis[0], axis[1], (low[2] + high[2]) / 2])
    half = matrix * voxel / 2
    if np.abs(box - centre).max() > half:
        raise InputError(
            f"the lungs reach {np.abs(box - centre).max():.0f} mm from the CT's centre, beyond the SPECT's field of "
            f"view of {2 * half:.0f} mm; check that perfusion and CT lie in one frame."
        )
    depth = min(matrix, 2 * math.ceil(((high[2] - low[2]) / 2 + AXIAL_MARGIN_MM) / voxel))
    reach = max(_body_reach_mm(ct, centre[:2]), np.hypot(*np.abs(box - centre)[:, :2].max(axis=0)))
    side = min(matrix, 2 * math.ceil(reach / voxel + 1))
    return ScanFrame(
        origin_mm=tuple(float(v) for v in centre - half + voxel / 2),
        voxel_mm=voxel,
        matrix=matrix,
        start=((matrix - depth) // 2, (matrix - side) // 2, (matrix - side) // 2),
        shape=(depth, side, side),
    )


def _body_reach_mm(ct: sitk.Image, axis_mm: np.ndarray) -> float:
    """Greatest distance of the body from the rotation axis, looked for on a coarse copy of the CT."""
    coarse = sitk.BinShrink(sitk.Cast(ct, sitk.sitkFloat32), [max(1, int(8 // s)) for s in ct.GetSpacing()])
    body = np.array(np.nonzero(attenuation_per_mm(sitk.GetArrayFromImage(coarse)) > BODY_MU_PER_MM))[::-1]
    if not body.size:
        return 0.0
    direction = np.array(coarse.GetDirection()).reshape(3, 3) * np.array(coarse.GetSpacing())
    points = direction[:2] @ body + np.array(coarse.GetOrigin())[:2, None]
    return float(np.hypot(*(points - np.asarray(axis_mm)[:, None])).max())


def on_grid(
    image: sitk.Image, grid: sitk.Image, outside: float, shift_mm: tuple[float, float, float] = (0, 0, 0)
) -> np.ndarray:
    """An image's values (z, y, x) on another grid: voxels are averaged first where they are finer, then interpolated.

    ``shift_mm`` moves the image by that LPS vector; where it does not reach, ``outside`` is taken.
    """
    factors = [max(1, int(g / s + 1e-3)) for g, s in zip(grid.GetSpacing(), image.GetSpacing(), strict=True)]
    image = sitk.BinShrink(sitk.Cast(image, sitk.sitkFloat32), factors)
    back = sitk.TranslationTransform(3, [-float(v) for v in shift_mm])
    return sitk.GetArrayFromImage(sitk.Resample(image, grid, back, sitk.sitkLinear, outside, sitk.sitkFloat32))


def attenuation_on(ct: sitk.Image, grid: sitk.Image, shift_mm: tuple[float, float, float] = (0, 0, 0)) -> np.ndarray:
    """Attenuation at 140.5 keV (1/mm) of a CT on a grid; air where the CT does not reach."""
    return attenuation_per_mm(on_grid(ct, grid, -1000.0, shift_mm))


def breathing_matrix(activity: np.ndarray, settings: SpectSettings, voxel_mm: float) -> np.ndarray:
    """How quiet breathing smears slices along z: a (z, z) matrix whose columns sum to 1 inside the grid.

    Tissue moves head to foot, most at the base of the active lung and below it and least at the apex; the trace is
    a power of a cosine (Lujan et al. 1999). The CT shows the mean position. Every slice is moved with its content
    for each phase and the phases are averaged, so no count is lost or made.

    Args:
        activity: (z, y, x), z towards the head, not 0 everywhere; its extent is the lung's.
        voxel_mm: slice thickness.
    """
    depth = len(activity)
    slices = activity.sum(axis=(1, 2), dtype=np.float64)
    active = np.flatnonzero(slices > 0.02 * slices.max())  # not a faint background above or below the lungs
    edges = np.arange(depth + 1, dtype=float)
    base, apex = active[0], active[-1] + 1
    share = np.interp(edges, [base, apex], [1.0, constant("breathing_apex_share")])
    times = (np.arange(settings.breathing_phases) + 0.5) / settings.breathing_phases
    inhaled = np.abs(np.cos(np.pi * times)) ** constant("breathing_power")
    travel = (inhaled - inhaled.mean()) * settings.breathing_mm / voxel_mm
    matrix = np.zeros((depth, depth))
    for step in travel:
        moved = edges - step * share
        low = np.maximum(edges[:-1, None], moved[None, :-1])
        high = np.minimum(edges[1:, None], moved[None, 1:])
        matrix += np.clip(high - low, 0.0, None) / np.diff(moved)
    return (matrix / len(travel)).astype(np.float32)


def smeared(volume: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """A (z, y, x) volume as the camera sees it over many breaths.

    With ``breathing_matrix`` as it is, activity keeps its sum; with its rows divided by their sums, attenuation
    becomes the mean of what passes each place.
    """
    return (matrix @ volume.reshape(len(volume), -1)).reshape(volume.shape)


def orbit_radii_mm(mu: np.ndarray, settings: SpectSettings, voxel_mm: float) -> tuple[float, ...]:
    """Distance of the collimator's face from the rotation axis at each view: outside the body by the margin.

    Args:
        mu: (z, y, x) attenuation with the rotation axis through its centre.
    """
    if settings.orbit_radius_mm is not None:
        return (settings.orbit_radius_mm,) * settings.views
    y, x = np.nonzero((mu > BODY_MU_PER_MM).any(axis=0))
    if not len(x):
        raise InputError("the CT shows no body where the activity is; check that it lies in the perfusion's frame.")
    centre = (np.array(mu.shape[1:]) - 1) / 2
    x_mm, y_mm = (x - centre[1]) * voxel_mm, (y - centre[0]) * voxel_mm
    angles = np.radians(settings.angles_deg)
    reach = [float((x_mm * math.sin(a) - y_mm * math.cos(a)).max()) for a in angles]
    return tuple(r + voxel_mm / 2 + settings.orbit_margin_mm for r in reach)


def next_collision(emission: torch.Tensor, mu_per_mm: torch.Tensor, voxel_mm: float) -> torch.Tensor:
    """Where photons leaving each voxel scatter next: emission spread by exp(−μ̄ r)/(4π r²), times the tissue there.

    An effective scatter source in the manner of Frey & Tsui (IEEE Nucl Sci Symp 1996, 1082): projected like activity,
    with attenuation and collimator, it gives the scatter in the views. On its way a photon meets the body's mean
    attenuation μ̄; both tensors are (z, y, x).
    """
    reach = 160.0
    pad = math.ceil(reach / voxel_mm)
    size = [n + pad for n in emission.shape]
    offsets = [torch.fft.fftfreq(n, 1.0 / n, device=emission.device) * voxel_mm for n in size]
    squares = [o.reshape([-1 if i == axis else 1 for i in range(3)]) ** 2 for axis, o in enumerate(offsets)]
    distance_squared = squares[0] + squares[1] + squares[2]
    # The mean of 1/r² over the voxel itself is 3/R² of the ball of its volume.
    nearest = (voxel_mm * (3 / (4 * math.pi)) ** (1 / 3)) ** 2 / 3
    body = mu_per_mm[mu_per_mm > AIR_MU_PER_MM]
    mean_path = body.mean() if body.numel() else mu_per_mm.new_zeros(())
    kernel = torch.exp(-mean_path * distance_squared.sqrt()) / (4 * math.pi * distance_squared.clamp_min(nearest))
    spread = torch.fft.irfftn(torch.fft.rfftn(emission, s=size) * torch.fft.rfftn(kernel * voxel_mm**3), s=size)
    z, y, x = emission.shape
    return (spread[:z, :y, :x] * mu_per_mm * constant("compton_share")).clamp_min_(0.0)
