"""What a benchmark says of a stage, and how it measures memory."""

from __future__ import annotations

import ctypes
import gc
import os
import threading
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class StageResult:
    """One row of the table.

    Attributes:
        reference_s, ours_s: medians over the repeats.
        ratio: reference_s / ours_s.
        reference_peak_mb, ours_peak_mb: what the stage added to the process's memory at its highest; None where
            the system does not tell.
        max_error: how far ours lies from the reference on identical input; what it measures stands in ``error``.
        error: the measure of ``max_error`` in words.
    """

    reference_s: float
    ours_s: float
    ratio: float
    reference_peak_mb: float | None
    ours_peak_mb: float | None
    max_error: float
    error: str


class PeakMemory:
    """The most resident memory the process gains inside a ``with`` block, in megabytes (Linux; else None)."""

    _STATUS = Path("/proc/self/statm")

    def __enter__(self) -> PeakMemory:
        self.megabytes = None
        if self._STATUS.exists():
            gc.collect()
            ctypes.CDLL(None).malloc_trim(0)  # give freed memory back, or the block would reuse it unseen
            self._start = self._highest = self._resident()
            self._done = threading.Event()
            self._watch = threading.Thread(target=self._sample, daemon=True)
            self._watch.start()
        return self

    def __exit__(self, *_exception) -> None:
        if self._STATUS.exists():
            self._done.set()
            self._watch.join()
            self.megabytes = round((max(self._highest, self._resident()) - self._start) / 1e6, 1)

    def _sample(self) -> None:
        while not self._done.wait(0.002):
            self._highest = max(self._highest, self._resident())

    def _resident(self) -> int:
        return int(self._STATUS.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
