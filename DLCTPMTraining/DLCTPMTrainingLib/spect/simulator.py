"""A perfusion SPECT of a virtual patient, from injection to reconstruction. Simulated; research use only.

    perfusion, CT ── breathing, fine grid ──► primary ┐
                  └─ scatter sources ──────► scatter ─┴─ Poisson ──► counts ── OSEM, shifted CT ──► filter ──► SPECT

The patient is projected on a grid twice as fine as the reconstruction's, breathing, with the true attenuation; the
reconstruction gets the noisy counts, a scatter estimate from a second energy window, and a CT map that has moved.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
import torch
from scipy import ndimage

from DLCTPMLib.common.progress import Progress, no_progress
from DLCTPMLib.networks.inference import choose_device
from DLCTPMTrainingLib.spect.patient import (
    AIR_MU_PER_MM,
    ScanFrame,
    attenuation_on,
    breathing_matrix,
    check_patient,
    next_collision,
    on_grid,
    orbit_radii_mm,
    scan_frame,
    smeared,
)
from DLCTPMTrainingLib.spect.physics import constant, decay_factor
from DLCTPMTrainingLib.spect.projector import Projector, ViewGeometry
from DLCTPMTrainingLib.spect.reconstruction import osem, post_filter
from DLCTPMTrainingLib.spect.settings import SpectSettings

SCATTER_SMOOTHING_PIXELS = 2.0
"""Standard deviation of the smoothing of lower-window counts: scatter varies slowly, its counts are few."""


@dataclass(frozen=True)
class Acquisition:
    """What the camera recorded, and where it stood.

    Attributes:
        photopeak: (view, z, u) float32 counts in the 140.5 keV window.
        lower_window: the same in the window below it (120 keV), almost only scatter.
        primary_counts: expected unscattered counts in all views together.
        frame: where the detector's rows and the reconstruction lie in the patient.
        angles_deg: view angles.
        radii_mm: distance of the collimator from the rotation axis at each view.
    """

    photopeak: np.ndarray
    lower_window: np.ndarray
    primary_counts: float
    frame: ScanFrame
    angles_deg: tuple[float, ...]
    radii_mm: tuple[float, ...]

    def geometry(self, subdivision: int = 1) -> ViewGeometry:
        """The views of a grid with each voxel of the frame divided into ``subdivision``³."""
        shape = tuple(n * subdivision for n in self.frame.shape)
        return ViewGeometry(shape, self.frame.voxel_mm / subdivision, self.angles_deg, self.radii_mm)

    @property
    def scatter_estimate(self) -> np.ndarray:
        """Scatter in the photopeak by the dual-energy-window method, smoothed, (view, z, u)."""
        smoothed = ndimage.gaussian_filter(self.lower_window, (0.0,) + (SCATTER_SMOOTHING_PIXELS,) * 2)
        return smoothed * np.float32(constant("dual_window_k"))


def counts_per_view(settings: SpectSettings) -> float:
    """Counts that one view would record of all the lungs' activity without attenuation."""
    minutes = settings.views * settings.seconds_per_view / 60.0 / 2.0  # two heads work at once
    remaining = decay_factor(constant("injection_to_scan_min"), minutes)
    activity = settings.activity_mbq * constant("lung_uptake") * remaining
    return activity * constant("sensitivity") * settings.seconds_per_view


class PreparedScan:
    """All of a scan that does not depend on where in the lungs the activity lies: grids, attenuation, orbit, breath.

    Args:
        lungs: an activity of the patient in any unit, 0 outside the lungs, in the CT's frame; only where it is above
            0 counts.
        ct: CT numbers.
        settings: protocol.
        device: "auto", "cpu" or "cuda".

    Raises:
        InputError: the images cannot be scanned (see ``check_patient`` and ``scan_frame``).
    """

    def __init__(
        self, lungs: sitk.Image, ct: sitk.Image, settings: SpectSettings, device: str | torch.device = "auto"
    ):
        check_patient(lungs, ct)
        self._settings, self._ct, self._device = settings, ct, _device(device)
        step = settings.projection_subdivision
        frame = scan_frame(lungs, ct, settings)
        self._fine = frame.grid(step)
        in_lungs = on_grid(lungs, self._fine, 0.0) > 0
        mu = attenuation_on(ct, self._fine)
        self._body = (mu > AIR_MU_PER_MM) & ~in_lungs
        self._breathing = breathing_matrix(in_lungs.astype(np.float32), settings, settings.fine_voxel_mm)
        mu = smeared(mu, self._breathing / self._breathing.sum(axis=1, keepdims=True))
        radii = orbit_radii_mm(mu, settings, settings.fine_voxel_mm)
        nothing = np.zeros((settings.views, frame.shape[0], frame.shape[1]), dtype=np.float32)
        self._empty = Acquisition(nothing, nothing, 0.0, frame, settings.angles_deg, radii)
        mu = torch.from_numpy(mu).to(self._device)
        self._projector = Projector.of(self._empty.geometry(step), mu, settings.collimator, self._device)
        self._coarse_mu = torch.nn.functional.avg_pool3d(mu[None], step)[0]
        self._coarse = Projector.of(self._empty.geometry(), self._coarse_mu, settings.collimator, self._device)
        self._reconstruction: Projector | None = None

    def acquire(self, perfusion: sitk.Image, seed: int = 0, body_background: float | None = None) -> Acquisition:
        """Simulate the views of the breathing patient.

        Args:
            perfusion: activity concentration in any unit, 0 outside the lungs that the scan was prepared for.
            seed: of the counting noise; the only randomness.
            body_background: in place of the settings'.
        """
        settings, step = self._settings, self._settings.projection_subdivision
        activity = on_grid(perfusion, self._fine, 0.0)
        activity *= counts_per_view(settings) / activity.sum(dtype=np.float64)
        share = settings.body_background if body_background is None else body_background
        activity[self._body] = share * activity[activity > 0].mean(dtype=np.float64)
        activity = torch.from_numpy(smeared(activity, self._breathing)).to(self._device)
        primary = _binned(self._projector.forward(activity), step)
        peak, lower = self._scatter(activity, primary)
        photopeak, lower = (primary + peak).cpu().numpy(), lower.cpu().numpy()
        if settings.poisson_noise:
            generator = np.random.default_rng(seed)
            photopeak, lower = (generator.poisson(mean).astype(np.float32) for mean in (photopeak, lower))
        return dataclasses.replace(
            self._empty,
            photopeak=photopeak,
            lower_window=lower,
            primary_counts=float(primary.sum(dtype=torch.float64)),
        )

    def spect(
        self,
        perfusion: sitk.Image,
        seed: int = 0,
        body_background: float | None = None,
        progress: Progress = no_progress,
    ) -> sitk.Image:
        """Acquire and reconstruct; see ``acquire`` and ``reconstruct``."""
        scan = self.acquire(perfusion, seed, body_background)
        if self._reconstruction is None:
            self._reconstruction = _reconstructing(scan, self._ct, self._settings, self._device)
        return _reconstructed(scan, self._settings, self._reconstruction, progress)

    def _scatter(self, activity: torch.Tensor, primary: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Expected scatter in the photopeak and the lower window; smooth, so the frame's own grid is enough."""
        if not self._settings.scatter:
            return torch.zeros_like(primary), constant("lower_unscattered") * primary
        step, voxel = self._settings.projection_subdivision, self._settings.voxel_mm
        coarse_activity = torch.nn.functional.avg_pool3d(activity[None], step)[0] * step**3
        once = next_collision(coarse_activity, self._coarse_mu, voxel)
        twice = next_collision(once, self._coarse_mu, voxel)
        once, twice = self._coarse.forward(once), self._coarse.forward(twice)
        peak = constant("photopeak_once") * once + constant("photopeak_twice") * twice
        lower = (
            constant("lower_unscattered") * primary + constant("lower_once") * once + constant("lower_twice") * twice
        )
        return peak, lower


def acquire(
    perfusion: sitk.Image, ct: sitk.Image, settings: SpectSettings, seed: int = 0, device: str | torch.device = "auto"
) -> Acquisition:
    """Simulate the views of a breathing patient; see ``PreparedScan``."""
    return PreparedScan(perfusion, ct, settings, device).acquire(perfusion, seed)


def reconstruct(
    scan: Acquisition,
    ct: sitk.Image,
    settings: SpectSettings,
    device: str | torch.device = "auto",
    progress: Progress = no_progress,
) -> sitk.Image:
    """OSEM of an acquisition with the CT's (moved) attenuation map, then the post-filter.

    Returns:
        float32 image of ``matrix``³ voxels along the patient's axes, in stored values.
    """
    return _reconstructed(scan, settings, _reconstructing(scan, ct, settings, _device(device)), progress)


def _reconstructing(scan: Acquisition, ct: sitk.Image, settings: SpectSettings, device: torch.device) -> Projector:
    """The projector of the reconstruction: the CT's moved attenuation and the collimator, if they are modelled."""
    mu = None
    if settings.attenuation_correction:
        mu = torch.from_numpy(attenuation_on(ct, scan.frame.grid(), settings.attenuation_shift_mm))
    collimator = settings.collimator if settings.resolution_recovery else None
    return Projector.of(scan.geometry(), mu, collimator, device, keep_attenuation=True)


def _reconstructed(
    scan: Acquisition, settings: SpectSettings, projector: Projector, progress: Progress
) -> sitk.Image:
    device = projector.device
    scatter = torch.from_numpy(scan.scatter_estimate).to(device) if settings.scatter_correction else None
    estimate = osem(
        projector,
        torch.from_numpy(scan.photopeak).to(device),
        settings.iterations,
        settings.subsets,
        scatter,
        lambda done, _: progress("SPECT reconstruction", done / settings.iterations),
    )
    emitted = scan.frame.whole(estimate.cpu().numpy()) * (settings.views * settings.stored_per_count)
    return scan.frame.image(post_filter(emitted, settings.filter_fwhm_mm, settings.voxel_mm))


def simulate_spect(
    perfusion: sitk.Image,
    ct: sitk.Image,
    settings: SpectSettings | None = None,
    seed: int = 0,
    device: str | torch.device = "auto",
    progress: Progress = no_progress,
) -> sitk.Image:
    """Scan a virtual patient: 99mTc-MAA perfusion SPECT as in the paper.

    Args:
        perfusion: activity concentration in any unit, 0 outside the lungs, in the CT's frame.
        ct: CT numbers, any grid and orientation.
        settings: protocol; the paper's where None.
        seed: of the counting noise.
        device: "auto", "cpu" or "cuda".
        progress: told how far the scan and its reconstruction have come.

    Returns:
        float32 image, 128³ voxels of 4.42 mm along the patient's axes, in the CT's frame. Simulated.

    Raises:
        InputError: the images cannot be scanned.
    """
    settings = settings or SpectSettings()
    progress("SPECT acquisition", 0.0)
    prepared = PreparedScan(perfusion, ct, settings, device)
    return prepared.spect(perfusion, seed, None, lambda stage, fraction: progress(stage, 0.5 + 0.5 * fraction))


def _binned(projections: torch.Tensor, step: int) -> torch.Tensor:
    """Counts of fine pixels summed over the detector's pixels."""
    return torch.nn.functional.avg_pool2d(projections, step) * step**2


def _device(name: str | torch.device) -> torch.device:
    """The device to compute on; Metal has no sparse matrices, so the processor takes its place."""
    device = name if isinstance(name, torch.device) else choose_device(name)
    return torch.device("cpu") if device.type == "mps" else device
