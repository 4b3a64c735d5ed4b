"""``result.json``: what a prediction came to, in plain JSON values that another program can rely on."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from DLCTPMLib import RESEARCH_USE_ONLY, __version__

if TYPE_CHECKING:
    from DLCTPMLib.networks.balance import LungBalance
    from DLCTPMLib.networks.scale import LearnedScale

SCHEMA_VERSION = 2
"""Raised whenever a key changes its place or meaning; new keys do not raise it."""

SOFTWARE = {"name": "DL-CTPM", "version": __version__}

_NOT_A_NUMBER = "not a number: nothing to compute it from"


def notes_for(
    hir_percentile: float,
    clip_at: float,
    known: LearnedScale | None = None,
    map_p75: float | None = None,
    balance: LungBalance | None = None,
) -> dict[str, str]:
    """What must be said beside the numbers of a model with these settings of Eq. 2.

    Args:
        hir_percentile, clip_at: of Eq. 2.
        known: the scale of the model's maps, where it is.
        map_p75: the map's own 75th percentile.
        balance: of right and left lung, where the model has one.
    """
    own = "" if map_p75 is None else f" of this map it is {map_p75:.2f}"
    held_out = "" if known is None else f", of {known.patients} {known.whose} {_between(known.map_p75)}"
    smoother = f" Its own 75th percentile mostly lies below 1:{own}{held_out}." if own else ""
    scale = "" if clip_at == 1 else f"{clip_at:g} times "
    return {
        "perfusion": (
            f"Perfusion is relative: the model learned that 1 is {scale}the {hir_percentile:g}th percentile of a "
            "patient's SPECT in the lungs. A map is the expected value of such a SPECT and smoother than any, so "
            f"less of it comes near 1.{smoother} It is not blood flow in absolute units."
        ),
        "shares": (
            f"{_balanced(balance)}The map ends at 1, where the training SPECT was clipped, so shares of perfusion "
            "computed from it are compressed towards shares of volume."
        ),
    }


def _balanced(balance: LungBalance | None) -> str:
    if balance is None:
        return ""
    return (
        "How much more the right lung is perfused than the left is taken from the volumes and the aerated densities "
        f"of both and from the network's map, as fitted on {balance.patients} {balance.whose}; a difference that no "
        "CT shows is not in it. "
    )


def _between(limits: tuple[float, float]) -> str:
    return f"{limits[0]:.2f} to {limits[1]:.2f}"


def header(simulated: bool = False) -> dict:
    """What every result file begins with."""
    return {
        "schema_version": SCHEMA_VERSION,
        "software": SOFTWARE,
        "research_use_only": RESEARCH_USE_ONLY,
        "simulated": simulated,
    }


def json_ready(value: object) -> object:
    """The same in plain JSON types; not-a-number becomes null, with the reason under ``undefined`` beside it."""
    if isinstance(value, dict):
        plain = {str(key): json_ready(item) for key, item in value.items()}
        lost = [str(key) for key, item in value.items() if _is_nan(item)]
        if lost:
            plain["undefined"] = {**dict.fromkeys(lost, _NOT_A_NUMBER), **plain.get("undefined", {})}
        return plain
    if isinstance(value, (list, tuple)):
        return [json_ready(item) for item in value]
    if _is_nan(value):
        return None
    if isinstance(value, np.generic):
        return value.item()
    return str(value) if isinstance(value, Path) else value


def _is_nan(value: object) -> bool:
    return isinstance(value, (float, np.floating)) and not math.isfinite(value)


def write_json(path: str | os.PathLike, content: dict) -> None:
    """Write plain JSON (``json_ready`` first) in UTF-8; half characters, as of files' names in no encoding, are ?."""
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    Path(path).write_text(text + "\n", encoding="utf-8", errors="replace")
