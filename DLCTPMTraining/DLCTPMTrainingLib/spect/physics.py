"""The numbers of nature and of the scanner behind the SPECT simulation, each with its source.

``CONSTANTS`` is the one table; nothing else in the simulator carries a physical number of its own. What is a
choice of protocol (activity, views, seconds, filter) is a setting in ``settings``, not a constant.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

FWHM_PER_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))
"""Full width at half maximum of a Gaussian of unit standard deviation."""


KLEIN_NISHINA = (
    "Klein–Nishina cross-section sampled for one and two collisions, blurred with the energy resolution and "
    "divided by the unscattered share in the photopeak (0.984); a test repeats the sampling"
)
"""Source of the energy-window shares below."""

DISCOVERY_670 = "EJNMMI Res 2017;7, doi 10.1186/s13550-017-0300-5, Table 1: GE Discovery NM/CT 670, LEHR"
"""Source of the collimator and the energy windows: the scanner of the paper, in a study of others."""


@dataclass(frozen=True)
class PhysicalConstant:
    """One number with its unit and where it comes from."""

    value: float
    unit: str
    meaning: str
    source: str


CONSTANTS: dict[str, PhysicalConstant] = {
    "half_life_h": PhysicalConstant(6.0072, "h", "half-life of 99mTc", "ENSDF: Nuclear Data Sheets 145:25 (2017)"),
    "gamma_yield": PhysicalConstant(
        0.885,
        "per decay",
        "140.5 keV photons per decay of 99mTc",
        "ENSDF 2017 normalises to 0.89 ± 0.03; the third digit is nominal",
    ),
    "mu_water": PhysicalConstant(
        0.1536,
        "1/cm",
        "attenuation of water at 140.5 keV (narrow beam)",
        "NIST XAAMDI (Hubbell & Seltzer): 0.1707 and 0.1505 cm²/g at 100 and 150 keV, log-log interpolation; "
        "the same in the tables of xraydb, 0.1537 at 140.5 keV",
    ),
    "mu_cortical_bone": PhysicalConstant(
        0.2947,
        "1/cm",
        "attenuation of cortical bone (ICRU-44, 1.92 g/cm³) at 140.5 keV",
        "NIST XAAMDI: 0.1855 and 0.1480 cm²/g at 100 and 150 keV, log-log interpolation; 0.2931 by xraydb",
    ),
    "hu_cortical_bone": PhysicalConstant(
        1453.0,
        "HU",
        "CT number of that bone at 120 kVp (effective 75 keV)",
        "NIST XAAMDI, log-log between 60 and 80 keV: 0.462 /cm for bone, 0.1885 /cm for water; 1431 HU by xraydb "
        "at 75 keV",
    ),
    "mu_lead": PhysicalConstant(
        27.0,
        "1/cm",
        "attenuation of lead at 140.5 keV",
        "NIST XAAMDI: 5.549 and 2.014 cm²/g at 100 and 150 keV, log-log interpolation, 11.35 g/cm³; 26.9 by xraydb",
    ),
    "hole_diameter_mm": PhysicalConstant(1.5, "mm", "LEHR collimator, hole width", DISCOVERY_670),
    "hole_length_mm": PhysicalConstant(35.0, "mm", "LEHR collimator, hole length", DISCOVERY_670),
    "septum_mm": PhysicalConstant(0.2, "mm", "LEHR collimator, septal thickness", DISCOVERY_670),
    "intrinsic_fwhm_mm": PhysicalConstant(
        3.9,
        "mm",
        "intrinsic resolution of a 9.5 mm NaI(Tl) camera at 140 keV",
        "assumption: usual of the class, nominal",
    ),
    "sensitivity": PhysicalConstant(
        72.0,
        "cps/MBq",
        "planar sensitivity of one LEHR head in air, 20 % window",
        "assumption: nominal 160 cpm/µCi; Anger's formula gives 89 for these holes before losses in the crystal",
    ),
    "compton_share": PhysicalConstant(
        0.96,
        "of mu_water",
        "part of the attenuation of tissue that is Compton scatter at 140.5 keV",
        "incoherent 0.147 cm²/g, which belongs to 150 keV, of 0.1536; below 0.976, which is 0.1500 of 0.1537 at "
        "140.5 keV (xraydb)",
    ),
    "energy_resolution": PhysicalConstant(
        0.098, "FWHM/E at 140.5 keV", "energy resolution of the camera", "assumption: usual of the class, nominal"
    ),
    "photopeak_kev": PhysicalConstant(140.5, "keV", "centre of the photopeak window, ±10 %", DISCOVERY_670),
    "lower_window_kev": PhysicalConstant(120.0, "keV", "centre of the scatter window, ±5 %", DISCOVERY_670),
    "photopeak_once": PhysicalConstant(
        0.329, "per photopeak count", "share of once scattered photons counted in the photopeak", KLEIN_NISHINA
    ),
    "photopeak_twice": PhysicalConstant(
        0.073, "per photopeak count", "share of twice scattered photons counted in the photopeak", KLEIN_NISHINA
    ),
    "lower_unscattered": PhysicalConstant(
        0.0067, "per photopeak count", "share of unscattered photons counted in the lower window", KLEIN_NISHINA
    ),
    "lower_once": PhysicalConstant(
        0.212, "per photopeak count", "share of once scattered photons counted in the lower window", KLEIN_NISHINA
    ),
    "lower_twice": PhysicalConstant(
        0.127, "per photopeak count", "share of twice scattered photons counted in the lower window", KLEIN_NISHINA
    ),
    "dual_window_k": PhysicalConstant(
        1.1,
        "counts/counts",
        "photopeak scatter taken for each lower-window count by the reconstruction",
        "assumption: between the shares above, 1.55 for once and 0.57 for twice scattered photons; dual-energy-"
        "window method: Jaszczak et al., J Nucl Med 1984;25:893",
    ),
    "breathing_mm": PhysicalConstant(
        12.0,
        "mm",
        "head–foot travel of the lung base in quiet supine breathing",
        "Liang et al., J Appl Clin Med Phys 2018;19:94: liver 11.9 mm (5.1 to 17.3), under the lung's base",
    ),
    "breathing_apex_share": PhysicalConstant(
        0.15, "of the base", "travel of the lung apex", "assumption: the apex hardly moves"
    ),
    "breathing_power": PhysicalConstant(
        4.0,
        "",
        "even power of the cosine in the breathing trace (time is spent near end-expiration)",
        "assumption: the form usual in radiotherapy planning, 2n with n = 2",
    ),
    "lung_uptake": PhysicalConstant(
        0.90,
        "of the injected activity",
        "MAA trapped in the lungs (the rest is free, small or shunted)",
        "assumption: a normal shunt takes 2.7 % (PMID 1481178) and some of the label is free; nominal",
    ),
    "injection_to_scan_min": PhysicalConstant(
        5.0, "min", "from injection to the first view", "assumption: the camera starts soon; nominal"
    ),
}
"""Every physical number of the simulator. *Nominal*: a class value, not one measured on the paper's scanner;
*xraydb*: the program of that name (Elam's tables), used to check the figure."""


def constant(name: str) -> float:
    """The value of one entry of ``CONSTANTS``."""
    return CONSTANTS[name].value


def attenuation_per_mm(hu: np.ndarray) -> np.ndarray:
    """Linear attenuation at 140.5 keV from CT numbers: bilinear, through air, water and cortical bone.

    Args:
        hu: CT numbers of a 120 kVp scan, any shape.

    Returns:
        float32 array of the same shape, 1/mm, never negative.
    """
    water = constant("mu_water")
    soft = water * (1.0 + np.asarray(hu, dtype=np.float32) / 1000.0)
    bone = water + hu * ((constant("mu_cortical_bone") - water) / constant("hu_cortical_bone"))
    return (np.clip(np.where(hu > 0, bone, soft), 0.0, None) / 10.0).astype(np.float32)


@dataclass(frozen=True)
class Collimator:
    """A parallel-hole collimator in front of a camera: the Gaussian response at each distance.

    Attributes:
        hole_diameter_mm: width of a hole.
        hole_length_mm: length of a hole.
        septum_mm: thickness of the lead between holes.
        intrinsic_fwhm_mm: resolution of the camera behind it.
    """

    hole_diameter_mm: float = constant("hole_diameter_mm")
    hole_length_mm: float = constant("hole_length_mm")
    septum_mm: float = constant("septum_mm")
    intrinsic_fwhm_mm: float = constant("intrinsic_fwhm_mm")

    @property
    def effective_length_mm(self) -> float:
        """Hole length less two mean free paths in lead, for penetration at the edges."""
        return self.hole_length_mm - 20.0 / constant("mu_lead")

    def fwhm_mm(self, distance_mm: np.ndarray) -> np.ndarray:
        """Resolution of a source at a distance from the collimator's face, in air, without scatter."""
        length = self.effective_length_mm
        geometric = self.hole_diameter_mm * (length + np.asarray(distance_mm, dtype=float)) / length
        return np.sqrt(geometric**2 + self.intrinsic_fwhm_mm**2)

    def sigma_mm(self, distance_mm: np.ndarray) -> np.ndarray:
        """The same as a standard deviation."""
        return self.fwhm_mm(distance_mm) / FWHM_PER_SIGMA

    @property
    def geometric_efficiency(self) -> float:
        """Fraction of emitted photons that pass the holes: Anger's formula for hexagonal holes (K = 0.26)."""
        open_share = (self.hole_diameter_mm / (self.hole_diameter_mm + self.septum_mm)) ** 2
        return (0.26 * self.hole_diameter_mm / self.effective_length_mm) ** 2 * open_share


def decay_factor(start_min: float, duration_min: float) -> float:
    """Mean of the remaining 99mTc activity over an acquisition, as a fraction of the injected one."""
    rate = math.log(2.0) / (constant("half_life_h") * 60.0)
    if duration_min <= 0:
        return math.exp(-rate * start_min)
    return math.exp(-rate * start_min) * -math.expm1(-rate * duration_min) / (rate * duration_min)
