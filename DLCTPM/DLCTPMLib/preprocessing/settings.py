"""The settings of Eqs. 1 and 2, apart from the filters themselves, which need more than NumPy."""

from __future__ import annotations

from dataclasses import dataclass

from DLCTPMLib.common.parsing import whole_numbers, words
from DLCTPMLib.common.settings import StageSettings, setting

GRID_SHAPE = (128, 64, 64)
"""The paper's matrix, (z, y, x): the long side runs from the diaphragm to the apex."""

EDGES = ("zero", "masked")
HIR_SCOPES = ("patient", "lung")
MOST_CELLS, MOST_HU, MOST_LEVELS = 1024, 32768, 65536
"""Far above any sensible choice: a bundle that says more is damaged."""
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

    grid_shape: tuple[int, int, int] = setting(
        GRID_SHAPE, "cells of the network's grid", flag="grid", metavar="ZxYxX", parse=whole_numbers
    )
    hu_low: int = -1000
    hu_high: int = -300
    median_size: int = setting(10, "cells of the median of Eq. 1", metavar="N")
    uniform_size: int = setting(5, "cells of the mean of Eq. 1", metavar="N")
    edges: str = setting("zero", "of the filters of Eq. 1", choices=EDGES)
    hir_percentile: float = 75.0
    hir_scope: str = setting("patient", "normalise the SPECT over both lungs or each by itself", choices=HIR_SCOPES)
    clip_at: float = 1.0
    levels: int = 11
    inputs: tuple[str, ...] = setting(
        ("enhanced",),
        "images that the network gets",
        choices=tuple(",".join(each) for each in INPUTS),
        parse=words,
    )

    def __post_init__(self):
        object.__setattr__(self, "grid_shape", tuple(int(n) for n in self.grid_shape))
        object.__setattr__(self, "inputs", tuple(self.inputs))
        self.require(
            {
                "grid_shape must be three multiples of 8": len(self.grid_shape) == 3
                and all(n > 0 and n % 8 == 0 for n in self.grid_shape),
                f"grid_shape must be at most {MOST_CELLS}": max(self.grid_shape) <= MOST_CELLS,
                f"hu_low and hu_high must lie within ±{MOST_HU}": max(abs(self.hu_low), abs(self.hu_high)) <= MOST_HU,
                "hu_low must lie below hu_high": self.hu_low < self.hu_high,
                f"kernel sizes must be 1 to {MOST_CELLS}": min(self.median_size, self.uniform_size) >= 1
                and max(self.median_size, self.uniform_size) <= MOST_CELLS,
                'edges must be "zero" or "masked"': self.edges in EDGES,
                "hir_percentile must lie above 0 and at most at 100": 0 < self.hir_percentile <= 100,
                'hir_scope must be "patient" or "lung"': self.hir_scope in HIR_SCOPES,
                "clip_at must be positive": self.clip_at > 0,
                f"levels must be 0 or 2 to {MOST_LEVELS}": self.levels == 0 or 2 <= self.levels <= MOST_LEVELS,
                'inputs must be "enhanced", or "enhanced" and "density"': self.inputs in INPUTS,
            }
        )
