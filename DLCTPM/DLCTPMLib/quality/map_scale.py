"""Whether a map's values lie where those of patients lay on whom its model was not trained."""

from __future__ import annotations

from DLCTPMLib.networks.scale import LearnedScale
from DLCTPMLib.quality.chest import PASS, WARN


def map_scale_check(map_p75: float, scale: LearnedScale | None) -> list[dict]:
    """One check as of ``check_input``, or none where the model's scale is not known.

    Args:
        map_p75: the map's own 75th percentile in both lungs.
        scale: the model's.
    """
    if scale is None:
        return []
    low, high = scale.map_p75
    inside = low <= map_p75 <= high
    message = (
        f"The map's own 75th percentile is {map_p75:.2f}; in {scale.patients} {scale.whose} it was {low:.2f} to "
        f"{high:.2f}"
    )
    if not inside:
        message += ": this chest is unlike those, and its functional volumes may not be what a SPECT would show"
    return [{"check": "map scale", "status": PASS if inside else WARN, "value": map_p75, "message": f"{message}."}]
