"""What is chosen, not given by nature, in a simulated perfusion SPECT: protocol, patient motion, reconstruction."""

from __future__ import annotations

from dataclasses import dataclass

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.common.settings import StageSettings
from DLCTPMTrainingLib.spect.physics import Collimator, constant


@dataclass(frozen=True)
class SpectSettings(StageSettings):
    """A 99mTc-MAA perfusion SPECT as in the paper (GE Discovery 670, 60 views of 30 s, 128³ at 4.42 mm).

    Attributes:
        activity_mbq: injected activity (paper: 3 mCi).
        views: number of views over 360° (paper: 60 frames).
        seconds_per_view: duration of each view (paper: 30 s).
        matrix: voxels along each edge of the reconstruction.
        voxel_mm: its voxel size, and that of the detector's pixels.
        projection_subdivision: the patient is projected on a grid finer by this factor, so that data and
            reconstruction never share a grid (2 gives 2.21 mm).
        body_background: activity concentration of the body outside the lungs as a share of the lungs' mean.
        orbit_margin_mm: gap between body contour and collimator, for an orbit that follows the body.
        orbit_radius_mm: radius of a circular orbit instead; None follows the body.
        breathing_mm: head–foot travel of the lung base; 0 for a patient who does not breathe.
        breathing_phases: phases of the breathing cycle that are averaged before projection.
        scatter: whether scattered photons are recorded.
        poisson_noise: whether counts are drawn; False gives their expectation.
        iterations: OSEM iterations.
        subsets: OSEM subsets; a divisor of ``views``.
        attenuation_correction: whether the reconstruction knows the CT's attenuation map.
        attenuation_shift_mm: LPS displacement (x, y, z) of that map against the patient. CT and SPECT of a free
            breathing patient never match (Goetze & Wahl, J Nucl Cardiol 2007;14:200: more than a pixel in four
            of ten patients), and data made and reconstructed with one map would be an inverse crime.
        scatter_correction: whether the dual-energy-window estimate enters the reconstruction.
        resolution_recovery: whether the reconstruction models the collimator response.
        filter_fwhm_mm: Gaussian post-filter; 0 for none.
        stored_per_count: stored value for one emitted count of a voxel in the whole acquisition. A scanner's
            own scale; the default puts a healthy lung where the paper's raw values lie (mostly below 5,000).
    """

    WHAT = "SPECT settings"

    activity_mbq: float = 111.0
    views: int = 60
    seconds_per_view: float = 30.0
    matrix: int = 128
    voxel_mm: float = 4.42
    projection_subdivision: int = 2
    body_background: float = 0.0
    orbit_margin_mm: float = 30.0
    orbit_radius_mm: float | None = None
    breathing_mm: float = constant("breathing_mm")
    breathing_phases: int = 8
    scatter: bool = True
    poisson_noise: bool = True
    iterations: int = 2
    subsets: int = 10
    attenuation_correction: bool = True
    attenuation_shift_mm: tuple[float, float, float] = (2.0, -3.0, 5.0)
    scatter_correction: bool = True
    resolution_recovery: bool = True
    filter_fwhm_mm: float = 9.0
    stored_per_count: float = 8.0

    def __post_init__(self):
        object.__setattr__(self, "attenuation_shift_mm", tuple(float(v) for v in self.attenuation_shift_mm))
        positive = ("activity_mbq", "views", "seconds_per_view", "voxel_mm", "projection_subdivision")
        positive += ("breathing_phases", "iterations", "subsets", "stored_per_count")
        for name in positive:
            if not getattr(self, name) > 0:
                raise InputError(f"SPECT settings: {name} must be above 0, not {getattr(self, name)}.")
        for name in ("body_background", "orbit_margin_mm", "breathing_mm", "filter_fwhm_mm"):
            if not getattr(self, name) >= 0:
                raise InputError(f"SPECT settings: {name} must not be negative ({getattr(self, name)}).")
        if self.matrix < 8 or self.matrix % 2:
            raise InputError(f"SPECT settings: matrix must be even and at least 8, not {self.matrix}.")
        if self.views % self.subsets:
            raise InputError(
                f"SPECT settings: {self.views} views cannot be shared by {self.subsets} subsets; "
                "choose a number of subsets that divides the views."
            )
        if self.orbit_radius_mm is not None and not self.orbit_radius_mm > 0:
            raise InputError(f"SPECT settings: orbit_radius_mm must be above 0, not {self.orbit_radius_mm}.")
        if len(self.attenuation_shift_mm) != 3:
            raise InputError("SPECT settings: attenuation_shift_mm needs three numbers (x, y, z).")

    @property
    def collimator(self) -> Collimator:
        """The camera's collimator (LEHR)."""
        return Collimator()

    @property
    def fine_voxel_mm(self) -> float:
        """Voxel size of the grid on which the patient is projected."""
        return self.voxel_mm / self.projection_subdivision

    @property
    def angles_deg(self) -> tuple[float, ...]:
        """View angles: 0° in front of the patient, 90° on the patient's left."""
        return tuple(360.0 * view / self.views for view in range(self.views))
