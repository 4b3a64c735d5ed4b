"""Whether the lungs of a mask fill the rib cage: what lies beside them makes a lung small, and its map untrue."""

from __future__ import annotations

from DLCTPMLib.labels.chest_regions import SIDES
from DLCTPMLib.lungs.left_out import LeftOut

MOST_LEFT_OUT = 0.08
"""Share of one side beside the lung that is pointed out (27 whole chests, 25 of them virtual: up to 0.046)."""


def filled_rib_cage(beside: dict[str, LeftOut]) -> tuple[str, str, float | None, str]:
    """Whether much of a side is dense, or air, and not in the mask; its value is the larger share in percent."""
    name = "rib cage"
    if not beside:
        return name, "WARN", None, "There is no lung in the mask, so nothing tells what fills the rib cage."
    shares = [beside[side].share for side in SIDES]
    worst = 100 * max(shares)
    said = [_words(side, beside[side]) for side, share in zip(SIDES, shares, strict=True) if share > MOST_LEFT_OUT]
    if not said:
        return name, "PASS", worst, "The lungs fill the rib cage on both sides."
    return name, "WARN", worst, f"{'; '.join(said)}; look at the mask there."


def _words(side: str, found: LeftOut) -> str:
    ml, percent = found.dense_ml + found.aerated_ml, 100 * found.share
    where = f"{ml:.0f} ml ({percent:.0f} %) inside the rib cage are not in the mask of the {side}"
    if found.share == 1:
        return f"{where}, which holds nothing: pneumonectomy, collapse, or dense lung that was not found"
    if found.aerated_ml > found.dense_ml:
        return f"{where} and hold air: pneumothorax, a bulla, or a mask that misses lung"
    return f"{where} and are dense, so that lung is small: effusion, consolidation, collapse or a mass"
