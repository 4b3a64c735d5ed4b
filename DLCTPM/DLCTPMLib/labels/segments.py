"""Which chest region a segment of a segmentation is: by terminology code, then by id, then by name.

Never by order or colour. What is not recognised as lung (vessels, nodules, ribs …) is passed over.
"""

from __future__ import annotations

import re

import numpy as np
import SimpleITK as sitk

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.labels.chest_regions import LOBES, THIRDS, ChestRegion, Terminology
from DLCTPMLib.labels.seg_nrrd import Segment, SegNrrd

_R = ChestRegion

_CODES: dict[str, tuple[str, str | None]] = {
    # code → (part, side). SNOMED CT, and the older SRT codes of early segmentations
    "39607008": ("lung", None),
    "T-28000": ("lung", None),
    "3341006": ("lung", "right"),
    "44029006": ("lung", "left"),
    "45653009": ("upper", None),
    "90572001": ("lower", None),
    "72481006": ("middle", "right"),
    "42400003": ("upper", "right"),
    "266005": ("lower", "right"),
    "44714003": ("upper", "left"),
    "41224006": ("lower", "left"),
    "44567001": ("trachea", None),
}
_SIDE_CODES = {"24028007": "right", "G-A100": "right", "7771000": "left", "G-A101": "left"}

_REGIONS: dict[tuple[str, str | None], ChestRegion] = {
    ("lung", None): _R.WHOLE_LUNG,
    ("lung", "right"): _R.RIGHT_LUNG,
    ("lung", "left"): _R.LEFT_LUNG,
    ("upper", "right"): _R.RIGHT_SUPERIOR_LOBE,
    ("middle", "right"): _R.RIGHT_MIDDLE_LOBE,
    ("middle", None): _R.RIGHT_MIDDLE_LOBE,
    ("lower", "right"): _R.RIGHT_INFERIOR_LOBE,
    ("upper", "left"): _R.LEFT_SUPERIOR_LOBE,
    ("lower", "left"): _R.LEFT_INFERIOR_LOBE,
    ("upper third", "right"): _R.RIGHT_UPPER_THIRD,
    ("middle third", "right"): _R.RIGHT_MIDDLE_THIRD,
    ("lower third", "right"): _R.RIGHT_LOWER_THIRD,
    ("upper third", "left"): _R.LEFT_UPPER_THIRD,
    ("middle third", "left"): _R.LEFT_MIDDLE_THIRD,
    ("lower third", "left"): _R.LEFT_LOWER_THIRD,
    ("trachea", None): _R.TRACHEA,
}

_ABBREVIATIONS = {
    "rul": "right upper lobe",
    "rml": "right middle lobe",
    "rll": "right lower lobe",
    "lul": "left upper lobe",
    "lll": "left lower lobe",
}
_FILLERS = {"the", "of", "lung", "lungs", "lobe", "whole", "both", "total", "mask", "parenchyma", "pulmonary"}
_WORDS = {"superior": "upper", "inferior": "lower", "r": "right", "l": "left", "rt": "right", "lt": "left"}


def segment_region(segment: Segment) -> ChestRegion | None:
    """The lung region (or the trachea) a segment is, or None.

    The code says what it is; a side or a lobe that the code leaves open is taken from the id, then the name.
    """
    return _recognise(segment)[0]


def _recognise(segment: Segment) -> tuple[ChestRegion | None, int]:
    """The region of a segment and how it was known: 0 by its code, 1 by its id, 2 by its name."""
    part = side = None
    known_by = 0
    if segment.terminology is not None:
        part, side = _of_terminology(segment.terminology)
    for rank, text in ((1, segment.id), (2, segment.name)):
        named_part, named_side = _of_text(text)
        if part is None:
            part, side, known_by = named_part, named_side, rank
        elif named_part is not None and part in (named_part, "lung"):
            if part == "lung" and side in (None, named_side):
                part = named_part  # "lung" in codes, "right upper lobe" in words: the words say more
            side = side or named_side
    return (_REGIONS.get((part, side)) if part else None), known_by


def cip_labels(segmentation: SegNrrd, name: str) -> sitk.Image:
    """The lung segments of a segmentation as one uint16 CIP label image on the segmentation's own grid.

    Where segments overlap the finer one wins: lobes, then thirds, then sides, then lungs without a side;
    the trachea is taken out of all of them. Where two segments claim one region, the better known one is it.

    Raises:
        InputError: no segment is recognised as lung, or two segments claim the same region equally well.
    """
    found: dict[ChestRegion, Segment] = {}
    ranks: dict[ChestRegion, int] = {}
    for segment in segmentation.segments:
        region, rank = _recognise(segment)
        if region is None or rank > ranks.get(region, rank):
            continue
        if rank == ranks.get(region):
            raise InputError(
                f"{name}: the segments '{found[region].name}' and '{segment.name}' both look like the same lung "
                "region; keep one of them, or name them apart."
            )
        found[region], ranks[region] = segment, rank
    if not set(found) - {_R.TRACHEA}:
        names = ", ".join(f"'{segment.name}'" for segment in segmentation.segments[:8])
        raise InputError(
            f"{name}: no segment is recognised as lung among {names}; name them 'right lung' and 'left lung'."
        )
    labels = np.zeros(segmentation.image.GetSize()[::-1], np.uint16)
    for region in sorted(found, key=_fineness):
        labels[segmentation.mask(found[region])] = 0 if region == _R.TRACHEA else int(region)
    image = sitk.GetImageFromArray(labels)
    for copy in ("Origin", "Spacing", "Direction"):
        getattr(image, f"Set{copy}")(getattr(segmentation.image, f"Get{copy}")())
    return image


def _fineness(region: ChestRegion) -> int:
    if region == _R.TRACHEA:
        return 4
    if region in LOBES:
        return 3
    return 2 if region in THIRDS else int(region != _R.WHOLE_LUNG)


def _of_terminology(terminology: Terminology) -> tuple[str | None, str | None]:
    part, side = _CODES.get(terminology.type.value, (None, None))
    if part is None:
        return None, None
    modifier = terminology.modifier.value if terminology.modifier else ""
    return part, side or _SIDE_CODES.get(modifier)


def _of_text(text: str) -> tuple[str | None, str | None]:
    """Part and side that an id or name spells out; (None, None) where any word is foreign to lungs."""
    words = re.sub(r"[^a-z]+", " ", text.lower()).split()
    words = [w for word in words for w in _ABBREVIATIONS.get(word, word).split()]
    words = [_WORDS.get(word, word) for word in words]
    if words == ["trachea"]:
        return "trachea", None
    sides = {word for word in words if word in ("right", "left")}
    levels = {word for word in words if word in ("upper", "middle", "lower")}
    rest = set(words) - sides - levels
    third = "third" in rest
    is_lung = bool(rest & {"lung", "lungs", "lobe", "third"})
    if not is_lung or rest - _FILLERS - {"third"} or len(levels) > 1:
        return None, None
    side = sides.pop() if len(sides) == 1 else None
    if not levels:
        return (None, None) if third or "lobe" in rest else ("lung", side)
    return (f"{levels.pop()} third" if third else levels.pop()), side
