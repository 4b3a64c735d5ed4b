"""Six zones of the lungs, each with a score from 1 to 5 for its perfusion beside that of the whole."""

from __future__ import annotations

from bisect import bisect_right

from DLCTPMLib.function.heterogeneity import DEFECT_BELOW
from DLCTPMLib.function.partitions import THIRD_NAMES
from DLCTPMLib.labels.chest_regions import BOTH

SCORE_LIMITS = (DEFECT_BELOW, 0.85, 1.15, 1.4)
"""Zone's mean over the lungs' mean at which the next score begins: even about 1, the lowest where a voxel counts as
a defect. A convention of this program, chosen before any map was looked at; no patient has validated it."""
SCORE_WORDS = ("markedly reduced", "reduced", "average", "increased", "markedly increased")
"""What the scores 1 to 5 mean."""


def zone_scores(regions: dict[str, dict]) -> dict[str, dict]:
    """``zones`` of ``result.json``.

    Args:
        regions: the region table.

    Returns:
        by "right upper zone" and so on (the thirds of each lung from above downwards) ``relative``, the zone's mean
        over that of both lungs, and ``score``, 1 to 5: 1 + how many of ``SCORE_LIMITS`` that reaches. Both are None
        where nothing is perfused; zones without lung are left out. A uniform lung has 3 in every zone.
    """
    whole = regions[BOTH]["mean"]
    scores = {}
    for name in THIRD_NAMES:
        if name in regions:
            relative = regions[name]["mean"] / whole if whole else None
            score = None if relative is None else 1 + bisect_right(SCORE_LIMITS, relative)
            scores[name.replace("third", "zone")] = {"relative": relative, "score": score}
    return scores
