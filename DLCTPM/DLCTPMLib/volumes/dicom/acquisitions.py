"""Several acquisitions in one CT series (breath-holds, phases, repeats): told apart, never stacked into one volume.

A series may hold slices of many acquisitions that together make one volume, one range after the other. Where the
ranges lie within each other they are volumes of their own, and only the user knows which is meant.
"""

from __future__ import annotations

from collections.abc import Hashable
from itertools import pairwise

import numpy as np
import pydicom

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.volumes.dicom.header import words_of

_KEYS = (
    "AcquisitionNumber",
    "TemporalPositionIdentifier",
    "NominalPercentageOfCardiacPhase",
    "TriggerTime",
)
_PAUSE_S = 3.0
"""A pause between acquisition times longer than this lies between two acquisitions."""

_FEWEST = 3
"""An acquisition of fewer slices is no volume of its own."""


def chosen_acquisition(
    headers: list[pydicom.Dataset], wanted: str | None, name: str
) -> tuple[list[pydicom.Dataset], list[str]]:
    """The slices of the acquisition that is meant, with notes.

    Args:
        headers: the single-slice images of a series.
        wanted: the value that tells the acquisition (of Acquisition Number, say), None where none was said.
        name: the series, for messages.

    Raises:
        InputError: several acquisitions lie within each other and none was said, or the one said is not there.
    """
    keyword, groups = _groups(headers, wanted)
    if not groups:
        if wanted is not None:
            raise InputError(f"{name}: holds one acquisition only; leave out --acquisition {wanted}")
        return headers, []
    if wanted is None:
        raise InputError(
            f"{name}: holds {len(groups)} acquisitions within each other ({_listing(groups, keyword)}), which make "
            "no single volume; choose one with --acquisition"
        )
    if wanted not in groups:
        raise InputError(f"{name}: has no acquisition {wanted}; it has {_listing(groups, keyword)}")
    others = len(headers) - len(groups[wanted])
    return groups[wanted], [f"took acquisition {wanted} of {len(groups)}; left out {others} slices of the others"]


def _groups(headers: list[pydicom.Dataset], wanted: str | None) -> tuple[str, dict[str, list[pydicom.Dataset]]]:
    """What tells the acquisitions, and the slices of each; nothing where all make one volume."""
    heights = _heights(headers)
    if heights is None:
        return "", {}
    for keyword in _KEYS:
        values = [_text(header.get(keyword)) for header in headers]
        if _within_each_other(values, heights) or (wanted in values and len(set(values)) > 1):
            return keyword, _by_value(values, headers)
    for keyword, values in (("AcquisitionTime", _pauses(headers)), ("InstanceNumber", _runs(headers, heights))):
        if values is not None and _within_each_other(values, heights):
            return keyword, _by_value(values, headers)
    return "", {}


def _text(value) -> str:
    if value is None:
        return ""
    return f"{float(value):g}" if isinstance(value, (int, float)) else str(value)


def _by_value(values: list[str], headers: list[pydicom.Dataset]) -> dict[str, list[pydicom.Dataset]]:
    groups: dict[str, list[pydicom.Dataset]] = {}
    for value, header in sorted(zip(values, headers, strict=True), key=lambda pair: _sorting(pair[0])):
        groups.setdefault(value, []).append(header)
    return groups


def _sorting(value: str) -> tuple:
    try:
        return (0, float(value), "")
    except ValueError:
        return (1, 0.0, value)


def _heights(headers: list[pydicom.Dataset]) -> np.ndarray | None:
    """Positions along the normal of the first slice, None where a header does not say its place."""
    try:
        orientation = np.array([float(v) for v in headers[0].ImageOrientationPatient])
        positions = np.array([[float(v) for v in header.ImagePositionPatient] for header in headers])
        return positions @ np.cross(orientation[:3], orientation[3:])
    except (AttributeError, TypeError, ValueError):
        return None  # the reading of the stack says what is wrong


def _within_each_other(values: list[Hashable], heights: np.ndarray) -> bool:
    """Whether slices of one group lie between those of another: more than where two ranges meet."""
    kinds, group = np.unique(np.array([str(value) for value in values]), return_inverse=True)
    if len(kinds) < 2 or len(kinds) > len(heights) // _FEWEST:
        return False
    counts = np.bincount(group)
    ranges = sorted(
        (float(heights[group == one].min()), float(heights[group == one].max()), one)
        for one in range(len(kinds))
        if counts[one] >= _FEWEST
    )
    for (_, end, lower), (start, _, upper) in pairwise(ranges):
        shared = min(
            np.count_nonzero((heights >= start) & (heights <= end) & (group == one)) for one in (lower, upper)
        )
        if shared >= _FEWEST:
            return True
    return False


def _pauses(headers: list[pydicom.Dataset]) -> list[str] | None:
    """Numbers of the groups of acquisition times between which there are pauses, from 1."""
    try:
        times = np.array([_seconds(str(header.AcquisitionTime)) for header in headers])
    except (AttributeError, ValueError):
        return None
    order = np.argsort(times, kind="stable")
    number = np.empty(len(times), int)
    number[order] = 1 + np.cumsum(np.diff(times[order], prepend=times[order][0]) > _PAUSE_S)
    return [str(n) for n in number]


def _seconds(time: str) -> float:
    """Seconds since midnight of a DICOM time, HHMMSS.FFFFFF."""
    return int(time[:2]) * 3600 + int(time[2:4] or 0) * 60 + float(time[4:] or 0)


def _runs(headers: list[pydicom.Dataset], heights: np.ndarray) -> list[str] | None:
    """Numbers of the passes through the patient by Instance Number, from 1; None unless all go the same way."""
    try:
        order = np.argsort([int(header.InstanceNumber) for header in headers], kind="stable")
    except (AttributeError, TypeError, ValueError):
        return None
    steps = np.sign(np.diff(heights[order]))
    way = 1 if (steps > 0).sum() >= (steps < 0).sum() else -1
    number = np.empty(len(heights), int)
    number[order] = 1 + np.concatenate([[0], np.cumsum(steps == -way)])
    passes = np.bincount(number)[1:]
    return [str(n) for n in number] if len(passes) > 1 and passes.min() >= 8 else None


def _listing(groups: dict[str, list[pydicom.Dataset]], keyword: str) -> str:
    listed = []
    for value, headers in list(groups.items())[:12]:
        heights = _heights(headers)
        reach = "" if heights is None else f" from {heights.min():g} to {heights.max():g} mm"
        listed.append(f"{value or 'no number'}: {len(headers)} slices{reach}")
    return f"by {words_of(keyword)} " + "; ".join(listed) + (" …" if len(groups) > 12 else "")
