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
INPUTS = (
    ("enhanced",),
    ("enhanced", "density"),
    ("aerated", "dense", "lung"),
    ("aerated", "dense", "enhanced", "lung"),
)
"""Sets of images that a network may get."""
MOST_CELL_MM, MOST_TOP = 50.0, 10.0


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
        inputs: images that the network gets, a channel each: "enhanced" (Eq. 1), the paper's only one; "density"
            (−1000…0 HU); "aerated" (−1000…−300 HU) and "dense" (−300…100 HU), which tell aerated from dense lung on
            one scale for every lung; "lung", the lung's part of each cell.
        cell_mm: 0, as in the paper, puts each lung on ``grid_shape`` by itself; more puts both lungs on one grid of
            cells of so many mm, as many as they need, so that left, right and millimetres are seen.
        top: the map's upper end in HIR: the standardised SPECT is clipped to 0…top, divided by it for training, and
            the map multiplied by it, so that 1 stays the HIR.
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

    cell_mm: float = setting(0.0, "both lungs on one grid of cells of so many mm; 0: each on --grid", metavar="MM")
    top: float = setting(1.0, "upper end of the map in HIR", metavar="T")

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
                f"inputs must be one of {'; '.join(', '.join(each) for each in INPUTS)}": self.inputs in INPUTS,
                f"cell_mm must be 0, or 1 to {MOST_CELL_MM:g}": self.cell_mm == 0
                or 1 <= self.cell_mm <= MOST_CELL_MM,
                'both lungs on one grid need hir_scope "patient"': self.cell_mm == 0 or self.hir_scope == "patient",
                f"top must lie above 0 and at most at {MOST_TOP:g}": 0 < self.top <= MOST_TOP,
            }
        )
