"""Reads what the engine writes, in threads of its own: reports to be fetched, and its last lines of text."""

from __future__ import annotations

import json
import queue
import threading
from collections import deque
from collections.abc import Iterator

KEPT_LINES = 40
WAITING_REPORTS = 1000
"""How many reports may wait to be fetched before the engine must wait itself."""
CHUNK = 1 << 16
LONGEST_LINE = 1 << 20


class OutputReader:
    """Both outputs of a process until their ends; the threads close them, nobody else does.

    Attributes:
        lines: the last lines that were no reports.
        errorSentence: the engine's own sentence (``error: …``), if it gave one.
    """

    def __init__(self, output, errors):
        self.lines: deque[str] = deque(maxlen=KEPT_LINES)
        self.errorSentence = ""
        self._reports: queue.Queue[dict] = queue.Queue(WAITING_REPORTS)
        self._unwanted = threading.Event()
        self._threads = [
            threading.Thread(target=self._read, args=arguments, name="engine's output", daemon=True)
            for arguments in ((output, self._takeOutput), (errors, self._takeError))
        ]
        for thread in self._threads:
            thread.start()

    @property
    def atEnd(self) -> bool:
        """Whether nobody can write any more and everything has been read."""
        return not any(thread.is_alive() for thread in self._threads)

    def nextReport(self) -> dict | None:
        """The next report with ``stage`` and ``fraction``; None while there is none."""
        try:
            return self._reports.get_nowait()
        except queue.Empty:
            return None

    def dropReports(self) -> None:
        """No report is wanted any more, neither those that wait nor those to come."""
        self._unwanted.set()
        while self.nextReport() is not None:
            pass

    def _read(self, stream, take) -> None:
        with stream:
            for line in _lines(stream):
                if line:
                    take(line)

    def _takeOutput(self, line: str) -> None:
        report = _report(line) if line.startswith("{") else None
        if report is None:
            self.lines.append(line)
            return
        while not self._unwanted.is_set():
            try:
                self._reports.put(report, timeout=0.1)
                return
            except queue.Full:
                continue

    def _takeError(self, line: str) -> None:
        self.lines.append(line)
        if line.startswith("error: "):
            self.errorSentence = line.removeprefix("error: ")


def _lines(stream) -> Iterator[str]:
    """The lines of an unbuffered stream as they come, without their ends; a line too long is cut."""
    rest = b""
    while chunk := stream.read(CHUNK):
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line.decode("utf-8", "replace").rstrip()
        if len(rest) > LONGEST_LINE:
            yield rest.decode("utf-8", "replace")
            rest = b""
    yield rest.decode("utf-8", "replace").rstrip()


def _report(line: str) -> dict | None:
    try:
        report = json.loads(line)
        return {**report, "stage": str(report["stage"]), "fraction": float(report["fraction"])}
    except (ValueError, KeyError, TypeError):
        return None
