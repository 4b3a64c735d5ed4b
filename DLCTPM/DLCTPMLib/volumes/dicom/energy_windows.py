"""The energy windows of a nuclear medicine file: which frames are the perfusion's emission."""

from __future__ import annotations

import numpy as np
import pydicom

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.volumes.dicom.header import file_name

TC99M_KEV = 140.5
"""The photopeak of technetium-99m, with which perfusion is imaged."""


def chosen_window(header: pydicom.Dataset, count: int, name: str, part: str | None) -> tuple[np.ndarray, list[str]]:
    """The frames (indices) of the energy window that is meant, with notes.

    With several windows it is the one around the photopeak of technetium-99m, if that is one alone; scatter windows
    lie beside it. Otherwise the user says.

    Args:
        header: of an NM file.
        count: its number of frames.
        name: for messages.
        part: number of the window (from 1), where the user said.

    Raises:
        InputError: several windows and none told or said, or the one said is not there.
    """
    vector = np.atleast_1d(np.array(header.get("EnergyWindowVector", None) or [], dtype=int))
    windows = sorted(set(vector.tolist())) if vector.size == count else []
    if part is not None and (not part.isdigit() or int(part) not in (windows or [1])):
        raise InputError(f"{name}: has no energy window {part[:20]}; it has {_listing(header, windows or [1])}")
    if len(windows) < 2:
        return np.arange(count), []
    if part is not None:
        return np.flatnonzero(vector == int(part)), []
    peaks = [window for window in windows if _holds_photopeak(header, window)]
    if len(peaks) != 1:
        raise InputError(
            f"{name}: {file_name(header)} holds {len(windows)} energy windows ({_listing(header, windows)}); choose "
            f"one with --spect-series {header.get('SeriesNumber', None) or 'SERIES'}:WINDOW"
        )
    return np.flatnonzero(vector == peaks[0]), [
        f"took energy window {_told(header, peaks[0])} of {len(windows)}: the one around technetium's 140 keV"
    ]


def _limits(header: pydicom.Dataset, window: int) -> list[tuple[float, float]]:
    """Lower and upper limits in keV."""
    items = header.get("EnergyWindowInformationSequence", None) or []
    if not 1 <= window <= len(items):
        return []
    ranges = items[window - 1].get("EnergyWindowRangeSequence", None) or []
    limits = ((one.get("EnergyWindowLowerLimit"), one.get("EnergyWindowUpperLimit")) for one in ranges)
    return [(float(low), float(high)) for low, high in limits if low is not None and high is not None]


def _holds_photopeak(header: pydicom.Dataset, window: int) -> bool:
    return any(low < TC99M_KEV < high for low, high in _limits(header, window))


def _told(header: pydicom.Dataset, window: int) -> str:
    limits = " and ".join(f"{low:g}–{high:g} keV" for low, high in _limits(header, window))
    return f"{window} ({limits})" if limits else str(window)


def _listing(header: pydicom.Dataset, windows: list[int]) -> str:
    return ", ".join(_told(header, window) for window in windows)
