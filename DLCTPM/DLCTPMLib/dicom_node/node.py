"""The node as a whole: receives, waits for the end of each series, maps, sends; until it is told to end."""

from __future__ import annotations

import contextlib
import os
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from DLCTPMLib.common.ending.interruption import raise_if_received
from DLCTPMLib.dicom_node.delivery import FIRST_PAUSE_S, Courier
from DLCTPMLib.dicom_node.log import Log, to_standard_error
from DLCTPMLib.dicom_node.mapping import PAUSE_S, Mapper, Mapping
from DLCTPMLib.dicom_node.queue import SeriesQueue
from DLCTPMLib.dicom_node.server import StoreServer
from DLCTPMLib.dicom_node.settings import Caller, Destination, NodeSettings
from DLCTPMLib.dicom_node.spool import Spool


@dataclass(frozen=True)
class Node:
    """What a node is made of.

    Attributes:
        settings: of the node.
        callers: who may send.
        destination: where results go.
        folder: of its queue.
        mapping: what makes objects of a series, given the folder for temporary files.
        log: told what happens.
        mapping_pause_s, sending_pause_s: from a failure to the next attempt.
        turn_s: how often each part looks for work.
        clock: by which a series is quiet: seconds that only grow.
    """

    settings: NodeSettings
    callers: tuple[Caller, ...]
    destination: Destination
    folder: Path
    mapping: Callable[[Path], Mapping]
    log: Log = to_standard_error
    mapping_pause_s: float = PAUSE_S
    sending_pause_s: float = FIRST_PAUSE_S
    turn_s: float = 0.5
    clock: Callable[[], float] = time.monotonic

    def run(self, ready: Callable[[int], None] = lambda port: None, stop: threading.Event | None = None) -> None:
        """Serve until a signal interrupts; what was answered is on disk and goes on at the next start.

        Args:
            ready: told the port when callers may connect.
            stop: ends it, too, when it is set.

        Raises:
            InputError: the queue's folder, the address or the list of callers cannot be used.
        """
        self.settings.check_callers(self.callers)
        os.umask(0o077)
        warnings.simplefilter("ignore")  # pydicom's quote values of headers
        stop = stop or threading.Event()
        with contextlib.closing(Spool(self.folder)) as spool:
            queue = SeriesQueue(spool, self.settings, self.log, self.clock)
            mapper = Mapper(queue, self.mapping(spool.scratch), self.log, stop, self.mapping_pause_s)
            courier = Courier(queue, self.destination, self.settings.ae_title, self.log, stop, self.sending_pause_s)
            workers = [
                threading.Thread(target=self._turns, args=(work, stop), name=name)
                for name, work in (("mapper", mapper.turn), ("courier", courier.turn))
            ]
            with contextlib.closing(StoreServer(self.settings, self.callers, queue, self.log)) as server:
                self.log(f"{self.settings.ae_title} listens on {self.settings.bind}:{server.port}")
                ready(server.port)
                try:
                    for worker in workers:
                        worker.start()
                    self._turns(queue.promote, stop, raise_if_received)
                finally:
                    stop.set()
                    self.log("ends")
            for worker in workers:
                worker.join()

    def _turns(self, work: Callable[[], None], stop: threading.Event, check: Callable = lambda: None) -> None:
        """Do some work again and again; an error is told by its kind alone, since its text may name somebody."""
        while not stop.is_set():
            check()
            try:
                work()
            except Exception as error:  # a node goes on
                where = error.__traceback__
                while where.tb_next:
                    where = where.tb_next
                place = f"{Path(where.tb_frame.f_code.co_filename).name}:{where.tb_lineno}"
                self.log(f"an error: {type(error).__name__} at {place}; goes on")
                stop.wait(10 * self.turn_s)
            stop.wait(self.turn_s)
