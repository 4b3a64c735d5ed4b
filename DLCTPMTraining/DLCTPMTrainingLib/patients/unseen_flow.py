"""What makes flow per gram differ between patients and places without a trace in the CT.

Density alone does not tell perfusion: flow follows it more in one patient than in another, the tone of the vessels
and closed small airways turn blood away. Each has its row in the parameter table and draws from a stream of its own
(``virtual_patient.UNSEEN``), so that it can be drawn anew beneath one and the same CT.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from DLCTPMTrainingLib.common.grid import RandomField
from DLCTPMTrainingLib.common.parameters import chance, draw, value

if TYPE_CHECKING:
    from DLCTPMTrainingLib.patients.lung_tissue import LungState


def follow_density(state: LungState, texture: np.ndarray, rng: np.random.Generator) -> None:
    """Perfusion ∝ texture^k: 1 where lobules differ by their air alone, 0 where they differ by tissue without blood.

    Args:
        state: changed in place.
        texture: relative density of the lobules, mean 1, (z, y, x).
        rng: the stream at rest.
    """
    exponent = draw(rng, "flow.density_exponent")
    state.flow *= np.maximum(texture, 0.3).astype(np.float32) ** np.float32(exponent - 1)


def uneven_tone(state: LungState, rng: np.random.Generator) -> None:
    """Vessels that are wider here and narrower there, over centimetres."""
    spread = np.float32(draw(rng, "tone.cv"))
    state.flow *= np.exp(spread * RandomField(rng, value("tone.length_mm")).on(state.anatomy.grid))


def closed_airways(state: LungState, rng: np.random.Generator) -> None:
    """Lobules behind closed small airways: little air comes, and less blood (hypoxic vasoconstriction)."""
    has = chance(rng, "trapping.probability")
    extent, left = draw(rng, "trapping.extent"), draw(rng, "trapping.flow_left")
    part = rng.spawn(1)[0]
    if has:
        patch = state.patches(part, value("trapping.length_mm"), np.zeros(1, np.float32), extent)
        state.flow *= 1 - np.float32(1 - left) * patch
