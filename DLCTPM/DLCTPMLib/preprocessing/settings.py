"""The settings of Eqs. 1 and 2, apart from the filters themselves, which need more than NumPy."""

from __future__ import annotations

from dataclasses import dataclass

from DLCTPMLib.common.settings import StageSettings

GRID_SHAPE = (128, 64, 64)
"""The paper's matrix, (z, y, x): the long side runs from the diaphragm to the apex."""

INPUTS = (("enhanced",), ("enhanced", "density"))
"""Sets of images that a network may get."""


@dataclass(frozen=True)
class PreprocessingSettings(StageSettings):
    """Every choice between the CT and the network's input, and between the SPECT and its target.

    Attributes:
        grid_shape: cells of the network's grid (z, y, x); the paper's 128×64×64.
        hu_low, hu_high: limits of the histogram equalisation in HU (Eq. 1).
        median_size, uniform_size: kernel widths in cells of the two filters (Eq. 1).
        edges: "zero" lets the filters see a background of 0, "masked" never lets them look outside the lung.
        hir_percentile: percentile that defines the high intensity region, HIR (Eq. 2).
        hir_scope: "patient" takes it over both lungs, "lung" for each lung by itself.
        clip_at: the standardised SPECT is clipped to 0…clip_at and divided by it.
        levels: number of uniformly spaced training levels from 0 to 1 (Eq. 2); 0 keeps the values as they are.
        inputs: images that the network gets, a channel each: "enhanced" (Eq. 1), the paper's only one, and behind
            it, where it is asked for, "density" (``lung_density``).
    """

    WHAT = "preprocessing settings"

    grid_shape: tuple[int, int, int] = GRID_SHAPE
    hu_low: int = -1000
    hu_high: int = -300
    median_size: int = 10
    uniform_size: int = 5
    edges: str = "zero"
    hir_percentile: float = 75.0
    hir_scope: str = "patient"
    clip_at: float = 1.0
    levels: int = 11
    inputs: tuple[str, ...] = ("enhanced",)

    def __post_init__(self):
        object.__setattr__(self, "grid_shape", tuple(int(n) for n in self.grid_shape))
        object.__setattr__(self, "inputs", tuple(self.inputs))
        self.require(
            {
                "grid_shape must be three multiples of 8": len(self.grid_shape) == 3
                and all(n > 0 and n % 8 == 0 for n in self.grid_shape),
                "hu_low must lie below hu_high": self.hu_low < self.hu_high,
                "kernel sizes must be at least 1": min(self.median_size, self.uniform_size) >= 1,
                'edges must be "zero" or "masked"': self.edges in ("zero", "masked"),
                "hir_percentile must lie above 0 and at most at 100": 0 < self.hir_percentile <= 100,
                'hir_scope must be "patient" or "lung"': self.hir_scope in ("patient", "lung"),
                "clip_at must be positive": self.clip_at > 0,
                "levels must be 0 or at least 2": self.levels == 0 or self.levels >= 2,
                'inputs must be "enhanced", or "enhanced" and "density"': self.inputs in INPUTS,
            }
        )
