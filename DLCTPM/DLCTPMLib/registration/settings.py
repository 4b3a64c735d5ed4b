"""How a SPECT is sought on a CT."""

from __future__ import annotations

from dataclasses import dataclass

from DLCTPMLib.common.settings import StageSettings

RIGID = "rigid"
"""How a SPECT is moved where nothing is said; affine made it worse where the truth was rigid."""


@dataclass(frozen=True)
class RegistrationSettings(StageSettings):
    """How the two are compared and the best place is sought.

    Attributes:
        histogram_bins: of Mattes mutual information, for each image.
        samples: points at which the images are compared in the search. On virtual patients another draw of 30 000
            points moved the lungs' mean error by 0.1 to 0.2 mm, of 12 000 by 0.3, of 6 000 by more than 1.
        seed: of those points.
        iterations: at most so many steps.
        first_step_mm, last_step_mm: how far points of the lungs move in the first step, and when to stop; steps
            are halved where the search turns back.
        lung_blur_mm: Gaussian σ that makes the lungs look like a SPECT of them (about 16 mm FWHM).
        gravity_percent_per_cm: by how much the flow in a gram of lung rises towards the back. The 4 % of METHOD.md
            §5 hold for a volume of lung, and about half of them is density, which the CT shows. Without it the
            SPECTs of virtual patients (made with 1.5 to 3.5 %) came to lie 1 mm too far to the front.
        saturation: the SPECT is clipped at this share of its mean in the lungs, so that the lungs' outline counts
            for more than the pattern of perfusion inside.
        margin_mm: how far around the lungs the images are compared.
        least_gain: an affine transform is kept only if it raises the mutual information by this share. On virtual
            patients the gain was −0.5 to 2 % where the truth was rigid (blur and breathing fitted, points no nearer)
            and 4 to 14 % where the SPECT was stretched by 6 to 8 %.
    """

    WHAT = "registration settings"

    histogram_bins: int = 64
    samples: int = 30_000
    seed: int = 2022
    iterations: int = 100
    first_step_mm: float = 4.0
    last_step_mm: float = 0.1
    lung_blur_mm: float = 7.0
    gravity_percent_per_cm: float = 2.0
    saturation: float = 0.4
    margin_mm: float = 50.0
    least_gain: float = 0.03

    def __post_init__(self):
        self.require(
            {
                "samples must be at least 1000": self.samples >= 1000,
                "histogram_bins must be at least 8": self.histogram_bins >= 8,
                "iterations must be at least 1": self.iterations >= 1,
                "last_step_mm must be positive and below first_step_mm": 0 < self.last_step_mm < self.first_step_mm,
                "saturation must be positive": self.saturation > 0,
            }
        )
