"""Sends finished objects to their destination by C-STORE, and again until each has arrived."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.status import code_to_category

from DLCTPMLib.dicom_node.log import Log
from DLCTPMLib.dicom_node.queue import SeriesQueue
from DLCTPMLib.dicom_node.settings import Destination

FIRST_PAUSE_S, LONGEST_PAUSE_S = 10.0, 600.0
"""From a failure to the next attempt: doubled after each, up to the longest."""


class Courier:
    """Takes objects to a destination.

    Args:
        queue: where they wait.
        destination: where they go.
        ae_title: what this node calls itself.
        log: told what happens.
        stop: set when the node ends.
        pause_s: after the first failure.
    """

    def __init__(
        self,
        queue: SeriesQueue,
        destination: Destination,
        ae_title: str,
        log: Log,
        stop: threading.Event,
        pause_s: float = FIRST_PAUSE_S,
    ):
        self._queue, self._destination, self._log, self._stop = queue, destination, log, stop
        self._ae_title, self._first_pause_s = ae_title, pause_s
        self._failures: dict[str, int] = {}
        self._not_before: dict[str, float] = {}

    def turn(self) -> None:
        """Send what waits."""
        for name in self._queue.to_send():
            if self._stop.is_set():
                return
            if self._not_before.get(name, 0.0) > time.monotonic():
                continue
            fault = self._send(self._queue.objects_of(name))
            if not fault:
                self._failures.pop(name, None)
                self._queue.delivered(name)
                self._log(f"series {name}: delivered to {self._destination}")
            elif not self._stop.is_set():
                count = self._failures[name] = self._failures.get(name, 0) + 1
                pause = min(self._first_pause_s * 2 ** min(count - 1, 20), LONGEST_PAUSE_S)
                self._not_before[name] = time.monotonic() + pause
                self._log(f"series {name}: {self._destination} {fault}; again in {pause:.0f} s")

    def _send(self, paths: list[Path]) -> str:
        """Send files; each goes when it has arrived. Returns what went wrong, nothing if nothing did."""
        if not paths:
            return ""
        entity = AE(self._ae_title)
        entity.acse_timeout, entity.dimse_timeout, entity.network_timeout = 30, 60, 60
        entity.connection_timeout = 10
        classes = {path: dcmread(path, stop_before_pixels=True, specific_tags=["SOPClassUID"]) for path in paths}
        for sop_class in sorted({header.SOPClassUID for header in classes.values()}):
            entity.add_requested_context(sop_class, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
        there = self._destination
        association = entity.associate(there.host, there.port, ae_title=there.ae_title)
        if not association.is_established:
            return "refuses this node" if association.is_rejected else "is not to be reached"
        try:
            faults = [fault for path in paths if (fault := self._send_one(association, path))]
        finally:
            association.release()
        return faults[0] if faults else ""

    def _send_one(self, association: Association, path: Path) -> str:
        if self._stop.is_set() or not association.is_established:
            return "was cut off"
        try:
            status = association.send_c_store(path)
        except ValueError:  # the destination accepted no presentation context for this class
            return f"does not take {path.name}"
        if "Status" not in status:
            return f"gave no answer to {path.name}"
        if code_to_category(status.Status) not in ("Success", "Warning"):
            return f"refused {path.name} with status 0x{status.Status:04X}"
        path.unlink()
        return ""
